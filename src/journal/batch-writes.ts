import type { Place, StoredEvent } from "../domain/stored-event.ts";
import { type Subject, SubjectKind } from "../domain/subject.ts";
import type { Statement } from "../store/connection.ts";
import type { SubjectBytes } from "../wire/subject-row.ts";
import type { RequestIdentity, SubjectRow } from "./journal.ts";
import {
  Columns,
  deleteReferences,
  insertEvents,
  insertReferences,
  insertRequests,
  insertSubjects,
  moveHeads,
  updateSubjects,
} from "./sql.ts";

/** A subject that the batch made or changed. */
export interface SubjectWrite {
  /** As it was loaded; undefined: it is new. */
  readonly row: SubjectRow | undefined;
  readonly subject: Subject;
  readonly version: bigint;
  /** Its last event. */
  readonly place: Place;
  readonly bytes: SubjectBytes;
  /** Lookup keys that it no longer has, and that it has now. */
  readonly gone: readonly string[];
  readonly added: readonly string[];
}

/** The rows of one batch, gathered by statement. */
export class BatchWrites {
  readonly #events = new Columns(8, 1);
  readonly #newSubjects = new Columns(11, 2);
  readonly #changedSubjects = new Columns(11, 2);
  readonly #goneReferences = new Columns(4, 0);
  readonly #newReferences = new Columns(4, 0);
  readonly #requests = new Columns(2, 3);
  readonly #heads = new Columns(4, 0);
  readonly #createdAt = new Map<string, bigint>();

  /** Whether nothing would be written. */
  get isEmpty(): boolean {
    return this.#events.length === 0 && this.#requests.length === 0;
  }

  event(tenant: string, e: StoredEvent, nowUs: bigint): void {
    if (e.version === 1n) this.#createdAt.set(`${tenant}\0${e.kind}\0${e.subjectId}`, e.revision);
    const values = [tenant, e.revision, e.eventId, e.kind, e.subjectId, e.version, e.carrier, nowUs];
    this.#events.push(values, [e.payload]);
  }

  subject(tenant: string, write: SubjectWrite): void {
    const { subject, row, place } = write;
    const { kind } = subject;
    const id = kind === SubjectKind.ORDER ? subject.order.id : subject.booking.id;
    const created = row?.createdRevision ?? this.#createdAt.get(`${tenant}\0${kind}\0${id}`) ?? place.revision;
    const columns =
      kind === SubjectKind.ORDER
        ? [subject.order.status, subject.order.phase, 0, ""]
        : ["", subject.booking.state, subject.booking.space, subject.booking.carrier];
    const values = [tenant, kind, id, write.version, created, place.revision, place.eventId, ...columns];
    const target = row ? this.#changedSubjects : this.#newSubjects;
    target.push(values, [write.bytes.summary, write.bytes.details]);
    for (const key of write.gone) this.#goneReferences.push([tenant, kind, key, id], []);
    for (const key of write.added) this.#newReferences.push([tenant, kind, key, id], []);
  }

  request(tenant: string, request: RequestIdentity, answer: Uint8Array, nowUs: bigint): void {
    this.#requests.push([tenant, nowUs], [request.key, request.hash, answer]);
  }

  head(tenant: string, place: Place, nowUs: bigint): void {
    this.#heads.push([tenant, place.revision, place.eventId, nowUs], []);
  }

  statements(): Statement[] {
    const all: readonly [Columns, (rows: Columns) => Statement][] = [
      [this.#events, insertEvents],
      [this.#newSubjects, insertSubjects],
      [this.#changedSubjects, updateSubjects],
      [this.#goneReferences, deleteReferences],
      [this.#newReferences, insertReferences],
      [this.#requests, insertRequests],
      [this.#heads, moveHeads],
    ];
    return all.filter(([rows]) => rows.length > 0).map(([rows, statement]) => statement(rows));
  }
}
