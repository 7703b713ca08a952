import type { Statement } from "../store/connection.ts";

/*
 * The statements of a batch. Values travel as arrays, one row of the arrays a row of the table; bytes travel as one bytea
 * with lengths beside it, because an array of bytea would be sent as text, twice as long.
 */

const MICROSECONDS = (column: string) => `(extract(epoch from ${column}) * 1000000)::bigint`;
const FROM_MICROSECONDS = (column: string) => `timestamptz 'epoch' + ${column} * interval '1 microsecond'`;

/**
 * What the writer's session tells the planner: every statement looks rows up by their primary key. Left to guess, it reads
 * whole tables while statistics are young (measured: 10 ms a statement at 20,000 orders, in place of 1 ms).
 */
export const WRITER_SETTINGS = {
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  enable_bitmapscan: "off",
  plan_cache_mode: "force_generic_plan",
};

export const BEGIN: Statement = { text: "begin" };
export const COMMIT: Statement = { text: "commit" };
export const ROLLBACK: Statement = { text: "rollback" };

/** Row-level security shows these tenants' rows for the rest of the transaction, and no others. */
export function scopeTo(tenants: readonly string[]): Statement {
  return { name: "scope", text: "select set_config('app.tenants', $1, true)", values: [tenants.join(",")] };
}

/** Locks heads in one order; those that others hold are left out, or waited for up to lock_timeout. */
export function lockHeads(tenants: readonly string[], wait: boolean): Statement {
  return {
    name: wait ? "lock-heads-waiting" : "lock-heads",
    text: `select tenant_id, revision, event_id, ${MICROSECONDS("recorded_at")} as recorded_us from journal_head
           where tenant_id = any($1::text[]) order by tenant_id for update${wait ? "" : " skip locked"}`,
    values: [tenants],
  };
}

/** A statement of its own, so that it is read when the locks are held. */
export const CLOCK: Statement = { name: "clock", text: `select ${MICROSECONDS("clock_timestamp()")} as now_us` };

export const SUBJECT_COLUMNS = `tenant_id, kind, id, version, created_revision, changed_revision, changed_event_id, carrier, summary`;

/** Subjects by (tenant, kind, id). A statement of its own after the lock: its snapshot is newer than the lock. */
export function loadSubjects(tenants: readonly string[], kinds: readonly number[], ids: readonly string[]): Statement {
  return {
    name: "load-subjects",
    // The limit keeps the planner from joining any other way than by the primary key, row for row.
    text: `select ${SUBJECT_COLUMNS.replaceAll(/(\w+)/g, "s.$1")}, s.details
           from unnest($1::text[], $2::smallint[], $3::text[]) as k (tenant_id, kind, id)
           cross join lateral (select * from subject s
                               where s.tenant_id = k.tenant_id and s.kind = k.kind and s.id = k.id limit 1) s`,
    values: [tenants, kinds, ids],
  };
}

/** Answers to earlier requests by (tenant, key). */
export function loadRequests(tenants: readonly string[], keys: readonly Uint8Array[]): Statement {
  return {
    name: "load-requests",
    text: `select r.tenant_id, r.key, r.hash, r.answer
           from unnest($1::text[], $2::bytea[]) as k (tenant_id, key)
           cross join lateral (select * from request r
                               where r.tenant_id = k.tenant_id and r.key = k.key limit 1) r`,
    values: [tenants, keys],
  };
}

/** Rows of one table as columns. */
export class Columns {
  readonly #columns: unknown[][];
  readonly #bytes: Uint8Array[][];
  length = 0;

  constructor(values: number, byteColumns: number) {
    this.#columns = Array.from({ length: values + byteColumns }, () => []);
    this.#bytes = Array.from({ length: byteColumns }, () => []);
  }

  /** @param values plain columns, in order @param bytes byte columns, in order */
  push(values: readonly unknown[], bytes: readonly Uint8Array[]): void {
    for (const [i, value] of values.entries()) this.#columns[i]?.push(value);
    for (const [i, value] of bytes.entries()) {
      this.#columns[values.length + i]?.push(value.length);
      this.#bytes[i]?.push(value);
    }
    this.length += 1;
  }

