import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { StoredEvent } from "../domain/stored-event.ts";
import type { SubjectKind, SubjectRef } from "../domain/subject.ts";
import type { Connection } from "../store/connection.ts";
import { FlowLibrary } from "../store/flow-library.ts";
import type { Question } from "../store/question.ts";
import type {
  Checkpoint,
  Head,
  JournalReader,
  RowQuery,
  StartingFlow,
  Stretch,
  StretchQuery,
  SubjectRow,
} from "./journal.ts";
import { questions } from "./questions.ts";
import { scoped } from "./scoped.ts";
import { readStretch } from "./stretch.ts";

interface Asked {
  readonly tenant: string;
  readonly ref: SubjectRef;
  resolve(row: SubjectRow | undefined): void;
  reject(error: unknown): void;
}

export interface ReaderOptions {
  /** Reads that wait at most; one more is OVERLOADED. Default 20,000. */
  readonly maxQueuedReads?: number;
}

/** Single rows that share one SELECT at most. */
const MAX_SHARED = 500;
/**
 * Shared SELECTs that are on their way at a time: while one is answered the next gathers, and more of them would only be
 * smaller (measured with 64 callers: 10 us of CPU a row, 13 with three).
 */
const MAX_SHARING = 2;

/**
 * Reads of the journal, each in a transaction scoped to its tenants. Callers who ask for single rows while others are on
 * their way share the next SELECT: it is sent after they asked, so it sees every write that was answered before.
 */
export class Reader implements JournalReader {
  readonly flows = new FlowLibrary((tenant, refs) =>
    this.#read([tenant], questions.flows(refs.map((ref) => ({ tenant, ref })))),
  );
  /** Questions after starting flows that are not sent yet. */
  readonly #starting = new Map<string, Promise<StartingFlow>>();
  readonly #idle: Connection[];
  readonly #connections: readonly Connection[];
  readonly #waiting: ((connection: Connection) => void)[] = [];
  readonly #maxQueued: number;
  readonly #maxSharing: number;
  #asked: Asked[] = [];
  #sharing = 0;

  constructor(connections: readonly Connection[], options: ReaderOptions = {}) {
    this.#connections = connections;
    this.#idle = [...connections];
    this.#maxQueued = options.maxQueuedReads ?? 20_000;
    this.#maxSharing = Math.min(MAX_SHARING, connections.length);
  }

  subject(tenant: string, ref: SubjectRef): Promise<SubjectRow | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#asked.length >= this.#maxQueued) throw overloaded(this.#maxQueued, this.#asked.length);
      this.#asked.push({ tenant, ref, resolve, reject });
      if (this.#sharing < this.#maxSharing) {
        this.#sharing += 1;
        // Not at once: whoever asks in this turn of the loop, through whatever socket, is in the group.
        setImmediate(() => void this.#share());
      }
    });
  }

  rows(query: RowQuery): Promise<SubjectRow[]> {
    return this.#read([query.tenant], questions.rows(query));
  }

  async count(query: Omit<RowQuery, "limit">): Promise<bigint> {
    const [count = 0n] = await this.#read([query.tenant], questions.count(query));
    return count;
  }

  /** Orders are made many at a time: those who ask in the same turn of the loop share the question. */
  startingFlow(tenant: string, flowId: string): Promise<StartingFlow> {
    const key = `${tenant}\0${flowId}`;
    const asked = this.#starting.get(key) ?? this.#askStarting(key, tenant, flowId);
    this.#starting.set(key, asked);
    return asked;
  }

  async #askStarting(key: string, tenant: string, flowId: string): Promise<StartingFlow> {
    await new Promise(setImmediate);
    this.#starting.delete(key); // only now: it is sent after they asked
    const [found] = await this.#read([tenant], questions.startingFlow(tenant, flowId));
    if (found === undefined) throw new Refusal(ErrorReason.TENANT_UNKNOWN, `tenant "${tenant}" does not exist`);
    return found;
  }

  async heads(tenants: readonly string[]): Promise<Map<string, Head>> {
    return new Map(tenants.length === 0 ? [] : await this.#read(tenants, questions.heads(tenants)));
  }

  events(tenant: string, from: bigint, limit: number, maxBytes: number): Promise<StoredEvent[]> {
    return this.#read([tenant], questions.events(tenant, from, limit, maxBytes));
  }

  async stretch(query: StretchQuery): Promise<Stretch | undefined> {
    const connection = await this.#take();
    try {
      return await readStretch(connection, query);
    } finally {
      this.#give(connection);
    }
  }

  latest(tenant: string, kind: SubjectKind, from: bigint, to: bigint, limit: number): Promise<StoredEvent[]> {
    return this.#read([tenant], questions.latest(tenant, kind, from, to, limit));
  }

  before(tenant: string, kind: SubjectKind, ids: readonly string[], upTo: bigint): Promise<StoredEvent[]> {
    return this.#read([tenant], questions.before(tenant, kind, ids, upTo));
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

  async checkpoint(tenant: string, ref: SubjectRef): Promise<Checkpoint | undefined> {
    const [found] = await this.#read([tenant], questions.checkpoint(tenant, ref));
    return found;
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
    const group = this.#asked.splice(0, MAX_SHARED); // only now: the SELECT is sent after they asked
    try {
      const tenants = [...new Set(group.map((a) => a.tenant))];
      const rows = new Map(await scoped(connection, tenants, questions.subjects(group)));
      for (const [place, { resolve }] of group.entries()) resolve(rows.get(place));
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
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
    const maxQueued = this.#maxQueued;
    if (this.#waiting.length >= maxQueued) return Promise.reject(overloaded(maxQueued, this.#waiting.length));
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #give(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next) next(connection);
    else this.#idle.push(connection);
  }
}

function overloaded(allowed: number, used: number): Refusal {
  return new Refusal(ErrorReason.OVERLOADED, "too many reads are waiting for the database; come back in a moment", {
    metadata: { limit: "instance_queued_reads", allowed: String(allowed), used: String(used) },
  });
}
