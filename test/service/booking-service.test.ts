import { create, type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BookingOrderSchema, BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import {
  ConfirmBookingRequestSchema,
  ConfirmBookingResponseSchema,
  GetBookingRequestSchema,
  GetBookingResponseSchema,
  ListBookingEventsRequestSchema,
  ListBookingEventsResponseSchema,
  ListBookingsRequestSchema,
  ListBookingsResponseSchema,
  ReportMilestoneRequestSchema,
  ReportMilestoneResponseSchema,
  RequestBookingRequestSchema,
  RetractMilestoneRequestSchema,
  WatchBookingsRequestSchema,
} from "../../gen/leadline/v1/booking_service_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import {
  CreateOrderRequestSchema,
  GetOrderRequestSchema,
  GetOrderResponseSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier, ReportOutcome, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { createBookingService } from "../../src/service/booking-service.ts";
import { type Call, EncodedReply, type Reply } from "../../src/service/call.ts";
import { createOrderService } from "../../src/service/order-service.ts";
import { PageTokens } from "../../src/wire/page-token.ts";
import { Positions } from "../../src/wire/position.ts";
import { at, CONTAINERS, container, oceanConfirmation, oceanRequest } from "../domain/booking-world.ts";
import { openTestJournal } from "../support/journal.ts";
import { shared } from "../support/shared.ts";
import { noRedactions } from "./support.ts";

const { journal } = await shared(openTestJournal("t1", "t2"));
const secret = new Uint8Array(32).fill(7);
const pageTokens = new PageTokens(secret);
const bookings = createBookingService({ journal, pageTokens, positions: new Positions(secret) });
const orders = createOrderService({ journal, pageTokens, elsewhere: noRedactions });

function call(role: Role, carrier = "", tenant = "t1"): Call {
  const id = `key_${role}_${carrier}_${tenant}`;
  const principal: Principal = { kind: "key", id, name: `name of ${id}`, tenant, role, carrier, expiresAtMs: 9e15 };
  return { principal, signal: new AbortController().signal, deadlineMs: undefined, callId: "c" };
}
const staff = call(Role.OPERATOR);
const maersk = call(Role.CARRIER, "MAEU");
const hapag = call(Role.CARRIER, "HLCU");

function read<D extends DescMessage>(schema: D, reply: Reply<D>): MessageShape<D> {
  return reply instanceof EncodedReply ? fromBinary(schema, reply.bytes) : reply;
}

async function get(bookingId: string, by = staff) {
  return read(GetBookingResponseSchema, await bookings.getBooking(create(GetBookingRequestSchema, { bookingId }), by));
}

async function list(by: Call, pageToken = "", pageSize = 2) {
  const request = create(ListBookingsRequestSchema, { pageSize, pageToken });
  return read(ListBookingsResponseSchema, await bookings.listBookings(request, by));
}

async function events(bookingId: string, by: Call, pageToken = "") {
  const request = create(ListBookingEventsRequestSchema, { bookingId, pageSize: 2, pageToken });
  return read(ListBookingEventsResponseSchema, await bookings.listBookingEvents(request, by));
}

async function statusOf(orderId: string): Promise<string | undefined> {
  const reply = await orders.getOrder(create(GetOrderRequestSchema, { orderId }), staff);
  return read(GetOrderResponseSchema, reply).order?.status;
}

/** Requests a booking that carries a new order with one container. */
async function requested(bookingId: string, carrier = "MAEU"): Promise<void> {
  const units = [container(CONTAINERS[0])];
  await orders.createOrder(create(CreateOrderRequestSchema, { orderId: `ord-${bookingId}`, units }), staff);
  const entry = create(BookingOrderSchema, { orderId: `ord-${bookingId}`, unitIds: [CONTAINERS[0]] });
  const request = oceanRequest({ carrier, units });
  await bookings.requestBooking(create(RequestBookingRequestSchema, { bookingId, request, orders: [entry] }), staff);
}

const confirm = (bookingId: string, by: Call, etag = "") =>
  bookings.confirmBooking(
    create(ConfirmBookingRequestSchema, { bookingId, etag, confirmation: oceanConfirmation() }),
    by,
  );

describe("a booking through the service", () => {
  test("a carrier confirms its own, sees no orders, and the orders are booked", async () => {
    await requested("b1");
    const answer = read(ConfirmBookingResponseSchema, await confirm("b1", maersk));
    expect([answer.booking?.state, answer.booking?.orderIds]).toEqual([BookingState.CONFIRMED, []]);
    expect(await statusOf("ord-b1")).toBe("BOOKED");
    const [own, whole] = [await get("b1", maersk), await get("b1")];
    expect([own.booking?.orderIds, own.details?.orders]).toEqual([[], []]);
    expect([whole.booking?.orderIds, whole.details?.orders.length]).toEqual([["ord-b1"], 1]);
    expect(own.details?.confirmations.length).toBe(1);
  });

  test("another carrier's and another tenant's bookings are not told from unknown ones", async () => {
    await requested("b2");
    for (const by of [hapag, call(Role.OPERATOR, "", "t2")]) {
      const unknown = { reason: ErrorReason.BOOKING_UNKNOWN };
      await expect(get("b2", by)).rejects.toMatchObject(unknown);
      await expect(events("b2", by)).rejects.toMatchObject(unknown);
      await expect(confirm("b2", by)).rejects.toMatchObject(unknown);
      await expect(confirm("b-none", by)).rejects.toMatchObject(unknown);
    }
    expect((await get("b2")).booking?.version).toBe(2n);
  });

  test("a version that has passed is told apart", async () => {
    await requested("b3");
    await expect(confirm("b3", staff, "1")).rejects.toMatchObject({ reason: ErrorReason.ETAG_MISMATCH });
    await confirm("b3", staff, "2");
    expect((await get("b3")).booking?.state).toBe(BookingState.CONFIRMED);
  });

  test("a milestone goes to the order and comes back from it", async () => {
    await requested("b4");
    await confirm("b4", staff);
    const report = create(ReportSchema, {
      classifier: Classifier.ACTUAL,
      milestone: "LOADED",
      occurredAt: at("2099-03-01"),
      place: { unlocode: "NLRTM" },
      unitIds: [CONTAINERS[0]],
    });
    const request = create(ReportMilestoneRequestSchema, { bookingId: "b4", report });
    const byStaff = read(ReportMilestoneResponseSchema, await bookings.reportMilestone(request, staff));
    expect(byStaff).toMatchObject({ outcome: ReportOutcome.APPLIED, orderIds: ["ord-b4"] });
    expect(await statusOf("ord-b4")).toBe("READY");
    const { sourceId } = byStaff;
    expect(sourceId).toMatch(/^rpt_/);
    const sourcesSeenBy = async (who: Call) => {
      const { details } = await get("b4", who);
      const milestones = details?.milestones.map(({ actual }) => actual?.source);
      return { report: details?.reports.at(-1)?.report?.source, milestone: milestones?.at(-1) };
    };
    const name = "name of key_2__t1";
    expect(await sourcesSeenBy(staff)).toEqual({ report: name, milestone: name });
    expect(await sourcesSeenBy(maersk)).toEqual({ report: "", milestone: "" });
    const { nextPageToken } = await events("b4", maersk);
    const told = (await events("b4", maersk, nextPageToken)).events.flatMap(({ change }) =>
      change.case === "reported" ? [change.value.report?.report?.source] : [],
    );
    expect(told).toEqual([""]);
    await bookings.retractMilestone(create(RetractMilestoneRequestSchema, { bookingId: "b4", sourceId }), staff);
    expect(await statusOf("ord-b4")).toBe("BOOKED");
    expect(await bookings.reportMilestone(request, maersk)).toMatchObject({
      outcome: ReportOutcome.APPLIED,
      orderIds: [],
    });
    expect(await statusOf("ord-b4")).toBe("READY");
  });

  test("the history is read in pages, by a carrier without what is not its own", async () => {
    await requested("b5");
    await confirm("b5", maersk);
    const first = await events("b5", staff);
    const second = await events("b5", staff, first.nextPageToken);
    expect([...first.events, ...second.events].map((one) => one.change.case)).toEqual([
      "bookingRequested",
      "bookingContentsChanged",
      "bookingActed",
    ]);
    expect(second.nextPageToken).toBe("");
    const own = await events("b5", maersk);
    expect(own.events.map((one) => one.revision)).toEqual([0n, 0n]);
    expect(own.events.every((one) => one.position.startsWith("c"))).toBe(true);
    // The parts of the command are events of the orders, which would tell how many there are.
    expect(own.events.map(({ actor, command, cause }) => [actor, command, cause])).toEqual([
      ["", undefined, undefined],
      ["", undefined, undefined],
    ]);
    expect(own.events[1]?.change.value).toMatchObject({ attached: [] });
  });

  test("it is read as it stood at a time and at a revision", async () => {
    await requested("b6");
    const [, before] = (await events("b6", staff)).events;
    await confirm("b6", staff);
    if (before?.recordedAt === undefined) throw new Error("the event before has no time");
    for (const asOf of [
      { case: "asOfRevision", value: before.revision },
      { case: "asOfTime", value: before.recordedAt },
    ] as const) {
      const request = create(GetBookingRequestSchema, { bookingId: "b6", asOf });
      const then = read(GetBookingResponseSchema, await bookings.getBooking(request, staff));
      expect([then.booking?.version, then.booking?.state]).toEqual([2n, BookingState.RECEIVED]);
    }
    const early = create(GetBookingRequestSchema, { bookingId: "b6", asOf: { case: "asOfRevision", value: 1n } });
    await expect(bookings.getBooking(early, staff)).rejects.toMatchObject({ reason: ErrorReason.BOOKING_UNKNOWN });
  });

  test("the list is paged, newest first, and holds a carrier's own only", async () => {
    const tenant = call(Role.OPERATOR, "", "t2");
    for (const [id, carrier] of [
      ["l1", "MAEU"],
      ["l2", "HLCU"],
      ["l3", "MAEU"],
      ["l4", "MAEU"],
    ] as const) {
      const request = create(RequestBookingRequestSchema, { bookingId: id, request: oceanRequest({ carrier }) });
      await bookings.requestBooking(request, tenant);
    }
    for (const [by, expected] of [
      [
        tenant,
        [
          ["l4", "l3"],
          ["l2", "l1"],
        ],
      ],
      [call(Role.CARRIER, "MAEU", "t2"), [["l4", "l3"], ["l1"]]],
    ] as const) {
      const first = await list(by);
      const second = await list(by, first.nextPageToken);
      expect([first, second].map((page) => page.bookings.map((one) => one.id))).toEqual(expected);
      expect(second.nextPageToken).toBe("");
    }
    const { nextPageToken } = await list(tenant);
    const other = call(Role.CARRIER, "MAEU", "t2");
    await expect(list(other, nextPageToken)).rejects.toMatchObject({ reason: ErrorReason.PAGE_TOKEN_INVALID });
  });
});

describe("a watch of bookings", () => {
  test("is told by what it asks for and who asks", async () => {
    const request = create(WatchBookingsRequestSchema, { includeSnapshot: true, filter: { ids: ["b1"] } });
    const spec = await bookings.watchBookings(request, maersk);
    expect(spec).toMatchObject({
      tenant: "t1",
      credential: maersk.principal.id,
      visibility: { class: "carrier", carrier: "MAEU" },
      start: { from: "snapshot" },
      mode: "ALL",
    });
    expect(spec.filter.ids).toEqual(new Set(["b1"]));
  });

  test("does not start from a snapshot and a position at once", async () => {
    const request = create(WatchBookingsRequestSchema, { includeSnapshot: true, position: "1-x" });
    await expect(bookings.watchBookings(request, staff)).rejects.toMatchObject({ reason: ErrorReason.FIELD_INVALID });
  });
});
