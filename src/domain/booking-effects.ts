import type { Booking } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Visibility } from "./principal.ts";
import { Refusal } from "./refusal.ts";
import {
  type BookingSubject,
  bookingRef,
  type Change,
  type Draft,
  type Load,
  SubjectKind,
  type SubjectRef,
} from "./subject.ts";

/** Bounds of one booking. Reaching one is FAILED_PRECONDITION with SUBJECT_FULL. */
export const BOOKING_BOUNDS = {
  confirmations: 50,
  units: 1_000,
  orders: 200,
} as const;

/** What a decision about a booking does: drafts in their order and what the answer needs, or what has to be loaded first. */
export type Effects<R = unknown> =
  | ({ readonly drafts: readonly Draft[] } & R)
  | { readonly needs: readonly SubjectRef[] };

/** Nothing changes. */
export const NO_EFFECTS: Effects = { drafts: [] };

/** Who asks for what of which booking. */
export interface BookingCall {
  readonly bookingId: string;
  readonly visibility: Visibility;
  /** The version that the caller has seen, as decimal text; empty: any. */
  readonly etag: string;
}

/** The booking that is called upon, at the version that the caller has seen. Throws BOOKING_UNKNOWN or ETAG_MISMATCH. */
export function calledBooking(load: Load, call: BookingCall): BookingSubject {
  const subject = load(bookingRef(call.bookingId));
  if (subject?.kind !== SubjectKind.BOOKING || !isVisible(subject.booking.carrier, call.visibility)) {
    throw bookingUnknown(call.bookingId);
  }
  const version = String(subject.booking.version);
  if (call.etag !== "" && call.etag !== version) {
    throw new Refusal(
      ErrorReason.ETAG_MISMATCH,
      `booking "${call.bookingId}" is at version ${version}, not "${call.etag}"; read it again`,
      { metadata: { booking_id: call.bookingId, etag: version } },
    );
  }
  return subject;
}

/** Whether a booking of a carrier is to be seen: staff see all, a carrier its own, links none. */
export function isVisible(carrier: string, visibility: Visibility): boolean {
  if (visibility.class === "staff") return true;
  return visibility.class === "carrier" && visibility.carrier === carrier;
}

/** The same for a booking that is not there and for one that is another carrier's. */
export function bookingUnknown(bookingId: string): Refusal {
  return new Refusal(ErrorReason.BOOKING_UNKNOWN, `booking "${bookingId}" does not exist`, {
    metadata: { booking_id: bookingId },
  });
}

/** Refuses with SUBJECT_FULL when a booking would have more of something than it may. */
export function checkBound(booking: Booking, bound: keyof typeof BOOKING_BOUNDS, count: number): void {
  const max = BOOKING_BOUNDS[bound];
  if (count <= max) return;
  throw new Refusal(
    ErrorReason.SUBJECT_FULL,
    `booking "${booking.id}" would have ${count} ${bound}; at most ${max} are kept, so request another booking for what goes beyond`,
    {
      metadata: { booking_id: booking.id, limit: bound, allowed: String(max), used: String(count) },
    },
  );
}

/** A draft of a change of a booking. */
export function bookingDraft(bookingId: string, change: Change): Draft {
  return { ref: bookingRef(bookingId), change };
}
