import type { QueryResultRow } from "pg";
import type { SubjectRow } from "./journal.ts";

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
