import { create } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, it } from "vitest";
import { BookingOrderSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingVerb, OrderCancelledSchema, ReportedSchema } from "../../gen/leadline/v1/event_pb.ts";
import { type Unit, UnitKind, UnitSchema } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { decideAddUnits, decideAttach, decideDetach } from "../../src/domain/booking-contents.ts";
import { BOOKING_BOUNDS } from "../../src/domain/booking-effects.ts";
import { decideMilestone } from "../../src/domain/booking-milestones.ts";
import { decideSchedule } from "../../src/domain/booking-schedule.ts";
import { reportOnOrder } from "../../src/domain/order-reports.ts";
import { ORDER_REPORTS_MAX } from "../../src/domain/reports.ts";
import { bookingRef, type Draft, orderRef } from "../../src/domain/subject.ts";
import {
  airRequest,
  at,
  CALL,
  CONTAINERS,
  container,
  ID,
  oceanConfirmation,
  oceanRequest,
  reasonOf,
  refusalOf,
  stamp,
  World,
} from "./booking-world.ts";

const { CONFIRM } = BookingVerb;
const [A, B, C] = CONTAINERS;
const confirmation = oceanConfirmation();

type Entry = { orderId: string; unitIds?: string[] };

function attach(world: World, entries: Entry[]) {
  const orders = entries.map((entry) => create(BookingOrderSchema, entry));
  const named = [bookingRef(ID), ...entries.map((entry) => orderRef(entry.orderId))];
  return world.run((load, now) => decideAttach(load, now, { ...CALL, orders }), named);
}

function detach(world: World, orderIds: string[]) {
  return world.run(
    (load, now) => decideDetach(load, now, { ...CALL, orderIds }),
    [bookingRef(ID), ...orderIds.map(orderRef)],
  );
}

function addUnits(world: World, units: Unit[]) {
  return world.run((load) => decideAddUnits(load, { ...CALL, units, identifiers: "strict" }));
}

/** What the events of a command are, each as `subject change`. */
function told(effects: object): string[] {
  return "drafts" in effects
    ? (effects.drafts as Draft[]).map(({ ref, change }) => `${ref.id} ${change.case}`)
    : ["needs"];
}

/** A booking with three containers, and orders of which the first knows its own. */
function begun(): World {
  const world = new World();
  world.createOrder("ord-1", { units: [container(A)] });
  world.createOrder("ord-2");
  world.request(oceanRequest({ units: CONTAINERS.map(container) }));
  return world;
}

describe("orders of a booking", () => {
  it("are attached on both sides with one command", () => {
    const world = begun();
    const effects = attach(world, [{ orderId: "ord-1", unitIds: [A] }, { orderId: "ord-2" }]);
    expect(told(effects)).toEqual([`${ID} bookingContentsChanged`, "ord-1 bookingAttached", "ord-2 bookingAttached"]);
    expect(world.booking().booking.orderIds).toEqual(["ord-1", "ord-2"]);
    expect(world.order("ord-1").details.bookings).toMatchObject([{ bookingId: ID, carrier: "MAEU", unitIds: [A] }]);
    expect(world.order("ord-2").order).toMatchObject({ bookingIds: [ID], carriers: ["MAEU"] });
  });

  it("are attached by the request as well", () => {
    const world = new World();
    world.createOrder("ord-1");
    const effects = world.request(oceanRequest(), [{ orderId: "ord-1" }]);
    expect(told(effects)).toEqual([`${ID} bookingRequested`, `${ID} bookingContentsChanged`, "ord-1 bookingAttached"]);
  });

  it("change their units, and nothing when they stand so already", () => {
    const world = begun();
    attach(world, [{ orderId: "ord-2", unitIds: [B] }]);
    expect(told(attach(world, [{ orderId: "ord-2", unitIds: [B] }]))).toEqual([]);
    attach(world, [{ orderId: "ord-2", unitIds: [B, C] }]);
    expect(world.booking().details.orders).toMatchObject([{ orderId: "ord-2", unitIds: [B, C] }]);
    expect(world.order("ord-2").details.bookings).toMatchObject([{ unitIds: [B, C] }]);
  });

  it("are detached on both sides; those that are not in it change nothing", () => {
    const world = begun();
    attach(world, [{ orderId: "ord-1" }, { orderId: "ord-2" }]);
    expect(told(detach(world, ["ord-1"]))).toEqual([`${ID} bookingContentsChanged`, "ord-1 bookingDetached"]);
    expect(world.booking().booking.orderIds).toEqual(["ord-2"]);
    expect(world.order("ord-1").order.bookingIds).toEqual([]);
    expect(told(detach(world, ["ord-1"]))).toEqual([]);
  });

  it.each([
    ["attached", (world: World) => attach(world, [{ orderId: "ord-2" }, { orderId: "ord-9" }])],
    ["detached", (world: World) => detach(world, ["ord-9"])],
  ])("that are unknown are refused to be %s, and nothing changes", (_word, act) => {
    const world = begun();
    const refusal = refusalOf(() => act(world));
    expect([refusal.reason, refusal.metadata.order_id]).toEqual([ErrorReason.ORDER_UNKNOWN, "ord-9"]);
    expect(world.booking().booking.version).toBe(1n);
  });

  it.each([
    [
      "a unit that the booking does not have",
      [{ orderId: "ord-1", unitIds: ["SITU9130070"] }],
      "orders[0].unit_ids[0]",
    ],
    ["an order twice", [{ orderId: "ord-1" }, { orderId: "ord-1" }], "orders[1].order_id"],
  ])("with %s are refused", (_case, entries, field) => {
    const refusal = refusalOf(() => attach(begun(), entries));
    expect([refusal.reason, refusal.violations.map((one) => one.field)]).toEqual([ErrorReason.FIELD_INVALID, [field]]);
  });

  it("are not put into a booking that has ended, but taken out of it", () => {
    const world = begun();
    attach(world, [{ orderId: "ord-1" }]);
    world.verb(BookingVerb.CANCEL);
    expect(reasonOf(() => attach(world, [{ orderId: "ord-2" }]))).toBe(ErrorReason.VERB_ILLEGAL);
    expect(told(detach(world, ["ord-1"])).length).toBe(2);
  });
});

