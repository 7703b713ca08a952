import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BookingAttachedSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Completeness, OrderBookingSchema, Phase } from "../../gen/leadline/v1/order_pb.ts";
import { Classifier, ReportOutcome } from "../../gen/leadline/v1/report_pb.ts";
import { at, estimate, flagNames, line, localAt, OrderDesk, pieces, report, retraction, unit } from "./order-desk.ts";

const { NONE, PARTIAL, COMPLETE } = Completeness;

describe("the status of an order of which nothing in part is reported", () => {
  test("a new order is RECEIVED since its creation", () => {
    const { order } = OrderDesk.of({}, 1_000);
    expect(order).toMatchObject({ status: "RECEIVED", phase: Phase.RECEIVED, version: 1n });
    expect(order.statusSince).toEqual(localAt(1_000));
  });

  test("it follows the flow forwards, and statuses may be skipped", () => {
    const desk = OrderDesk.of();
    expect(desk.report(report("1", "PROCESSING", 10)).flags).toEqual([]);
    expect(desk.report(report("2", "IN_TRANSIT", 20)).flags).toEqual([]);
    expect(desk.order).toMatchObject({ status: "IN_TRANSIT", phase: Phase.IN_TRANSIT, statusSince: localAt(20) });
  });

  test("a status that is reported again stays since the first time", () => {
    const desk = OrderDesk.of();
    desk.report(report("1", "READY", 10));
    expect(desk.report(report("2", "READY", 30)).flags).toEqual([]);
    expect(desk.order.statusSince).toEqual(localAt(10));
  });

  test("a report that arrives late finds its place and is flagged LATE", () => {
    const desk = OrderDesk.of();
    desk.report(report("3", "DELIVERED", 30));
    const late = desk.report(report("2", "IN_TRANSIT", 20));
    expect(flagNames(late.flags)).toEqual(["LATE"]);
    expect(late.status).toBe("DELIVERED");
  });

  test("a report of something earlier in the flow that happened later is OUT_OF_FLOW and does not advance", () => {
    const desk = OrderDesk.of();
    desk.report(report("1", "DELIVERED", 30));
    const odd = desk.report(report("2", "READY", 40));
    expect(flagNames(odd.flags)).toEqual(["OUT_OF_FLOW"]);
    expect(odd).toMatchObject({ outcome: ReportOutcome.APPLIED, status: "DELIVERED" });
    expect(desk.details.reports).toHaveLength(2);
  });

  test("two statuses of one moment are taken in the flow's order", () => {
    const desk = OrderDesk.of();
    desk.report(report("a", "ARRIVED", 30));
    desk.report(report("b", "IN_TRANSIT", 30));
    expect(desk.order.status).toBe("ARRIVED");
    expect(desk.details.reports.map((one) => flagNames(one.flags))).toEqual([[], ["LATE"]]);
  });

  test("a retraction turns the status back", () => {
    const desk = OrderDesk.of();
    desk.report(report("1", "READY", 10));
    desk.report(report("2", "DELIVERED", 20));
    desk.retract(retraction("2", 25));
    expect(desk.order).toMatchObject({ status: "READY", statusSince: localAt(10) });
  });

  test("a retraction that comes first lets its report count for nothing", () => {
    const desk = OrderDesk.of();
    desk.retract(retraction("2", 25));
    const answer = desk.report(report("2", "DELIVERED", 20));
    expect(answer).toMatchObject({ outcome: ReportOutcome.RETRACTED, status: "RECEIVED", version: 2n });
  });

  test("a correction moves the status back when the first report had been wrong", () => {
    const desk = OrderDesk.of();
    desk.report(report("1", "DELIVERED", 20));
    const corrected = desk.report(report("1", "ARRIVED", 20, { sourceUpdatedAt: at(21) }));
    expect(flagNames(corrected.flags)).toEqual([]);
    expect(desk.order.status).toBe("ARRIVED");
  });

  test("estimates and plans move milestones and not the status", () => {
    const desk = OrderDesk.of();
    desk.report(estimate("e", "DELIVERED", 5, 50));
    desk.report(report("p", "IN_TRANSIT", 40, { classifier: Classifier.PLANNED }));
    expect(desk.order.status).toBe("RECEIVED");
    expect(desk.details.milestones.map((m) => m.kind)).toEqual(["DELIVERED", "IN_TRANSIT"]);
  });

  test("an estimate after the actual is flagged AFTER_ACTUAL and the actual stays", () => {
    const desk = OrderDesk.of();
    desk.report(report("a", "DELIVERED", 30));
    const late = desk.report(estimate("e", "DELIVERED", 40, 60));
    expect(flagNames(late.flags)).toEqual(["AFTER_ACTUAL"]);
    expect(desk.details.milestones[0]?.actual?.time).toEqual(localAt(30));
  });

  test("a milestone alone moves no status", () => {
    const desk = OrderDesk.of();
    desk.report(report("1", "", 10, { milestone: "LOADED" }));
    expect(desk.order.status).toBe("RECEIVED");
    expect(desk.details.milestones[0]).toMatchObject({ kind: "LOADED" });
  });
});

