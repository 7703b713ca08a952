import { toJson } from "@bufbuild/protobuf";
import { Command } from "commander";
import { TenantSchema, type Tier, TierSchema } from "../../gen/leadline/v1/tenant_pb.ts";
import { type ConnectionOptions, connect, withConnection } from "./connection.ts";
import { allPages } from "./pages.ts";
import { plain, table } from "./table.ts";
import type { Terminal } from "./terminal.ts";
import { shownTimestamp } from "./times.ts";
import { oneWord, wordOf, wordsOf } from "./words.ts";

interface CreateOptions extends ConnectionOptions {
  readonly name: string;
  readonly id?: string;
  readonly tier?: Tier;
}

const help = `
With the service owner's key: it makes tenants and their first keys, and sees no tenant's data.

Examples:
  leadline tenants create --name "Acme Trading" --id acme --tier assisted
  leadline keys create --tenant acme --name "first owner" --role owner
  leadline tenants list`;

/** `leadline tenants`. */
export function tenantsCommand(terminal: Terminal): Command {
  const tenants = new Command("tenants")
    .description("make and list tenants, as the service owner")
    .addHelpText("after", help);
  const create = new Command("create")
    .description("make a tenant")
    .requiredOption("--name <name>", "the name that people use")
    .option("--id <id>", "the id: small letters, digits, - and _ (default: drawn)")
    .option("--tier <tier>", wordsOf(TierSchema).join(", "), oneWord(TierSchema));
  const list = new Command("list").description("list the tenants by id");
  withConnection(create).action((options: CreateOptions) => createTenant(options, terminal));
  withConnection(list).action((options: ConnectionOptions) => listTenants(options, terminal));
  return tenants.addCommand(create).addCommand(list);
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
      shownTimestamp(tenant.createdAt),
      plain(tenant.name),
    ]);
    for (const line of table(["ID", "TIER", "CREATED", "NAME"], rows)) await terminal.out.line(line);
  } finally {
    client.close();
  }
}
