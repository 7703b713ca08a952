import { Client } from "pg";
import { type Finding, fail, messageOf, ok, warn } from "./doctor-finding.ts";

const answerTimeoutMs = 5_000;
const oldestVersion = 15;
/** A clock further off than this makes times in logs misleading and short-lived tokens wrong. */
const clockToleranceMs = 2_000;

/**
 * What is to be found out about the database that DATABASE_URL names, as the role in it. `migrations`: the names of those
 * that this release needs, oldest first.
 */
export async function databaseFindings(url: string, migrations: readonly string[]): Promise<Finding[]> {
  const client = new Client({
    connectionString: url,
    application_name: "leadline doctor",
    connectionTimeoutMillis: answerTimeoutMs,
    query_timeout: answerTimeoutMs,
  });
  client.on("error", () => undefined);
  const where = `${client.user ?? "?"}@${client.host}:${client.port}/${client.database ?? "?"}`;
  try {
    await client.connect();
  } catch (error) {
    return [fail("database", `${where}: ${messageOf(error)}`, "start Postgres, or correct DATABASE_URL")];
  }
  try {
    return [
      await versionFinding(client, where),
      ...(await roleFindings(client)),
      ...(await schemaFindings(client, migrations)),
      await clockFinding(client),
      await durabilityFinding(client),
    ];
  } catch (error) {
    return [fail("database", `${where}: ${messageOf(error)}`, "look at the Postgres log")];
  } finally {
    await client.end();
  }
}

async function versionFinding(client: Client, where: string): Promise<Finding> {
  const { rows } = await client.query<{ number: string; text: string }>(
    "select current_setting('server_version_num') as number, current_setting('server_version') as text",
  );
  const major = Math.floor(Number(rows[0]?.number) / 10_000);
  const message = `Postgres ${rows[0]?.text} as ${where}`;
  return major >= oldestVersion
    ? ok("database", message)
    : fail("database", message, "upgrade to Postgres 15 or later");
}

async function roleFindings(client: Client): Promise<Finding[]> {
  const { rows } = await client.query<{
    name: string;
    super: boolean;
    bypass: boolean;
    member: boolean;
    owns: string;
  }>(`
    select rolname as name, rolsuper as super, rolbypassrls as bypass,
      exists (select from pg_roles a where a.rolname = 'leadline_app' and pg_has_role(current_user, a.oid, 'member')) as member,
      (select count(*) from pg_class where relkind in ('r', 'p') and relowner = r.oid
        and relnamespace = current_schema()::regnamespace) as owns
    from pg_roles r where rolname = current_user`);
  const role = rows[0];
  if (role === undefined) return [];
  const advice = "make a login role for instances that owns nothing, and name it in DATABASE_URL";
  if (role.super) return [fail("role", `${role.name} is a superuser: row-level security does not hold it`, advice)];
  if (role.bypass) return [fail("role", `${role.name} has BYPASSRLS: row-level security does not hold it`, advice)];
  if (Number(role.owns) > 0) return [fail("role", `${role.name} owns ${role.owns} of the tables`, advice)];
  if (!role.member) {
    return [
      fail("role", `${role.name} is no member of leadline_app`, "run `leadline migrate` with DATABASE_ADMIN_URL"),
    ];
  }
  return [ok("role", `${role.name} owns nothing and is a member of leadline_app`)];
}

async function schemaFindings(client: Client, migrations: readonly string[]): Promise<Finding[]> {
  const { rows: table } = await client.query<{ there: boolean }>(
    "select to_regclass('migration') is not null as there",
  );
  if (table[0]?.there !== true) {
    return [fail("schema", "the database has no schema of Leadline", "run `leadline migrate` with DATABASE_ADMIN_URL")];
  }
  const { rows } = await client.query<{ name: string }>("select name from migration order by name");
  const ran = new Set(rows.map(({ name }) => name));
  const missing = migrations.filter((name) => !ran.has(name));
  const ours = new Set(migrations);
  const newer = [...ran].filter((name) => !ours.has(name));
  const schema =
    missing.length > 0
      ? fail("schema", `these migrations have not run: ${missing.join(", ")}`, "run `leadline migrate`")
      : newer.length > 0
        ? warn("schema", `a newer release has migrated it: ${newer.join(", ")}`, "update this instance soon")
        : ok("schema", `current: ${migrations.at(-1) ?? "empty"}`);
  return [schema, await securityFinding(client)];
}

/** Every table with tenants' rows must hold every role, its owner too, to the tenants that a transaction names. */
async function securityFinding(client: Client): Promise<Finding> {
  const { rows } = await client.query<{ name: string; open: boolean }>(`
    select c.relname as name, not (c.relrowsecurity and c.relforcerowsecurity) as open
    from pg_class c
    where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace
      and (c.relname = 'tenant' or exists (
        select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))
    order by 1`);
  const open = rows.filter((row) => row.open).map(({ name }) => name);
  const advice = "somebody has altered them: restore `enable` and `force row level security`";
  if (open.length > 0) return fail("row-level security", `not in force on ${open.join(", ")}`, advice);
  return ok("row-level security", `in force on ${rows.length} tables`);
}

async function clockFinding(client: Client): Promise<Finding> {
  const askedAtMs = Date.now();
  const { rows } = await client.query<{ ms: string }>(
    "select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms",
  );
  const halfway = (askedAtMs + Date.now()) / 2;
  const offMs = Math.round(Number(rows[0]?.ms) - halfway);
  const message = `${Math.abs(offMs)} ms ${offMs < 0 ? "ahead of" : "behind"} the database's`;
  if (Math.abs(offMs) <= clockToleranceMs) return ok("clock", message);
  return warn("clock", message, "synchronise the clocks of both machines (NTP)");
}

async function durabilityFinding(client: Client): Promise<Finding> {
  const { rows } = await client.query<{ commit: string; fsync: string }>(
    "select current_setting('synchronous_commit') as commit, current_setting('fsync') as fsync",
  );
  const { commit, fsync } = rows[0] ?? {};
  const message = `synchronous_commit ${commit}, fsync ${fsync}`;
  if (commit !== "off" && fsync === "on") return ok("durability", message);
  return warn("durability", message, "answered writes can be lost in a crash: set both to on");
}
