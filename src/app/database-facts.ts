/**
 * What a database tells of itself to the role that serves. The start refuses what is not fit, `leadline doctor` lists all of
 * it: both by the same questions, so that the one never finds fit what the other refuses.
 */
import type { Client } from "pg";
import { migrations } from "../store/migrations/index.ts";

const oldestServer = 150_000;

export interface ServerFacts {
  /** `18.0 (Debian ...)`. */
  readonly version: string;
  /** Postgres 15 or later. */
  readonly fit: boolean;
}

export async function serverFacts(client: Client): Promise<ServerFacts> {
  const { rows } = await client.query<{ number: string; version: string }>(
    "select current_setting('server_version_num') as number, current_setting('server_version') as version",
  );
  return { version: rows[0]?.version ?? "", fit: Number(rows[0]?.number) >= oldestServer };
}

export interface RoleFacts {
  readonly name: string;
  /** Why row-level security would not hold it, to follow its name; absent: it holds it. */
  readonly wrong?: string;
}

/** Row-level security is the second wall between tenants: it must hold the role that serves, and what that is a member of. */
export async function roleFacts(client: Client): Promise<RoleFacts> {
  const { rows } = await client.query<{ name: string; super: boolean; bypass: boolean; owns: boolean }>(
    `select current_user as name,
       exists (select from pg_roles r where r.rolsuper and pg_has_role(current_user, r.oid, 'member')) as super,
       exists (select from pg_roles r where r.rolbypassrls and pg_has_role(current_user, r.oid, 'member')) as bypass,
       exists (select from pg_class c where c.oid in (to_regclass('tenant'), to_regclass('event'), to_regclass('api_key'))
         and pg_has_role(current_user, c.relowner, 'member')) as owns`,
  );
  const [role] = rows;
  const name = role?.name ?? "";
  if (role?.super) return { name, wrong: "is a superuser" };
  if (role?.bypass) return { name, wrong: "has BYPASSRLS" };
  return role?.owns ? { name, wrong: "owns the tables" } : { name };
}

export interface SchemaFacts {
  /** NONE: there is no schema of ours. CLOSED: there is one, and this role may not use it. */
  readonly state: "NONE" | "CLOSED" | "OPEN";
  /** Migrations of this release that have not run, oldest first. */
  readonly missing: readonly string[];
  /** Migrations that a newer release has run. */
  readonly newer: readonly string[];
}

export async function schemaFacts(client: Client): Promise<SchemaFacts> {
  const { rows: tables } = await client.query<{ there: boolean; readable: boolean }>(
    `select to_regclass('migration') is not null as there,
       coalesce(has_table_privilege(to_regclass('migration'), 'select'), false) as readable`,
  );
  const [table] = tables;
  if (!table?.there || !table.readable) return { state: table?.there ? "CLOSED" : "NONE", missing: [], newer: [] };
  const { rows } = await client.query<{ name: string }>("select name from migration order by name");
  const ran = rows.map(({ name }) => name);
  const ours = migrations.map(({ name }) => name);
  return {
    state: "OPEN",
    missing: ours.filter((name) => !ran.includes(name)),
    newer: ran.filter((name) => !ours.includes(name)),
  };
}
