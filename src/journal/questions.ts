import type { StoredEvent } from "../domain/stored-event.ts";
import type { SubjectKind, SubjectRef } from "../domain/subject.ts";
import type { Question } from "../store/question.ts";
import { flows, startingFlow } from "./flow-questions.ts";
import type { Checkpoint, Head, SubjectRow } from "./journal.ts";
import { count, rows } from "./list-question.ts";
import { ASKED_COLUMNS, EVENT_COLUMNS, toAskedRow, toCheckpoint, toHead, toStoredEvent } from "./read-rows.ts";
import { rowStatement } from "./row-statement.ts";

export const questions = {
  subjects,
  rows,
  count,
  heads,
  events,
  latest,
  before,
  history,
  checkpoint,
  flows,
  startingFlow,
};

// The limit keeps the planner from joining any other way than by the primary key, row for row.
const askSubjects = rowStatement(
  "ask-subjects",
  ["tenant_id text", "kind smallint", "id text", "place int"],
  (rows) => `select k.place, ${ASKED_COLUMNS} from ${rows} k
             cross join lateral (select * from subject s
                                 where s.tenant_id = k.tenant_id and s.kind = k.kind and s.id = k.id limit 1) s`,
);

/** Each row that there is, after its place among those that are asked for. */
function subjects(
  asked: readonly { tenant: string; ref: SubjectRef }[],
): Question<readonly [place: number, row: SubjectRow]> {
  const refs = asked.map((a) => a.ref);
  const places = asked.map((_, i) => i);
  const values = [asked.map((a) => a.tenant), refs.map((ref) => ref.kind), refs.map((ref) => ref.id), places];
  return { ...askSubjects(values), row: (fields) => toAskedRow(fields, refs) };
}

function heads(tenants: readonly string[]): Question<readonly [string, Head]> {
  const text = `select tenant_id, journal_id, revision, event_id, floor from journal_head
                where tenant_id = any($1::text[])`;
  return { name: "ask-heads", text, values: [tenants], row: toHead };
}

function events(tenant: string, from: bigint, limit: number, maxBytes: number): Question<StoredEvent> {
  const text = `select ${EVENT_COLUMNS} from (
                  select ${EVENT_COLUMNS}, sum(length(payload)) over (order by revision) - length(payload) as before
                  from event where tenant_id = $1 and revision >= $2 and revision < $2::bigint + $3::int) e
                where before < $4 order by revision`;
  return { name: "ask-events", text, values: [tenant, from, limit, maxBytes], row: toStoredEvent };
}

/** Each subject's last event. The limit keeps the planner from joining any other way than by the primary key, row for row. */
function latest(tenant: string, kind: SubjectKind, from: bigint, to: bigint, limit: number): Question<StoredEvent> {
  const text = `select ${EVENT_COLUMNS.replaceAll(/(\w+)/g, "e.$1")}
                from event e cross join lateral (
                  select from subject s where s.tenant_id = e.tenant_id and s.kind = e.kind and s.id = e.subject_id
                    and s.changed_revision = e.revision limit 1) s
                where e.tenant_id = $1 and e.kind = $2 and e.revision >= $3 and e.revision <= $4
                order by e.revision limit $5`;
  return { name: "ask-latest", text, values: [tenant, kind, from, to, limit], row: toStoredEvent };
}

/** From a subject's newest event back, one by one: few have come since. */
function before(tenant: string, kind: SubjectKind, ids: readonly string[], upTo: bigint): Question<StoredEvent> {
  const text = `select ${EVENT_COLUMNS.replaceAll(/(\w+)/g, "e.$1")}
                from unnest($3::text[]) as asked (id) cross join lateral (
                  select * from event v where v.tenant_id = $1 and v.kind = $2 and v.subject_id = asked.id and v.revision <= $4
                  order by v.version desc limit 1) e`;
  return { name: "ask-before", text, values: [tenant, kind, ids, upTo], row: toStoredEvent };
}

function history(
  tenant: string,
  ref: SubjectRef,
  fromVersion: bigint,
  limit: number,
  maxBytes: number,
): Question<StoredEvent> {
  const text = `select ${EVENT_COLUMNS} from (
                  select ${EVENT_COLUMNS}, sum(length(payload)) over (order by version) - length(payload) as before
                  from event where tenant_id = $1 and kind = $2 and subject_id = $3
                    and version >= $4 and version < $4::bigint + $5::int) e
                where before < $6 order by version`;
  return {
    name: "ask-history",
    text,
    values: [tenant, ref.kind, ref.id, fromVersion, limit, maxBytes],
    row: toStoredEvent,
  };
}

function checkpoint(tenant: string, ref: SubjectRef): Question<Checkpoint> {
  const text = `select version, revision, (extract(epoch from recorded_at) * 1000000)::bigint,
                  (extract(epoch from cut_at) * 1000000)::bigint, history_days, summary, details
                from history_checkpoint where tenant_id = $1 and kind = $2 and id = $3`;
  return { name: "ask-checkpoint", text, values: [tenant, ref.kind, ref.id], row: toCheckpoint };
}
