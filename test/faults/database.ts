import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, DatabaseError } from "pg";
import { type EmbeddedPostgres, startEmbedded } from "../../src/store/embedded.ts";
import type { TestDatabase } from "../support/database.ts";
import { APP_LOGIN, databaseUrl, prepareServer, TEMPLATE } from "../support/prepare-server.ts";

/** What a Postgres of a run is started with: durable as it ships, with fewer places so that they can be taken up. */
const settings = { max_connections: "60", shared_buffers: "64MB" };

const PATIENCE_MS = 20_000;

/** The run's Postgres: a real one, durable, whose process and data folder the faults get at. */
export class Database implements TestDatabase {
  /** Where it listens at present; the proxies follow. */
  readonly target = { host: "127.0.0.1", port: 0 };
  readonly #folder = mkdtempSync(join(tmpdir(), "leadline-faults-"));
  #server: EmbeddedPostgres | undefined;
  #closed = false;

  /** Makes an empty, migrated database. */
  async create(): Promise<void> {
    await this.start();
    await prepareServer(this.#running.url());
  }

  /** As instances would connect without a proxy. */
  get appUrl(): string {
    return databaseUrl(this.#running.url(), TEMPLATE, APP_LOGIN);
  }

  get ownerUrl(): string {
    return databaseUrl(this.#running.url(), TEMPLATE);
  }

  get #running(): EmbeddedPostgres {
    if (!this.#server) throw new Error("Postgres is not running");
    return this.#server;
  }

  /** Lets nobody start it again. */
  close(): void {
    this.#closed = true;
  }

  async start(): Promise<void> {
    if (this.#closed) throw new Error("the run is over");
    this.#server = await startEmbedded({ directory: join(this.#folder, "now"), settings });
    this.target.port = this.#server.port;
  }

  /** Ends it: as an operator would, or as a crash would. */
  async end(how: "stop" | "kill"): Promise<void> {
    const server = this.#running;
    this.#server = undefined;
    if (how === "kill") process.kill(server.pid, "SIGKILL");
    await server.stop();
  }

  /** Copies the data folder while every process of the server stands still: what a crash at this moment would leave. */
  async backUp(): Promise<void> {
    const { pid } = this.#running;
    const old = join(this.#folder, "old");
    rmSync(old, { recursive: true, force: true });
    const stopped: number[] = [];
    try {
      // The postmaster first, so that no new process comes into being; then those that it has.
      if (signal(pid, "SIGSTOP")) stopped.push(pid);
      await standsStill(pid);
      for (const one of childrenOf(pid)) if (signal(one, "SIGSTOP")) stopped.push(one);
      execFileSync("cp", ["-a", join(this.#folder, "now"), old]);
    } finally {
      for (const one of stopped.reverse()) signal(one, "SIGCONT");
    }
    rmSync(join(old, "postgres/data/postmaster.pid"), { force: true });
  }

  /** Puts the copy in the place of the data folder. The server must have ended. */
  restore(): void {
    rmSync(join(this.#folder, "now"), { recursive: true, force: true });
    renameSync(join(this.#folder, "old"), join(this.#folder, "now"));
  }

  /** The processes of the server that work for its clients or beside them, and those that have just ended. */
  get workers(): readonly number[] {
    const pid = this.#server?.pid;
    return pid === undefined ? [] : childrenOf(pid);
  }

  /** Runs SQL as the superuser, who sees every row. Tries again while Postgres is down: send what may be sent twice. */
  sql = async <T = Record<string, unknown>>(text: string, values?: unknown[]): Promise<T[]> => {
    for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(50)) {
      try {
        await using session = await this.session();
        return (await session.client.query(text, values)).rows as T[];
      } catch (error) {
        const isDown = !(error instanceof DatabaseError) || /^(57P|08)/.test(error.code ?? "");
        if (!isDown || Date.now() > deadline) throw error;
      }
    }
  };

  /** A session of the superuser's. Throws while Postgres is down. */
  async session(): Promise<{ client: Client } & AsyncDisposable> {
    const client = new Client({ connectionString: this.ownerUrl, application_name: "faults" });
    client.on("error", () => undefined); // the faults break sessions; what is under way is told by its own rejection
    await client.connect();
    return { client, [Symbol.asyncDispose]: () => client.end().catch(() => undefined) };
  }

  /** Waits until no instance has a session any more. */
  async quiet(): Promise<void> {
    const text = "select from pg_stat_activity where usename = 'leadline'";
    for (const deadline = Date.now() + 20_000; (await this.sql(text)).length > 0; await sleep(20)) {
      if (Date.now() > deadline) throw new Error("sessions of instances do not end");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The postmaster stands still once its state says so; until then it may still start a process. */
async function standsStill(pid: number): Promise<void> {
  for (const deadline = Date.now() + 1_000; Date.now() < deadline && !/\) T /.test(stat(pid)); ) await sleep(1);
}

/** The processes that a process has started; of those that have ended, whom nobody has waited for. */
function childrenOf(pid: number): number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return list.split(" ").filter(Boolean).map(Number);
  } catch {
    return []; // it has ended
  }
}

function stat(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return "";
  }
}

function signal(pid: number, kind: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, kind);
  } catch {
    return false;
  }
}
