/**
 * The Postgres that comes with Leadline: a real server from npm, as a child process, for a start without any setting up.
 *
 * It outlives a killed parent; the next start adopts it. Who serves a folder is decided by a lock inside the server itself,
 * held by a connection: it ends with its process, however that ends, so there is no stale lock to judge.
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { totalmem } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, DatabaseError } from "pg";
import { type Binaries, type Home, lastWords, locateBinaries, openHome, unfinishedPrefix } from "./embedded-files.ts";
import {
  findServer,
  freePort,
  host,
  type Launched,
  launch,
  type Settings,
  shutDown,
  signal,
} from "./embedded-process.ts";
import { chooseRunner, type Runner } from "./unprivileged.ts";

/** How long a start may take in all, crash recovery included. */
const startTimeoutMs = 60_000;
/** How long a server may take to answer one try to connect. */
const answerTimeoutMs = 5_000;
/** How long the server may need to notice that a killed parent has let go of the lock. */
const claimTimeoutMs = 2_000;
/** The advisory lock in database `postgres` that the process serving the folder holds: "lead", "line". */
const lockKey = [0x6c656164, 0x6c696e65];

export interface EmbeddedOptions {
  /** The folder to keep everything in; created if missing. One live process per folder. */
  readonly directory: string;
  /** False gives up safety against power loss and crashes of the system for speed (for tests). Default true. */
  readonly durable?: boolean;
  /** More Postgres settings by name. An adopted server keeps those it was started with. */
  readonly settings?: Settings;
}

/** A running embedded Postgres that this process alone serves. */
export interface EmbeddedPostgres {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** A connection URL of the superuser for a database of this server, by default `postgres`. */
  url(database?: string): string;
  /** The process id of the server. */
  readonly pid: number;
  /** Whether the server was left over by a killed process and has been taken over. */
  readonly adopted: boolean;
  /** Resolves when the server has gone without `stop` having been called. Never rejects. */
  readonly lost: Promise<void>;
  /** Ends all connections and the server, and waits for it (30 s, then without a checkpoint). May be called again. */
  stop(): Promise<void>;
}

/**
 * Starts the embedded Postgres of a folder, or adopts the one that a killed process left running there. The first start
 * makes the database (under a second). The server listens on a free port of 127.0.0.1 only, with a random password. It is
 * not in our process group: Ctrl-C reaches us, and we stop it last. A process that exits without `stop` stops it too.
 *
 * Throws an `Error` of one line when another live process serves the folder, when there is no Postgres for this platform,
 * when Postgres cannot run as this user, or when it does not start (with its last words).
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const directory = resolve(options.directory);
  const durable = options.durable ?? true;
  mkdirSync(directory, { recursive: true });
  const binaries = locateBinaries();
  const runner = chooseRunner(directory, binaries.bin);
  const home = await openHome(directory, binaries, runner, durable);
  const settings = { ...serverSettings(durable), ...options.settings };
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    const { server, lock } = await findOrLaunch(home, binaries, runner, settings, deadline);
    try {
      await claim(lock, directory);
      removeUnfinished(directory);
      // A server that was left over by a run with the other durability is not what was asked for.
      const answer = await lock.query<{ fsync: string }>("show fsync");
      if ((answer.rows[0]?.fsync === "on") === durable) return serve(server, lock, home);
    } catch (error) {
      await lock.end();
      throw error;
    }
    await lock.end();
    await shutDown(server.pid);
  }
}

/** What a first start that was killed has left behind. */
function removeUnfinished(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.startsWith(unfinishedPrefix)) rmSync(join(directory, name), { recursive: true, force: true });
  }
}

interface Server {
  readonly pid: number;
  readonly port: number;
  readonly adopted: boolean;
}

function serverSettings(durable: boolean): Settings {
  return {
    listen_addresses: host,
    unix_socket_directories: "",
    shared_buffers: `${sharedBuffersMiB(Math.min(totalmem(), process.constrainedMemory() || Number.MAX_SAFE_INTEGER))}MB`,
    timezone: "UTC",
    log_timezone: "UTC",
    log_checkpoints: false,
    // The log says what went wrong, never with whose data.
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
    ...(durable ? {} : { fsync: false, synchronous_commit: false, full_page_writes: false }),
  };
}

