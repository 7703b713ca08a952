import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { runWith } from "../../src/cli/main.ts";
import { Terminal } from "../../src/cli/terminal.ts";

const root = join(import.meta.dirname, "../..");
const entry = join(root, "src/main.js");

export interface Ran {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `leadline` with these words as a process of its own, with nothing of ours in its environment but `env`. */
export function leadline(
  words: readonly string[],
  options: {
    readonly env?: Readonly<Record<string, string>>;
    readonly input?: string;
    readonly closeOutput?: boolean;
  } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env.PATH, LEADLINE_DATA_DIR: "/nonexistent", ...options.env };
    const child = spawn(process.execPath, [entry, ...words], { cwd: root, env });
    let out = "";
    let err = "";
    if (options.closeOutput) child.stdout.destroy();
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.on("error", reject);
    child.on("close", (exit) => resolve({ exit, out, err }));
    child.stdin.end(options.input ?? "");
  });
}

/** Runs `leadline` with these words in this process. */
export async function leadlineHere(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const out = new PassThrough();
  const err = new PassThrough();
  const terminal = new Terminal(out, err, { LEADLINE_DATA_DIR: "/nonexistent", ...env });
  const exit = await runWith(["node", "leadline", ...words], terminal);
  const read = (stream: PassThrough): string => String(stream.read() ?? "");
  return { exit, out: read(out), err: read(err) };
}

/** A `leadline watch` that runs until it is interrupted. */
export class Watching {
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  out = "";
  err = "";

  constructor(words: readonly string[], env: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [entry, ...words], { cwd: root, env: { PATH: process.env.PATH, ...env } });
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      this.out += chunk.toString();
      for (const wake of this.#waiting) wake();
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.err += chunk.toString();
    });
  }

  /** Resolves once it has written this. */
  async seen(text: string): Promise<void> {
    while (!this.out.includes(text)) {
      await new Promise<void>((resolve, reject) => {
        const ended = (): void => reject(new Error(`it ended without "${text}": ${this.out}${this.err}`));
        this.#child.once("close", ended);
        const wake = (): void => {
          this.#waiting.delete(wake);
          this.#child.off("close", ended);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** Ctrl-C; resolves to the exit code. */
  interrupt(): Promise<number | null> {
    return new Promise((resolve) => {
      this.#child.once("close", resolve);
      this.#child.kill("SIGINT");
    });
  }
}

/** An address at which nothing listens: port 1 is reserved. */
export const nowhere = "127.0.0.1:1";
