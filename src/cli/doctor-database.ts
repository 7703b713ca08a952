import { Client, type ClientConfig } from "pg";
import { roleFacts, schemaFacts, serverFacts } from "../app/database-facts.ts";
import { examineSession } from "../app/database-session.ts";
import { reasonOf, StartError } from "../app/start-error.ts";
import { SCHEMA_VERSION } from "../store/migrations/index.ts";
import { type Finding, fail, ok, warn } from "./doctor-finding.ts";

const answerTimeoutMs = 5_000;
/** A clock further off than this makes times in logs misleading and short-lived tokens wrong. */
const clockToleranceMs = 2_000;

/** What is to be found out about the database that DATABASE_URL names, as the role in it. */
export async function databaseFindings(url: string): Promise<Finding[]> {
  const connection = {
    connectionString: url,
    application_name: "leadline doctor",
    connectionTimeoutMillis: answerTimeoutMs,
    query_timeout: answerTimeoutMs,
  };
  const client = new Client(connection);
  client.on("error", () => undefined);
  const where = `${client.user ?? "?"}@${client.host}:${client.port}/${client.database ?? "?"}`;
  try {
    await client.connect();
  } catch (error) {
    return [fail("database", `${where}: ${reasonOf(error)}`, "start Postgres, or correct DATABASE_URL")];
  }
  try {
    return [
      await serverFinding(client, where),
      await roleFinding(client),
      await sessionFinding(connection),
      ...(await schemaFindings(client)),
      await clockFinding(client),
      await durabilityFinding(client),
    ];
  } catch (error) {
    return [fail("database", `${where}: ${reasonOf(error)}`, "look at the Postgres log")];
  } finally {
    await client.end();
  }
}

async function serverFinding(client: Client, where: string): Promise<Finding> {
  const { version, fit } = await serverFacts(client);
  const message = `Postgres ${version} as ${where}`;
  return fit ? ok("database", message) : fail("database", message, "upgrade to Postgres 15 or later");
}

async function roleFinding(client: Client): Promise<Finding> {
  const { name, wrong } = await roleFacts(client);
  if (wrong === undefined) return ok("role", `row-level security holds ${name}`);
  const advice = "make a login role for instances that owns nothing, and name it in DATABASE_URL";
  return fail("role", `${name} ${wrong}: row-level security does not hold it`, advice);
}

async function sessionFinding(connection: ClientConfig): Promise<Finding> {
  try {
    await examineSession(connection);
    return ok("sessions", "are the instance's own: there is no pooler in between that lends them");
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return fail("sessions", error.message, "name Postgres itself in DATABASE_URL");
  }
}

async function schemaFindings(client: Client): Promise<Finding[]> {
  const { state, missing, newer } = await schemaFacts(client);
  const owner = "run `leadline migrate` with DATABASE_ADMIN_URL";
  if (state === "NONE") return [fail("schema", "the database has no schema of Leadline", owner)];
  if (state === "CLOSED") return [fail("schema", `${client.user} may not use the schema`, owner)];
  const schema =
    missing.length > 0
      ? fail("schema", `these migrations have not run: ${missing.join(", ")}`, "run `leadline migrate`")
      : newer.length > 0
        ? warn("schema", `a newer release has migrated it: ${newer.join(", ")}`, "update this instance soon")
        : ok("schema", `current: ${SCHEMA_VERSION}`);
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
