import type { QueryResultRow } from "pg";
import type { StoredEvent } from "../domain/stored-event.ts";
import type { Head, SubjectRow } from "./journal.ts";

/** pg reads bigint as text, because a number could not hold all of them. */
export function toSubjectRow(row: QueryResultRow): SubjectRow {
  return {
    kind: row.kind,
    id: row.id,
    version: BigInt(row.version),
    createdRevision: BigInt(row.created_revision),
    changedRevision: BigInt(row.changed_revision),
    changedEventId: row.changed_event_id,
    carrier: row.carrier,
    summary: row.summary,
    details: row.details ?? new Uint8Array(),
  };
}

export function toStoredEvent(row: QueryResultRow): StoredEvent {
  return {
    revision: BigInt(row.revision),
    eventId: row.event_id,
    kind: row.kind,
    subjectId: row.subject_id,
    version: BigInt(row.version),
    carrier: row.carrier,
    payload: row.payload,
  };
}

export function toHead(row: QueryResultRow): Head {
  return {
    revision: BigInt(row.revision),
    eventId: row.event_id,
    journalId: row.journal_id,
    floor: BigInt(row.floor),
  };
}