describe("flags that a report bears by itself", () => {
  test.each([
    ["ZONE_UNKNOWN", { occurredAt: { instant: at(10), zoneUnknown: true } }],
    ["IN_FUTURE", { occurredAt: { instant: at(1_000 + 1_500) } }],
    ["UNIT_UNKNOWN", { unitIds: ["U9"] }],
    ["LINE_UNKNOWN", { lines: [pieces("L9", 1)] }],
  ])("%s", (name, more) => {
    const desk = OrderDesk.of({ lines: [line("L1", 5)], units: [unit("U1")] });
    expect(flagNames(desk.report(report("1", "IN_TRANSIT", 10, more)).flags)).toEqual([name]);
  });

  test("a wrong check digit in a feed is kept and flagged", () => {
    const desk = OrderDesk.of();
    const { flags } = desk.report(report("1", "IN_TRANSIT", 10, { unitIds: ["GMCU6094137"] }));
    expect(flagNames(flags)).toEqual(["CHECK_DIGIT_WRONG", "UNIT_UNKNOWN"]);
  });

  test("an actual time up to a day ahead passes, for zones and clocks differ", () => {
    const desk = OrderDesk.of({}, 1_000);
    expect(desk.report(report("1", "READY", 1_000 + 1_440)).flags).toEqual([]);
  });

  test("a status that is not of the flow is kept and flagged when it comes from a feed", () => {
    const desk = OrderDesk.of();
    const { flags, status } = desk.report(report("1", "TELEPORTED", 10), { strict: false });
    expect(flagNames(flags)).toEqual(["STATUS_UNKNOWN"]);
    expect(status).toBe("RECEIVED");
  });
});

