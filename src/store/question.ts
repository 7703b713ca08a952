/** What a parameter may be. An array has one dimension. */
export type Value = string | number | bigint | readonly (string | number | bigint)[];

/** A statement whose rows are read column by column, in the order of its text. A named one is prepared once on each connection. */
export interface Question<T> {
  /** One name, one text. Empty: it is made up for the occasion. */
  readonly name: string;
  readonly text: string;
  readonly values: readonly Value[];
  readonly row: (fields: Fields) => T;
}

/** The columns of one row as pg gives them, read from the left to the right. Throws on a null but in `maybeText`. */
export class Fields {
  readonly #columns: readonly unknown[];
  #at = 0;

  constructor(columns: readonly unknown[]) {
    this.#columns = columns;
  }

  text(): string {
    return String(this.#next());
  }

  /** Undefined: null. */
  maybeText(): string | undefined {
    const value = this.#columns[this.#at++];
    return value === null ? undefined : String(value);
  }

  /** smallint or int */
  integer(): number {
    return Number(this.#next());
  }

  /** bigint, which pg gives as text because a number could not hold all of them */
  bigint(): bigint {
    return BigInt(String(this.#next()));
  }

  /** bytea */
  bytes(): Uint8Array {
    const value = this.#next();
    if (value instanceof Uint8Array) return value;
    throw new Error("a column that should be bytes is something else");
  }

  #next(): unknown {
    const value = this.#columns[this.#at++];
    if (value === null || value === undefined) throw new Error("a column that is never null is null");
    return value;
  }
}
