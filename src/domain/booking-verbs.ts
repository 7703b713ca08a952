import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type BookingRequest,
  type Confirmation,
  ConfirmationSchema,
  type Feedback,
} from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingActedSchema, BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { evolveBooking } from "./booking.ts";
import { mergeUnits } from "./booking-acted.ts";
import { checkConfirmation } from "./booking-confirmation-rules.ts";
import { type BookingCall, bookingDraft, calledBooking, checkBound, type Effects } from "./booking-effects.ts";
import { arrivalDrafts, bookedDrafts, loadOrders, namingDrafts, withdrawnDrafts } from "./booking-orders.ts";
import { checkRequest, checkSameBooking, type Identifiers, refuseFields } from "./booking-request-rules.ts";
import { checkVerb, type Verb } from "./booking-transitions.ts";
import { compare } from "./confirmation.ts";
import { withKinds } from "./cut-offs.ts";
import { inOrder } from "./milestone-kinds.ts";
import { Refusal } from "./refusal.ts";
import type { BookingSubject, Change, Load } from "./subject.ts";

/** A verb with what it carries. What the verb does not carry is left out. */
export interface VerbCall extends BookingCall {
  readonly verb: Verb;
  readonly identifiers: Identifiers;
  /** Of UPDATE and AMEND. */
  readonly request?: BookingRequest | undefined;
  /** Of CONFIRM and CONFIRM_AMENDMENT. */
  readonly confirmation?: Confirmation | undefined;
  /** Of REQUEST_UPDATE and REQUEST_AMENDMENT. */
  readonly feedbacks?: readonly Feedback[];
  readonly reason?: string;
  /** Of REJECT and DECLINE in air cargo. */
  readonly spaceCode?: string;
  /** Of REQUEST_CANCELLATION: the carrier's booking reference. */
  readonly bookingReference?: string;
  /** Of CONFIRM: the carrier's reference of the request, if it was not told before. */
  readonly requestReference?: string;
}

/** The verbs after which a booking carries nothing: before it was confirmed a schedule may have told its orders of an arrival. */
const ENDS_SPACE: ReadonlySet<Verb> = new Set([
  BookingVerb.REJECT,
  BookingVerb.CANCEL,
  BookingVerb.DECLINE,
  BookingVerb.CONFIRM_CANCELLATION,
]);

/**
 * Carries out a verb of the three axes. Refuses what the table does not allow (VERB_ILLEGAL, AMENDMENT_OPEN,
 * MODE_MISMATCH) before it looks at what the verb carries.
 */
export function decideVerb(load: Load, now: Timestamp, call: VerbCall): Effects {
  const subject = calledBooking(load, call);
  checkVerb(subject.booking, call.verb);
  checkCarried(subject, call);
  const confirmation = call.confirmation && nextConfirmation(subject, call, call.confirmation, now);
  const acted = create(BookingActedSchema, {
    verb: call.verb,
    ...(call.request && { request: call.request }),
    ...(confirmation && { confirmation }),
    feedbacks: [...(call.feedbacks ?? [])],
    reason: call.reason ?? "",
    spaceCode: call.spaceCode ?? "",
    requestReference: call.requestReference ?? "",
  });
  const change: Change = { case: "bookingActed", value: acted };
  const draft = bookingDraft(call.bookingId, change);
  const ends = ENDS_SPACE.has(call.verb);
  if (confirmation === undefined && call.request === undefined && !ends) return { drafts: [draft] };
  const attached = loadOrders(load, subject.details.orders);
  if ("needs" in attached) return attached;
  if (ends) {
    const reason = `booking ${call.bookingId} carries nothing any more`;
    return { drafts: [draft, ...withdrawnDrafts(subject, attached.orders, now, reason)] };
  }
  const recorded = { version: subject.booking.version + 1n, recordedAt: now };
  const after = evolveBooking(subject, change, recorded, call.bookingId);
  const first = subject.booking.confirmationVersion === 0;
  const named = namingDrafts(after, attached.orders);
  if (confirmation === undefined) return { drafts: [draft, ...named] };
  const booked = first ? bookedDrafts(after, attached.orders, now) : [];
  return { drafts: [draft, ...named, ...booked, ...arrivalDrafts(subject, after, attached.orders, now)] };
}

/** What the verb carries, against the booking. */
function checkCarried(subject: BookingSubject, call: VerbCall): void {
  const { booking, details } = subject;
  if (call.request && details.request) {
    checkSameBooking(details.request, call.request);
    checkRequest(call.request, call.identifiers);
    checkBound(booking, "units", mergeUnits(details.units, call.request.units).length);
  }
  if (call.confirmation) {
    checkConfirmation(call.confirmation, booking.mode, call.identifiers);
    checkBound(booking, "confirmations", details.confirmations.length + 1);
    checkBound(booking, "units", mergeUnits(details.units, call.confirmation.units).length);
  }
  if (call.spaceCode && booking.mode !== TransportMode.AIR) {
    refuseFields([{ field: "space_code", description: "is of air bookings only" }]);
  }
  if (call.verb === BookingVerb.REQUEST_CANCELLATION) checkBookingReference(subject, call.bookingReference ?? "");
}

/**
 * A confirmed booking is cancelled by the carrier's booking reference; the request's reference does not do (DCSA Booking,
 * UC13). In air and road a carrier may never tell one: then the booking is cancelled without.
 */
function checkBookingReference({ booking }: BookingSubject, given: string): void {
  if (given !== "" && given === booking.bookingReference) return;
  const isNeeded = booking.mode === TransportMode.OCEAN || booking.bookingReference !== "";
  if (given === "" && !isNeeded) return;
  const known = booking.bookingReference === "" ? "the carrier has told none yet" : `"${given}" is not it`;
  throw new Refusal(
    ErrorReason.BOOKING_REFERENCE_NEEDED,
    `a confirmed booking is cancelled by the carrier's booking reference; ${known}`,
    { metadata: { booking_id: booking.id, booking_reference: booking.bookingReference } },
  );
}

/** The confirmation as it is recorded: numbered, with its verdict, its legs in order and its cut-offs told apart. */
function nextConfirmation(
  { booking, details }: BookingSubject,
  call: VerbCall,
  given: Confirmation,
  now: Timestamp,
): Confirmation {
  const against = call.verb === BookingVerb.CONFIRM_AMENDMENT ? details.amendment : details.request;
  if (against === undefined) throw new Error("a booking to be confirmed has no request");
  return create(ConfirmationSchema, {
    ...given,
    version: booking.confirmationVersion + 1,
    confirmedAt: now,
    legs: inOrder(given.legs),
    cutOffs: withKinds(given.cutOffs),
    space: compare(against, given, details.confirmations.at(-1)).space,
  });
}
