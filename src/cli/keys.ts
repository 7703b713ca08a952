import { toJson } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { type Key, KeySchema, type Role, RoleSchema } from "../../gen/leadline/v1/tenant_pb.ts";
import {
  CreateKeyResponseSchema,
  CreateLinkResponseSchema,
  RevokeKeyResponseSchema,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import { type ConnectionOptions, connect, type KeyHolder, withConnection } from "./connection.ts";
import { withExamples } from "./examples.ts";
import { allPages } from "./pages.ts";
import { plain, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { parseExpiry, parseSpan, shownTimestamp } from "./times.ts";
import { oneWord, wordOf, wordsOf } from "./words.ts";

interface TenantOptions extends ConnectionOptions {
  readonly tenant?: string;
}

interface CreateOptions extends TenantOptions {
  readonly name: string;
  readonly role: Role;
  readonly carrier?: string;
  readonly expires?: string;
  readonly support?: boolean;
  readonly reason?: string;
}

interface LinkOptions extends ConnectionOptions {
  readonly order: string;
  readonly lifetime?: string;
}

const help = `
A key belongs to one tenant and has one role: OWNER (everything), OPERATOR (orders and the shipper's booking verbs), CARRIER
(one carrier's bookings), VIEWER (reads). Its secret is shown once. The service owner names the tenant with --tenant.

Examples:
  leadline keys create --name "warehouse 3" --role operator --expires 90d
  leadline keys create --name maersk --role carrier --carrier MAEU
  leadline keys create --tenant acme --support --role viewer --name "ticket 7" --reason "cannot see PO-1"
  leadline keys list
  leadline keys revoke key_5cm1x0q2f7r8a9bd
  leadline keys link --order po-7 --lifetime 2d`;

/** `leadline keys`. */
export function keysCommand(terminal: Terminal): Command {
  const keys = new Command("keys").description("make, list and revoke API keys");
  const create = new Command("create")
    .description("make a key and show its secret, this once")
    .requiredOption("--name <name>", "what it is for")
    .requiredOption("--role <role>", wordsOf(RoleSchema).join(", "), oneWord(RoleSchema))
    .option("--carrier <code>", "the carrier whose bookings it sees; with the role CARRIER")
    .option("--expires <when>", "when it ends: a time, or a span such as 90d (default: never)")
    .option("--support", "service owner: a key to help the tenant, a viewer's for at most 8h (default: 1h)")
    .option("--reason <text>", "why it is made; with --support");
  const list = new Command("list").description("list keys, the newest first");
  const revoke = new Command("revoke").description("end a key and its streams").argument("<id>", "the key's id");
  const link = new Command("link")
    .description("make a token with which one order can be read and watched for a short time")
    .requiredOption("--order <id>", "the order")
    .option("--lifetime <span>", "for how long, up to 7d (default: 1d)");
  for (const one of [create, list, revoke]) one.option("--tenant <id>", "service owner: in which tenant");
  withConnection(create).action((options: CreateOptions) => createKey(options, terminal));
  withConnection(list).action((options: TenantOptions) => listKeys(options, terminal));
  withConnection(revoke).action((id: string, options: TenantOptions) => revokeKey(id, options, terminal));
  withConnection(link).action((options: LinkOptions) => createLink(options, terminal));
  for (const one of [create, list, revoke, link]) keys.addCommand(one);
  return withExamples(keys, help);
}

/** Naming a tenant is the service owner's business. */
function holder(options: TenantOptions): KeyHolder {
  return options.tenant === undefined ? "owner" : "serviceOwner";
}

async function createKey(options: CreateOptions, terminal: Terminal): Promise<void> {
  const expiresAt = options.expires === undefined ? undefined : parseExpiry(options.expires, Date.now());
  const client = connect(options, terminal.env, holder(options));
  try {
    const response = await client.tenants.createKey({
      tenantId: options.tenant ?? "",
      name: options.name,
      role: options.role,
      carrier: options.carrier ?? "",
      support: options.support ?? false,
      reason: options.reason ?? "",
      ...(expiresAt === undefined ? {} : { expiresAt }),
    });
    if (options.json) return await terminal.out.json(toJson(CreateKeyResponseSchema, response));
    await terminal.out.line(response.secret);
    await terminal.err.line(
      `${response.key?.id}, ${wordOf(RoleSchema, response.key?.role ?? 0)}: it cannot be shown again`,
    );
  } finally {
    client.close();
  }
}

async function listKeys(options: TenantOptions, terminal: Terminal): Promise<void> {
  const client = connect(options, terminal.env, holder(options));
  try {
    const keys = await allPages(
      (pageToken) => client.tenants.listKeys({ tenantId: options.tenant ?? "", pageSize: 1000, pageToken }),
      (page) => page.keys,
    );
    if (options.json) {
      for (const key of keys) await terminal.out.json(toJson(KeySchema, key));
      return;
    }
    const header = ["ID", "ROLE", "CARRIER", "STATE", "CREATED", "LAST USED", "NAME"];
    for (const line of table(header, keys.map(keyRow))) await terminal.out.line(line);
  } finally {
    client.close();
  }
}

function keyRow(key: Key): string[] {
  return [
    key.id,
    wordOf(RoleSchema, key.role),
    plain(key.carrier) || "-",
    stateOf(key, Date.now()),
    shownTimestamp(key.createdAt),
    shownTimestamp(key.lastUsedAt) || "never",
    plain(key.name),
  ];
}

function stateOf(key: Key, nowMs: number): string {
  if (key.revokedAt) return `revoked ${shownTimestamp(key.revokedAt)}`;
  if (!key.expiresAt) return "valid";
  return `${timestampMs(key.expiresAt) <= nowMs ? "expired" : "until"} ${shownTimestamp(key.expiresAt)}`;
}

async function revokeKey(id: string, options: TenantOptions, terminal: Terminal): Promise<void> {
  const client = connect(options, terminal.env, holder(options));
  try {
    const response = await client.tenants.revokeKey({ tenantId: options.tenant ?? "", keyId: id });
    if (options.json) return await terminal.out.json(toJson(RevokeKeyResponseSchema, response));
    await terminal.out.line(`${id}: revoked ${shownTimestamp(response.key?.revokedAt)}`);
  } finally {
    client.close();
  }
}

async function createLink(options: LinkOptions, terminal: Terminal): Promise<void> {
  const seconds = options.lifetime === undefined ? undefined : Math.round(parseSpan(options.lifetime) / 1000);
  const client = connect(options, terminal.env);
  try {
    const response = await client.tenants.createLink({
      orderId: options.order,
      ...(seconds === undefined ? {} : { lifetime: { seconds: BigInt(seconds) } }),
    });
    if (options.json) return await terminal.out.json(toJson(CreateLinkResponseSchema, response));
    await terminal.out.line(response.token);
    await terminal.err.line(`for ${options.order}, until ${shownTimestamp(response.expiresAt)}`);
  } finally {
    client.close();
  }
}
