import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import { type ImportResult, ImportResultSchema, MessageFormat } from "../../../gen/leadline/v1/import_service_pb.ts";
import { ReportOutcome } from "../../../gen/leadline/v1/report_pb.ts";
import type { BookingCall, Effects } from "../../domain/booking-effects.ts";
import type { ListedBy, OwnMeanings } from "../../domain/code-meanings.ts";
import {
  decideObservation,
  decideOrderObservation,
  decideOrderRetraction,
  decideRetraction,
  type ObservedResult,
} from "../../domain/dcsa/observed.ts";
import { type CarrierObservation, type EventIdentity, readTrackingEvent } from "../../domain/dcsa/tracking-event.ts";
import { readCodedEvent } from "../../domain/flows/coded-event.ts";
import { Refusal } from "../../domain/refusal.ts";
import type { Retraction } from "../../domain/reports.ts";
import { type Load, SubjectKind, type SubjectRef } from "../../domain/subject.ts";
import type { Journal } from "../../journal/journal.ts";
import type { Call } from "../call.ts";
import { tenantOf, visibilityOf } from "../command.ts";
import { codedSourceId, parseCodedEvent } from "./coded.ts";
import { fieldsRefused, type ParsedItem } from "./items.ts";
import type { Match, Matcher } from "./matching.ts";
import { notesText, passedOver, taken, unmatched } from "./outcomes.ts";
import { type Sending, sendingOf } from "./senders.ts";

/** An event that was read and is allowed, and what it says. */
export interface ReadEvent {
  readonly item: ParsedItem;
  readonly sending: Sending;
  readonly identity: EventIdentity;
  /** Undefined: what was said under this identity is taken back. */
  readonly observation: CarrierObservation | undefined;
}

/** An event whose code moves nothing: it is in no table, or it is said to move nothing. */
export interface IdleEvent {
  readonly item: ParsedItem;
  readonly identity: EventIdentity;
  /** For people. */
  readonly code: string;
  readonly isMapped: boolean;
  /** The code of a list that tenants may map. */
  readonly listed: ListedBy | undefined;
}

/** Reads an event, of Track & Trace or a coded one. Throws what is wrong with it as a Refusal, and what `sendingOf` throws. */
export function readEvent(call: Call, item: ParsedItem, own: OwnMeanings): ReadEvent | IdleEvent {
  const visibility = visibilityOf(call.principal);
  const named = visibility.class === "carrier" ? visibility.carrier : item.carrier;
  const reading =
    item.format === MessageFormat.CODED_EVENT
      ? readCodedEvent(parseCodedEvent(item.json), own, named)
      : readTrackingEvent(item.json, own, named);
  if (reading.what === "malformed") throw fieldsRefused(reading.violations);
  const identity = reading.what === "observation" ? reading.observation : reading.identity;
  const sending = sendingOf(call, item.carrier, identity);
  if (reading.what === "unmapped") {
    return { item, identity, code: reading.code, isMapped: false, listed: reading.listed };
  }
  if (reading.what === "silent") return { item, identity, code: reading.code, isMapped: true, listed: undefined };
  return { item, sending, identity, observation: reading.what === "observation" ? reading.observation : undefined };
}

/** The event's id as far as it can be read, for the answer of an item that is refused. */
export function sourceIdOf({ format, json }: ParsedItem): string {
  if (format === MessageFormat.CODED_EVENT) return codedSourceId(json);
  const reading = readTrackingEvent(json);
  if (reading.what === "malformed") return reading.sourceId;
  return reading.what === "observation" ? reading.observation.sourceId : reading.identity.sourceId;
}

/**
 * Finds what each event belongs to, in their order. What an event names finds its place also by what events before it in the same
 * import have told: a unit the booking that it travels in, a retraction the event that it takes back.
 */
export async function matchEvents(match: Matcher, events: readonly ReadEvent[], staff: boolean): Promise<Match[]> {
  const matches = await inTurns(events, MATCHED_AT_ONCE, ({ identity, sending }) =>
    match(identity.references, { carrier: sending.carrier, orders: staff }),
  );
  const told = new Map<string, SubjectRef>();
  return events.map((event, i) => {
    const found = matches[i] ?? NOTHING;
    const ref = found.found ?? (found.ambiguous ? undefined : toldBefore(event, told));
    if (ref === undefined) return found;
    if (event.observation !== undefined) {
      told.set(identityKey(event), ref);
      if (ref.kind === SubjectKind.BOOKING && (found.found === undefined || found.open)) {
        for (const unit of event.observation.unitIds) told.set(unitKey(event, unit), ref);
      }
    }
    return found.found === undefined ? { found: ref, open: true } : found;
  });
}

