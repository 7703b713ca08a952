import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Client } from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import {
  type EmbeddedOptions,
  type EmbeddedPostgres,
  sharedBuffersMiB,
  startEmbedded,
} from "../../src/store/embedded.ts";
import { lastWords, locateBinaries, openHome } from "../../src/store/embedded-files.ts";
import { isAlive, shutDown } from "../../src/store/embedded-process.ts";
import { chooseRunner } from "../../src/store/unprivileged.ts";

/** A folder in which a server has run and was stopped. */
let made: string;
let directory: string;
let servers: EmbeddedPostgres[];
let holders: ChildProcess[];
/** The servers that other processes have started, which may outlive them. */
let orphans: number[];

beforeAll(async () => {
  made = mkdtempSync(join(tmpdir(), "leadline-embedded-"));
  await (await startEmbedded({ directory: made, durable: false })).stop();
});
afterAll(() => rmSync(made, { recursive: true, force: true }));

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "leadline-embedded-"));
  servers = [];
  holders = [];
  orphans = [];
});

afterEach(async () => {
  for (const holder of holders) holder.kill("SIGKILL");
  for (const server of servers) await server.stop();
  for (const pid of orphans) await shutDown(pid);
  rmSync(directory, { recursive: true, force: true });
});

async function start(options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbedded({ directory, durable: false, ...options });
  servers.push(server);
  return server;
}

/** As after a first start: what is about later ones need not make a database anew. */
function hasRun(): void {
  execFileSync("cp", ["-a", `${made}/.`, directory]);
}

/** Serves the folder from another process; resolves when that process is ready. */
async function startElsewhere(): Promise<{ process: ChildProcess; pid: number; port: number }> {
  const program = join(import.meta.dirname, "embedded-holder.ts");
  const holder = spawn(process.execPath, [program, directory], { stdio: ["ignore", "pipe", "inherit"] });
  holders.push(holder);
  const line = await Promise.race([
    once(createInterface(holder.stdout), "line"),
    once(holder, "exit").then(() => {
      throw new Error("the other process ended");
    }),
  ]);
  const { pid, port } = JSON.parse(String(line[0])) as { pid: number; port: number };
  orphans.push(pid);
  return { process: holder, pid, port };
}

async function kill(holder: ChildProcess): Promise<void> {
  holder.kill("SIGKILL");
  await once(holder, "exit");
}

