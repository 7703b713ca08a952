import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Client } from "pg";
import { freePort } from "../../src/store/embedded-process.ts";
import { chooseRunner } from "../../src/store/unprivileged.ts";
import { libraryFolder, unpackDebian } from "./debian.ts";
import { end, whenUp } from "./process.ts";

/** A Postgres 15 of a test's own, empty and not durable, on 127.0.0.1. */
export interface Postgres15 {
  /** A URL of the superuser for a database of this server, by default `postgres`. */
  url(database?: string): string;
  readonly port: number;
  readonly pid: number;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
  /** Ends it as a crash would. Its data is removed. */
  kill(): Promise<void>;
}

/** Debian's package with the libraries that a minimal system does not have. */
const packages = [
  ...["postgresql-15", "libpq5", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0", "libkeyutils1"],
  ...["libldap-2.5-0", "libsasl2-2", "libicu72", "libssl3", "libxml2"],
];

/**
 * Starts the oldest Postgres that Leadline supports: the system's if it has one in Debian's place, else Debian's, fetched into
 * `.cache/` once. As root it runs as somebody else. Throws an `Error` that says what to install if there is none.
 */
export async function startPostgres15(): Promise<Postgres15> {
  const { bin, env } = await findPostgres15();
  const folder = mkdtempSync(join(tmpdir(), "leadline-postgres15-"));
  try {
    const runner = chooseRunner(folder, bin);
    const data = join(folder, "data");
    mkdirSync(data, { mode: 0o700 });
    runner.own(data);
    const options = { ...runner.identity, env, cwd: "/" };

    const flags = ["-D", data, "-U", "postgres", "--auth=trust", "--locale=C.UTF-8", "--encoding=UTF8", "--no-sync"];
    const initdb = spawnSync(...runner.command(join(bin, "initdb"), flags), { ...options, encoding: "utf8" });
    if (initdb.status !== 0) throw new Error(`initdb failed: ${initdb.stderr || initdb.error?.message}`);

    const port = await freePort();
    const url = (database = "postgres") => `postgres://postgres@127.0.0.1:${port}/${database}`;
    const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "full_page_writes=off"];
    // The compiler for queries is a package of a hundred megabytes that we do not fetch.
    settings.push("synchronous_commit=off", "jit=off", "timezone=UTC", "log_timezone=UTC");
    const line = ["-D", data, "-p", String(port), ...settings.flatMap((setting) => ["-c", setting])];
    const child = spawn(...runner.command(join(bin, "postgres"), line), {
      ...options,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const words = text(child.stderr);
    child.once("exit", () => rmSync(folder, { recursive: true, force: true }));
    try {
      await whenUp(
        child,
        () => answers(url()),
        () => "it ended",
      );
    } catch (error) {
      await end(child, "SIGKILL");
      throw new Error(`${(error as Error).message}: ${(await words).trim().split("\n").at(-1)}`);
    }
    return { url, port, pid: child.pid ?? -1, stop: () => end(child, "SIGINT"), kill: () => end(child, "SIGKILL") };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function findPostgres15(): Promise<{ bin: string; env: NodeJS.ProcessEnv }> {
  const env = { PATH: process.env.PATH, LC_ALL: "C", TZ: "UTC" };
  const place = "usr/lib/postgresql/15/bin";
  if (existsSync(join("/", place, "postgres"))) return { bin: join("/", place), env };
  try {
    const root = await unpackDebian("postgresql-15", packages);
    return { bin: join(root, place), env: { ...env, LD_LIBRARY_PATH: join(root, libraryFolder) } };
  } catch (error) {
    throw new Error(`no Postgres 15: install postgresql-15 (${(error as Error).message})`);
  }
}

async function answers(url: string): Promise<true | undefined> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return undefined;
  }
}
