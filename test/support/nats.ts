import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { unpackDebian } from "./debian.ts";
import { end, whenUp } from "./process.ts";

/** A NATS server of a test's own: core only, on 127.0.0.1. */
export interface NatsServer {
  /** `nats://127.0.0.1:PORT` */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Lets clients go and ends it. */
  stop(): Promise<void>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
}

/**
 * Starts a NATS server on `port`, or on a free one. The program is the one that `NATS_SERVER` names, else the one on PATH,
 * else Debian's, fetched into `.cache/` once. Throws an `Error` that says what to install if there is none.
 */
export async function startNats(options: { port?: number } = {}): Promise<NatsServer> {
  const program = await findNats();
  const folder = mkdtempSync(join(tmpdir(), "leadline-nats-"));
  const args = ["-a", "127.0.0.1", "-p", String(options.port ?? -1), "--ports_file_dir", folder];
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  const words = text(child.stderr);
  child.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  try {
    const url = await whenUp(
      child,
      async () => readUrl(folder, child.pid),
      () => "it ended",
    );
    return {
      url,
      port: Number(new URL(url).port),
      pid: child.pid ?? -1,
      stop: () => end(child, "SIGTERM"),
      kill: () => end(child, "SIGKILL"),
    };
  } catch (error) {
    await end(child, "SIGKILL");
    throw new Error(`${(error as Error).message}: ${(await words).trim().split("\n").at(-1)}`);
  }
}

/**
 * A NATS server for a test that does not end it: the one that `NATS_URL` names, which is left running, else one of the test's
 * own as `startNats` starts it.
 */
export async function useNats(): Promise<Pick<NatsServer, "url" | "stop">> {
  const url = process.env.NATS_URL;
  return url ? { url, stop: async () => undefined } : await startNats();
}

/** The server writes this file once it listens. */
function readUrl(folder: string, pid: number | undefined): string | undefined {
  const file = join(folder, `nats-server_${pid}.ports`);
  if (!existsSync(file)) return undefined;
  try {
    return (JSON.parse(readFileSync(file, "utf8")) as { nats: string[] }).nats[0];
  } catch {
    return undefined; // half written
  }
}

async function findNats(): Promise<string> {
  if (process.env.NATS_SERVER) return process.env.NATS_SERVER;
  const onPath = (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, "nats-server"));
  const installed = [...onPath, "/usr/sbin/nats-server"].find(isProgram);
  if (installed) return installed;
  try {
    return join(await unpackDebian("nats-server", ["nats-server"]), "usr/sbin/nats-server");
  } catch (error) {
    const why = (error as Error).message;
    throw new Error(`no NATS server: install nats-server, or set NATS_SERVER to its path (${why})`);
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