describe("partial shipping and delivery by quantity", () => {
  const lines = [line("L1", 25), line("L2", 4)];

  test("3 of 25 pieces delivered is a partial delivery, and the order stays where it was", () => {
    const desk = OrderDesk.of({ lines: [line("L1", 25)] });
    desk.report(report("1", "IN_TRANSIT", 10));
    desk.report(report("2", "DELIVERED", 20, { lines: [pieces("L1", 3)] }));
    expect(desk.order).toMatchObject({
      status: "IN_TRANSIT",
      shipping: { completeness: COMPLETE, quantityDone: 25n, quantityTotal: 25n },
      delivery: { completeness: PARTIAL, quantityDone: 3n, quantityTotal: 25n },
    });
    expect(desk.details.lines[0]).toMatchObject({ shipped: 25n, delivered: 3n });
  });

  test("quantities of one status add up, and the order advances when all are there", () => {
    const desk = OrderDesk.of({ lines });
    desk.report(report("1", "DELIVERED", 10, { lines: [pieces("L1", 20)] }));
    desk.report(report("2", "DELIVERED", 20, { lines: [pieces("L1", 5)] }));
    expect(desk.order.status).toBe("RECEIVED");
    desk.report(report("3", "DELIVERED", 30, { lines: [pieces("L2", 4)] }));
    expect(desk.order).toMatchObject({ status: "DELIVERED", statusSince: localAt(30) });
    expect(desk.order.delivery?.completeness).toBe(COMPLETE);
  });

  test("the pieces delivered are among the pieces shipped, not beside them", () => {
    const desk = OrderDesk.of({ lines: [line("L1", 25)] });
    desk.report(report("1", "IN_TRANSIT", 10, { lines: [pieces("L1", 15)] }));
    desk.report(report("2", "DELIVERED", 20, { lines: [pieces("L1", 15)] }));
    expect(desk.details.lines[0]).toMatchObject({ shipped: 15n, delivered: 15n });
    expect(desk.order.shipping).toMatchObject({ completeness: PARTIAL, quantityDone: 15n });
  });

  test("a later status implies the earlier one", () => {
    const desk = OrderDesk.of({ lines: [line("L1", 25)] });
    desk.report(report("1", "IN_TRANSIT", 10, { lines: [pieces("L1", 10)] }));
    desk.report(report("2", "DELIVERED", 20, { lines: [pieces("L1", 25)] }));
    expect(desk.order.status).toBe("DELIVERED");
    expect(desk.details.lines[0]).toMatchObject({ shipped: 25n, delivered: 25n });
  });

  test("more than was ordered is flagged QUANTITY_EXCEEDED and counts as what was ordered", () => {
    const desk = OrderDesk.of({ lines });
    desk.report(report("1", "IN_TRANSIT", 10, { lines: [pieces("L1", 20)] }));
    const { flags } = desk.report(report("2", "IN_TRANSIT", 20, { lines: [pieces("L1", 20)] }));
    expect(flagNames(flags)).toEqual(["QUANTITY_EXCEEDED"]);
    expect(desk.details.lines[0]?.shipped).toBe(25n);
    expect(desk.order.shipping?.quantityDone).toBe(25n);
  });

  test("an estimate of more than was ordered is flagged as well", () => {
    const desk = OrderDesk.of({ lines });
    const { flags } = desk.report({
      ...estimate("e", "IN_TRANSIT", 10, 20),
      lines: report("", "", 0, { lines: [pieces("L2", 5)] }).lines,
    });
    expect(flagNames(flags)).toEqual(["QUANTITY_EXCEEDED"]);
  });

  test("an order without lines and units has shipped none or all", () => {
    const desk = OrderDesk.of();
    expect(desk.order.shipping?.completeness).toBe(NONE);
    desk.report(report("1", "ARRIVED", 10));
    expect(desk.order.shipping?.completeness).toBe(COMPLETE);
    expect(desk.order.delivery?.completeness).toBe(NONE);
  });
});

