import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import { type EmbeddedPostgres, startEmbedded } from "../../src/store/embedded.ts";
import type { TestDatabase } from "./database.ts";
import { APP_LOGIN, databaseUrl, prepareServer, TEMPLATE } from "./prepare-server.ts";

/** What the runbook has operators run; the drill runs that text, so that neither can change alone. */
const runbook = readFileSync(join(import.meta.dirname, "../../src/store/backup-runbook.md"), "utf8");

const PATIENCE_MS = 20_000;

/** A Postgres that archives, a base backup of it, and a server that is restored from both. */
export class Drill implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "leadline-drill-"));
  readonly #archive = join(this.#folder, "archive");
  readonly #copy = join(this.#folder, "base");
  #server: EmbeddedPostgres | undefined;

  constructor() {
    chmodSync(this.#folder, 0o711);
    mkdirSync(this.#archive);
    // Postgres may run as somebody else.
    chmodSync(this.#archive, 0o777);
  }

  async start(): Promise<void> {
    this.#server = await startEmbedded({ directory: join(this.#folder, "first"), settings: this.#settings("archive") });
    await prepareServer(this.#server.url());
  }

  get database(): TestDatabase {
    const url = this.#server?.url() ?? "";
    const ownerUrl = databaseUrl(url, TEMPLATE);
    return {
      ownerUrl,
      appUrl: databaseUrl(url, TEMPLATE, APP_LOGIN),
      sql: (text, values) => run(ownerUrl, text, values),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  /** A base backup while the server runs and is written to. */
  async backUp(): Promise<void> {
    // The backup lasts as long as the session that began it.
    const client = new Client({ connectionString: this.database.ownerUrl });
    await client.connect();
    try {
      await client.query(said("start of the base backup"));
      const [from, to] = [join(this.#folder, "first/postgres"), join(this.#copy, "postgres")];
      mkdirSync(this.#copy);
      execFileSync("sh", ["-ec", said("copy")], {
        env: { ...process.env, DATA: join(from, "data"), BASE: this.#copy },
      });
      mkdirSync(to);
      renameSync(join(this.#copy, "data"), join(to, "data"));
      cpSync(join(from, "password"), join(to, "password"));
      const { rows } = await client.query<{ labelfile: string }>(said("end of the base backup"));
      put(join(to, "data"), "backup_label", rows[0]?.labelfile ?? "");
    } finally {
      await client.end();
    }
  }

  /** Names the moment that a restore goes back to. */
  async namePoint(): Promise<void> {
    await this.database.sql(said("name of a moment"));
  }

  /** Ends the server once all that it wrote is in the archive. */
  async lose(): Promise<void> {
    const [last] = await this.database.sql<{ file: string }>("select pg_walfile_name(pg_switch_wal()) as file");
    const archived = "select 1 from pg_stat_archiver where last_archived_wal >= $1";
    for (const deadline = Date.now() + PATIENCE_MS; (await this.database.sql(archived, [last?.file])).length === 0; ) {
      if (Date.now() > deadline) throw new Error("the last segment was not archived");
      await sleep(20);
    }
    await this.#server?.stop();
    this.#server = undefined;
  }

  /** Starts the base backup with what was archived up to the named moment. */
  async restore(): Promise<void> {
    put(join(this.#copy, "postgres/data"), "recovery.signal", "");
    this.#server = await startEmbedded({ directory: this.#copy, settings: this.#settings("restore") });
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(20)) {
      const [row] = await this.database.sql<{ over: boolean }>(said("end of the recovery"));
      if (row?.over) return;
    }
    throw new Error("the recovery did not end");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Lines `name = 'value'` as they stand in postgresql.conf. */
  #settings(name: string): Record<string, string> {
    const lines = said(`settings to ${name}`).replaceAll("/archive", this.#archive).split("\n");
    return Object.fromEntries(
      lines.map((line) => {
        const [, key = "", value = ""] = /^(\w+) = '(.*)'$/.exec(line) ?? [];
        return [key, value];
      }),
    );
  }
}

/** A file in a data folder, as its owner would have made it. */
function put(data: string, name: string, text: string): void {
  const { uid, gid } = statSync(data);
  writeFileSync(join(data, name), text, { mode: 0o600 });
  chownSync(join(data, name), uid, gid);
}

/** What stands in the runbook's block of code below the comment `<!-- what -->`. */
function said(what: string): string {
  const [, text] = new RegExp(`<!-- ${what} -->\\n+\`\`\`\\w+\\n([^]*?)\\n\`\`\``).exec(runbook) ?? [];
  if (text === undefined) throw new Error(`the runbook does not say: ${what}`);
  return text;
}

async function run<T>(url: string, text: string, values?: unknown[]): Promise<T[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text, values)).rows as T[];
  } finally {
    await client.end();
  }
}
