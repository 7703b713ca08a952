import { expect, test } from "vitest";
import { TenantRemoval } from "../../src/app/tenant-removal.ts";
import { createTenant, openTestOrm } from "../support/database.ts";
import { shared } from "../support/shared.ts";

const { database, orm } = await shared(openTestOrm());

/** Every table with rows of tenants, as the catalogue has them. */
async function tablesOfTenants(): Promise<string[]> {
  const rows = await database.sql<{ name: string }>(
    `select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relkind = 'r' and a.attname = 'tenant_id' and c.relnamespace = current_schema()::regnamespace order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** Puts rows of a tenant into a table: every column has something of its type. */
async function fill(table: string, tenant: string, rows: number): Promise<void> {
  const columns = await database.sql<{ name: string; type: string }>(
    `select column_name as name, data_type as type from information_schema.columns
     where table_schema = current_schema() and table_name = $1`,
    [table],
  );
  const value = ({ name, type }: { name: string; type: string }): string => {
    if (name === "tenant_id") return "$1";
    // What refers to another table's rows refers to the first of them.
    if (name === "flow_id") return "'1'";
    if (type === "text") return name === "id" && table !== "status_flow" ? "$1 || n" : "n::text";
    if (type === "bytea") return "convert_to(n::text, 'UTF8')";
    if (type === "boolean") return "false";
    if (type === "jsonb") return "'{}'";
    if (type.startsWith("timestamp")) return "now()";
    return name === "revision" || name === "version" ? "n" : "1";
  };
  const names = columns.map(({ name }) => name).join(", ");
  const values = columns.map(value).join(", ");
  await database.sql(
    `insert into ${table} (${names}) select ${values} from generate_series(1, ${rows}) as n where $1::text is not null
     on conflict do nothing`,
    [tenant],
  );
}

async function count(table: string, tenant: string): Promise<number> {
  const [row] = await database.sql<{ n: number }>(
    `select count(*)::int as n from ${table} where tenant_id in ($1, $1 || '.audit')`,
    [tenant],
  );
  return row?.n ?? -1;
}

test("of a closed tenant whose day has come everything is deleted but its id, and nothing of others", async () => {
  const tenants = ["due", "early", "open", "suspended"];
  for (const tenant of tenants) await createTenant(database, tenant);
  const tables = await tablesOfTenants();
  expect(tables.length).toBeGreaterThan(9);
  // What versions refer to comes first.
  const order = ["status_flow", ...tables.filter((table) => table !== "status_flow")];
  for (const tenant of tenants) for (const table of order) await fill(table, tenant, 25);
  await database.sql(
    "insert into event select tenant_id || '.audit', revision, event_id, kind, subject_id, version, carrier, recorded_at, payload from event where tenant_id = 'due'",
  );
  await database.sql(
    "update tenant set settings = '{\"streams\": 7}', state_reason = 'why', state = 3 where id in ('due', 'early')",
  );
  await database.sql("update tenant set delete_at = now() - interval '1 minute' where id = 'due'");
  await database.sql("update tenant set delete_at = now() + interval '1 hour' where id = 'early'");
  await database.sql("update tenant set state = 2 where id = 'suspended'");
  const before = new Map<string, number>();
  for (const table of tables) {
    expect(await count(table, "due"), table).toBeGreaterThan(0);
    for (const tenant of tenants.slice(1)) before.set(`${tenant} ${table}`, await count(table, tenant));
  }
  const gone: string[] = [];
  const removal = new TenantRemoval(orm, {
    portion: 10,
    onRemoved: (tenant) => gone.push(tenant),
    onError: (error) => {
      throw error;
    },
  });
  await removal.forget();
  expect(gone).toEqual(["due"]);
  for (const table of tables) {
    expect(await count(table, "due"), table).toBe(0);
    for (const tenant of tenants.slice(1)) expect(await count(table, tenant)).toBe(before.get(`${tenant} ${table}`));
  }
  const [row] = await database.sql("select name, state, state_reason, settings from tenant where id = 'due'");
  expect(row).toEqual({ name: "", state: 3, state_reason: "", settings: {} });
  await removal.forget();
  expect(gone).toEqual(["due"]);
});