describe("partial shipping and delivery by unit", () => {
  const units = [unit("U1"), unit("U2"), unit("U3")];

  test("one of three units on its way is one of three", () => {
    const desk = OrderDesk.of({ units });
    desk.report(report("1", "IN_TRANSIT", 10, { unitIds: ["U2"] }));
    expect(desk.order).toMatchObject({
      status: "RECEIVED",
      shipping: { completeness: PARTIAL, unitsDone: 1, unitsTotal: 3 },
    });
    expect(desk.details.unitProgress.map((one) => one.status)).toEqual(["", "IN_TRANSIT", ""]);
  });

  test("the order stands where its slowest unit does", () => {
    const desk = OrderDesk.of({ units });
    desk.report(report("1", "DELIVERED", 30, { unitIds: ["U1"] }));
    desk.report(report("2", "ARRIVED", 20, { unitIds: ["U2", "U3"] }));
    expect(desk.order).toMatchObject({ status: "ARRIVED", delivery: { completeness: PARTIAL, unitsDone: 1 } });
    desk.report(report("3", "DELIVERED", 40, { unitIds: ["U2", "U3"] }));
    expect(desk.order).toMatchObject({ status: "DELIVERED", statusSince: localAt(40) });
  });

  test("one unit delivered does not put the others out of the flow", () => {
    const desk = OrderDesk.of({ units });
    desk.report(report("1", "DELIVERED", 10, { unitIds: ["U1"] }));
    expect(desk.report(report("2", "IN_TRANSIT", 20, { unitIds: ["U2"] })).flags).toEqual([]);
    const back = desk.report(report("3", "IN_TRANSIT", 30, { unitIds: ["U1"] }));
    expect(flagNames(back.flags)).toEqual(["OUT_OF_FLOW"]);
    expect(desk.details.unitProgress[0]).toMatchObject({ status: "DELIVERED", since: localAt(10) });
  });

  test("a unit's report that arrives late is LATE for that unit only", () => {
    const desk = OrderDesk.of({ units });
    desk.report(report("1", "DELIVERED", 30, { unitIds: ["U1"] }));
    expect(flagNames(desk.report(report("2", "IN_TRANSIT", 20, { unitIds: ["U1"] })).flags)).toEqual(["LATE"]);
    expect(desk.report(report("3", "IN_TRANSIT", 20, { unitIds: ["U2"] })).flags).toEqual([]);
  });

  test("one unit told twice is one unit", () => {
    const desk = OrderDesk.of({ units });
    desk.report(report("1", "IN_TRANSIT", 10, { unitIds: ["U1"] }));
    desk.report(report("2", "IN_TRANSIT", 20, { unitIds: ["U1"] }));
    expect(desk.order.shipping?.unitsDone).toBe(1);
    expect(desk.details.unitProgress[0]?.since).toEqual(localAt(10));
  });

  test("a report of everything brings every unit along", () => {
    const desk = OrderDesk.of({ units });
    desk.report(report("1", "DELIVERED", 40, { unitIds: ["U1"] }));
    desk.report(report("2", "IN_TRANSIT", 20));
    expect(desk.details.unitProgress.map((one) => one.status)).toEqual(["DELIVERED", "IN_TRANSIT", "IN_TRANSIT"]);
  });

  test("units bring their contents, so that quantities follow from them", () => {
    const filled = [unit("U1", pieces("L1", 15)), unit("U2", pieces("L1", 10))];
    const desk = OrderDesk.of({ lines: [line("L1", 25)], units: filled });
    desk.report(report("1", "DELIVERED", 10, { unitIds: ["U1"] }));
    expect(desk.order.delivery).toMatchObject({ completeness: PARTIAL, quantityDone: 15n, unitsDone: 1 });
    desk.report(report("2", "DELIVERED", 20, { unitIds: ["U2"] }));
    expect(desk.order.status).toBe("DELIVERED");
  });

  test("units that hold less than was ordered are not all of it", () => {
    const desk = OrderDesk.of({ lines: [line("L1", 25)], units: [unit("U1", pieces("L1", 15))] });
    desk.report(report("1", "DELIVERED", 10, { unitIds: ["U1"] }));
    expect(desk.order).toMatchObject({ status: "RECEIVED", delivery: { completeness: PARTIAL, quantityDone: 15n } });
    desk.report(report("2", "DELIVERED", 20, { lines: [pieces("L1", 10)] }));
    expect(desk.order.status).toBe("DELIVERED");
  });

  test("units whose contents are not known are all of it together", () => {
    const desk = OrderDesk.of({ lines: [line("L1", 25)], units: [unit("U1"), unit("U2")] });
    desk.report(report("1", "DELIVERED", 10, { unitIds: ["U1", "U2"] }));
    expect(desk.order).toMatchObject({ status: "DELIVERED", delivery: { quantityDone: 25n, unitsDone: 2 } });
  });

  test("3 pieces taken out of a pallet of 25 do not move the pallet, and are not counted twice with it", () => {
    const desk = OrderDesk.of({ lines: [line("L1", 30)], units: [unit("U1", pieces("L1", 25))] });
    desk.report(report("1", "DELIVERED", 10, { unitIds: ["U1"], lines: [pieces("L1", 3)] }));
    expect(desk.order).toMatchObject({ status: "RECEIVED", delivery: { quantityDone: 3n, unitsDone: 0 } });
    desk.report(report("2", "DELIVERED", 20, { unitIds: ["U1"] }));
    expect(desk.order).toMatchObject({ status: "RECEIVED", delivery: { quantityDone: 25n, unitsDone: 1 } });
    const loose = desk.report(report("3", "DELIVERED", 30, { lines: [pieces("L1", 5)] }));
    expect(loose).toMatchObject({ status: "DELIVERED", flags: [] });
  });

  test("a report of a unit that the order does not have moves nothing", () => {
    const desk = OrderDesk.of({ units });
    desk.report(report("1", "DELIVERED", 10, { unitIds: ["U9"] }));
    expect(desk.order).toMatchObject({ status: "RECEIVED", delivery: { completeness: NONE, unitsTotal: 3 } });
  });
});

