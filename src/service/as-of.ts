import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { evolve } from "../domain/evolve.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Subject, SubjectRef } from "../domain/subject.ts";
import { compareTimestamps } from "../domain/times.ts";
import type { JournalReader } from "../journal/journal.ts";
import { decodeEvents } from "../wire/event-view.ts";

/** Events that are read from the journal in one query when a history is folded. */
const FOLD_EVENTS = 500;
/** Bytes that are read in one query when a history is folded. */
const FOLD_BYTES = 4 * 1024 * 1024;

/** A moment of the journal, that moment included. */
export type Moment = { readonly revision: bigint } | { readonly time: Timestamp };

/**
 * A subject as it was at a moment, folded from its history; undefined: it was not there yet. Rejects with
 * EVENT_SHAPE_UNKNOWN when its history has an event of a newer release.
 */
export async function subjectAsOf(
  journal: JournalReader,
  tenant: string,
  ref: SubjectRef,
  moment: Moment,
): Promise<Subject | undefined> {
  let subject: Subject | undefined;
  let next = 1n;
  for (;;) {
    const page = await journal.history(tenant, ref, next, FOLD_EVENTS, FOLD_BYTES);
    const last = page.at(-1);
    if (last === undefined) return subject;
    for (const event of page.flatMap((stored) => decodeEvents(stored.payload))) {
      if (isAfter(event, moment)) return subject;
      subject = fold(subject, event, ref);
    }
    next = last.version + 1n;
  }
}

function isAfter(event: Event, moment: Moment): boolean {
  if ("revision" in moment) return event.revision > moment.revision;
  return event.recordedAt !== undefined && compareTimestamps(event.recordedAt, moment.time) > 0;
}

function fold(subject: Subject | undefined, event: Event, ref: SubjectRef): Subject {
  if (event.change.case === undefined || event.recordedAt === undefined) {
    throw new Refusal(
      ErrorReason.EVENT_SHAPE_UNKNOWN,
      `event ${event.position} of "${ref.id}" is of a newer release; ask an instance of that release`,
      { metadata: { subject_id: ref.id, position: event.position } },
    );
  }
  return evolve(subject, event.change, { version: event.version, recordedAt: event.recordedAt }, ref);
}
