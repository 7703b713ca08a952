/** The server process of the embedded Postgres: finding, starting and ending it. */
import { spawn } from "node:child_process";
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Binaries, Home } from "./embedded-files.ts";
import type { Runner } from "./unprivileged.ts";

/** How long a fast shutdown may take before the server is told to drop everything (the journal of Postgres keeps it safe). */
const stopTimeoutMs = 30_000;
const maxLogBytes = 8 * 1024 * 1024;

/** The only address the embedded server listens on. */
export const host = "127.0.0.1";

/** Postgres settings by name. */
export type Settings = Readonly<Record<string, string | number | boolean>>;

/** The live server that Postgres' own pid file in the folder tells of; undefined if there is none. */
export function findServer(home: Home): { pid: number; port: number } | undefined {
  const path = join(home.data, "postmaster.pid");
  const lines = readIfThere(path)?.split("\n") ?? [];
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  if (!(pid > 0 && port > 0) || !isAlive(pid)) return undefined;
  if (process.platform !== "linux") return { pid, port };
  const [program = "", ...args] = readIfThere(`/proc/${pid}/cmdline`)?.split("\0") ?? [];
  if (basename(program) === "postgres" && args.includes(home.data)) return { pid, port };
  // After a restart of a container the number may belong to anybody, and Postgres would not start. It takes its parent's
  // number (ours) for a leftover, and still checks that no old server process uses the memory that the file names.
  if (pid !== process.pid) writeFileSync(path, [process.pid, ...lines.slice(1)].join("\n"));
  return undefined;
}

/** A server process that this process has started. */
export interface Launched {
  readonly pid: number;
  exited: boolean;
  /** What it has written to its log. */
  words(): string;
}

/** Starts the server of a folder on a port, in a process group of its own, writing to the folder's log (8 MiB, then anew). */
export function launch(home: Home, binaries: Binaries, runner: Runner, settings: Settings, port: number): Launched {
  const args = ["-D", home.data, "-p", String(port)];
  for (const [name, value] of Object.entries(settings)) args.push("-c", `${name}=${value}`);
  const [program, line] = runner.command(join(binaries.bin, "postgres"), args);
  const log = openSync(home.log, "a+", 0o600);
  if (fstatSync(log).size > maxLogBytes) ftruncateSync(log);
  const start = fstatSync(log).size;
  const child = spawn(program, line, {
    ...runner.identity,
    env: home.env,
    cwd: "/",
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeSync(log);
  child.unref();
  let failure = "";
  const launched: Launched = {
    pid: child.pid ?? -1,
    exited: false,
    words: () => failure || (readIfThere(home.log, start) ?? ""),
  };
  child.once("exit", () => {
    launched.exited = true;
  });
  child.once("error", (error) => {
    failure = error.message;
    launched.exited = true;
  });
  return launched;
}

/**
 * Fast shutdown: connections are ended, everything is written. Returns when the process has gone;
 * after 30 s it is told to drop everything, which its own journal makes safe. Throws if it does not end at all.
 */
export async function shutDown(pid: number): Promise<void> {
  for (const [kind, timeoutMs] of [
    ["SIGINT", stopTimeoutMs],
    ["SIGQUIT", 5_000],
    ["SIGKILL", 5_000],
  ] as const) {
    signal(pid, kind);
    for (const deadline = Date.now() + timeoutMs; Date.now() < deadline; await sleep(20)) if (!isAlive(pid)) return;
  }
  throw new Error(`Postgres (process ${pid}) does not end`);
}

/** Sends a signal to a process; false if there is no such process (of ours). */
export function signal(pid: number, kind: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, kind);
  } catch {
    return false;
  }
}

/** Whether there is such a process of ours (or, as root, of anybody), other than one that is only waiting to be reaped. */
export function isAlive(pid: number): boolean {
  // The parent of an adopted server is whoever runs as process 1, and in a container that may never reap.
  return signal(pid, 0) && !/\) Z /.test(readIfThere(`/proc/${pid}/stat`) ?? "");
}

/** A port of 127.0.0.1 that was free a moment ago. Should it be taken meanwhile, Postgres says so and the next one is tried. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, host, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

function readIfThere(path: string, from = 0): string | undefined {
  try {
    return readFileSync(path).subarray(from).toString();
  } catch {
    return undefined;
  }
}
