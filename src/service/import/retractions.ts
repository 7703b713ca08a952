import { findReport } from "../../domain/reports.ts";
import { bookingRef, orderRef, SubjectKind, type SubjectRef } from "../../domain/subject.ts";
import type { JournalReader } from "../../journal/journal.ts";
import { decodeDetails } from "../../wire/subject-row.ts";
import type { ReadEvent } from "./events.ts";
import type { Match } from "./matching.ts";

/*
 * Track & Trace 3.0 lets a retraction carry nothing but the event's id. Where no reference tells what it belongs to, what the source
 * said before under that id does: it is looked for among the newest of the carrier's bookings, then of the orders. One that is not
 * found there goes to the work list.
 */

/** Bookings, and orders, that are looked through for one retraction, the newest first. */
const SEARCHED_MAX = 200;
/** How many of them are read at a time. */
const READ_AT_ONCE = 20;

/**
 * Where the source said before what retractions without references take back: by the event. Those that are not found are left out.
 * Every booking and order is read once, however many retractions there are.
 */
export async function findWhatWasSaid(
  journal: Pick<JournalReader, "rows" | "subject">,
  tenant: string,
  retractions: readonly ReadEvent[],
  staff: boolean,
): Promise<Map<ReadEvent, SubjectRef>> {
  const found = new Map<ReadEvent, SubjectRef>();
  const query = { tenant, limit: SEARCHED_MAX };
  for (const [carrier, events] of Map.groupBy(retractions, (one) => one.sending.carrier)) {
    const rows = await journal.rows({ ...query, kind: SubjectKind.BOOKING, carriers: [carrier] });
    await lookThrough(
      journal,
      tenant,
      rows.map(({ id }) => bookingRef(id)),
      events,
      found,
    );
  }
  const left = retractions.filter((one) => !found.has(one));
  if (staff && left.length > 0) {
    const rows = await journal.rows({ ...query, kind: SubjectKind.ORDER });
    await lookThrough(
      journal,
      tenant,
      rows.map(({ id }) => orderRef(id)),
      left,
      found,
    );
  }
  return found;
}

/** Whether only what was said before can tell what an event belongs to. */
export function needsWhatWasSaid(event: ReadEvent, match: Match): boolean {
  if (match.found !== undefined || match.ambiguous) return false;
  return event.observation === undefined && event.identity.references.length === 0;
}

async function lookThrough(
  journal: Pick<JournalReader, "subject">,
  tenant: string,
  refs: readonly SubjectRef[],
  events: readonly ReadEvent[],
  found: Map<ReadEvent, SubjectRef>,
): Promise<void> {
  for (let from = 0; from < refs.length; from += READ_AT_ONCE) {
    const left = events.filter((event) => !found.has(event));
    if (left.length === 0) return;
    const some = refs.slice(from, from + READ_AT_ONCE);
    const rows = await Promise.all(some.map((ref) => journal.subject(tenant, ref)));
    for (const row of rows) {
      if (row === undefined) continue;
      const { reports } = decodeDetails(row.kind, row.details);
      for (const event of left.filter((one) => !found.has(one))) {
        const identity = { source: event.sending.source, sourceId: event.identity.sourceId };
        if (findReport(reports, identity) !== undefined) found.set(event, { kind: row.kind, id: row.id });
      }
    }
  }
}
