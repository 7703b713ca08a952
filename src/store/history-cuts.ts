import type { EntityManager } from "@mikro-orm/postgresql";

/*
 * Cutting the history of journeys that ended long ago. First a checkpoint, which is the subject's row as it is, takes the place
 * of its events, and the floor of the journal moves above the last of them: from then on nobody reads or resumes there. Then
 * the events are removed. All of it runs in the caller's units of work, which row-level security limits to one tenant.
 */

/** What may be cut. Times are texts as Postgres writes them, with their microseconds. */
export interface CutTerms {
  readonly tenant: string;
  /** The database's time. */
  readonly now: string;
  /** Days that history stays after a journey's end. */
  readonly historyDays: number;
  /** Days that watches may go back: no younger event is cut. */
  readonly resumeDays: number;
}

/** A subject whose journey ended long enough ago. */
export interface Ended {
  readonly kind: number;
  readonly id: string;
  readonly endedAt: string;
  /** Nobody may resume before its last event any more, and the journal's last event is another one. */
  readonly ripe: boolean;
}

/** How much was cut. */
export interface Cut {
  readonly subjects: number;
  readonly events: number;
}

const ENDED_BEFORE = "?::timestamptz - make_interval(days => ?)";

/** The database's time. */
export async function databaseTime(em: EntityManager): Promise<string> {
  const [row] = await em.execute<{ now: string }[]>(
    `select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as now`,
  );
  return row?.now ?? "";
}

/** A page of the subjects whose journeys ended long enough ago and whose history is not cut, the first to end first. */
export async function endedAfter(
  em: EntityManager,
  { tenant, now, historyDays, resumeDays }: CutTerms,
  after: Ended | undefined,
  limit: number,
): Promise<Ended[]> {
  const from = after === undefined ? "" : "and (s.ended_at, s.kind, s.id) > (?::timestamptz, ?, ?)";
  return em.execute<Ended[]>(
    `select s.kind, s.id, s.ended_at::text as "endedAt",
       e.recorded_at < ${ENDED_BEFORE} and s.changed_revision < h.revision as ripe
     from subject s
     cross join lateral (select * from event e where e.tenant_id = s.tenant_id and e.revision = s.changed_revision limit 1) e
     cross join lateral (select * from journal_head h where h.tenant_id = s.tenant_id limit 1) h
     where s.tenant_id = ? and s.ended_at is not null and not s.history_cut
       and s.ended_at < ${ENDED_BEFORE} ${from}
     order by s.ended_at, s.kind, s.id limit ?`,
    [
      ...[now, resumeDays, tenant, now, historyDays],
      ...(after === undefined ? [] : [after.endedAt, after.kind, after.id]),
      limit,
    ],
  );
}

/**
 * Puts checkpoints in the place of the histories of these subjects, as far as that still may be, under the lock of the journal's
 * head: it is what commands and redactions hold, too.
 *
 * Rows are written by where they lie: joined by their keys, young statistics make a plan that reads the tenant's whole table
 * (measured: 20,000 rows for a portion of 50).
 *
 * @param heldMs the longest that one statement may take under the lock, and that the session may leave it held
 */
export async function cutHistories(
  em: EntityManager,
  { tenant, now, historyDays, resumeDays }: CutTerms,
  subjects: readonly Pick<Ended, "kind" | "id">[],
  heldMs: number,
): Promise<Cut> {
  await em.execute(
    "select set_config('idle_in_transaction_session_timeout', ?, true), set_config('statement_timeout', ?, true)",
    [String(heldMs), String(heldMs)],
  );
  // A statement of its own: what is read below is read when the lock is held.
  await em.execute("select from journal_head where tenant_id = ? for update", [tenant]);
  const [cut] = await em.execute<{ subjects: string; events: string }[]>(
    `with due as materialized (
       select s.tenant_id, s.kind, s.id, s.version, s.changed_revision, e.recorded_at, s.summary, s.details,
         c.version as before, s.place
       from jsonb_to_recordset(?::jsonb) as w (kind smallint, id text)
       cross join lateral (select s.*, s.ctid as place from subject s
         where s.tenant_id = ? and s.kind = w.kind and s.id = w.id limit 1) s
       cross join lateral (select * from event e where e.tenant_id = s.tenant_id and e.revision = s.changed_revision limit 1) e
       left join lateral (select version from history_checkpoint c
         where c.tenant_id = s.tenant_id and c.kind = s.kind and c.id = s.id limit 1) c on true
       where s.ended_at < ${ENDED_BEFORE} and not s.history_cut and e.recorded_at < ${ENDED_BEFORE}
         and s.changed_revision < (select revision from journal_head where tenant_id = ?)
     ), kept as (
       insert into history_checkpoint
         (tenant_id, kind, id, version, revision, recorded_at, cut_at, history_days, removed, summary, details)
       select tenant_id, kind, id, version, changed_revision, recorded_at, ?::timestamptz, ?, false, summary, details from due
       on conflict (tenant_id, kind, id) do update set version = excluded.version, revision = excluded.revision,
         recorded_at = excluded.recorded_at, cut_at = excluded.cut_at, history_days = excluded.history_days,
         removed = false, summary = excluded.summary, details = excluded.details
     ), marked as (
       update subject set history_cut = true where ctid = any(array(select place from due))
     )
     update journal_head h set floor = greatest(h.floor, x.last + 1), cut_subjects = h.cut_subjects + x.first,
       cut_events = h.cut_events + x.events, cut_at = ?::timestamptz
     from (select max(changed_revision) as last, count(*) as subjects, count(*) filter (where before is null) as first,
             sum(version - coalesce(before, 0))::bigint as events from due) x
     where h.tenant_id = ? and x.subjects > 0
     returning x.subjects, x.events`,
    [
      JSON.stringify(subjects.map(({ kind, id }) => ({ kind, id }))),
      ...[tenant, now, historyDays, now, resumeDays, tenant],
      ...[now, historyDays, now, tenant],
    ],
  );
  return { subjects: Number(cut?.subjects ?? 0), events: Number(cut?.events ?? 0) };
}

/** Removes some of the events that checkpoints stand for. @returns whether there may be more */
export async function removeCutEvents(em: EntityManager, tenant: string, limit: number): Promise<boolean> {
  const unremoved = `select ctid as place, kind, id, version from history_checkpoint where tenant_id = ? and not removed
                     order by kind, id limit ?`;
  const events = await em.execute<unknown[]>(
    `delete from event where ctid = any(array(
       select e.ctid from (${unremoved}) c
       cross join lateral (select ctid from event e where e.tenant_id = ? and e.kind = c.kind and e.subject_id = c.id
                             and e.version <= c.version order by e.version limit ?) e
       limit ?)) returning 1`,
    [tenant, limit, tenant, limit, limit],
  );
  const done = await em.execute<unknown[]>(
    `update history_checkpoint set removed = true where ctid = any(array(
       select c.place from (${unremoved}) c
       left join lateral (select 1 as there from event e where e.tenant_id = ? and e.kind = c.kind and e.subject_id = c.id
                            and e.version <= c.version limit 1) e on true
       where e.there is null)) returning 1`,
    [tenant, limit, tenant],
  );
  return events.length + done.length > 0;
}

/** Whether an instance may run that does not know this migration. One that was killed counts for a day. */
export async function hasOlderInstance(em: EntityManager, migration: string): Promise<boolean> {
  const rows = await em.execute<unknown[]>(
    "select 1 from instance where schema < ? and seen_at > clock_timestamp() - interval '1 day' limit 1",
    [migration],
  );
  return rows.length > 0;
}
