import type { Place, StoredEvent } from "../domain/stored-event.ts";
import { type Subject, SubjectKind } from "../domain/subject.ts";
import type { Statement } from "../store/flight.ts";
import type { Scalar } from "../store/question.ts";
import type { SubjectBytes } from "../wire/subject-row.ts";
import type { RequestIdentity, SubjectRow } from "./journal.ts";
import {
  Columns,
  deleteReferences,
  insertEvents,
  insertReferences,
  insertRequests,
  insertStanding,
  insertSubjects,
  updateStanding,
  updateSubjects,
} from "./sql.ts";
import type { Standing } from "./standing.ts";

/** A subject that the batch made or changed. */
export interface SubjectWrite {
  /** As it was loaded; undefined: it is new. */
  readonly row: SubjectRow | undefined;
  readonly subject: Subject;
  readonly version: bigint;
  readonly createdRevision: bigint;
  /** Its last event. */
  readonly place: Place;
  readonly bytes: SubjectBytes;
  /** Undefined: as the row has it, or as most new rows have it. */
  readonly standing: Standing | undefined;
  /** Lookup keys that it no longer has, and that it has now. */
  readonly gone: readonly string[];
  readonly added: readonly string[];
}

const NO_COLUMNS: readonly Scalar[] = [];

/** Rows of a batch, gathered by statement. */
export class BatchWrites {
  readonly #events = new Columns(9);
  readonly #newSubjects = new Columns(13);
  readonly #changedSubjects = new Columns(13);
  readonly #newStanding = new Columns(16);
  readonly #changedStanding = new Columns(16);
  readonly #goneReferences = new Columns(5);
  readonly #newReferences = new Columns(5);
  readonly #requests = new Columns(5);

  /** Whether nothing would be written. */
  get isEmpty(): boolean {
    return this.#events.length === 0 && this.#requests.length === 0;
  }

  event(tenant: string, e: StoredEvent, nowUs: bigint): void {
    this.#events.push(tenant, e.revision, e.eventId, e.kind, e.subjectId, e.version, e.carrier, nowUs, e.payload);
  }

  subject(tenant: string, write: SubjectWrite): void {
    const { subject, row, place, version, createdRevision: created } = write;
    const isOrder = subject.kind === SubjectKind.ORDER;
    const { kind } = subject;
    const { id } = isOrder ? subject.order : subject.booking;
    const rows = this.#rowsOf(row, write.standing);
    const standing = write.standing
      ? [write.standing.flowId, write.standing.flowVersion, write.standing.endedUs]
      : NO_COLUMNS;
    const { summary, details } = write.bytes;
    const { revision, eventId } = place;
    const status = isOrder ? subject.order.status : "";
    const stage = isOrder ? subject.order.phase : subject.booking.state;
    const space = isOrder ? 0 : subject.booking.space;
    const carrier = isOrder ? "" : subject.booking.carrier;
    rows.push(
      tenant,
      kind,
      id,
      version,
      created,
      revision,
      eventId,
      status,
      stage,
      space,
      carrier,
      summary,
      details,
      ...standing,
    );
    for (const key of write.gone) this.#goneReferences.push(tenant, kind, key, id, created);
    for (const key of write.added) this.#newReferences.push(tenant, kind, key, id, created);
  }

  /** Rows whose flow and end stay as they are travel without them. */
  #rowsOf(row: SubjectRow | undefined, standing: Standing | undefined): Columns {
    if (standing === undefined) return row ? this.#changedSubjects : this.#newSubjects;
    return row ? this.#changedStanding : this.#newStanding;
  }

  request(tenant: string, request: RequestIdentity, answer: Uint8Array, nowUs: bigint): void {
    this.#requests.push(tenant, nowUs, request.key, request.hash, answer);
  }

  statements(): Statement[] {
    const all: readonly [Columns, (values: Columns["values"]) => Statement][] = [
      [this.#events, insertEvents],
      [this.#newSubjects, insertSubjects],
      [this.#changedSubjects, updateSubjects],
      [this.#newStanding, insertStanding],
      [this.#changedStanding, updateStanding],
      [this.#goneReferences, deleteReferences],
      [this.#newReferences, insertReferences],
      [this.#requests, insertRequests],
    ];
    return all.filter(([rows]) => rows.length > 0).map(([rows, statement]) => statement(rows.values));
  }
}