async function ask(url: string, sql: string): Promise<unknown> {
  const client = new Client(url);
  await client.connect();
  try {
    const { rows } = await client.query({ text: sql, rowMode: "array" });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

describe("a folder of its own", () => {
  test("the first start makes the database and the second finds it", async () => {
    const first = await start();
    expect(first.adopted).toBe(false);
    await ask(first.url(), "create table kept as select 7 as n");
    await first.stop();
    expect(isAlive(first.pid)).toBe(false);

    const second = await start();
    expect(second.adopted).toBe(false);
    expect(await ask(second.url(), "select n from kept")).toBe(7);
  });

  test("order, encoding and time zone do not depend on the system", async () => {
    const server = await start();
    expect(await ask(server.url(), "select datlocale from pg_database where datname = 'template1'")).toBe("C.UTF-8");
    expect(await ask(server.url(), "show server_encoding")).toBe("UTF8");
    expect(await ask(server.url(), "show timezone")).toBe("UTC");
  });

  test("nobody gets in without the password, and only its owner can read that", async () => {
    hasRun();
    const server = await start();
    await expect(ask(server.url().replace(server.password, "guess"), "select 1")).rejects.toThrow(/password/);
    expect(statSync(join(directory, "postgres/password")).mode & 0o777).toBe(0o600);
    expect(await ask(server.url(), "show listen_addresses")).toBe("127.0.0.1");
  });

  test("durable is the default and not durable can be had", async () => {
    hasRun();
    const fast = await start({ settings: { max_connections: 7 } });
    expect(await ask(fast.url(), "show fsync")).toBe("off");
    expect(await ask(fast.url(), "show max_connections")).toBe("7");
    await fast.stop();
    const safe = await startEmbedded({ directory });
    servers.push(safe);
    expect(await ask(safe.url(), "show fsync")).toBe("on");
    expect(await ask(safe.url(), "show synchronous_commit")).toBe("on");
  });

  test("it keeps pages in a quarter of the memory, within bounds", async () => {
    hasRun();
    const gib = 1_073_741_824;
    expect([0.25, 1, 4, 8, 64].map((n) => sharedBuffersMiB(n * gib))).toEqual([128, 256, 1_024, 2_048, 2_048]);
    const taken = "select setting::float8 * 8192 / 1048576 from pg_settings where name = 'shared_buffers'";
    const server = await start();
    const here = Number(await ask(server.url(), taken));
    expect(here).toBeGreaterThanOrEqual(128);
    expect(here).toBeLessThanOrEqual(2_048);
    expect(here).toBeLessThanOrEqual(Math.max(128, totalmem() / 4 / 1_048_576));
  });
});

describe("somebody else in the folder", () => {
  test("a server left over by a killed process is adopted, with its data", async () => {
    hasRun();
    const elsewhere = await startElsewhere();
    await kill(elsewhere.process);
    expect(isAlive(elsewhere.pid)).toBe(true);
    const server = await start();
    expect(server).toMatchObject({ adopted: true, pid: elsewhere.pid, port: elsewhere.port });
    await server.stop();
    expect(isAlive(elsewhere.pid)).toBe(false);
  });

  test("a leftover server with the wrong durability is replaced", async () => {
    hasRun();
    const elsewhere = await startElsewhere();
    await kill(elsewhere.process);
    const server = await start({ durable: true });
    expect(server.adopted).toBe(false);
    expect(isAlive(elsewhere.pid)).toBe(false);
    expect(await ask(server.url(), "show fsync")).toBe("on");
  });

  test("a second live start is refused in one line and does no harm", async () => {
    hasRun();
    const elsewhere = await startElsewhere();
    const refusal = await start().then(
      () => "started",
      (error: Error) => error.message,
    );
    expect(refusal).toBe(
      `Another Leadline (process ${elsewhere.process.pid}) serves ${directory}: stop it, or use another data directory.`,
    );
    expect(isAlive(elsewhere.pid)).toBe(true);
  });

  test("another user's database is not touched", async () => {
    hasRun();
    const { uid } = statSync(join(directory, "postgres/data"));
    const getuid = vi.spyOn(process, "getuid").mockReturnValue(12_345);
    try {
      await expect(start()).rejects.toThrow(`belongs to another user (${uid}): start as that user`);
    } finally {
      getuid.mockRestore();
    }
  });

  test("of several first starts at once exactly one wins", async () => {
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => start()));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") expect(String(outcome.reason)).toMatch(/Another Leadline/);
    }
    expect(readdirSync(directory)).toEqual(["postgres"]);
  });

  test("the number of a dead server that now belongs to another process does not stop a start", async () => {
    hasRun();
    const stale = [
      process.ppid,
      join(directory, "postgres/data"),
      1_700_000_000,
      5432,
      "",
      "127.0.0.1",
      "0 0",
      "ready",
    ];
    writeFileSync(join(directory, "postgres/data/postmaster.pid"), `${stale.join("\n")}\n`);
    const server = await start();
    expect(server.adopted).toBe(false);
    expect(await ask(server.url(), "select 1")).toBe(1);
  });
});

test("the last words are those about what is wrong", () => {
  const output =
    "creating files ... FATAL:  could not write: No space left on device\nchild process exited\ninitdb: removing contents\n";
  expect(lastWords(output)).toBe("creating files ... FATAL:  could not write: No space left on device");
  expect(lastWords("one\n\ntwo\n")).toBe("one; two");
});

describe("the end", () => {
  test("a server that dies is reported", async () => {
    hasRun();
    const server = await start();
    process.kill(server.pid, "SIGKILL");
    await server.lost;
    const next = await start();
    expect(await ask(next.url(), "select 1")).toBe(1);
  });

  test("a server that does not start says why in one line", async () => {
    hasRun();
    await expect(start({ settings: { shared_buffers: "none" } })).rejects.toThrow(
      /did not start.*shared_buffers.*none/,
    );
  });

  test("library names that no install script has made are made beside the data", async () => {
    const binaries = locateBinaries();
    const links = [...binaries.links, { name: "libexample.so.1", file: join(binaries.bin, "postgres") }];
    const home = await openHome(directory, { ...binaries, links }, chooseRunner(directory, binaries.bin), false);
    expect(home.env.LD_LIBRARY_PATH?.split(":")[0]).toBe(join(home.path, "lib"));
    expect(readFileSync(join(home.path, "lib/libexample.so.1")).length).toBeGreaterThan(1000);
  });
});