describe("what stands beside the status", () => {
  test("the exception flag is what the report of the last happening says, whenever it arrived", () => {
    const desk = OrderDesk.of();
    desk.report(report("1", "IN_TRANSIT", 30, { exception: true }));
    expect(desk.order.exception).toBe(true);
    desk.report(report("2", "READY", 20));
    expect(desk.order.exception).toBe(true);
    desk.report(report("3", "", 40, { milestone: "INSPECTED" }));
    expect(desk.order.exception).toBe(false);
    desk.retract(retraction("3", 41));
    expect(desk.order.exception).toBe(true);
  });

  test("delivery is expected when the newest estimate of it says, else when that of the arrival does", () => {
    const desk = OrderDesk.of();
    desk.report(estimate("a1", "ARRIVED", 10, 80));
    expect(desk.order.estimatedDelivery).toEqual(localAt(80));
    desk.report(estimate("d2", "DELIVERED", 12, 95));
    desk.report(estimate("d1", "DELIVERED", 11, 99));
    desk.report(estimate("a2", "ARRIVED", 20, 70));
    expect(desk.order.estimatedDelivery).toEqual(localAt(95));
    desk.retract(retraction("d1", 30));
    desk.retract(retraction("d2", 30));
    expect(desk.order.estimatedDelivery).toEqual(localAt(70));
  });

  test("an expected arrival on the way, which carries no status, is not the order's", () => {
    const desk = OrderDesk.of();
    desk.report({ ...estimate("t", "", 10, 40), milestone: "ARRIVED" });
    expect(desk.order.estimatedDelivery).toBeUndefined();
  });

  test("attached bookings show with their carriers, and the units they name are units of the order", () => {
    const desk = OrderDesk.of({ units: [unit("U1")] });
    const attach = (bookingId: string, carrier: string, unitIds: string[]) =>
      desk.apply(
        {
          case: "bookingAttached",
          value: create(BookingAttachedSchema, {
            booking: create(OrderBookingSchema, { bookingId, carrier, unitIds }),
          }),
        },
        at(2_000),
      );
    attach("b2", "MSC", ["U1"]);
    attach("b1", "CMA", ["U2"]);
    attach("b3", "MSC", []);
    expect(desk.order).toMatchObject({ bookingIds: ["b2", "b1", "b3"], carriers: ["CMA", "MSC"] });
    expect(desk.details.unitProgress.map((one) => one.unitId)).toEqual(["U1", "U2"]);
    desk.report(report("1", "IN_TRANSIT", 10, { unitIds: ["U1"] }));
    expect(desk.order).toMatchObject({ status: "RECEIVED", shipping: { unitsDone: 1, unitsTotal: 2 } });
    attach("b1", "CMA", []);
    expect(desk.order).toMatchObject({ bookingIds: ["b2", "b1", "b3"], status: "IN_TRANSIT" });
  });
});
