/** A number is of an integer type, bytes are bytea. */
export type Scalar = string | number | bigint | Uint8Array;

/** What a parameter may be. An array has one dimension, and elements of one type. */
export type Value = Scalar | readonly Scalar[];

/** The columns of a row as text. */
export type Row = readonly (string | null)[];

/** A statement whose rows are read column by column, in the order of its text. A named one is prepared once on each connection. */
export interface Question<T> {
  /** One name, one text. Empty: it is made up for the occasion. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly Value[];
  readonly row: (fields: Fields) => T;
}

/** The columns of one row, read from the left to the right. Throws on a null but in `maybeText`. */
export class Fields {
  readonly #columns: Row;
  #at = 0;

  constructor(columns: Row) {
    this.#columns = columns;
  }

  text(): string {
    return this.#next();
  }

  /** Undefined: null. */
  maybeText(): string | undefined {
    return this.#columns[this.#at++] ?? undefined;
  }

  /** smallint or int */
  integer(): number {
    return Number(this.#next());
  }

  bigint(): bigint {
    return BigInt(this.#next());
  }

  /** bytea */
  bytes(): Uint8Array {
    const value = this.#next();
    if (!value.startsWith("\\x")) throw new Error("a column that should be bytes is something else");
    return Buffer.from(value.slice(2), "hex");
  }

  #next(): string {
    const value = this.#columns[this.#at++];
    if (value === null || value === undefined) throw new Error("a column that is never null is null");
    return value;
  }
}
