import { fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { evolve } from "../domain/evolve.ts";
import { Refusal } from "../domain/refusal.ts";
import type { FlowRef } from "../domain/status-flow.ts";
import { type Flows, type Subject, SubjectKind, type SubjectRef } from "../domain/subject.ts";
import { compareTimestamps } from "../domain/times.ts";
import type { Checkpoint, JournalReader } from "../journal/journal.ts";
import { decodeEvents } from "../wire/event-view.ts";
import { decodeSubject } from "../wire/subject-row.ts";
import { historyCut, readKept, timestampOf } from "./kept-history.ts";

/** Events that are read from the journal in one query when a history is folded. */
const FOLD_EVENTS = 500;
/** Bytes that are read in one query when a history is folded. */
const FOLD_BYTES = 4 * 1024 * 1024;

/** A moment of the journal, that moment included. */
export type Moment = { readonly revision: bigint } | { readonly time: Timestamp };

/**
 * A subject as it was at a moment, folded from its history, or from the checkpoint where that was cut; undefined: it was not
 * there yet. Rejects with HISTORY_CUT when the moment lies before the checkpoint, and with EVENT_SHAPE_UNKNOWN when its history
 * has an event of a newer release.
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
    const query = { tenant, ref, from: next, limit: FOLD_EVENTS, maxBytes: FOLD_BYTES };
    const { events, cut } = await readKept(journal, query);
    if (cut !== undefined && cut.version >= next) {
      if (isBefore(moment, cut)) throw historyCut(ref.id, cut);
      subject = await restored(journal, tenant, ref, cut);
      next = cut.version + 1n;
    }
    const last = events.at(-1);
    if (last === undefined) return subject;
    for (const event of events.flatMap((stored) => decodeEvents(stored.payload))) {
      if (isAfter(event, moment)) return subject;
      const flow = flowOf(event);
      if (flow !== undefined) await journal.flows.fetch(tenant, [flow]);
      subject = fold(subject, event, ref, journal.flows.of(tenant));
    }
    next = last.version + 1n;
  }
}

/** What the checkpoint says may be later than the moment. */
function isBefore(moment: Moment, cut: Checkpoint): boolean {
  if ("revision" in moment) return moment.revision < cut.revision;
  return compareTimestamps(moment.time, timestampOf(cut.recordedUs)) < 0;
}

async function restored(journal: JournalReader, tenant: string, ref: SubjectRef, cut: Checkpoint): Promise<Subject> {
  if (ref.kind === SubjectKind.ORDER) {
    const { flowId: id, flowVersion: version } = fromBinary(OrderSchema, cut.summary);
    await journal.flows.fetch(tenant, [{ id, version }]);
  }
  return decodeSubject(ref.kind, cut, journal.flows.of(tenant));
}

function isAfter(event: Event, moment: Moment): boolean {
  if ("revision" in moment) return event.revision > moment.revision;
  return event.recordedAt !== undefined && compareTimestamps(event.recordedAt, moment.time) > 0;
}

/** The flow that an event brings an order into. */
function flowOf({ change }: Event): FlowRef | undefined {
  if (change.case === "orderCreated") return { id: change.value.flowId, version: change.value.flowVersion };
  if (change.case === "orderMoved") return { id: change.value.toFlowId, version: change.value.toVersion };
  return undefined;
}

function fold(subject: Subject | undefined, event: Event, ref: SubjectRef, flows: Flows): Subject {
  if (event.change.case === undefined || event.recordedAt === undefined) {
    throw new Refusal(
      ErrorReason.EVENT_SHAPE_UNKNOWN,
      `event ${event.position} of "${ref.id}" is of a newer release; ask an instance of that release`,
      { metadata: { subject_id: ref.id, position: event.position } },
    );
  }
  return evolve(subject, event.change, { version: event.version, recordedAt: event.recordedAt }, ref, flows);
}
