/**
 * The database that the service starts on: its own, embedded one, which it migrates itself, or the one of DATABASE_URL,
 * which it only looks at. An unfit one is refused in one line before anything else starts.
 */
import { randomBytes } from "node:crypto";
import { Client } from "pg";
import type { Config } from "../config.ts";
import { sqlState } from "../store/connection.ts";
import { type EmbeddedPostgres, startEmbedded } from "../store/embedded.ts";
import { migrate } from "../store/migrate.ts";
import { SCHEMA_VERSION } from "../store/migrations/index.ts";
import { roleFacts, schemaFacts, serverFacts } from "./database-facts.ts";
import { examineSession } from "./database-session.ts";
import { ExitCode, reasonOf, StartError } from "./start-error.ts";

/** The database and the login in the embedded server. */
const embeddedName = "leadline";
const connectTimeoutMs = 5_000;

/** A database that is fit. */
export interface Database extends AsyncDisposable {
  /** As instances log in: a role that owns nothing. */
  readonly url: string;
  readonly embedded: boolean;
  /** Resolves when the embedded server has gone by itself; never for others. */
  readonly lost: Promise<void>;
  /** What is not as it should be and does not hinder. */
  readonly warnings: readonly string[];
}

/** Throws a StartError. */
export async function openDatabase(config: Config): Promise<Database> {
  if (config.databaseUrl === undefined) return openEmbedded(config.dataDir);
  const warnings = await examine(config.databaseUrl);
  const lost = new Promise<void>(() => {});
  return { url: config.databaseUrl, embedded: false, lost, warnings, [Symbol.asyncDispose]: async () => {} };
}

async function openEmbedded(directory: string): Promise<Database> {
  let server: EmbeddedPostgres;
  try {
    server = await startEmbedded({ directory });
  } catch (error) {
    throw notStarted(directory, error);
  }
  try {
    const password = randomBytes(24).toString("base64url");
    await prepare(server, password);
    await migrate(server.url(embeddedName), { appRole: embeddedName });
    const url = `postgres://${embeddedName}:${password}@${server.host}:${server.port}/${embeddedName}`;
    const warnings = await examine(url);
    return { url, embedded: true, lost: server.lost, warnings, [Symbol.asyncDispose]: () => server.stop() };
  } catch (error) {
    await server.stop();
    if (error instanceof StartError) throw error;
    throw new StartError(ExitCode.UNAVAILABLE, `the embedded Postgres in ${directory}: ${reasonOf(error)}`, error);
  }
}

/** What the file system says is a matter of settings; what Postgres and other processes say is not. */
function notStarted(directory: string, error: unknown): StartError {
  const reason = reasonOf(error);
  if (error instanceof Error && "syscall" in error) {
    const problem = `the database cannot be kept in ${directory} (${reason})`;
    return new StartError(ExitCode.CONFIG, `${problem}: set LEADLINE_DATA_DIR to a folder of your own`, error);
  }
  return new StartError(ExitCode.UNAVAILABLE, `${reason.replace(/\.?$/, ".")} LEADLINE_DATA_DIR names it.`, error);
}

/** Makes database and login where they are not there. The password is drawn anew for every start and kept nowhere. */
async function prepare(server: EmbeddedPostgres, password: string): Promise<void> {
  const client = new Client({ connectionString: server.url() });
  await client.connect();
  try {
    const has = async (text: string) => (await client.query(text, [embeddedName])).rowCount !== 0;
    if (!(await has("select from pg_roles where rolname = $1")))
      await client.query(`create role ${embeddedName} login`);
    await client.query(`alter role ${embeddedName} password ${client.escapeLiteral(password)}`);
    if (!(await has("select from pg_database where datname = $1"))) {
      await client.query(`create database ${embeddedName}`);
    }
  } finally {
    await client.end();
  }
}

/** Looks at the database as the role that serves. @returns warnings */
async function examine(url: string): Promise<string[]> {
  const connection = {
    connectionString: url,
    application_name: "leadline start",
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: connectTimeoutMs,
  };
  const client = new Client(connection);
  client.on("error", () => {}); // what is under way is told by its own rejection
  const where = `${client.host}:${client.port}/${client.database ?? ""}`;
  try {
    await client.connect();
  } catch (error) {
    throw unreachable(where, client.user ?? "", error);
  }
  try {
    await examineServer(client);
    await examineRole(client);
    await examineSession(connection);
    return await examineSchema(client);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw unreachable(where, client.user ?? "", error);
  } finally {
    await client.end();
  }
}

async function examineServer(client: Client): Promise<void> {
  const { version, fit } = await serverFacts(client);
  if (fit) return;
  throw new StartError(ExitCode.CONFIG, `the database is Postgres ${version}: use Postgres 15 or later`);
}

async function examineRole(client: Client): Promise<void> {
  const { name, wrong } = await roleFacts(client);
  if (wrong === undefined) return;
  throw new StartError(
    ExitCode.CONFIG,
    `DATABASE_URL logs in as "${name}", which ${wrong}, so the database would not keep tenants apart: name a login` +
      " that owns nothing there (create role leadline login password '...'), the owner in DATABASE_ADMIN_URL, and run" +
      " `leadline migrate`",
  );
}

async function examineSchema(client: Client): Promise<string[]> {
  const { state, missing, newer } = await schemaFacts(client);
  if (state === "NONE") {
    throw new StartError(
      ExitCode.CONFIG,
      "the database has no schema of Leadline: run `leadline migrate` with DATABASE_ADMIN_URL set to the owner's login",
    );
  }
  if (state === "CLOSED") {
    throw new StartError(
      ExitCode.CONFIG,
      `the role "${client.user}" may not use the schema: run \`leadline migrate\` with DATABASE_ADMIN_URL, which lets it`,
    );
  }
  if (missing.length > 0) {
    throw new StartError(
      ExitCode.CONFIG,
      `the database's schema is older than this release (it lacks ${missing.join(", ")}): run \`leadline migrate\``,
    );
  }
  if (newer.length === 0) return [];
  return [
    `the database's schema is newer (${newer.join(", ")}) than this release (${SCHEMA_VERSION}): that works until the` +
      " next release; update this instance",
  ];
}

/** What Postgres says (a SQLSTATE) is a matter of settings; what the network says is not. */
function unreachable(where: string, user: string, error: unknown): StartError {
  const state = sqlState(error);
  if (state === undefined || /^(08|53|57)/.test(state)) {
    return new StartError(
      ExitCode.UNAVAILABLE,
      `the database at ${where} cannot be reached (${reasonOf(error)}): start it, or correct DATABASE_URL`,
      error,
    );
  }
  const advice = state === "3D000" ? "create it, and run `leadline migrate`" : "correct DATABASE_URL";
  return new StartError(
    ExitCode.CONFIG,
    `the database at ${where} refuses "${user}" (${reasonOf(error)}): ${advice}`,
    error,
  );
}
