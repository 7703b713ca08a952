import { lookupKey } from "../domain/facets.ts";
import type { StoredEvent } from "../domain/stored-event.ts";
import { SubjectKind, type SubjectRef } from "../domain/subject.ts";
import type { Question, Value } from "../store/question.ts";
import type { Head, RowQuery, Stretch, SubjectRow } from "./journal.ts";
import {
  EVENT_COLUMNS,
  type OwnedRow,
  SUBJECT_COLUMNS,
  toHead,
  toStoredEvent,
  toStretch,
  toSubjectRow,
  toWholeRow,
} from "./read-rows.ts";

export const questions = { subjects, rows, heads, events, stretch, latest, history };

function subjects(asked: readonly { tenant: string; ref: SubjectRef }[]): Question<OwnedRow> {
  // The limit keeps the planner from joining any other way than by the primary key, row for row.
  const text = `select ${SUBJECT_COLUMNS}, s.details
                from unnest($1::text[], $2::smallint[], $3::text[]) as k (tenant_id, kind, id)
                cross join lateral (select * from subject s
                                    where s.tenant_id = k.tenant_id and s.kind = k.kind and s.id = k.id limit 1) s`;
  const values = [asked.map((a) => a.tenant), asked.map((a) => a.ref.kind), asked.map((a) => a.ref.id)];
  return { name: "ask-subjects", text, values, row: toWholeRow };
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

/** The rows come out of the inner select in order, and are laid together as they come: if they are not too large, which is asked first. */
function stretch(
  tenant: string,
  kind: SubjectKind,
  after: bigint,
  upTo: bigint,
  limit: number,
  maxBytes: number,
): Question<Stretch> {
  const there = "tenant_id = $1 and revision > $3::bigint and revision <= least($4::bigint, $3::bigint + $5::int)";
  const text = `select (select event_id from event where tenant_id = $1 and revision = $3::bigint),
                  s.events, s.last, (select event_id from event where tenant_id = $1 and revision = s.last),
                  s.of_kind, s.payloads
                from (
                  select count(*)::int as events, max(revision) as last, (count(*) filter (where kind = $2))::int as of_kind,
                    coalesce(string_agg(payload, ''::bytea) filter (where kind = $2), ''::bytea) as payloads
                  from (
                    select revision, kind, payload from event
                    where ${there} and (select sum(length(payload)) <= $6::bigint from event where ${there})
                    order by revision) e) s
                where s.events > 0`;
  return { name: "ask-stretch", text, values: [tenant, kind, after, upTo, limit, maxBytes], row: toStretch };
}

/** Each subject's last event. */
function latest(tenant: string, kind: SubjectKind, from: bigint, to: bigint, limit: number): Question<StoredEvent> {
  const text = `select ${EVENT_COLUMNS.replaceAll(/(\w+)/g, "e.$1")}
                from event e join subject s
                  on s.tenant_id = e.tenant_id and s.kind = e.kind and s.id = e.subject_id and s.changed_revision = e.revision
                where e.tenant_id = $1 and e.kind = $2 and e.revision >= $3 and e.revision <= $4
                order by e.revision limit $5`;
  return { name: "ask-latest", text, values: [tenant, kind, from, to, limit], row: toStoredEvent };
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

/** A page of rows. Filters by reference, carrier or relation go through the lookup keys, the others through columns. */
function rows(query: RowQuery): Question<SubjectRow> {
  const values: Value[] = [query.tenant, query.kind];
  const bind = (value: Value) => `$${values.push(value)}`;
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
  const text = `select ${SUBJECT_COLUMNS} from subject s where ${where.join(" and ")}
           order by s.created_revision desc limit ${bind(query.limit)}`;
  return { name: "", text, values, row: toSubjectRow };
}
