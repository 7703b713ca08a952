import { once } from "node:events";
import { Exit } from "./cli-error.ts";
import { onEndSignal } from "./end-signals.ts";

/** A stream that may be a terminal. */
export interface TextStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** Where a command writes: waits while the reader takes no more, so a slow pipe slows the command and nothing piles up. */
export class Output {
  readonly stream: TextStream;

  constructor(stream: TextStream) {
    this.stream = stream;
  }

  /** A person looks at it. */
  get isTerminal(): boolean {
    return this.stream.isTTY === true;
  }

  /** A terminal that does not know its size says 0. */
  get columns(): number {
    return this.stream.columns || 80;
  }

  get rows(): number {
    return this.stream.rows || 24;
  }

  async line(text: string): Promise<void> {
    if (!this.stream.write(`${text}\n`)) await once(this.stream, "drain");
  }

  /** One JSON value on one line. */
  async json(value: unknown): Promise<void> {
    await this.line(JSON.stringify(value));
  }
}

/** What a command has of the process that it runs in. */
export class Terminal {
  readonly out: Output;
  readonly err: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The exit code of a command that ends without an error. */
  exit: Exit = Exit.DONE;
  readonly #interruption = new AbortController();
  #listening = false;

  constructor(out: TextStream, err: TextStream, env: Readonly<Record<string, string | undefined>>) {
    this.out = new Output(out);
    this.err = new Output(err);
    this.env = env;
    // A reader that goes away (`| head`) ends the command; it is no error.
    out.on("error", () => this.#interruption.abort());
  }

  /**
   * Aborts on Ctrl-C, on SIGTERM and when nobody reads what is written; the command then ends what it does and returns. A
   * second Ctrl-C ends the process at once. Signals are listened to from the first call on.
   */
  interrupted(): AbortSignal {
    if (!this.#listening) {
      this.#listening = true;
      onEndSignal(() => this.#interruption.abort());
    }
    return this.#interruption.signal;
  }
}

/** Whether an error only says that nobody reads any more what is written. */
export function isReaderGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EPIPE";
}