describe("a first confirmation", () => {
  it("reports the attached orders BOOKED, in the carrier's name, under one identity", () => {
    const world = begun();
    attach(world, [{ orderId: "ord-1" }, { orderId: "ord-2" }]);
    world.verb(CONFIRM, { confirmation });
    for (const id of ["ord-1", "ord-2"]) {
      const { order, details } = world.order(id);
      expect(order.status).toBe("BOOKED");
      expect(details.reports[0]).toMatchObject({
        flags: [],
        report: {
          source: "MAEU",
          sourceId: `booking/${ID}/confirmed`,
          classifier: Classifier.ACTUAL,
          status: "BOOKED",
        },
      });
    }
  });

  it("is told once: a confirmation anew says nothing of the orders when the arrival stands", () => {
    const world = begun();
    attach(world, [{ orderId: "ord-2" }]);
    world.verb(CONFIRM, { confirmation });
    expect(told(world.verb(CONFIRM, { confirmation }))).toEqual([`${ID} bookingActed`]);
  });

  it("tells an order that is attached later", () => {
    const world = begun();
    world.verb(CONFIRM, { confirmation });
    const confirmedAt = world.booking().details.confirmations[0]?.confirmedAt;
    attach(world, [{ orderId: "ord-2" }]);
    const { order, details } = world.order("ord-2");
    expect(order.status).toBe("BOOKED");
    expect(details.reports[0]?.report?.occurredAt?.instant).toEqual(confirmedAt);
  });

  it("tells the orders of an air request that holds its space at once", () => {
    const world = new World();
    world.createOrder("ord-1");
    world.request(airRequest({ spaceAction: "SS" }), [{ orderId: "ord-1" }]);
    expect(world.order("ord-1").order.status).toBe("BOOKED");
  });

  it("leaves orders alone that are further, or cancelled", () => {
    const world = begun();
    attach(world, [{ orderId: "ord-1" }, { orderId: "ord-2" }]);
    const report = create(ReportSchema, {
      source: "erp",
      sourceId: "1",
      classifier: Classifier.ACTUAL,
      status: "READY",
      occurredAt: at("2025-12-01"),
    });
    const taking = { strict: true, refuseIfUnfit: false, flags: [] };
    const now = stamp("2026-01-01T00:00:00Z");
    for (const draft of reportOnOrder(world.order("ord-1"), report, now, taking).drafts) world.apply(draft, now);
    const cancelled = { case: "orderCancelled", value: create(OrderCancelledSchema) } as const;
    world.apply({ ref: orderRef("ord-2"), change: cancelled }, now);
    const statuses = told(world.verb(CONFIRM, { confirmation }));
    // The first order hears when it will arrive; neither is reported BOOKED.
    expect(statuses).toEqual([`${ID} bookingActed`, "ord-1 reported"]);
    expect([world.order("ord-1").order.status, world.order("ord-2").order.status]).toEqual(["READY", "CANCELLED"]);
  });

  it("names the units of an order of which only a part travels in the booking", () => {
    const world = new World();
    world.createOrder("ord-1", { units: [container(A), container(B)] });
    world.request(oceanRequest({ units: [container(A)] }), [{ orderId: "ord-1" }]);
    world.verb(CONFIRM, { confirmation });
    const { order, details } = world.order("ord-1");
    expect(details.reports[0]?.report?.unitIds).toEqual([A]);
    expect(details.unitProgress.map((one) => one.status)).toEqual(["BOOKED", ""]);
    expect(order.status).toBe("RECEIVED");
  });
});

