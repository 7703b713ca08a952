import {
  AmendmentState,
  AmendmentStateSchema,
  type Booking,
  BookingState,
  BookingStateSchema,
  CancellationState,
  CancellationStateSchema,
} from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingVerb, BookingVerbSchema } from "../../gen/leadline/v1/event_pb.ts";
import { TransportMode, TransportModeSchema } from "../../gen/leadline/v1/place_pb.ts";
import { Refusal } from "./refusal.ts";

/** The three axes of a booking. They are never merged: each verb moves one, two or all of them. */
export interface Axes {
  readonly state: BookingState;
  /** UNSPECIFIED: there is no amendment. */
  readonly amendment: AmendmentState;
  /** UNSPECIFIED: no cancellation was asked for. */
  readonly cancellation: CancellationState;
}

/** Whose verb it is. The carrier's verbs may be passed on by the shipper's side; the reverse is never so. */
export type Side = "shipper" | "carrier";

/** A verb that can be carried out: any but the unspecified one. */
export type Verb = Exclude<(typeof BookingVerb)[keyof typeof BookingVerb], 0>;

/** One verb: who, from where, and what it does to the axes. An axis that `to` does not name stays as it is. */
export interface VerbRule {
  /** The use case of DCSA Booking 2.0; empty: none. */
  readonly useCase: string;
  readonly side: Side;
  /** The booking's states that allow it. */
  readonly from: readonly BookingState[];
  /** The amendment's states that allow it; absent: all. */
  readonly amendment?: readonly AmendmentState[];
  /** The cancellation's states that allow it; absent: all. */
  readonly cancellation?: readonly CancellationState[];
  /** The only mode that knows it; absent: all modes. */
  readonly mode?: TransportMode;
  readonly to: Partial<Axes>;
  /** What becomes of an amendment that waits for an answer, where that differs from `to.amendment`. */
  readonly waitingAmendment?: AmendmentState;
  /** What becomes of the amendment's text: it takes the request's place, or can no longer be read; absent: it stays. */
  readonly amendmentText?: "becomes the request" | "is dropped";
}

const { RECEIVED, PENDING_UPDATE, UPDATE_RECEIVED, CONFIRMED, PENDING_AMENDMENT } = BookingState;
const { REJECTED, DECLINED, CANCELLED, COMPLETED } = BookingState;

/** Before the carrier's first confirmation. */
const REQUESTED = [RECEIVED, PENDING_UPDATE, UPDATE_RECEIVED];
/** After it, while the booking lives. */
const HELD = [CONFIRMED, PENDING_AMENDMENT];
const ENDED: ReadonlySet<BookingState> = new Set([REJECTED, DECLINED, CANCELLED, COMPLETED]);

const NO_AMENDMENT = AmendmentState.UNSPECIFIED;
const NO_CANCELLATION = CancellationState.UNSPECIFIED;
const WAITING = [AmendmentState.RECEIVED];
const ANSWERED = [NO_AMENDMENT, AmendmentState.CONFIRMED, AmendmentState.DECLINED, AmendmentState.CANCELLED];
const WANTED = [CancellationState.RECEIVED];

/**
 * The transitions and side effects of DCSA Booking 2.0.5, and the wait list of air cargo (IATA LL). Where the
 * specification and its reference implementation disagree on an amendment that follows an unanswered one, this takes the
 * safer side: it is refused (AMENDMENT_OPEN) and the shipper takes the first one back.
 */
