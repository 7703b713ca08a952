import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BookingDetailsSchema, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { GetBookingResponseSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  BatchGetOrdersResponseSchema,
  GetOrderResponseSchema,
  ListOrderEventsResponseSchema,
  ListOrdersResponseSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { eventsReply, listReply, subjectReply } from "../../src/service/stored-reply.ts";
import { encodeEvents } from "../../src/wire/event-view.ts";
import { line } from "../domain/order-desk.ts";

const order = (id: string) => create(OrderSchema, { id, version: 3n, status: "READY" });
const details = create(OrderDetailsSchema, { lines: [line("L1", 5)], cancelReason: "none" });
const stored = (id: string) => toBinary(OrderSchema, order(id));

describe("replies laid together from stored bytes read as the response that the contract promises", () => {
  test("an order with its details", () => {
    const reply = subjectReply(stored("a"), toBinary(OrderDetailsSchema, details));
    expect(fromBinary(GetOrderResponseSchema, reply.bytes)).toEqual(
      create(GetOrderResponseSchema, { order: order("a"), details }),
    );
  });

  test("a booking with its details", () => {
    const booking = create(BookingSchema, { id: "b", carrier: "MSC" });
    const of = create(BookingDetailsSchema, { reason: "no space" });
    const reply = subjectReply(toBinary(BookingSchema, booking), toBinary(BookingDetailsSchema, of));
    expect(fromBinary(GetBookingResponseSchema, reply.bytes)).toEqual(
      create(GetBookingResponseSchema, { booking, details: of }),
    );
  });

  test("a page of orders with the next page's token, and the last page without one", () => {
    const page = listReply([stored("a"), stored("b")], ["token"]);
    expect(fromBinary(ListOrdersResponseSchema, page.bytes)).toEqual(
      create(ListOrdersResponseSchema, { orders: [order("a"), order("b")], nextPageToken: "token" }),
    );
    expect(fromBinary(ListOrdersResponseSchema, listReply([], []).bytes)).toEqual(create(ListOrdersResponseSchema));
  });

  test("the orders there are and the ids of those there are not", () => {
    const reply = listReply([stored("a")], ["x", "y"]);
    expect(fromBinary(BatchGetOrdersResponseSchema, reply.bytes)).toEqual(
      create(BatchGetOrdersResponseSchema, { orders: [order("a")], unknownIds: ["x", "y"] }),
    );
  });

  test("events with the next page's token", () => {
    const events = [1n, 2n].map((version) => create(EventSchema, { subjectId: "a", version }));
    const reply = eventsReply(
      events.map((event) => encodeEvents([event])),
      "token",
    );
    expect(fromBinary(ListOrderEventsResponseSchema, reply.bytes)).toEqual(
      create(ListOrderEventsResponseSchema, { events, nextPageToken: "token" }),
    );
  });
});
