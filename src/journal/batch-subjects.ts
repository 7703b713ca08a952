import { fromBinary } from "@bufbuild/protobuf";
import { OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { lookupKeys, sameLookups } from "../domain/facets.ts";
import type { FlowRef } from "../domain/status-flow.ts";
import type { Place } from "../domain/stored-event.ts";
import { type Load, type Subject, SubjectKind, type SubjectRef } from "../domain/subject.ts";
import type { FlowLibrary } from "../store/flow-library.ts";
import { decodeSubject, encodeDetails, type ReadSubject } from "../wire/subject-row.ts";
import type { BatchWrites } from "./batch-writes.ts";
import type { SubjectRow } from "./journal.ts";
import type { Standing } from "./standing.ts";

/** A subject as the batch has it: as loaded, with the batch's own events applied. */
export interface Working {
  /** As loaded, or as it was last written. */
  readonly row: SubjectRow | undefined;
  /** The same, decoded when first asked for. */
  original: Subject | undefined;
  subject: Subject | undefined;
  version: bigint;
  place: Place | undefined;
  /** Of its first event. */
  createdRevision: bigint | undefined;
  summary: Uint8Array | undefined;
  /** What it takes, at most: as loaded, with the requests that changed it since. */
  bytes: number;
  /** What events gave it since, where that differs from the row's. */
  standing: Standing | undefined;
}

/** The subjects of one transaction: what was loaded under the locks, and what the batch's events made of it. */
export class BatchSubjects {
  readonly #byKey = new Map<string, Working>();
  /** Keys of those that have changed since they were last written. */
  #changed = new Set<string>();
  readonly #flows: FlowLibrary;

  /** @param flows where orders' flows are found */
  constructor(flows: FlowLibrary) {
    this.#flows = flows;
  }

  /** Takes in the rows that exist of the subjects that were asked for; those it has stay as they are. */
  load(tenant: string, asked: readonly SubjectRef[], rows: ReadonlyMap<string, SubjectRow>): void {
    for (const ref of asked) {
      const key = subjectMapKey(tenant, ref);
      if (this.#byKey.has(key)) continue;
      const row = rows.get(key);
      this.#byKey.set(key, {
        row,
        original: undefined,
        subject: undefined,
        version: row?.version ?? 0n,
        place: row && { revision: row.changedRevision, eventId: row.changedEventId },
        createdRevision: row?.createdRevision,
        summary: undefined,
        bytes: row ? row.summary.length + row.details.length : 0,
        standing: undefined,
      });
    }
  }

  has(tenant: string, ref: SubjectRef): boolean {
    return this.#byKey.has(subjectMapKey(tenant, ref));
  }

  /** The subjects of a tenant, for a decision. */
  of(tenant: string): Load {
    return Object.assign((ref: SubjectRef) => this.current(tenant, ref), {
      has: (ref: SubjectRef) => this.has(tenant, ref),
    });
  }

  /** As it is by now; undefined: it does not exist. Throws FlowMissing. */
  current(tenant: string, ref: SubjectRef): Subject | undefined {
    return this.subjectOf(tenant, this.working(tenant, ref));
  }

  subjectOf(tenant: string, working: Working): Subject | undefined {
    if (working.subject === undefined && working.row !== undefined) {
      working.original = decodeSubject(working.row.kind, working.row, this.#flows.of(tenant));
      working.subject = working.original;
    }
    return working.subject;
  }

  /** Throws when it was never asked for. */
  working(tenant: string, ref: SubjectRef): Working {
    const working = this.#byKey.get(subjectMapKey(tenant, ref));
    if (!working) throw new Error(`${ref.id} was not named by the command`);
    return working;
  }

  /** Takes over what a command has changed, by `subjectMapKey`. */
  keep(changed: ReadonlyMap<string, Working>): void {
    for (const [key, working] of changed) {
      this.#byKey.set(key, working);
      this.#changed.add(key);
    }
  }

  /** A flow that a decision came upon, and those of the tenant's other subjects that are not here either: rare. */
  missingFlows(tenant: string, found: FlowRef): FlowRef[] {
    const refs = new Map([[`${found.id} ${found.version}`, found]]);
    for (const [key, { row }] of this.#byKey) {
      if (row?.kind !== SubjectKind.ORDER || !key.startsWith(`${tenant}\0`)) continue;
      const { flowId: id, flowVersion: version } = fromBinary(OrderSchema, row.summary);
      if (this.#flows.isMissing(tenant, { id, version })) refs.set(`${id} ${version}`, { id, version });
    }
    return [...refs.values()];
  }

  /** Gathers the rows of those that were made or changed since the last time. */
  writeTo(writes: BatchWrites): void {
    for (const key of this.#changed) {
      const working = this.#byKey.get(key);
      if (working?.summary === undefined || working.subject === undefined || working.place === undefined) continue;
      const { subject, version, place, summary, standing } = working;
      const createdRevision = working.createdRevision ?? place.revision;
      const bytes = { summary, details: encodeDetails(subject, asRead(working)) };
      const keys = changedKeys(working.original, subject);
      const tenant = key.slice(0, key.indexOf("\0"));
      const { row } = working;
      writes.subject(tenant, { row, subject, version, createdRevision, place, bytes, standing, ...keys });
      const carrier = subject.kind === SubjectKind.BOOKING ? subject.booking.carrier : "";
      const { id } = subject.kind === SubjectKind.BOOKING ? subject.booking : subject.order;
      const [changedRevision, changedEventId] = [place.revision, place.eventId];
      const written = { kind: subject.kind, id, version, createdRevision, changedRevision, changedEventId, carrier };
      const kept = { ...working, original: subject, summary: undefined, standing: undefined };
      this.#byKey.set(key, { ...kept, row: { ...written, ...bytes } });
    }
    this.#changed = new Set();
  }
}

export function subjectMapKey(tenant: string, ref: SubjectRef): string {
  return `${tenant}\0${ref.kind}\0${ref.id}`;
}

/** A subject as its row had it; undefined: it is new, or was not looked at. */
function asRead({ original, row }: Working): ReadSubject | undefined {
  return original && row && { subject: original, details: row.details };
}

const NO_KEYS: ReadonlySet<string> = new Set();

/** The lookup keys that a subject no longer has, and those that it has now. Mostly none: they are not even listed then. */
function changedKeys(before: Subject | undefined, after: Subject): { gone: string[]; added: string[] } {
  if (before !== undefined && sameLookups(before, after)) return { gone: [], added: [] };
  const had = before === undefined ? NO_KEYS : lookupKeys(before);
  const has = lookupKeys(after);
  return { gone: difference(had, has), added: difference(has, had) };
}

function difference(a: ReadonlySet<string>, b: ReadonlySet<string>): string[] {
  return [...a].filter((key) => !b.has(key));
}
