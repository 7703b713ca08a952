import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingAttachedSchema, BookingDetachedSchema } from "../../gen/leadline/v1/event_pb.ts";
import type { OrderBooking } from "../../gen/leadline/v1/order_pb.ts";
import { Refusal } from "./refusal.ts";
import { type Draft, type OrderSubject, orderRef } from "./subject.ts";

/** How many bookings may carry one order. */
export const ORDER_BOOKINGS_MAX = 100;

/**
 * Attaches a booking to an order, or changes the order's units in it. No draft when it is attached with the same units.
 * Refuses with SUBJECT_FULL.
 */
export function attachBooking({ order, details }: OrderSubject, booking: OrderBooking): Draft[] {
  const known = details.bookings.find((one) => one.bookingId === booking.bookingId);
  if (known !== undefined && known.carrier === booking.carrier && sameIds(known.unitIds, booking.unitIds)) return [];
  if (known === undefined && details.bookings.length >= ORDER_BOOKINGS_MAX) {
    throw new Refusal(
      ErrorReason.SUBJECT_FULL,
      `order "${order.id}" has ${details.bookings.length} bookings; at most ${ORDER_BOOKINGS_MAX} may carry one`,
      { metadata: { order_id: order.id, bound: "bookings", max: String(ORDER_BOOKINGS_MAX) } },
    );
  }
  const change = { case: "bookingAttached", value: create(BookingAttachedSchema, { booking }) } as const;
  return [{ ref: orderRef(order.id), change }];
}

/** Detaches a booking from an order. No draft when it is not attached. */
export function detachBooking({ order, details }: OrderSubject, bookingId: string): Draft[] {
  if (!details.bookings.some((one) => one.bookingId === bookingId)) return [];
  const change = { case: "bookingDetached", value: create(BookingDetachedSchema, { bookingId }) } as const;
  return [{ ref: orderRef(order.id), change }];
}

function sameIds(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}
