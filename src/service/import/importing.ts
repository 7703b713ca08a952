import { type ImportResult, MessageFormat } from "../../../gen/leadline/v1/import_service_pb.ts";
import { type ListedBy, nothingOwn, type OwnMeanings } from "../../domain/code-meanings.ts";
import type { Journal } from "../../journal/journal.ts";
import type { Call } from "../call.ts";
import { tenantOf, visibilityOf } from "../command.ts";
import {
  idleEvent,
  importEvent,
  isGone,
  matchEvents,
  NOTHING,
  type ReadEvent,
  readEvent,
  sourceIdOf,
  unmatchedEvent,
} from "./events.ts";
import type { ParsedItem } from "./items.ts";
import { createMatcher, type Match } from "./matching.ts";
import { refused } from "./outcomes.ts";
import { importBookingRequest } from "./requests.ts";
import { findWhatWasSaid, needsWhatWasSaid } from "./retractions.ts";

/** What became of an item. */
export interface Imported {
  readonly result: ImportResult;
  /** The code that it waits for. */
  readonly unmapped?: ListedBy | undefined;
}

/** Reads what codes mean to the tenant itself. */
export type ReadMeanings = () => Promise<OwnMeanings>;

/**
 * Imports items and says what became of each. Booking requests go first, so that events of the same import find the bookings; then
 * all events are matched, and submitted in their order: the journal keeps the order of what is submitted, so events of one booking
 * keep theirs, and those of different bookings share batches. Rejects only with a Refusal that says nothing of the items.
 */
export async function importParsed(
  journal: Journal,
  call: Call,
  items: readonly ParsedItem[],
  readMeanings: ReadMeanings,
  onFault: (error: unknown) => void,
): Promise<Imported[]> {
  const results = new Map<ParsedItem, Imported>();
  const isRequest = ({ format }: ParsedItem) => format === MessageFormat.DCSA_BOOKING_2;
  const requests = items.filter(isRequest);
  const requested = await Promise.allSettled(requests.map((item) => importBookingRequest(journal, call, item)));
  for (const [i, item] of requests.entries()) results.set(item, { result: settledResult(requested[i], "", onFault) });

  const events: ReadEvent[] = [];
  const own = requests.length < items.length ? await readMeanings() : nothingOwn;
  for (const item of items.filter((one) => !isRequest(one))) {
    try {
      const event = readEvent(call, item, own);
      if ("code" in event) results.set(item, { result: idleEvent(event), unmapped: event.listed });
      else events.push(event);
    } catch (error) {
      results.set(item, { result: refused(error, sourceIdOf(item), onFault) });
    }
  }
  for (const [event, result] of await importEvents(journal, call, events, onFault)) {
    results.set(event.item, { result });
  }
  return items.map((item) => {
    const result = results.get(item);
    if (result === undefined) throw new Error("an item was imported without a result");
    return result;
  });
}

async function importEvents(
  journal: Journal,
  call: Call,
  events: readonly ReadEvent[],
  onFault: (error: unknown) => void,
): Promise<Map<ReadEvent, ImportResult>> {
  const staff = visibilityOf(call.principal).class === "staff";
  const tenant = tenantOf(call);
  const matched = await matchEvents(createMatcher(journal, tenant), events, staff);
  const searched = events.filter((event, i) => needsWhatWasSaid(event, matched[i] ?? NOTHING));
  const said = await findWhatWasSaid(journal, tenant, searched, staff);
  const matches = events.map((event, i): Match => {
    const found = said.get(event);
    return found ? { found, open: true } : (matched[i] ?? NOTHING);
  });
  const submitted = await Promise.allSettled(
    events.map((event, i) => {
      const match = matches[i];
      if (match === undefined) throw new Error("an event was matched without a result");
      return match.found === undefined
        ? Promise.resolve(unmatchedEvent(event, match))
        : importEvent(journal, call, event, match.found);
    }),
  );
  return new Map(
    events.map((event, i) => {
      const answer = submitted[i];
      if (answer?.status === "rejected" && isGone(answer.reason)) {
        const why = { found: undefined, ambiguous: false, why: answer.reason.message } as const;
        return [event, unmatchedEvent(event, why)];
      }
      return [event, settledResult(answer, event.identity.sourceId, onFault)];
    }),
  );
}

function settledResult(
  answer: PromiseSettledResult<ImportResult> | undefined,
  sourceId: string,
  onFault: (error: unknown) => void,
): ImportResult {
  if (answer === undefined) throw new Error("an item was submitted without an answer");
  return answer.status === "fulfilled" ? answer.value : refused(answer.reason, sourceId, onFault);
}
