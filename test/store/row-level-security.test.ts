import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openOrm } from "../../src/store/orm.ts";
import { createTenant, createTestDatabase, type TestDatabase } from "../support/database.ts";

/** Tables that hold no tenant's data. */
const OPEN_TABLES = ["deployment", "instance", "migration"];

let database: TestDatabase;
let app: Client;

beforeAll(async () => {
  database = await createTestDatabase();
  await createTenant(database, "north");
  await createTenant(database, "south");
  app = new Client({ connectionString: database.appUrl });
  await app.connect();
});
afterAll(async () => {
  await app.end();
  await database[Symbol.asyncDispose]();
});

async function heads(tenants: string | undefined): Promise<string[]> {
  await app.query("begin");
  if (tenants !== undefined) await app.query("select set_config('app.tenants', $1, true)", [tenants]);
  const { rows } = await app.query("select tenant_id from journal_head order by tenant_id");
  await app.query("commit");
  return rows.map((row) => row.tenant_id);
}

describe("row-level security", () => {
  it("is forced on every table that holds tenants' rows", async () => {
    const tables = await database.sql<{ name: string; forced: boolean; policies: number }>(`
      select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as forced,
             (select count(*)::int from pg_policy p where p.polrelid = c.oid) as policies
      from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1`);
    const walls = tables.filter((t) => !OPEN_TABLES.includes(t.name));
    expect(walls.length).toBeGreaterThanOrEqual(8);
    expect(walls.filter((t) => !t.forced || t.policies === 0)).toEqual([]);
  });

  it("has no policy that lets by more than the tenants of the transaction, but two that are named here", async () => {
    const policies = await database.sql<{ name: string; role: string; command: string; sees: string; writes: string }>(`
      select policyname as name, roles[1]::text as role, cmd as command, qual as sees, coalesce(with_check, qual) as writes
      from pg_policies where schemaname = 'public' order by tablename, policyname`);
    const own = /^\(tenant_id = ANY|^\(id = ANY/;
    const wide = policies.filter(
      ({ sees, writes }) => !own.test(sees) || !own.test(writes) || !sees.includes("app.tenants"),
    );
    expect(policies.length - wide.length).toBeGreaterThanOrEqual(8);
    // Permissive policies add up: one that is wide opens its table, whatever the others say.
    expect(wide).toEqual([
      {
        name: "find_key",
        role: expect.not.stringMatching(/public|leadline_app/),
        command: "SELECT",
        sees: "true",
        writes: "true",
      },
      {
        ...{ name: "service_owner", role: "public", command: "SELECT" },
        ...{ sees: expect.stringContaining("app.service_owner"), writes: expect.any(String) },
      },
    ]);
  });

  it("is not passed by: no view, no function of the owner's but key look-ups, no TRUNCATE, no tenant in an open table", async () => {
    const names = async (query: string) => (await database.sql<{ name: string }>(query)).map(({ name }) => name);
    const there = "relnamespace = 'public'::regnamespace";
    expect(await names(`select relname as name from pg_class where ${there} and relkind in ('v', 'm', 'f')`)).toEqual(
      [],
    );
    // They find one key by its id, which is drawn at random; `find_key` is for the release before.
    const owners = "select proname as name from pg_proc where pronamespace = 'public'::regnamespace and prosecdef";
    expect((await names(owners)).sort()).toEqual(["find_key", "tenant_of_key"]);
    const passing = ["truncate", "references", "trigger"].map(
      (right) => `has_table_privilege('leadline_app', oid, '${right}')`,
    );
    expect(
      await names(
        `select relname as name from pg_class where ${there} and relkind in ('r', 'p') and (${passing.join(" or ")})`,
      ),
    ).toEqual([]);
    const open = OPEN_TABLES.map((name) => `'${name}'`).join(", ");
    expect(
      await names(`select table_name as name from information_schema.columns
        where table_schema = 'public' and column_name = 'tenant_id' and table_name in (${open})`),
    ).toEqual([]);
  });

  it("shows the rows of the tenants that the transaction names, and none when it names none", async () => {
    expect(await heads(undefined)).toEqual([]);
    expect(await heads("south")).toEqual(["south"]);
    expect(await heads("north,south")).toEqual(["north", "south"]);
  });

  it("does not outlive its transaction on a shared connection", async () => {
    expect(await heads("north")).toEqual(["north"]);
    expect(await heads(undefined)).toEqual([]);
  });

  it("refuses a row of another tenant", async () => {
    await app.query("begin");
    await app.query("select set_config('app.tenants', 'north', true)");
    const foreign = app.query("insert into subject_reference values ('south', 1, 'PO:1', 'x', 1)");
    await expect(foreign).rejects.toMatchObject({ code: "42501" });
    await app.query("rollback");
  });

  it("finds a key by its id before its tenant is known, and lists none", async () => {
    await database.sql(
      `insert into api_key (id, tenant_id, name, role, carrier, secret_sha256, created_at)
       values ('key_1', 'north', 'n', 1, '', '\\x00', now())`,
    );
    expect((await app.query("select tenant_of_key('key_1') as tenant")).rows).toEqual([{ tenant: "north" }]);
    expect((await app.query("select tenant_of_key('key_2') as tenant")).rows).toEqual([{ tenant: null }]);
    // As the release before does.
    expect((await app.query("select tenant_id from find_key('key_1')")).rows).toEqual([{ tenant_id: "north" }]);
    expect((await app.query("select * from api_key")).rows).toEqual([]);
  });

  it("binds a role that owns nothing and cannot pass it by", async () => {
    const { rows } = await app.query(`
      select rolsuper, rolbypassrls, (select count(*)::int from pg_class where relowner = r.oid) as owns
      from pg_roles r where rolname = current_user`);
    expect(rows).toEqual([{ rolsuper: false, rolbypassrls: false, owns: 0 }]);
  });
});

describe("migrations", () => {
  it("make what the entities describe", async () => {
    const orm = await openOrm(database.ownerUrl);
    try {
      const difference = await orm.schema.getUpdateSchemaSQL({ wrap: false });
      // Policies, references between tables and indexes are the migrations' own; columns and tables must agree.
      expect(difference.match(/(create table|drop table|add column|drop column|alter column)[^;]*/g)).toBeNull();
    } finally {
      await orm.close();
    }
  });
});
