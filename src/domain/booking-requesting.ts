import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { BookingOrder, BookingRequest } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingRequestedSchema } from "../../gen/leadline/v1/event_pb.ts";
import { evolveBooking } from "./booking.ts";
import { attachmentOf } from "./booking-contents.ts";
import { bookingDraft, type Effects } from "./booking-effects.ts";
import { checkRequest, type Identifiers } from "./booking-request-rules.ts";
import { Refusal } from "./refusal.ts";
import { bookingRef, type Change, type Load } from "./subject.ts";

/** A new booking as it is asked for. The orders are named by the command. */
export interface RequestCall {
  readonly bookingId: string;
  readonly request: BookingRequest;
  readonly orders: readonly BookingOrder[];
  /** Empty: the carrier gave none. */
  readonly requestReference: string;
  readonly identifiers: Identifiers;
}

/** Asks a carrier for space (UC1); road: tenders a load. Air: the actions SS and CA hold the space at once. */
export function decideRequest(load: Load, now: Timestamp, call: RequestCall): Effects {
  const { bookingId, request, requestReference } = call;
  if (load(bookingRef(bookingId)) !== undefined) {
    throw new Refusal(ErrorReason.BOOKING_EXISTS, `booking "${bookingId}" exists already`, {
      metadata: { booking_id: bookingId },
    });
  }
  checkRequest(request, call.identifiers);
  const change: Change = {
    case: "bookingRequested",
    value: create(BookingRequestedSchema, { request, requestReference }),
  };
  const requested = bookingDraft(bookingId, change);
  if (call.orders.length === 0) return { drafts: [requested] };
  const begun = evolveBooking(undefined, change, { version: 1n, recordedAt: now }, bookingId);
  const attachment = attachmentOf(load, now, begun, call.orders);
  return "needs" in attachment ? attachment : { drafts: [requested, ...attachment.drafts] };
}
