import type { StoredEvent } from "../domain/stored-event.ts";
import type { SubjectKind, SubjectRef } from "../domain/subject.ts";
import type { Fields } from "../store/question.ts";
import type { Checkpoint, Head, SubjectRow } from "./journal.ts";

/*
 * Rows of the reader's statements. Columns are read one after the other: their order is that of the statement's text.
 */

const NO_BYTES = new Uint8Array();
const STATE_COLUMNS = "s.version, s.created_revision, s.changed_revision, s.changed_event_id, s.carrier, s.summary";

// The columns are constrained by what is written: see `Batch`.
const kindOf = (fields: Fields) => fields.integer() as SubjectKind;

/** Of the table `subject`, under the name `s`. */
export const SUBJECT_COLUMNS = `s.kind, s.id, ${STATE_COLUMNS}`;

/** SUBJECT_COLUMNS. */
export function toSubjectRow(fields: Fields): SubjectRow {
  return toRow({ kind: kindOf(fields), id: fields.text() }, fields, false);
}

/** Of the same table, for those who know whom they have asked for. */
export const ASKED_COLUMNS = `${STATE_COLUMNS}, s.details`;

/** The place of one of `refs`, ASKED_COLUMNS. */
export function toAskedRow(fields: Fields, refs: readonly SubjectRef[]): readonly [place: number, row: SubjectRow] {
  const place = fields.integer();
  const ref = refs[place];
  if (ref === undefined) throw new Error(`there is a row for place ${place} of ${refs.length}`);
  return [place, toRow(ref, fields, true)];
}

function toRow({ kind, id }: SubjectRef, fields: Fields, whole: boolean): SubjectRow {
  return {
    kind,
    id,
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

/** Version, revision, recorded and cut in microseconds, history days, summary, details. */
export function toCheckpoint(fields: Fields): Checkpoint {
  return {
    version: fields.bigint(),
    revision: fields.bigint(),
    recordedUs: fields.bigint(),
    cutUs: fields.bigint(),
    historyDays: fields.integer(),
    summary: fields.bytes(),
    details: fields.bytes(),
  };
}
