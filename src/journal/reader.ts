import type { QueryResult } from "pg";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { lookupKey } from "../domain/facets.ts";
import { Refusal } from "../domain/refusal.ts";
import type { StoredEvent } from "../domain/stored-event.ts";
import { SubjectKind, type SubjectRef } from "../domain/subject.ts";
import { type Connection, ConnectionLost, type Statement, sqlState } from "../store/connection.ts";
import { subjectMapKey } from "./batch.ts";
import type { Head, JournalReader, RowQuery, SubjectRow } from "./journal.ts";
import { toHead, toStoredEvent, toSubjectRow } from "./rows.ts";
import { BEGIN, COMMIT, loadSubjects, ROLLBACK, SUBJECT_COLUMNS, scopeTo } from "./sql.ts";

const EVENT_COLUMNS = "revision, event_id, kind, subject_id, version, carrier, payload";

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
    this.#options = { maxQueued: options.maxQueued ?? 20_000, maxShared: options.maxShared ?? 500 };
  }

  subject(tenant: string, ref: SubjectRef): Promise<SubjectRow | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#asked.length >= this.#options.maxQueued) throw overloaded();
      this.#asked.push({ tenant, ref, resolve, reject });
      if (this.#sharing < this.#connections.length) {
        this.#sharing += 1;
        queueMicrotask(() => this.#share());
      }
    });
  }

  async rows(query: RowQuery): Promise<SubjectRow[]> {
    const result = await this.#read([query.tenant], rowsStatement(query));
    return result.rows.map(toSubjectRow);
  }

  async heads(tenants: readonly string[]): Promise<Map<string, Head>> {
    if (tenants.length === 0) return new Map();
    const result = await this.#read(tenants, {
      name: "read-heads",
      text: `select tenant_id, journal_id, revision, event_id, floor from journal_head where tenant_id = any($1::text[])`,
      values: [tenants],
    });
    return new Map(result.rows.map((row) => [row.tenant_id, toHead(row)]));
  }

  async events(tenant: string, from: bigint, limit: number, maxBytes: number): Promise<StoredEvent[]> {
    const result = await this.#read([tenant], {
      name: "read-events",
      text: `select ${EVENT_COLUMNS} from (
               select ${EVENT_COLUMNS}, sum(length(payload)) over (order by revision) - length(payload) as before
               from event where tenant_id = $1 and revision >= $2 and revision < $2::bigint + $3::int) e
             where before < $4 order by revision`,
      values: [tenant, from, limit, maxBytes],
    });
    return result.rows.map(toStoredEvent);
  }

  async latest(tenant: string, kind: SubjectKind, from: bigint, to: bigint, limit: number): Promise<StoredEvent[]> {
    const result = await this.#read([tenant], {
      name: "read-latest",
      text: `select ${EVENT_COLUMNS.replaceAll(/(\w+)/g, "e.$1")}
             from event e join subject s
               on s.tenant_id = e.tenant_id and s.kind = e.kind and s.id = e.subject_id and s.changed_revision = e.revision
             where e.tenant_id = $1 and e.kind = $2 and e.revision >= $3 and e.revision <= $4
             order by e.revision limit $5`,
      values: [tenant, kind, from, to, limit],
    });
    return result.rows.map(toStoredEvent);
  }

  async history(
    tenant: string,
    ref: SubjectRef,
    fromVersion: bigint,
    limit: number,
    maxBytes: number,
  ): Promise<StoredEvent[]> {
    const result = await this.#read([tenant], {
      name: "read-history",
      text: `select ${EVENT_COLUMNS} from (
               select ${EVENT_COLUMNS}, sum(length(payload)) over (order by version) - length(payload) as before
               from event where tenant_id = $1 and kind = $2 and subject_id = $3
                 and version >= $4 and version < $4::bigint + $5::int) e
             where before < $6 order by version`,
      values: [tenant, ref.kind, ref.id, fromVersion, limit, maxBytes],
    });
    return result.rows.map(toStoredEvent);
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

  async #loadGroup(connection: Connection, group: readonly Asked[]): Promise<Map<string, SubjectRow>> {
    const unique = new Map(group.map((a) => [subjectMapKey(a.tenant, a.ref), a]));
    const asked = [...unique.values()];
    const tenants = [...new Set(asked.map((a) => a.tenant))];
    const statement = loadSubjects(
      asked.map((a) => a.tenant),
      asked.map((a) => a.ref.kind),
      asked.map((a) => a.ref.id),
    );
    const result = await scoped(connection, tenants, statement);
    return new Map(result.rows.map((row) => [subjectMapKey(row.tenant_id, row), toSubjectRow(row)]));
  }

  async #read(tenants: readonly string[], statement: Statement): Promise<QueryResult> {
    const connection = await this.#take();
    try {
      return await scoped(connection, tenants, statement);
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

/** One statement in a transaction that sees these tenants only. A broken connection is tried once more: reads may be. */
async function scoped(connection: Connection, tenants: readonly string[], statement: Statement): Promise<QueryResult> {
  const flight = [BEGIN, scopeTo(tenants), statement, COMMIT];
  try {
    const results = await connection.flight(flight).catch((error: unknown) => {
      if (error instanceof ConnectionLost) return connection.flight(flight);
      throw error;
    });
    const result = results[2];
    if (!result) throw new Error("a flight came back without its answers");
    return result;
  } catch (error) {
    if (error instanceof ConnectionLost) throw unavailable(error);
    await connection.flight([ROLLBACK]).catch(() => connection.discard());
    throw PASSING.test(sqlState(error) ?? "") ? unavailable(error) : error;
  }
}

/** SQLSTATEs that say nothing of the question: resources are short, or it was cancelled for its time. */
const PASSING = /^(53|57|55P03)/;

/** A page of rows. Filters by reference, carrier or relation go through the lookup keys, the others through columns. */
function rowsStatement(query: RowQuery): Statement {
  const values: unknown[] = [query.tenant, query.kind];
  const bind = (value: unknown) => `$${values.push(value)}`;
  const where = ["s.tenant_id = $1", "s.kind = $2", "s.created_revision > 0"];
  const lookUp = (keys: readonly string[]) => {
    where.push(`s.id in (select r.subject_id from subject_reference r
                         where r.tenant_id = $1 and r.kind = $2 and r.key = any(${bind(keys)}::text[]))`);
  };
  if (query.ids?.length) where.push(`s.id = any(${bind(query.ids)}::text[])`);
  if (query.references?.length) lookUp(query.references.map((r) => lookupKey(r.type, r.value)));
  if (query.related?.length) {
    const type = query.kind === SubjectKind.ORDER ? "@BOOKING" : "@ORDER";
    lookUp(query.related.map((id) => lookupKey(type, id)));
  }
  if (query.carriers?.length) lookUp(query.carriers.map((c) => lookupKey("@CARRIER", c)));
  if (query.statuses?.length) where.push(`s.status = any(${bind(query.statuses)}::text[])`);
  if (query.stages?.length) where.push(`s.stage = any(${bind(query.stages)}::smallint[])`);
  if (query.spaces?.length) where.push(`s.space = any(${bind(query.spaces)}::smallint[])`);
  if (query.createdBefore !== undefined) where.push(`s.created_revision < ${bind(query.createdBefore)}`);
  if (query.changedUpTo !== undefined) {
    const upTo = bind(query.changedUpTo);
    where.push(`s.created_revision <= ${upTo} and s.changed_revision <= ${upTo}`);
  }
  return {
    text: `select ${SUBJECT_COLUMNS.replaceAll(/(\w+)/g, "s.$1")} from subject s where ${where.join(" and ")}
           order by s.created_revision desc limit ${bind(query.limit)}`,
    values,
  };
}

function unavailable(cause: unknown): Refusal {
  return new Refusal(ErrorReason.DATABASE_UNAVAILABLE, "the database cannot be asked at present", { cause });
}

function overloaded(): Refusal {
  return new Refusal(ErrorReason.OVERLOADED, "too many reads are waiting for the database; come back in a moment");
}
