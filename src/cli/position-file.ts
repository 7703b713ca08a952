import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { wrongUse } from "./cli-error.ts";

/** A position is written at most this often while events come. */
const writeEveryMs = 1_000;

/**
 * The file in which `leadline watch --resume` keeps its position: one line. It is replaced as a whole, after the items up to
 * the position were written out; a process that is killed repeats at most a second's items.
 */
export class PositionFile {
  readonly #path: string;
  readonly #now: () => number;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #written: string | undefined;
  #latest: string | undefined;

  constructor(path: string, now: () => number = Date.now) {
    this.#path = path;
    this.#now = now;
  }

  /** The position kept; undefined: there is no file, or it is empty. Throws a CliError when it cannot be read. */
  read(): string | undefined {
    try {
      const text = readFileSync(this.#path, "utf8").trim();
      this.#written = text === "" ? undefined : text;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw unusable(this.#path, error);
      this.#written = undefined;
    }
    this.#latest = this.#written;
    return this.#written;
  }

  /** Keeps a position; undefined: there is none any more. */
  keep(position: string | undefined): void {
    this.#latest = position;
    if (position === undefined || this.#now() - this.#writtenAtMs >= writeEveryMs) this.flush();
  }

  /** Writes what was kept last. */
  flush(): void {
    if (this.#latest === this.#written) return;
    this.#writtenAtMs = this.#now();
    try {
      if (this.#latest === undefined) {
        rmSync(this.#path, { force: true });
      } else {
        writeFileSync(`${this.#path}.new`, `${this.#latest}\n`);
        renameSync(`${this.#path}.new`, this.#path);
      }
    } catch (error) {
      throw unusable(this.#path, error);
    }
    this.#written = this.#latest;
  }
}

function unusable(path: string, error: unknown): Error {
  return wrongUse(`cannot keep the position in ${path}: ${error instanceof Error ? error.message : String(error)}`);
}
