import type { Submittable } from "pg";
import { CopyOut, type CopyRow } from "./copy-out.ts";
import { encodeParameter } from "./parameters.ts";
import type { Row, Value } from "./question.ts";

/** One statement of a flight. A named one is prepared once on each connection. */
export interface Statement {
  /** One name, one text. */
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly Value[];
  /** It is a COPY in binary form, without values, and each of its rows is handed over as it comes. */
  readonly take?: (row: CopyRow) => void;
}

/** What one statement answered. */
export interface Answer {
  /** The command tag: "COMMIT", "INSERT 0 3". */
  readonly command: string;
  readonly rows: readonly Row[];
}

/** The names of the statements that a connection has prepared. */
export type PreparedNames = Set<string>;

/** The part of pg's connection that is used here. */
interface Wire {
  readonly stream: { cork(): void; uncork(): void };
  close(statement: { type: "S"; name: string }): void;
  parse(statement: { name: string; text: string }): void;
  bind(portal: { statement: string; values: readonly (string | Buffer)[] }): void;
  execute(portal: Record<string, never>): void;
  sync(): void;
}

/**
 * Statements that travel together, as one query of pg's. There is one Sync, at their end: Postgres answers with one packet,
 * and after an error it skips the statements that follow. Nothing is described: whoever asks knows the columns, which come as
 * text.
 */
export class Flight implements Submittable {
  /** Settled when all statements have been answered, or one of them has failed. */
  readonly answers: Promise<readonly Answer[]>;
  readonly #statements: readonly Statement[];
  readonly #prepared: PreparedNames;
  readonly #answered: Answer[] = [];
  readonly #resolve: (answers: readonly Answer[]) => void;
  readonly #reject: (error: unknown) => void;
  #rows: Row[] = [];
  /** The COPY whose rows come now. */
  #copy: CopyOut | undefined;
  #fault: unknown;
  /** Names that this flight prepares, with the place of their statement. */
  readonly #preparing = new Map<string, number>();

  constructor(statements: readonly Statement[], prepared: PreparedNames) {
    this.#statements = statements;
    this.#prepared = prepared;
    const { promise, resolve, reject } = Promise.withResolvers<readonly Answer[]>();
    this.answers = promise;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  submit(connection: object): void {
    const wire = connection as Wire; // pg's types ask for arguments that it does not take
    wire.stream.cork(); // one packet
    try {
      for (const [i, { name = "", text, values = [] }] of this.#statements.entries()) {
        if (name === "" || !this.#prepared.has(name)) this.#prepare(wire, name, text, i);
        wire.bind({ statement: name, values: values.map(encodeParameter) });
        wire.execute({});
      }
      wire.sync();
    } finally {
      wire.stream.uncork();
    }
  }

  handleRowDescription(): void {}

  handleDataRow({ fields }: { fields: Row }): void {
    this.#rows.push(fields);
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    const { take } = this.#statements[this.#answered.length] ?? {};
    if (take === undefined) return;
    this.#copy ??= new CopyOut(take);
    this.#copy.chunk(chunk);
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#answered.push({ command: text, rows: this.#rows });
    this.#rows = [];
    this.#fault ??= this.#copy?.fault;
    this.#copy = undefined;
  }

  handleReadyForQuery(): void {
    if (this.#fault === undefined) this.#resolve(this.#answered);
    else this.#reject(this.#fault);
  }

  handleError(error: unknown): void {
    // What was to be prepared at or after the statement that failed may be there or not: it is prepared anew.
    for (const [name, at] of this.#preparing) if (at >= this.#answered.length) this.#prepared.delete(name);
    this.#reject(error);
  }

  #prepare(wire: Wire, name: string, text: string, at: number): void {
    if (name !== "") {
      wire.close({ type: "S", name }); // no error if it is not there
      this.#prepared.add(name);
      this.#preparing.set(name, at);
    }
    wire.parse({ name, text });
  }
}
