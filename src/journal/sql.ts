import type { SubjectRef } from "../domain/subject.ts";
import type { Statement } from "../store/flight.ts";
import type { Scalar } from "../store/question.ts";
import type { SubjectBytes } from "../wire/subject-row.ts";
import { rowStatement } from "./row-statement.ts";

/* The statements of a batch. */

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

export const BEGIN: Statement = { name: "begin", text: "begin" };
export const COMMIT: Statement = { name: "commit", text: "commit" };
export const ROLLBACK: Statement = { name: "rollback", text: "rollback" };

/** Row-level security shows these tenants' rows for the rest of the transaction, and no others. */
export function scopeTo(tenants: readonly string[]): Statement {
  return { name: "scope", text: "select set_config('app.tenants', $1, true)", values: [tenants.join(",")] };
}

/**
 * The same before `lockHeads` waits. lock_timeout bounds one wait, and a row that others wait for too is waited for twice:
 * for its turn, and then for its holder. So no statement of the transaction may take longer than lock_timeout.
 */
export function scopeToAndWait(tenants: readonly string[]): Statement {
  return {
    name: "scope-and-wait",
    text: `select set_config('app.tenants', $1, true),
                  set_config('statement_timeout', current_setting('lock_timeout'), true)`,
    values: [tenants.join(",")],
  };
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

/** Answers to earlier requests. Columns: tenant, key. */
export const loadRequests = rowStatement(
  "load-requests",
  ["tenant_id text", "key bytea"],
  (rows) => `select r.tenant_id, r.key, r.hash, r.answer from ${rows} k
             cross join lateral (select * from request r
                                 where r.tenant_id = k.tenant_id and r.key = k.key limit 1) r`,
);

/** Rows of one table as columns. */
export class Columns {
  readonly values: readonly Scalar[][];

  /** @param count how many columns */
  constructor(count: number) {
    this.values = Array.from({ length: count }, () => []);
  }

  get length(): number {
    return this.values[0]?.length ?? 0;
  }

  /** @param row the columns in order */
  push(...row: readonly Scalar[]): void {
    for (const [i, column] of this.values.entries()) column.push(row[i] ?? "");
  }
}

/** Columns: tenant, revision, event id, kind, subject id, version, carrier, microseconds, payload. */
export const insertEvents = rowStatement(
  "insert-events",
  ["t text", "r bigint", "e text", "k smallint", "s text", "v bigint", "c text", "u bigint", "p bytea"],
  (rows) => `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
             select t, r, e, k, s, v, c, ${FROM_MICROSECONDS("u")}, p from ${rows} x`,
);

const SUBJECT = [
  ...["t text", "k smallint", "i text", "v bigint", "cr bigint", "ch bigint", "ce text", "st text", "sg smallint"],
  ...["sp smallint", "ca text", "n bytea", "m bytea"],
];

/**
 * Columns: tenant, kind, id, version, created revision, changed revision, changed event id, status, stage, space, carrier,
 * summary, details.
 */
export const insertSubjects = rowStatement(
  "insert-subjects",
  SUBJECT,
  (
    rows,
  ) => `insert into subject (tenant_id, kind, id, version, created_revision, changed_revision, changed_event_id, status,
                                  stage, space, carrier, summary, details)
             select t, k, i, v, cr, ch, ce, st, sg, sp, ca, n, m from ${rows} x`,
);

/** Columns: tenant, revision, payload. */
export const rewriteEvents = rowStatement(
  "rewrite-events",
  ["t text", "r bigint", "p bytea"],
  (rows) => `update event e set payload = x.p from ${rows} x where e.tenant_id = x.t and e.revision = x.r`,
);

/** Events that a checkpoint stands for. */
export function removeEvents(tenant: string, { kind, id }: SubjectRef, upToVersion: bigint): Statement {
  return {
    name: "remove-events",
    text: "delete from event where tenant_id = $1 and kind = $2 and subject_id = $3 and version <= $4",
    values: [tenant, kind, id, upToVersion],
  };
}

export function rewriteCheckpoint(tenant: string, { kind, id }: SubjectRef, state: SubjectBytes): Statement {
  return {
    name: "rewrite-checkpoint",
    text: "update history_checkpoint set summary = $4, details = $5 where tenant_id = $1 and kind = $2 and id = $3",
    values: [tenant, kind, id, state.summary, state.details],
  };
}

/** Columns: tenant, key, answer. */
export const rewriteAnswers = rowStatement(
  "rewrite-answers",
  ["t text", "k bytea", "a bytea"],
  (rows) => `update request r set answer = x.a from ${rows} x where r.tenant_id = x.t and r.key = x.k`,
);

/** The same columns as `insertSubjects`. What has changed has history again that is not cut. */
export const updateSubjects = rowStatement(
  "update-subjects",
  SUBJECT,
  (rows) => `update subject s set version = x.v, changed_revision = x.ch, changed_event_id = x.ce, status = x.st,
                    stage = x.sg, space = x.sp, carrier = x.ca, summary = x.n, details = x.m, history_cut = false
             from ${rows} x where s.tenant_id = x.t and s.kind = x.k and s.id = x.i`,
);

const STANDING = [...SUBJECT, "fl text", "fv int", "eu bigint"];
const ENDED_AT = `case when x.eu > 0 then ${FROM_MICROSECONDS("x.eu")} end`;

/**
 * The columns of `insertSubjects`; flow id, flow version, microseconds of the end (0: it is open). Most orders are in the
 * standard flow and open when they are made: those go without.
 */
export const insertStanding = rowStatement(
  "insert-standing",
  STANDING,
  (
    rows,
  ) => `insert into subject (tenant_id, kind, id, version, created_revision, changed_revision, changed_event_id, status,
                                  stage, space, carrier, summary, details, flow_id, flow_version, ended_at)
             select t, k, i, v, cr, ch, ce, st, sg, sp, ca, n, m, fl, fv, ${ENDED_AT} from ${rows} x`,
);

/** The same columns as `insertStanding`; microseconds below 0: the end stays as it is. */
export const updateStanding = rowStatement(
  "update-standing",
  STANDING,
  (rows) => `update subject s set version = x.v, changed_revision = x.ch, changed_event_id = x.ce, status = x.st,
                    stage = x.sg, space = x.sp, carrier = x.ca, summary = x.n, details = x.m,
                    flow_id = x.fl, flow_version = x.fv, history_cut = false,
                    ended_at = case when x.eu < 0 then s.ended_at else ${ENDED_AT} end
             from ${rows} x where s.tenant_id = x.t and s.kind = x.k and s.id = x.i`,
);

const REFERENCE = ["t text", "k smallint", "l text", "s text", "c bigint"];

/** Columns: tenant, kind, key, subject id, the subject's created revision. */
export const insertReferences = rowStatement(
  "insert-references",
  REFERENCE,
  (rows) => `insert into subject_reference (tenant_id, kind, key, subject_id, created_revision)
             select t, k, l, s, c from ${rows} x on conflict do nothing`,
);

/** The same columns as `insertReferences`. */
export const deleteReferences = rowStatement(
  "delete-references",
  REFERENCE,
  (rows) => `delete from subject_reference r using ${rows} x where r.tenant_id = x.t and r.kind = x.k and r.key = x.l
             and r.created_revision = x.c and r.subject_id = x.s`,
);

/** Columns: tenant, microseconds, key, hash, answer. */
export const insertRequests = rowStatement(
  "insert-requests",
  ["t text", "u bigint", "k bytea", "h bytea", "a bytea"],
  (rows) => `insert into request (tenant_id, recorded_at, key, hash, answer)
             select t, ${FROM_MICROSECONDS("u")}, k, h, a from ${rows} x`,
);

/** Columns: tenant, revision, event id, microseconds. */
export const moveHeads = rowStatement(
  "move-heads",
  ["t text", "r bigint", "e text", "u bigint"],
  (rows) => `update journal_head h set revision = x.r, event_id = x.e, recorded_at = ${FROM_MICROSECONDS("x.u")}
             from ${rows} x where h.tenant_id = x.t`,
);

/**
 * Which of these events the journals have: how a commit whose answer was lost is found out. Columns: tenant, revision, event
 * id.
 */
export const findEvents = rowStatement(
  "find-events",
  ["t text", "r bigint", "e text"],
  (rows) => `select count(*)::int as found from ${rows} x
             join event v on v.tenant_id = x.t and v.revision = x.r and v.event_id = x.e`,
);