/** An event that nothing was looked up for. */
export const NOTHING: Match = { found: undefined, ambiguous: false, why: "" };

function toldBefore(event: ReadEvent, told: ReadonlyMap<string, SubjectRef>): SubjectRef | undefined {
  if (event.observation === undefined) {
    const taken = told.get(identityKey(event));
    if (taken) return taken;
  }
  const units = event.identity.references.filter(({ type }) => type === "EQ");
  return units.map(({ value }) => told.get(unitKey(event, value))).find((one) => one !== undefined);
}

/** Events whose references are looked up at the same time. */
const MATCHED_AT_ONCE = 8;

async function inTurns<A, B>(all: readonly A[], atOnce: number, work: (one: A) => Promise<B>): Promise<B[]> {
  const results: B[] = [];
  for (let from = 0; from < all.length; from += atOnce) {
    results.push(...(await Promise.all(all.slice(from, from + atOnce).map(work))));
  }
  return results;
}

function unitKey({ sending }: ReadEvent, unit: string): string {
  return JSON.stringify(["unit", sending.carrier, unit]);
}

function identityKey({ sending, identity }: ReadEvent): string {
  return JSON.stringify(["event", sending.source, identity.sourceId]);
}

/** The result of an event that belongs to nothing, or cannot be told. */
export function unmatchedEvent(event: ReadEvent, match: Extract<Match, { found: undefined }>): ImportResult {
  const reason = match.ambiguous ? ErrorReason.MATCH_AMBIGUOUS : ErrorReason.BOOKING_UNKNOWN;
  return unmatched(event.identity.sourceId, reason, match.why);
}

/** The result of an event whose code moves nothing. */
export function idleEvent({ identity, code, isMapped }: IdleEvent): ImportResult {
  if (isMapped) return passedOver(identity.sourceId, `${code} is known and moves nothing`);
  return unmatched(identity.sourceId, ErrorReason.CODE_UNMAPPED, `${code} is not in the mapping table`);
}

/** Submits what an event says to what it belongs to. Submits before it awaits anything; rejects with a Refusal. */
export async function importEvent(
  journal: Journal,
  call: Call,
  event: ReadEvent,
  target: SubjectRef,
): Promise<ImportResult> {
  const { item, identity, observation } = event;
  const visibility = visibilityOf(call.principal);
  const staff = visibility.class === "staff";
  const notes = observation === undefined ? "" : notesText(observation.notes);
  return journal.submit({
    tenant: tenantOf(call),
    actor: call.principal.id,
    subjects: [target],
    request: undefined,
    bytes: item.text.length,
    decide: (load, now) => {
      const on: BookingCall = { bookingId: target.id, visibility, etag: "" };
      const effects = decideEvent(load, now, on, event, target);
      if ("needs" in effects) return effects;
      const { outcome, flags, orderIds } = effects;
      const message = outcome === ReportOutcome.APPLIED ? notes : "";
      const result = { outcome, flags, sourceId: identity.sourceId, target, orderIds: staff ? orderIds : [], message };
      return { drafts: effects.drafts, answer: () => taken(result) };
    },
    answer: ImportResultSchema,
  });
}

type Now = Parameters<typeof decideObservation>[1];

function decideEvent(
  load: Load,
  now: Now,
  on: BookingCall,
  { identity, sending: { source }, observation }: ReadEvent,
  target: SubjectRef,
): Effects<ObservedResult> {
  const toBooking = target.kind === SubjectKind.BOOKING;
  if (observation !== undefined) {
    return toBooking
      ? decideObservation(load, now, on, observation, source)
      : decideOrderObservation(load, now, target.id, observation, source);
  }
  const { sourceId, sourceUpdatedAt } = identity;
  const retraction: Retraction = { source, sourceId, sourceUpdatedAt, reason: "taken back by its source" };
  const effects = toBooking
    ? decideRetraction(load, now, on, retraction)
    : decideOrderRetraction(load, now, target.id, retraction);
  return "needs" in effects ? effects : { ...withoutFlags(effects), orderIds: toBooking ? [] : [target.id] };
}

function withoutFlags<E extends { readonly outcome: ReportOutcome }>(effects: E): E & { readonly flags: [] } {
  return { ...effects, flags: [] };
}

/** Whether a refusal means that what was matched has gone or is not to be seen: the item belongs on the work list. */
export function isGone(error: unknown): error is Refusal {
  return (
    error instanceof Refusal &&
    (error.reason === ErrorReason.BOOKING_UNKNOWN || error.reason === ErrorReason.ORDER_UNKNOWN)
  );
}
