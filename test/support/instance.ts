import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { end, endsInTime } from "./process.ts";

/** An instance of the service as a process of its own. */
export interface Instance extends AsyncDisposable {
  readonly pid: number;
  /** `127.0.0.1:PORT` */
  readonly grpc: string;
  /** `http://127.0.0.1:PORT` */
  readonly http: string;
  /** The last that it wrote to its log: 64 KiB at most. */
  words(): string;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Asks it to drain and waits for its end. @returns whether it came in 15 s; else it was killed */
  stop(): Promise<boolean>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
}

const root = join(import.meta.dirname, "../..");

/**
 * Starts `leadline serve` on free ports (unless the environment names some) and waits until it says that it is ready.
 * Throws an `Error` with its last words when it ends before. `release`: the folder of the release to start, by default this.
 */
export async function startInstance(env: Record<string, string>, release = root): Promise<Instance> {
  const child = spawn(process.execPath, [join(release, "src/main.js"), "serve", "--json"], {
    cwd: release,
    // One arena, as with `npm start`: see "Running it" in the README.
    env: {
      ...process.env,
      MALLOC_ARENA_MAX: "1",
      LEADLINE_GRPC_PORT: "0",
      LEADLINE_HTTP_PORT: "0",
      LEADLINE_LOG_LEVEL: "error",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let words = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    words = (words + text).slice(-65_536);
  });
  const ready = await new Promise<{ grpc: string; http: string }>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const said = parse(line);
      if (said) resolve(said);
    });
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`an instance ended with ${code}: ${words.trim().slice(-4_000)}`)));
  });
  return {
    pid: child.pid ?? -1,
    ...ready,
    words: () => words,
    ended: new Promise((resolve) => child.once("exit", () => resolve())),
    stop: () => endsInTime(child, "SIGTERM"),
    kill: () => end(child, "SIGKILL"),
    [Symbol.asyncDispose]: () => end(child, "SIGTERM"),
  };
}

function parse(line: string): { grpc: string; http: string } | undefined {
  try {
    const said: unknown = JSON.parse(line);
    if (typeof said !== "object" || said === null || !("grpc" in said) || !("http" in said)) return undefined;
    return { grpc: String(said.grpc).replace(/^https?:\/\//, ""), http: String(said.http) };
  } catch {
    return undefined;
  }
}
