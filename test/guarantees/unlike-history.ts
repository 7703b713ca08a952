import { equals } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { GetBookingResponseSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { GetOrderResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import type { LeadlineClient } from "../../src/client/node.ts";

/** The ids of orders and bookings, a page of each, whose row is not what their history folds to; empty: nothing is wrong. */
export async function unlikeHistory({
  orders,
  bookings,
}: Pick<LeadlineClient, "orders" | "bookings">): Promise<string[]> {
  // A time always has the history folded; a revision at or after the last change may be read from the row.
  const asOf = { case: "asOfTime", value: timestampFromDate(new Date("2100-01-01T00:00:00Z")) } as const;
  const unlike: string[] = [];
  for (const { id } of (await orders.listOrders({ pageSize: 1_000 })).orders) {
    const [row, fold] = [await orders.getOrder({ orderId: id }), await orders.getOrder({ orderId: id, asOf })];
    if (!equals(GetOrderResponseSchema, row, fold)) unlike.push(id);
  }
  for (const { id } of (await bookings.listBookings({ pageSize: 1_000 })).bookings) {
    const [row, fold] = [
      await bookings.getBooking({ bookingId: id }),
      await bookings.getBooking({ bookingId: id, asOf }),
    ];
    if (!equals(GetBookingResponseSchema, row, fold)) unlike.push(id);
  }
  return unlike;
}
