import type { Place, StoredEvent } from "../domain/stored-event.ts";
import type { SubjectKind } from "../domain/subject.ts";
import type { Fields } from "../store/question.ts";
import type { Head, Stretch, SubjectRow } from "./journal.ts";

/*
 * Rows of the reader's statements. Columns are read one after the other: their order is that of the statement's text.
 */

const NO_BYTES = new Uint8Array();

// The columns are constrained by what is written: see `Batch`.
const kindOf = (fields: Fields) => fields.integer() as SubjectKind;

/** Of the table `subject`, under the name `s`. */
export const SUBJECT_COLUMNS = `s.tenant_id, s.kind, s.id, s.version, s.created_revision, s.changed_revision, s.changed_event_id,
                s.carrier, s.summary`;

export interface OwnedRow extends SubjectRow {
  readonly tenant: string;
}

/** SUBJECT_COLUMNS, and then details. */
export function toWholeRow(fields: Fields): OwnedRow {
  return toOwnedRow(fields, true);
}

/** SUBJECT_COLUMNS. */
export function toSubjectRow(fields: Fields): SubjectRow {
  return toOwnedRow(fields, false);
}

function toOwnedRow(fields: Fields, whole: boolean): OwnedRow {
  return {
    tenant: fields.text(),
    kind: kindOf(fields),
    id: fields.text(),
    version: fields.bigint(),
    createdRevision: fields.bigint(),
    changedRevision: fields.bigint(),
    changedEventId: fields.text(),
    carrier: fields.text(),
    summary: fields.bytes(),
    details: whole ? fields.bytes() : NO_BYTES,
  };
}

export const EVENT_COLUMNS = "revision, event_id, kind, subject_id, version, carrier, payload";

/** EVENT_COLUMNS. */
export function toStoredEvent(fields: Fields): StoredEvent {
  return {
    revision: fields.bigint(),
    eventId: fields.text(),
    kind: kindOf(fields),
    subjectId: fields.text(),
    version: fields.bigint(),
    carrier: fields.text(),
    payload: fields.bytes(),
  };
}

/** Tenant, journal id, revision, event id, floor. */
export function toHead(fields: Fields): readonly [tenant: string, head: Head] {
  const tenant = fields.text();
  const journalId = fields.text();
  return [tenant, { journalId, revision: fields.bigint(), eventId: fields.text(), floor: fields.bigint() }];
}

/** Predecessor's event id, all events, last revision, last event id, events of the kind, their payloads. */
export function toStretch(fields: Fields): Stretch {
  const predecessor = fields.maybeText();
  const all = fields.integer();
  const last: Place = { revision: fields.bigint(), eventId: fields.text() };
  return { predecessor, all, last, events: fields.integer(), payloads: fields.bytes() };
}
