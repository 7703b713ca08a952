import { toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import {
  type Entitlement,
  type Tenant,
  TenantSchema,
  type TenantSettings,
  TenantStateSchema,
  type Tier,
  TierSchema,
} from "../../gen/leadline/v1/tenant_pb.ts";
import type { LeadlineClient } from "../client/node.ts";
import { wrongUse } from "./cli-error.ts";
import { type ConnectionOptions, connect, withConnection } from "./connection.ts";
import { withExamples } from "./examples.ts";
import { allPages } from "./pages.ts";
import { plain, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { parseExpiry, shownTimestamp } from "./times.ts";
import { oneWord, wholeNumber, wordOf, wordsOf } from "./words.ts";

interface CreateOptions extends ConnectionOptions {
  readonly name: string;
  readonly id?: string;
  readonly tier?: Tier;
}

const help = `
With the service owner's key: it makes tenants and their first keys, and sees no tenant's data. A tenant's own key shows its
tenant: what its tier includes, what is used, and what is left.

Examples:
  leadline tenants create --name "Acme Trading" --id acme --tier assisted
  leadline keys create --tenant acme --name "first owner" --role owner
  leadline tenants list
  leadline tenants show                                 your own tenant, with its key
  leadline tenants set-tier acme adaptive --history-days 400
  leadline tenants suspend acme --reason "unpaid"
  leadline tenants resume acme
  leadline tenants close acme --reason "contract ended" --delete-at 90d`;

/** `leadline tenants`. */
export function tenantsCommand(terminal: Terminal): Command {
  const tenants = new Command("tenants").description("make and keep tenants, as the service owner");
  const create = new Command("create")
    .description("make a tenant")
    .requiredOption("--name <name>", "the name that people use")
    .option("--id <id>", "the id: small letters, digits, - and _ (default: drawn)")
    .option("--tier <tier>", wordsOf(TierSchema).join(", "), oneWord(TierSchema));
  const list = new Command("list").description("list the tenants by id");
  withConnection(create).action((options: CreateOptions) => createTenant(options, terminal));
  withConnection(list).action((options: ConnectionOptions) => listTenants(options, terminal));
  const show = new Command("show")
    .description("show a tenant: its state, and what its tier includes")
    .argument("[id]", "service owner: which one (default: the key's own)");
  const suspend = new Command("suspend").description("let a tenant only read").argument("<id>");
  const resume = new Command("resume")
    .description("end a suspension")
    .argument("<id>")
    .option("--reason <text>", "a remark");
  const close = new Command("close")
    .description("end a tenant: its streams and keys at once, its data later")
    .argument("<id>")
    .option("--delete-at <when>", "when its data is deleted: a time, or a span of a day or more (default: 90d)");
  for (const one of [suspend, close]) one.requiredOption("--reason <text>", "why; the tenant is told");
  const setTier = new Command("set-tier")
    .description("change what a tenant has bought")
    .argument("<id>")
    .argument("<tier>", wordsOf(TierSchema).join(", "), oneWord<Tier>(TierSchema));
  for (const [flag, text] of agreements)
    setTier.option(`${flag} <number>`, `agreed: ${text}`, wholeNumber(0, 1_000_000));
  withConnection(show).action((id: string | undefined, options: ConnectionOptions) =>
    showTenant(id, options, terminal),
  );
  withConnection(suspend).action((tenantId: string, options: ReasonOptions) =>
    alter(options, terminal, (client) => client.tenants.suspendTenant({ tenantId, reason: options.reason ?? "" })),
  );
  withConnection(resume).action((tenantId: string, options: ReasonOptions) =>
    alter(options, terminal, (client) => client.tenants.resumeTenant({ tenantId, reason: options.reason ?? "" })),
  );
  withConnection(close).action((tenantId: string, options: CloseOptions) => {
    const deleteAt = options.deleteAt === undefined ? {} : { deleteAt: parseExpiry(options.deleteAt, Date.now()) };
    const request = { tenantId, reason: options.reason ?? "", ...deleteAt };
    return alter(options, terminal, (client) => client.tenants.closeTenant(request));
  });
  withConnection(setTier).action((tenantId: string, tier: Tier, options: TierOptions) => {
    const { callsPerSecond, streams, historyDays, inboundDays } = options;
    const given = { callsPerSecond, streams, historyDays, inboundDays };
    const named = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    return alter(options, terminal, async (client) => {
      if (Object.keys(named).length === 0) return client.tenants.setTier({ tenantId, tier });
      // The service takes all of them together: those that are not named stay.
      const { tenant } = await client.tenants.getTenant({ tenantId });
      const was = tenant?.settings ?? tenant?.restingSettings;
      const all = { ...agreed(was), ...named };
      return client.tenants.setTier({ tenantId, tier, settings: all });
    });
  });
  for (const one of [create, list, show, suspend, resume, close, setTier]) tenants.addCommand(one);
  return withExamples(tenants, help);
}

/** The options of `set-tier`, named as the settings are. */
const agreements = [
  ["--calls-per-second", "calls of one key in a second, on one instance"],
  ["--streams", "open streams, on one instance"],
  ["--history-days", "days that history stays online after a journey's end"],
  ["--inbound-days", "days that raw inbound messages are kept"],
] as const;

function agreed(was: TenantSettings | undefined) {
  const { callsPerSecond = 0, streams = 0, historyDays = 0, inboundDays = 0 } = was ?? {};
  return { callsPerSecond, streams, historyDays, inboundDays };
}

interface ReasonOptions extends ConnectionOptions {
  readonly reason?: string;
}

interface CloseOptions extends ReasonOptions {
  readonly deleteAt?: string;
}

type TierOptions = ConnectionOptions &
  Partial<Pick<TenantSettings, "callsPerSecond" | "streams" | "historyDays" | "inboundDays">>;

async function showTenant(id: string | undefined, options: ConnectionOptions, terminal: Terminal): Promise<void> {
  const client = connect(options, terminal.env, id === undefined ? "owner" : "serviceOwner");
  try {
    const { tenant } = await client.tenants.getTenant({ tenantId: id ?? "" });
    if (tenant === undefined) throw wrongUse("the service answered without a tenant");
    if (options.json) return await terminal.out.json(toJson(TenantSchema, tenant));
    await terminal.out.line(lineOf(tenant));
    if (tenant.stateReason !== "") await terminal.out.line(`because: ${plain(tenant.stateReason)}`);
    if (tenant.deleteAt) await terminal.out.line(`its data is deleted ${shownTimestamp(tenant.deleteAt)}`);
    for (const line of keptLines(tenant)) await terminal.out.line(line);
    await terminal.out.line("");
    const rows = tenant.entitlements.map(entitlementRow);
    for (const line of table(["ENTITLEMENT", "INCLUDED", "ALLOWED", "USED", "LEFT", ""], rows))
      await terminal.out.line(line);
  } finally {
    client.close();
  }
}

/** What the tenant alone is told: its flows and its history. */
function keptLines({ startingFlowId, restingFlowId, history }: Tenant): string[] {
  const lines: string[] = [];
  if (restingFlowId !== "") {
    lines.push(`new orders start in ${startingFlowId}: its default, ${restingFlowId}, rests in this tier and is kept`);
  } else if (startingFlowId !== "") lines.push(`new orders start in ${startingFlowId}`);
  if (history === undefined) return lines;
  const { days, daysThen, thenFrom, cutSubjects, cutEvents, lastCutAt } = history;
  const cut =
    lastCutAt === undefined
      ? "nothing has been cut"
      : `${cutEvents} events of ${cutSubjects} orders and bookings have been cut, last ${shownTimestamp(lastCutAt)}`;
  const then = thenFrom === undefined ? "" : `, ${daysThen} from ${shownTimestamp(thenFrom)} on`;
  return [...lines, `history stays ${days} days after a journey's end${then}; ${cut}`];
}

function entitlementRow({ name, included, allowed, used, left, description }: Entitlement): string[] {
  const numbers = [allowed, used].map((value) => (value === 0n ? "-" : String(value)));
  return [name, included ? "yes" : "no", ...numbers, left === undefined ? "-" : String(left), plain(description)];
}

function lineOf(tenant: Tenant): string {
  const { id, tier, state, stateSince, name } = tenant;
  return `${id}: ${wordOf(TierSchema, tier)}, ${wordOf(TenantStateSchema, state)} since ${shownTimestamp(stateSince)} (${plain(name)})`;
}

async function alter(
  options: ConnectionOptions,
  terminal: Terminal,
  change: (client: LeadlineClient) => Promise<{ readonly tenant?: Tenant | undefined }>,
): Promise<void> {
  const client = connect(options, terminal.env, "serviceOwner");
  try {
    const { tenant } = await change(client);
    if (tenant === undefined) return;
    if (options.json) return await terminal.out.json(toJson(TenantSchema, tenant));
    await terminal.out.line(lineOf(tenant));
    if (tenant.deleteAt) await terminal.out.line(`its data is deleted ${shownTimestamp(tenant.deleteAt)}`);
  } finally {
    client.close();
  }
}

async function createTenant(options: CreateOptions, terminal: Terminal): Promise<void> {
  const client = connect(options, terminal.env, "serviceOwner");
  try {
    const { tenant } = await client.tenants.createTenant({
      tenantId: options.id ?? "",
      name: options.name,
      ...(options.tier === undefined ? {} : { tier: options.tier }),
    });
    if (tenant === undefined) return;
    if (options.json) return await terminal.out.json(toJson(TenantSchema, tenant));
    await terminal.out.line(tenant.id);
    await terminal.err.line(
      `made; its first key: leadline keys create --tenant ${tenant.id} --name owner --role owner`,
    );
  } finally {
    client.close();
  }
}

async function listTenants(options: ConnectionOptions, terminal: Terminal): Promise<void> {
  const client = connect(options, terminal.env, "serviceOwner");
  try {
    const tenants = await allPages(
      (pageToken) => client.tenants.listTenants({ pageSize: 1000, pageToken }),
      (page) => page.tenants,
    );
    if (options.json) {
      for (const tenant of tenants) await terminal.out.json(toJson(TenantSchema, tenant));
      return;
    }
    const rows = tenants.map((tenant) => [
      tenant.id,
      wordOf(TierSchema, tenant.tier),
      wordOf(TenantStateSchema, tenant.state),
      shownTimestamp(tenant.createdAt),
      plain(tenant.name),
    ]);
    for (const line of table(["ID", "TIER", "STATE", "CREATED", "NAME"], rows)) await terminal.out.line(line);
  } finally {
    client.close();
  }
}
