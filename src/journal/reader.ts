import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { StoredEvent } from "../domain/stored-event.ts";
import type { SubjectKind, SubjectRef } from "../domain/subject.ts";
import { type Connection, ConnectionLost, type Statement, sqlState } from "../store/connection.ts";
import { Fields, type Question } from "../store/question.ts";
import { subjectMapKey } from "./batch.ts";
import type { Head, JournalReader, RowQuery, Stretch, SubjectRow } from "./journal.ts";
import { questions } from "./questions.ts";
import type { OwnedRow } from "./read-rows.ts";
import { BEGIN, COMMIT, ROLLBACK, scopeTo } from "./sql.ts";

interface Asked {
  readonly tenant: string;
  readonly ref: SubjectRef;
  resolve(row: SubjectRow | undefined): void;
  reject(error: unknown): void;
}

export interface ReaderOptions {
  /** Reads that wait at most; one more is OVERLOADED. Default 20,000. */
  readonly maxQueued?: number;
  /** Single rows that share one SELECT at most. Default 500. */
  readonly maxShared?: number;
  /**
   * Shared SELECTs that are on their way at a time. Default 2: while one is answered the next gathers, and more of them
   * would only be smaller (measured with 64 callers: 10 us of CPU a row, 13 with three).
   */
  readonly maxSharing?: number;
}

/**
 * Reads of the journal, each in a transaction scoped to its tenants. Callers who ask for single rows while others are on
 * their way share the next SELECT: it is sent after they asked, so it sees every write that was answered before.
 */
export class Reader implements JournalReader {
  readonly #idle: Connection[];
  readonly #connections: readonly Connection[];
  readonly #waiting: ((connection: Connection) => void)[] = [];
  readonly #options: Required<ReaderOptions>;
  #asked: Asked[] = [];
  #sharing = 0;

  constructor(connections: readonly Connection[], options: ReaderOptions = {}) {
    this.#connections = connections;
    this.#idle = [...connections];
    const { maxQueued = 20_000, maxShared = 500, maxSharing = 2 } = options;
    this.#options = { maxQueued, maxShared, maxSharing: Math.min(maxSharing, connections.length) };
  }

  subject(tenant: string, ref: SubjectRef): Promise<SubjectRow | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#asked.length >= this.#options.maxQueued) throw overloaded();
      this.#asked.push({ tenant, ref, resolve, reject });
      if (this.#sharing < this.#options.maxSharing) {
        this.#sharing += 1;
        queueMicrotask(() => this.#share());
      }
    });
  }

  rows(query: RowQuery): Promise<SubjectRow[]> {
    return this.#read([query.tenant], questions.rows(query));
  }

  async heads(tenants: readonly string[]): Promise<Map<string, Head>> {
    return new Map(tenants.length === 0 ? [] : await this.#read(tenants, questions.heads(tenants)));
  }

  events(tenant: string, from: bigint, limit: number, maxBytes: number): Promise<StoredEvent[]> {
    return this.#read([tenant], questions.events(tenant, from, limit, maxBytes));
  }

  async stretch(
    tenant: string,
    kind: SubjectKind,
    after: bigint,
    upTo: bigint,
    limit: number,
    maxBytes: number,
  ): Promise<Stretch | undefined> {
    const [stretch] = await this.#read([tenant], questions.stretch(tenant, kind, after, upTo, limit, maxBytes));
    return stretch;
  }

  latest(tenant: string, kind: SubjectKind, from: bigint, to: bigint, limit: number): Promise<StoredEvent[]> {
    return this.#read([tenant], questions.latest(tenant, kind, from, to, limit));
  }

  history(
    tenant: string,
    ref: SubjectRef,
    fromVersion: bigint,
    limit: number,
    maxBytes: number,
  ): Promise<StoredEvent[]> {
    return this.#read([tenant], questions.history(tenant, ref, fromVersion, limit, maxBytes));
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((c) => c.close()));
  }

  /** Answers whoever has asked by now with one SELECT, and again until nobody asks. Never rejects. */
  async #share(): Promise<void> {
    while (this.#asked.length > 0) {
      try {
        const connection = await this.#take();
        await this.#answer(connection).finally(() => this.#give(connection));
      } catch (error) {
        for (const { reject } of this.#asked.splice(0)) reject(error); // as many wait as may: whoever asked is told so
      }
    }
    this.#sharing -= 1;
  }

  async #answer(connection: Connection): Promise<void> {
    const group = this.#asked.splice(0, this.#options.maxShared); // only now: the SELECT is sent after they asked
    try {
      const rows = await this.#loadGroup(connection, group);
      for (const { tenant, ref, resolve } of group) resolve(rows.get(subjectMapKey(tenant, ref)));
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  async #loadGroup(connection: Connection, group: readonly Asked[]): Promise<Map<string, OwnedRow>> {
    const tenants = [...new Set(group.map((a) => a.tenant))];
    const rows = await scoped(connection, tenants, questions.subjects(group));
    return new Map(rows.map((row) => [subjectMapKey(row.tenant, row), row]));
  }

  async #read<T>(tenants: readonly string[], question: Question<T>): Promise<T[]> {
    const connection = await this.#take();
    try {
      return await scoped(connection, tenants, question);
    } finally {
      this.#give(connection);
    }
  }

  #take(): Promise<Connection> {
    const free = this.#idle.pop();
    if (free) return Promise.resolve(free);
    if (this.#waiting.length >= this.#options.maxQueued) return Promise.reject(overloaded());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #give(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next) next(connection);
    else this.#idle.push(connection);
  }
}

/** One question in a transaction that sees these tenants only. A broken connection is tried once more: reads may be. */
async function scoped<T>(connection: Connection, tenants: readonly string[], question: Question<T>): Promise<T[]> {
  const { name, text, values } = question;
  const flight: Statement[] = [BEGIN, scopeTo(tenants), { name, text, values, rowMode: "array" }, COMMIT];
  try {
    const results = await connection.flight(flight).catch((error: unknown) => {
      if (error instanceof ConnectionLost) return connection.flight(flight);
      throw error;
    });
    // Rows come as arrays because the statement asks for them so; pg's type does not follow it.
    const rows = (results[2]?.rows ?? []) as unknown as readonly (readonly unknown[])[];
    return rows.map((columns) => question.row(new Fields(columns)));
  } catch (error) {
    if (error instanceof ConnectionLost) throw unavailable(error);
    await connection.flight([ROLLBACK]).catch(() => connection.discard());
    throw PASSING.test(sqlState(error) ?? "") ? unavailable(error) : error;
  }
}

/** SQLSTATEs that say nothing of the question: resources are short, or it was cancelled for its time. */
const PASSING = /^(53|57|55P03)/;

function unavailable(cause: unknown): Refusal {
  return new Refusal(ErrorReason.DATABASE_UNAVAILABLE, "the database cannot be asked at present", { cause });
}

function overloaded(): Refusal {
  return new Refusal(ErrorReason.OVERLOADED, "too many reads are waiting for the database; come back in a moment");
}