export const VERBS: Readonly<Record<Verb, VerbRule>> = {
  [BookingVerb.REQUEST_UPDATE]: { useCase: "UC2", side: "carrier", from: REQUESTED, to: { state: PENDING_UPDATE } },
  [BookingVerb.UPDATE]: { useCase: "UC3", side: "shipper", from: REQUESTED, to: { state: UPDATE_RECEIVED } },
  [BookingVerb.REJECT]: { useCase: "UC4", side: "carrier", from: REQUESTED, to: { state: REJECTED } },
  // Not from PENDING_UPDATE: the carrier asked for an update and waits for it. From CONFIRMED it confirms anew.
  [BookingVerb.CONFIRM]: {
    useCase: "UC5",
    side: "carrier",
    from: [RECEIVED, UPDATE_RECEIVED, CONFIRMED],
    to: { state: CONFIRMED, amendment: NO_AMENDMENT, cancellation: NO_CANCELLATION },
    amendmentText: "is dropped",
  },
  [BookingVerb.REQUEST_AMENDMENT]: {
    useCase: "UC6",
    side: "carrier",
    from: HELD,
    to: { state: PENDING_AMENDMENT, amendment: NO_AMENDMENT, cancellation: NO_CANCELLATION },
    amendmentText: "is dropped",
  },
  [BookingVerb.AMEND]: {
    useCase: "UC7",
    side: "shipper",
    from: HELD,
    amendment: ANSWERED,
    to: { amendment: AmendmentState.RECEIVED, cancellation: NO_CANCELLATION },
  },
  [BookingVerb.CONFIRM_AMENDMENT]: {
    useCase: "UC8a",
    side: "carrier",
    from: HELD,
    amendment: WAITING,
    to: { state: CONFIRMED, amendment: AmendmentState.CONFIRMED },
    amendmentText: "becomes the request",
  },
  [BookingVerb.DECLINE_AMENDMENT]: {
    useCase: "UC8b",
    side: "carrier",
    from: HELD,
    amendment: WAITING,
    to: { amendment: AmendmentState.DECLINED },
  },
  [BookingVerb.CANCEL_AMENDMENT]: {
    useCase: "UC9",
    side: "shipper",
    from: HELD,
    amendment: WAITING,
    to: { amendment: AmendmentState.CANCELLED },
  },
  [BookingVerb.DECLINE]: {
    useCase: "UC10",
    side: "carrier",
    from: HELD,
    to: { state: DECLINED },
    waitingAmendment: AmendmentState.DECLINED,
  },
  [BookingVerb.CANCEL]: { useCase: "UC11", side: "shipper", from: REQUESTED, to: { state: CANCELLED } },
  [BookingVerb.COMPLETE]: { useCase: "UC12", side: "carrier", from: [CONFIRMED], to: { state: COMPLETED } },
  [BookingVerb.REQUEST_CANCELLATION]: {
    useCase: "UC13",
    side: "shipper",
    from: HELD,
    to: { cancellation: CancellationState.RECEIVED },
  },
  [BookingVerb.CONFIRM_CANCELLATION]: {
    useCase: "UC14a",
    side: "carrier",
    from: HELD,
    cancellation: WANTED,
    to: { state: CANCELLED, cancellation: CancellationState.CONFIRMED },
  },
  [BookingVerb.DECLINE_CANCELLATION]: {
    useCase: "UC14b",
    side: "carrier",
    from: HELD,
    cancellation: WANTED,
    to: { cancellation: CancellationState.DECLINED },
  },
  [BookingVerb.WAITLIST]: {
    useCase: "",
    side: "carrier",
    from: [RECEIVED, UPDATE_RECEIVED],
    mode: TransportMode.AIR,
    to: {},
  },
};

/** All verbs, in the order of their numbers. */
export const ALL_VERBS: readonly Verb[] = Object.values(BookingVerb).filter((verb) => verb !== BookingVerb.UNSPECIFIED);

export function axesOf(booking: Booking): Axes {
  return { state: booking.state, amendment: booking.amendmentState, cancellation: booking.cancellationState };
}

/** REJECTED, DECLINED, CANCELLED and COMPLETED are final: no verb leaves them. */
export function hasEnded(booking: Booking): boolean {
  return ENDED.has(booking.state);
}

/** The carrier has confirmed and has not gone back on it, nor has the shipper. */
export function isHeld(booking: Booking): boolean {
  return HELD.some((state) => state === booking.state);
}