describe("units of a booking", () => {
  const unit = (id: string, kind: UnitKind = UnitKind.CONTAINER) => create(UnitSchema, { id, kind });

  it("are told, corrected, and nothing when they stand so already", () => {
    const world = new World();
    world.request(oceanRequest());
    addUnits(world, [unit(A), unit(B)]);
    addUnits(world, [create(UnitSchema, { ...unit(A), isoEquipmentCode: "45G1" })]);
    expect(world.booking().details.units.map((one) => [one.id, one.isoEquipmentCode])).toEqual([
      [A, "45G1"],
      [B, ""],
    ]);
    expect(told(addUnits(world, [unit(B)]))).toEqual([]);
  });

  it("are refused with a wrong check digit, twice, and past the bound", () => {
    const world = new World();
    world.request(oceanRequest());
    expect(reasonOf(() => addUnits(world, [unit("MSCU1234567")]))).toBe(ErrorReason.CHECK_DIGIT_WRONG);
    expect(reasonOf(() => addUnits(world, [unit(A), unit(A)]))).toBe(ErrorReason.FIELD_INVALID);
    const pieces = (count: number) => Array.from({ length: count }, (_, i) => unit(`P${i}`, UnitKind.PIECE));
    addUnits(world, pieces(BOOKING_BOUNDS.units));
    expect(reasonOf(() => addUnits(world, pieces(BOOKING_BOUNDS.units + 1)))).toBe(ErrorReason.SUBJECT_FULL);
  });
});

describe("an order that leaves its units to the booking", () => {
  function moved(world: World, unit: string, milestone: string) {
    const report = create(ReportSchema, {
      source: "MAEU",
      sourceId: `${unit}/${milestone}`,
      classifier: Classifier.ACTUAL,
      milestone,
      occurredAt: at("2026-03-02T08:00:00Z"),
      unitIds: [unit],
    });
    return world.run((load, now) => decideMilestone(load, now, { ...CALL, report, strict: true, flags: [] }));
  }

  it("counts one of three containers as one of three, and is on its way with the last", () => {
    const world = begun();
    attach(world, [{ orderId: "ord-2" }]);
    moved(world, A, "DEPARTED");
    expect(world.order("ord-2").order.shipping).toMatchObject({ unitsDone: 1, unitsTotal: 3 });
    expect(world.order("ord-2").order.status).toBe("RECEIVED");
    for (const unit of [B, C]) moved(world, unit, "DEPARTED");
    expect(world.order("ord-2").order.status).toBe("IN_TRANSIT");
  });

  it("learns of units that are told later, by the carrier or in the confirmation", () => {
    const world = new World();
    world.createOrder("ord-2");
    world.request(oceanRequest(), [{ orderId: "ord-2" }]);
    expect(told(addUnits(world, [create(UnitSchema, container(A))]))).toEqual([
      `${ID} bookingContentsChanged`,
      "ord-2 bookingAttached",
    ]);
    world.verb(CONFIRM, {
      confirmation: oceanConfirmation({ units: [A, B].map((id) => create(UnitSchema, container(id))) }),
    });
    expect(world.order("ord-2").details.bookings).toMatchObject([{ unitIds: [A, B] }]);
    expect(world.booking().details.orders).toMatchObject([{ orderId: "ord-2", unitIds: [] }]);
  });
});