/**
 * What the server keeps of its pages, in MiB, on a machine or in a container of so many bytes of memory: a quarter, as the
 * documentation of Postgres advises, and between its own default and 2 GiB, for it is not alone there. It is taken as it fills.
 */
export function sharedBuffersMiB(memory: number): number {
  return Math.min(2_048, Math.max(128, Math.floor(memory / 4 / 1_048_576)));
}

/** Until `deadline`: connects to the server of this folder if there is one, starts it if there is none. */
async function findOrLaunch(
  home: Home,
  binaries: Binaries,
  runner: Runner,
  settings: Settings,
  deadline: number,
): Promise<{ server: Server; lock: Client }> {
  let launched: Launched | undefined;
  while (Date.now() < deadline) {
    const running = findServer(home);
    if (running) {
      // No answer yet: it is starting, recovering or on its way out.
      const lock = await connect(running.port, home.password);
      if (lock) return { server: { ...running, adopted: launched?.pid !== running.pid }, lock };
    } else if (!launched) {
      launched = launch(home, binaries, runner, settings, await freePort());
    }
    if (launched?.exited) {
      // Somebody else was quicker at the port or the folder, or a killed server's last children are still leaving.
      const words = launched.words();
      if (!/already exists|still in use|could not create any TCP\/IP sockets/.test(words)) {
        throw new Error(`Postgres did not start in ${home.path}: ${lastWords(words)}`);
      }
      launched = undefined;
    }
    await sleep(20);
  }
  throw new Error(`Postgres in ${home.path} did not answer within ${startTimeoutMs / 1000} s; its log is ${home.log}`);
}

/** A connection, or undefined while there is none to be had. Throws when the server refuses the password. */
async function connect(port: number, password: string): Promise<Client | undefined> {
  const name = `leadline ${process.pid}`;
  const client = new Client({
    host,
    port,
    user: "postgres",
    password,
    database: "postgres",
    application_name: name,
    connectionTimeoutMillis: answerTimeoutMs,
  });
  client.on("error", () => {}); // `end` follows, and is listened to
  try {
    await client.connect();
    return client;
  } catch (error) {
    if (error instanceof DatabaseError && error.code?.startsWith("28")) throw error;
    return undefined;
  }
}

/** Takes the lock on the folder for as long as this connection lives. */
async function claim(client: Client, directory: string): Promise<void> {
  const deadline = Date.now() + claimTimeoutMs;
  for (;;) {
    const { rows } = await client.query<{ taken: boolean }>("select pg_try_advisory_lock($1, $2) as taken", lockKey);
    if (rows[0]?.taken) return;
    if (Date.now() > deadline) break;
    await sleep(50);
  }
  const holder = await client.query<{ name: string }>(
    "select application_name as name from pg_stat_activity join pg_locks using (pid)" +
      " where locktype = 'advisory' and classid = $1 and objid = $2",
    lockKey,
  );
  const who = holder.rows[0]?.name.replace("leadline", "process") ?? "another process";
  throw new Error(`Another Leadline (${who}) serves ${directory}: stop it, or use another data directory.`);
}

function serve(server: Server, lock: Client, home: Home): EmbeddedPostgres {
  const { pid, port } = server;
  const stopWithUs = () => signal(pid, "SIGINT");
  process.once("exit", stopWithUs);
  let stopped: Promise<void> | undefined;
  const lost = new Promise<void>((resolve) => {
    lock.once("end", () => {
      if (!stopped) resolve();
    });
  });
  const stop = async () => {
    await lock.end().catch(() => {});
    await shutDown(pid);
    process.removeListener("exit", stopWithUs);
  };
  return {
    ...server,
    host,
    user: "postgres",
    password: home.password,
    url: (database = "postgres") => `postgres://postgres:${home.password}@${host}:${port}/${database}`,
    lost,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}