  /** Plain columns as arrays, then the byte columns' lengths as arrays, then the byte columns as one bytea each. */
  get values(): unknown[] {
    return [...this.#columns, ...this.#bytes.map((parts) => Buffer.concat(parts))];
  }
}

/** The n-th row's part of a bytea in which the rows' parts lie end to end. */
function slice(bytes: string, length: string): string {
  return `substring(${bytes} from (sum(${length}) over (rows between unbounded preceding and current row) - ${length} + 1)::int for ${length})`;
}

/** Plain: tenant, revision, event id, kind, subject id, version, carrier, microseconds. Bytes: payload. */
export function insertEvents(rows: Columns): Statement {
  return {
    name: "insert-events",
    text: `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
           select t, r, e, k, s, v, c, ${FROM_MICROSECONDS("u")}, ${slice("$10::bytea", "n")}
           from unnest($1::text[], $2::bigint[], $3::text[], $4::smallint[], $5::text[], $6::bigint[], $7::text[],
                       $8::bigint[], $9::int[]) as x (t, r, e, k, s, v, c, u, n)`,
    values: rows.values,
  };
}

const SUBJECT_ARRAYS = `unnest($1::text[], $2::smallint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[],
                               $8::text[], $9::smallint[], $10::smallint[], $11::text[], $12::int[], $13::int[])
                        as x (t, k, i, v, cr, ch, ce, st, sg, sp, ca, n, m)`;

/**
 * Plain: tenant, kind, id, version, created revision, changed revision, changed event id, status, stage, space, carrier.
 * Bytes: summary, details.
 */
export function insertSubjects(rows: Columns): Statement {
  return {
    name: "insert-subjects",
    text: `insert into subject (tenant_id, kind, id, version, created_revision, changed_revision, changed_event_id, status,
                                stage, space, carrier, summary, details)
           select t, k, i, v, cr, ch, ce, st, sg, sp, ca, ${slice("$14::bytea", "n")}, ${slice("$15::bytea", "m")}
           from ${SUBJECT_ARRAYS}`,
    values: rows.values,
  };
}

/** The same columns as `insertSubjects`. */
export function updateSubjects(rows: Columns): Statement {
  return {
    name: "update-subjects",
    text: `update subject s set version = y.v, changed_revision = y.ch, changed_event_id = y.ce, status = y.st,
                  stage = y.sg, space = y.sp, carrier = y.ca, summary = y.summary, details = y.details
           from (select t, k, i, v, ch, ce, st, sg, sp, ca, ${slice("$14::bytea", "n")} as summary,
                        ${slice("$15::bytea", "m")} as details
                 from ${SUBJECT_ARRAYS}) y
           where s.tenant_id = y.t and s.kind = y.k and s.id = y.i`,
    values: rows.values,
  };
}

/** Plain: tenant, kind, key, subject id. */
export function insertReferences(rows: Columns): Statement {
  return {
    name: "insert-references",
    text: `insert into subject_reference (tenant_id, kind, key, subject_id)
           select * from unnest($1::text[], $2::smallint[], $3::text[], $4::text[])
           on conflict do nothing`,
    values: rows.values,
  };
}

/** Plain: tenant, kind, key, subject id. */
export function deleteReferences(rows: Columns): Statement {
  return {
    name: "delete-references",
    text: `delete from subject_reference r
           using unnest($1::text[], $2::smallint[], $3::text[], $4::text[]) as x (t, k, l, s)
           where r.tenant_id = x.t and r.kind = x.k and r.key = x.l and r.subject_id = x.s`,
    values: rows.values,
  };
}

/** Plain: tenant, microseconds. Bytes: key, hash, answer. */
export function insertRequests(rows: Columns): Statement {
  return {
    name: "insert-requests",
    text: `insert into request (tenant_id, recorded_at, key, hash, answer)
           select t, ${FROM_MICROSECONDS("u")}, ${slice("$6::bytea", "a")}, ${slice("$7::bytea", "b")},
                  ${slice("$8::bytea", "c")}
           from unnest($1::text[], $2::bigint[], $3::int[], $4::int[], $5::int[]) as x (t, u, a, b, c)`,
    values: rows.values,
  };
}

/** Plain: tenant, revision, event id, microseconds. */
export function moveHeads(rows: Columns): Statement {
  return {
    name: "move-heads",
    text: `update journal_head h set revision = x.r, event_id = x.e, recorded_at = ${FROM_MICROSECONDS("x.u")}
           from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[]) as x (t, r, e, u)
           where h.tenant_id = x.t`,
    values: rows.values,
  };
}

/** Which of these events the journals have: how a commit whose answer was lost is found out. */
export function findEvents(
  tenants: readonly string[],
  revisions: readonly bigint[],
  ids: readonly string[],
): Statement {
  return {
    text: `select count(*)::int as found from unnest($1::text[], $2::bigint[], $3::text[]) as x (t, r, e)
           join event v on v.tenant_id = x.t and v.revision = x.r and v.event_id = x.e`,
    values: [tenants, revisions, ids],
  };
}
