import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { libraryFolder, unpackDebian } from "../support/debian.ts";
import { databaseUrl } from "../support/prepare-server.ts";
import { cpuSeconds, median } from "./measure.ts";
import { cache, runSql } from "./service.ts";

/*
 * What the usual service does for each call: a transaction of four statements, prepared, on a connection of its own. The
 * tables are on the same server as ours, with the same durability, as the superuser, for whom nothing is checked; they have a primary key each and no other index.
 */

export const DATABASE = "reference";
const PGBENCH_ORDERS = 100_000;
/** A round in which nothing was done is repeated with twice the time, up to this. */
const LONGEST_ROUND_S = 64;
const SCRIPT = `\\set id random(1,${PGBENCH_ORDERS})
BEGIN;
UPDATE orders SET version = version + 1, status = 'IN_TRANSIT' WHERE id = :id;
INSERT INTO order_events (order_id, payload) VALUES (:id, '${"x".repeat(150)}');
COMMIT;
`;

export interface PgbenchRound {
  /** Transactions a second, without the time of connecting. */
  readonly perSecond: number;
  /** Milliseconds; only with one client. */
  readonly latencyP50: number | undefined;
}

export interface Pgbench {
  /** @param seconds whole; at least 1 */
  round(seconds: number, clients?: number): Promise<PgbenchRound>;
  /** CPU seconds of all rounds' pgbench processes. */
  cpu(): number;
}

/** Makes the reference's database with 100,000 orders. Throws an `Error` that says what to install where there is no pgbench. */
export async function preparePgbench(superuserUrl: string): Promise<Pgbench> {
  const program = await findPgbench();
  await runSql(superuserUrl, `create database ${DATABASE}`);
  const url = databaseUrl(superuserUrl, DATABASE);
  await runSql(
    url,
    `create table orders (id bigint primary key, version bigint not null, status text not null) with (fillfactor = 70);
     create table order_events (id bigserial primary key, order_id bigint not null, payload text not null);
     insert into orders select i, 1, 'RECEIVED' from generate_series(1, ${PGBENCH_ORDERS}) i`,
  );
  await runSql(url, "vacuum analyze");
  return {
    round: async (seconds, clients = 32) => {
      for (let whole = Math.max(1, Math.round(seconds)); whole <= LONGEST_ROUND_S; whole *= 2) {
        const round = await runRound(program, url, whole, clients);
        if (round !== undefined) return round;
      }
      throw new Error(`pgbench: none of its ${clients} clients got a transaction through, however long it ran`);
    },
    cpu: () => cpuSeconds(process.pid, true) - cpuSeconds(process.pid),
  };
}

interface Program {
  readonly path: string;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * @returns `undefined` where no transaction was done: pgbench's time runs while its clients connect, which alone takes a
 * second where the machine has much else to do.
 */
async function runRound(
  program: Program,
  url: string,
  seconds: number,
  clients: number,
): Promise<PgbenchRound | undefined> {
  const folder = mkdtempSync(join(cache, "pgbench-"));
  try {
    const script = join(folder, "script.sql");
    writeFileSync(script, SCRIPT);
    const one = clients === 1;
    const args = ["-n", "-M", "prepared", "-c", String(clients), "-j", String(Math.min(2, clients)), "-T"];
    args.push(String(seconds), "-f", script, ...(one ? ["--log", `--log-prefix=${join(folder, "log")}`] : []), url);
    const child = spawn(program.path, args, { env: program.env, stdio: ["ignore", "pipe", "pipe"] });
    const ended = new Promise<number | null>((resolve, reject) => child.once("exit", resolve).once("error", reject));
    const [out, words, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    if (code === 0 && NOTHING_DONE.test(out)) return undefined;
    const tps = /^tps = ([0-9.]+)/m.exec(out)?.[1];
    if (code !== 0 || tps === undefined) throw new Error(`pgbench ended with ${code}: ${words.trim() || out.trim()}`);
    return { perSecond: Number(tps), latencyP50: one ? median(latencies(folder)) : undefined };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const NOTHING_DONE = /^number of transactions actually processed: 0$/m;

/** The third column of pgbench's log: microseconds of each transaction. @returns milliseconds */
function latencies(folder: string): number[] {
  const logs = readdirSync(folder).filter((name) => name.startsWith("log"));
  const lines = logs.flatMap((name) => readFileSync(join(folder, name), "latin1").trim().split("\n"));
  return lines.map((line) => Number(line.split(" ")[2]) / 1_000);
}

async function findPgbench(): Promise<Program> {
  const place = "usr/lib/postgresql/15/bin/pgbench";
  if (existsSync(join("/", place))) return { path: join("/", place), env: process.env };
  try {
    const root = await unpackDebian("pgbench", [
      ...["postgresql-15", "libpq5", "libgssapi-krb5-2", "libkrb5-3", "libk5crypto3", "libkrb5support0"],
      ...["libkeyutils1", "libldap-2.5-0", "libsasl2-2", "libssl3"],
    ]);
    return { path: join(root, place), env: { ...process.env, LD_LIBRARY_PATH: join(root, libraryFolder) } };
  } catch (error) {
    throw new Error(`no pgbench: install postgresql-15 (${(error as Error).message})`);
  }
}
