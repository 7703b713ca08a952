/** The binary form of COPY begins with a signature of eleven bytes, four of flags, and the length of an extension. */
const HEADER_BYTES = 19;
/** What stands in place of a row's number of columns after the last row. */
const TRAILER = -1;

/** A row of a COPY in binary form, read column by column. It is valid while it is handed over and no longer. */
export class CopyRow {
  readonly #bytes: Buffer;
  #at: number;

  /** @param at where the first column begins */
  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** The next column in its binary form; undefined: null. Throws when the row is cut off. */
  bytes(): Buffer | undefined {
    const length = this.#bytes.readInt32BE(this.#at);
    const start = this.#at + 4;
    this.#at = start + Math.max(0, length);
    if (this.#at > this.#bytes.length) throw new Error("a row of a COPY is cut off");
    return length < 0 ? undefined : this.#bytes.subarray(start, this.#at);
  }

  /** The next column, which is text. */
  maybeText(): string | undefined {
    return this.bytes()?.toString("utf8");
  }
}

/**
 * What a `COPY (...) TO STDOUT (FORMAT binary)` sends. Every other result pg takes as text, in which bytes are hexadecimal and
 * become strings on the way; what a COPY sends it hands over as it came.
 */
export class CopyOut {
  readonly #take: (row: CopyRow) => void;
  #begun = false;
  #fault: unknown;

  constructor(take: (row: CopyRow) => void) {
    this.#take = take;
  }

  /** What went wrong with its rows; undefined: nothing. */
  get fault(): unknown {
    return this.#fault;
  }

  /** Takes one message. Postgres sends one for each row, its header with the first. */
  chunk(chunk: Buffer): void {
    if (this.#fault !== undefined) return;
    try {
      const start = this.#begun ? 0 : HEADER_BYTES;
      this.#begun = true;
      if (chunk.readInt16BE(start) !== TRAILER) this.#take(new CopyRow(chunk, start + 2));
    } catch (error) {
      this.#fault = error;
    }
  }
}
