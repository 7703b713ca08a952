/**
 * Whether a connection to the database is a session of its own. Poolers that lend a server connection for one transaction
 * (PgBouncer in transaction mode) break what instances rely on: prepared statements belong to a connection, and so do the
 * timeouts that let no stopped instance hold up the others. Found out at the start, and not by losing a timeout unnoticed.
 */
import { Client, type ClientConfig } from "pg";
import { WRITER_SETTINGS } from "../journal/sql.ts";
import { ExitCode, reasonOf, StartError } from "./start-error.ts";

/** Settings that a session is given when it connects, as the journal's connections are. */
export const SESSION_SETTINGS = {
  statement_timeout: 14_001,
  lock_timeout: 14_002,
  idle_in_transaction_session_timeout: 14_003,
};

const ADVICE =
  "instances need sessions of their own: name Postgres itself in DATABASE_URL (an instance holds few connections:" +
  " LEADLINE_READ_CONNECTIONS, LEADLINE_POOL_CONNECTIONS and one), and leave the pooler to others";

/** Throws a StartError when sessions are not our own; other errors as they come. */
export async function examineSession(config: ClientConfig): Promise<void> {
  const asked = { ...config, ...SESSION_SETTINGS, options: optionsOf(WRITER_SETTINGS) };
  const [one, other] = [new Client(asked), new Client(asked)];
  for (const client of [one, other]) client.on("error", () => {});
  try {
    await connected(one);
    await connected(other);
    await expectSettings(one);
    await expectOwnServer(one, other);
  } finally {
    await Promise.allSettled([one.end(), other.end()]);
  }
}

function optionsOf(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(" ");
}

/** What PgBouncer says of a setting that it does not pass on. */
async function connected(client: Client): Promise<void> {
  try {
    await client.connect();
  } catch (error) {
    if (!/unsupported startup parameter/.test(reasonOf(error))) throw error;
    throw pooled(`passes the settings of a session not on (${reasonOf(error)})`, error);
  }
}

/** A pooler that is told to ignore them takes them without a word. */
async function expectSettings(client: Client): Promise<void> {
  const wanted = Object.entries({ ...SESSION_SETTINGS, ...WRITER_SETTINGS });
  const { rows } = await client.query<{ name: string; setting: string }>(
    "select name, setting from pg_settings where name = any($1)",
    [wanted.map(([name]) => name)],
  );
  const has = new Map(rows.map(({ name, setting }) => [name, setting]));
  const lost = wanted.filter(([name, value]) => has.get(name) !== String(value)).map(([name]) => name);
  if (lost.length > 0) throw pooled(`drops the settings of a session (${lost.join(", ")})`);
}

/** While one is between transactions another is given its server, or it comes back to another one itself. */
async function expectOwnServer(one: Client, other: Client): Promise<void> {
  const first = [await serverOf(one), await serverOf(one)];
  await other.query("begin");
  const second = await serverOf(other);
  const again = await serverOf(one);
  await other.query("rollback");
  if (first[0] === first[1] && first[0] === again && again !== second) return;
  throw pooled("lends a connection for one transaction only");
}

async function serverOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  return rows[0]?.pid ?? 0;
}

function pooled(does: string, cause?: unknown): StartError {
  return new StartError(ExitCode.CONFIG, `DATABASE_URL names a pooler (PgBouncer) that ${does}: ${ADVICE}`, cause);
}
