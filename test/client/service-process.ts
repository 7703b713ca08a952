import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { end } from "../support/process.ts";
import { steadyPort } from "../support/steady-port.ts";

const root = join(import.meta.dirname, "../..");

/** What `leadline serve --json` says when it is ready. */
export interface Ready {
  readonly grpc: string;
  readonly http: string;
  readonly serviceOwner: string;
  readonly owner: string;
  readonly operator: string;
  readonly carrier: string;
  readonly viewer: string;
}

/** A service as a process of its own, with its own data folder and ports that stay the same over restarts. */
export class ServiceProcess implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "leadline-service-"));
  readonly #env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  private constructor(env: Readonly<Record<string, string>>) {
    this.#env = env;
  }

  /** Chooses ports and starts nothing yet. `env`: settings. */
  static async prepare(env: Readonly<Record<string, string>> = {}): Promise<ServiceProcess> {
    const [grpcPort, httpPort] = [await steadyPort(), await steadyPort()];
    return new ServiceProcess({
      LEADLINE_GRPC_PORT: String(grpcPort),
      LEADLINE_HTTP_PORT: String(httpPort),
      LEADLINE_LOG_LEVEL: "error",
      ...env,
    });
  }

  get dataDir(): string {
    return join(this.#folder, "data");
  }

  /** Starts it and waits until it is ready. */
  async start(): Promise<Ready> {
    const env = { PATH: process.env.PATH, LEADLINE_DATA_DIR: this.dataDir, ...this.#env };
    const child = spawn(process.execPath, ["src/main.js", "serve", "--json"], { cwd: root, env });
    this.#child = child;
    const words = text(child.stderr);
    for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line) as Ready;
    throw new Error(`the service did not start: ${(await words).trim()}`);
  }

  /** Ends it as a crash would. Its embedded Postgres stays; the next start adopts it. */
  async kill(): Promise<void> {
    if (this.#child) await end(this.#child, "SIGKILL");
  }

  /** Ends it as an operator would: it drains. */
  async stop(): Promise<void> {
    if (this.#child) await end(this.#child, "SIGTERM");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