describe("orders of a booking that comes to nothing", () => {
  function confirmed(): World {
    const world = begun();
    attach(world, [{ orderId: "ord-1", unitIds: [A] }]);
    world.verb(CONFIRM, { confirmation });
    expect(world.order("ord-1").order).toMatchObject({ status: "BOOKED" });
    return world;
  }

  it.each([
    ["declined", (world: World) => world.verb(BookingVerb.DECLINE, { reason: "no space after all" })],
    [
      "cancelled",
      (world: World) => {
        world.verb(BookingVerb.REQUEST_CANCELLATION, { bookingReference: world.booking().booking.bookingReference });
        world.verb(BookingVerb.CONFIRM_CANCELLATION);
      },
    ],
    ["without them", (world: World) => detach(world, ["ord-1"])],
  ])("are no longer BOOKED, nor expected to arrive, once it is %s", (_word, act) => {
    const world = confirmed();
    act(world);
    expect(world.order("ord-1").order.status).toBe("RECEIVED");
    expect(world.order("ord-1").order.estimatedDelivery).toBeUndefined();
  });

  it.each([
    ["rejected", BookingVerb.REJECT],
    ["cancelled", BookingVerb.CANCEL],
  ])("are no longer expected to arrive when it is %s before it was confirmed", (_word, verb) => {
    const world = begun();
    attach(world, [{ orderId: "ord-1", unitIds: [A] }]);
    world.run((load, now) =>
      decideSchedule(load, now, { ...CALL, legs: confirmation.legs, cutOffs: [], reasonCode: "" }),
    );
    expect(world.order("ord-1").order.estimatedDelivery).toEqual(at("2026-03-12T06:00:00Z"));
    world.verb(verb, { reason: "no space" });
    expect(world.order("ord-1").order.estimatedDelivery).toBeUndefined();
  });

  it("are BOOKED again when they are attached again", () => {
    const world = confirmed();
    detach(world, ["ord-1"]);
    attach(world, [{ orderId: "ord-1", unitIds: [A] }]);
    expect(world.order("ord-1").order.status).toBe("BOOKED");
  });
});

describe("an order that has no room for another report", () => {
  /** A booking with a full order and one that is not. */
  const full = new World();
  const withFull = () => full.fork();

  beforeAll(() => {
    full.createOrder("full");
    full.createOrder("ord-2");
    const now = stamp("2026-01-01T00:00:00Z");
    for (let i = 0; i < ORDER_REPORTS_MAX; i += 1) {
      const report = create(ReportSchema, {
        source: "erp",
        sourceId: String(i),
        classifier: Classifier.PLANNED,
        milestone: "LOCATED",
        occurredAt: at("2026-02-01"),
      });
      const value = create(ReportedSchema, { report: { report, recordedAt: now } });
      full.apply({ ref: orderRef("full"), change: { case: "reported", value } }, now);
    }
    full.request(oceanRequest(), [{ orderId: "full" }, { orderId: "ord-2" }]);
  });

  const departed = create(ReportSchema, {
    source: "MAEU",
    sourceId: "1",
    classifier: Classifier.ACTUAL,
    milestone: "DEPARTED",
    occurredAt: at("2026-03-02T08:00:00Z"),
    place: { unlocode: "NLRTM" },
  });

  it("is not told, and holds back neither its booking nor the orders beside it", () => {
    const world = withFull();
    const before = world.order("full");
    expect(told(world.verb(CONFIRM, { confirmation }))).toEqual([
      ...[`${ID} bookingActed`, "ord-2 reported", "ord-2 reported"],
    ]);
    expect(world.order("ord-2").order.status).toBe("BOOKED");
    const legs = confirmation.legs.map((leg) => ({ ...leg, arrival: at("2026-03-13T06:00:00Z") }));
    world.run((load, now) => decideSchedule(load, now, { ...CALL, legs, cutOffs: [], reasonCode: "" }));
    expect(world.order("ord-2").order.estimatedDelivery).toEqual(at("2026-03-13T06:00:00Z"));
    const call = { ...CALL, report: departed, strict: true, flags: [] };
    expect(world.run((load, now) => decideMilestone(load, now, call))).toMatchObject({ orderIds: ["ord-2"] });
    expect(world.booking().booking.departure).toEqual(at("2026-03-02T08:00:00Z"));
    expect(world.order("ord-2").order.status).toBe("IN_TRANSIT");
    expect(world.order("full")).toBe(before);
  });

  it("is attached to a booking that is confirmed", () => {
    const world = withFull();
    detach(world, ["full"]);
    world.verb(CONFIRM, { confirmation });
    expect(told(attach(world, [{ orderId: "full" }]))).toEqual([
      `${ID} bookingContentsChanged`,
      "full bookingAttached",
    ]);
  });

  it("still takes what corrects a report that it has", () => {
    const world = withFull();
    const call = { ...CALL, strict: true, flags: [] };
    const report = { ...departed, source: "erp", sourceId: "7" };
    expect(world.run((load, now) => decideMilestone(load, now, { ...call, report }))).toMatchObject({
      orderIds: ["full", "ord-2"],
    });
    expect(world.order("full").order.status).toBe("IN_TRANSIT");
  });
});
