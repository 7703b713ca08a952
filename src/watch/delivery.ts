import type { Place } from "../domain/stored-event.ts";
import type { Cohort, Verdict } from "./cohort.ts";
import type { Encoder } from "./encoder.ts";
import type { Slot } from "./slot.ts";

/** One message of a delivery, and the place of the last event in it. */
export interface Run {
  readonly message: Uint8Array;
  readonly at: Place;
  readonly events: number;
  /** Made for one watcher alone: see `Sink.write`. */
  readonly isLast?: boolean;
}

/** What a stretch of the journal is to one cohort: messages in order, and the place that it leads to once all are written. */
export interface Delivery {
  readonly cohort: Cohort;
  readonly runs: readonly Run[];
  readonly upTo: Place;
}

/** A subject that left takes about so much of a message. */
const LEFT_BYTES = 160;

interface Judged {
  readonly slot: Slot;
  readonly verdict: Exclude<Verdict, undefined>;
}

/**
 * Makes the messages that bring a cohort over these events, which are dense up to `upTo` as far as they concern it.
 * Neighbours of one sort share a message, up to `maxBytes`.
 *
 * @param hiddenUpTo mode LATEST: up to this revision events that said that a subject left may have been passed over, so one
 *   that does not match says it, too. A client that never had the subject loses nothing.
 */
export function deliveryOf(
  cohort: Cohort,
  slots: readonly Slot[],
  upTo: Place,
  encoder: Encoder,
  maxBytes: number,
  hiddenUpTo = 0n,
): Delivery {
  const judged = judge(cohort, slots, hiddenUpTo);
  const told = cohort.mode === "ALL" ? judged : lastOfEach(judged);
  return { cohort, runs: runsOf(cohort, told, encoder, maxBytes), upTo };
}

function judge(cohort: Cohort, slots: readonly Slot[], hiddenUpTo: bigint): Judged[] {
  const judged: Judged[] = [];
  for (const slot of slots) {
    if (!cohort.concerns(slot)) continue;
    const verdict = cohort.verdict(slot) ?? (slot.place.revision <= hiddenUpTo ? "left" : undefined);
    if (verdict) judged.push({ slot, verdict });
  }
  return judged;
}

/**
 * The last event of each subject that says something to the cohort. One that says nothing does not replace one that does:
 * a subject that left and then changed again has still left, there and not later.
 */
function lastOfEach(judged: readonly Judged[]): Judged[] {
  const bySubject = new Map<string, Judged>();
  for (const next of judged) {
    const id = next.slot.event.subjectId;
    bySubject.delete(id); // to the end: what is sent is ordered by its last event
    bySubject.set(id, next);
  }
  return [...bySubject.values()];
}

function runsOf(cohort: Cohort, judged: readonly Judged[], encoder: Encoder, maxBytes: number): Run[] {
  const runs: Run[] = [];
  let open: Judged[] = [];
  let bytes = 0;
  const close = (): void => {
    const last = open.at(-1);
    if (!last) return;
    const slots = open.map(({ slot }) => slot);
    const message = last.verdict === "event" ? encoder.events(slots, cohort) : encoder.left(slots, cohort);
    runs.push({ message, at: last.slot.place, events: slots.length });
    open = [];
    bytes = 0;
  };
  for (const next of judged) {
    const size = next.verdict === "event" ? encoder.piece(next.slot, cohort).length + 1 : LEFT_BYTES;
    if (open[0] && (open[0].verdict !== next.verdict || bytes + size > maxBytes)) close();
    open.push(next);
    bytes += size;
  }
  close();
  return runs;
}