/** The verbs that the booking's mode and axes allow, of one side or of both, in the order of their numbers. */
export function legalVerbs(booking: Booking, side?: Side): Verb[] {
  const axes = axesOf(booking);
  return ALL_VERBS.filter((verb) => {
    const rule = VERBS[verb];
    return (side === undefined || rule.side === side) && knownToMode(rule, booking.mode) && allows(rule, axes);
  });
}

/**
 * Refuses a verb that the booking does not allow: FAILED_PRECONDITION with MODE_MISMATCH, AMENDMENT_OPEN or VERB_ILLEGAL.
 * The metadata tell the three axes, the verb and `legal_verbs`, those that the verb's side may use instead.
 */
export function checkVerb(booking: Booking, verb: Verb): void {
  const rule = VERBS[verb];
  const axes = axesOf(booking);
  if (!knownToMode(rule, booking.mode)) throw modeMismatch(booking, verbName(verb), TransportMode.AIR);
  if (allows(rule, axes)) return;
  if (verb === BookingVerb.AMEND && rule.from.includes(axes.state)) {
    throw new Refusal(
      ErrorReason.AMENDMENT_OPEN,
      "an amendment waits for the carrier's answer; take it back first, or wait for the answer",
      { metadata: situation(booking, verbName(verb), rule.side) },
    );
  }
  throw verbIllegal(booking, verbName(verb), rule.side);
}

/** The refusal of something that the booking's axes do not allow. `verb` is its name, of the table or another's. */
export function verbIllegal(booking: Booking, verb: string, side: Side): Refusal {
  const metadata = situation(booking, verb, side);
  const legal = metadata.legal_verbs || "none";
  return new Refusal(
    ErrorReason.VERB_ILLEGAL,
    `${verb} is not allowed: the booking is ${metadata.state}, its amendment ${metadata.amendment_state}, ` +
      `its cancellation ${metadata.cancellation_state}; legal for the ${side}: ${legal}`,
    { metadata },
  );
}

/** The refusal of something that only bookings of another mode know. */
export function modeMismatch(booking: Booking, what: string, only: TransportMode): Refusal {
  const name = (mode: TransportMode) => TransportModeSchema.value[mode]?.localName ?? "UNSPECIFIED";
  return new Refusal(
    ErrorReason.MODE_MISMATCH,
    `${what} is of ${name(only)} bookings only, this one is ${name(booking.mode)}`,
    { metadata: { booking_id: booking.id, verb: what, mode: name(booking.mode) } },
  );
}

/** The axes after a verb. The verb is taken to be legal. */
export function axesAfter(axes: Axes, verb: Verb): Axes {
  const rule = VERBS[verb];
  const after = { ...axes, ...rule.to };
  const waits = axes.amendment === AmendmentState.RECEIVED;
  return rule.waitingAmendment !== undefined && waits ? { ...after, amendment: rule.waitingAmendment } : after;
}

/** `BookingVerb.REQUEST_UPDATE` -> `"REQUEST_UPDATE"`. */
export function verbName(verb: Verb): string {
  return BookingVerbSchema.value[verb]?.localName ?? String(verb);
}

function knownToMode(rule: VerbRule, mode: TransportMode): boolean {
  return rule.mode === undefined || rule.mode === mode;
}

function allows(rule: VerbRule, axes: Axes): boolean {
  return (
    rule.from.includes(axes.state) &&
    (rule.amendment?.includes(axes.amendment) ?? true) &&
    (rule.cancellation?.includes(axes.cancellation) ?? true)
  );
}

/** What a refused caller needs to act. An amendment or cancellation that there is none of is `NONE`. */
function situation(booking: Booking, verb: string, side: Side) {
  const { state, amendment, cancellation } = axesOf(booking);
  const name = (localName: string | undefined) => (localName === "UNSPECIFIED" ? "NONE" : (localName ?? "NONE"));
  return {
    booking_id: booking.id,
    state: name(BookingStateSchema.value[state]?.localName),
    amendment_state: name(AmendmentStateSchema.value[amendment]?.localName),
    cancellation_state: name(CancellationStateSchema.value[cancellation]?.localName),
    verb,
    legal_verbs: legalVerbs(booking, side).map(verbName).join(","),
  };
}
