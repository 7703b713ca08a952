import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import {
  CancelOrderRequestSchema,
  CreateOrderRequestSchema,
  HoldOrderRequestSchema,
  ReleaseOrderRequestSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { UnitKind, UnitSchema } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, Flag, ReportOutcome, type ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import {
  decideCancelOrder,
  decideCreateOrder,
  decideHoldOrder,
  decideReleaseOrder,
  decideReportStatus,
} from "../../src/domain/order-commands.ts";
import { STANDARD_FLOW } from "../../src/domain/standard-flow.ts";
import { at, flagNames, line, localAt, ORDER_ID, OrderDesk, pieces, report, retraction, unit } from "./order-desk.ts";

const hold = (desk: OrderDesk, etag = "") =>
  desk.run(decideHoldOrder(create(HoldOrderRequestSchema, { orderId: ORDER_ID, etag, reason: "papers missing" })));
const release = (desk: OrderDesk, etag = "") =>
  desk.run(decideReleaseOrder(create(ReleaseOrderRequestSchema, { orderId: ORDER_ID, etag })));
const cancel = (desk: OrderDesk, etag = "") =>
  desk.run(decideCancelOrder(create(CancelOrderRequestSchema, { orderId: ORDER_ID, etag, reason: "sold out" })));

const refusal = (reason: ErrorReason, more: object = {}) => expect.objectContaining({ reason, ...more });
const illegal = (state: string, legal: string) =>
  refusal(ErrorReason.VERB_ILLEGAL, { metadata: expect.objectContaining({ state, legal_verbs: legal }) });

describe("creating an order", () => {
  test("it takes what was asked for and starts with version 1", () => {
    const desk = OrderDesk.of({
      references: [{ type: "PO", value: "4711" }],
      destination: { unlocode: "NLRTM" },
      lines: [line("L1", 5)],
      promisedAt: at(5_000),
    });
    expect(desk.order).toMatchObject({
      id: ORDER_ID,
      version: 1n,
      references: [{ type: "PO", value: "4711" }],
      destination: { unlocode: "NLRTM" },
      promisedAt: at(5_000),
      createdAt: at(1_000),
      updatedAt: at(1_000),
    });
  });

  test("what has left and what is delivered is not for the caller to say", () => {
    const claimed = { ...line("L1", 5), shipped: 5n, delivered: 5n };
    expect(OrderDesk.of({ lines: [claimed] }).details.lines[0]).toMatchObject({ shipped: 0n, delivered: 0n });
  });

  test("an id that is taken is refused with ORDER_EXISTS", () => {
    const desk = OrderDesk.of();
    expect(() => desk.run(decideCreateOrder(ORDER_ID, create(CreateOrderRequestSchema), STANDARD_FLOW.ref))).toThrow(
      refusal(ErrorReason.ORDER_EXISTS, { metadata: { order_id: ORDER_ID } }),
    );
  });

  const container = (id: string) => create(UnitSchema, { id, kind: UnitKind.CONTAINER });
  test.each<[string, MessageInitShape<typeof CreateOrderRequestSchema>, ErrorReason, string]>([
    ["two lines of one id", { lines: [line("L1", 1), line("L1", 2)] }, ErrorReason.FIELD_INVALID, "lines[1].id"],
    ["two units of one id", { units: [unit("U1"), unit("U1")] }, ErrorReason.FIELD_INVALID, "units[1].id"],
    [
      "contents of a line that is not there",
      { lines: [line("L1", 1)], units: [unit("U1", pieces("L2", 1))] },
      ErrorReason.FIELD_INVALID,
      "units[0].contents[0].line_id",
    ],
    [
      "contents that name a line twice",
      { lines: [line("L1", 1)], units: [unit("U1", pieces("L1", 1), pieces("L1", 1))] },
      ErrorReason.FIELD_INVALID,
      "units[0].contents[1].line_id",
    ],
    ["a place that names nothing", { origin: { countryCode: "NL" } }, ErrorReason.FIELD_INVALID, "origin"],
    [
      "a promise for the year 2400",
      { promisedAt: { seconds: 13_569_465_600n } },
      ErrorReason.FIELD_INVALID,
      "promised_at",
    ],
    ["a wrong check digit", { units: [container("MSCU1234567")] }, ErrorReason.CHECK_DIGIT_WRONG, "units[0].id"],
    [
      "a wrong check digit in a reference",
      { references: [{ type: "EQ", value: "GMCU6094137" }] },
      ErrorReason.CHECK_DIGIT_WRONG,
      "references[0].value",
    ],
    [
      "a wrong air waybill",
      { references: [{ type: "AWB", value: "239-12345678" }] },
      ErrorReason.CHECK_DIGIT_WRONG,
      "references[0].value",
    ],
  ])("%s is refused, and its field named", (_, request, reason, field) => {
    expect(() => OrderDesk.of(request)).toThrow(refusal(reason, { violations: [expect.objectContaining({ field })] }));
  });

  test("right identifiers and pieces marked as their owner likes are taken", () => {
    const desk = OrderDesk.of({
      units: [container("MSKU6874333"), unit("MSCU1234567")],
      references: [{ type: "AWB", value: "239-12345675" }],
    });
    expect(desk.details.units).toHaveLength(2);
  });
});

describe("hold, release and cancel", () => {
  test("a hold stands beside the status until it is released", () => {
    const desk = OrderDesk.of();
    expect(hold(desk).order).toMatchObject({ onHold: true, holdReason: "papers missing", status: "RECEIVED" });
    desk.report(report("1", "READY", 10));
    expect(desk.order).toMatchObject({ onHold: true, status: "READY" });
    expect(release(desk).order).toMatchObject({ onHold: false, holdReason: "", status: "READY" });
  });

  test("a cancelled order is CANCELLED since its cancellation, with the reason", () => {
    const desk = OrderDesk.of({}, 1_000);
    expect(cancel(desk).order).toMatchObject({
      status: "CANCELLED",
      phase: Phase.CANCELLED,
      statusSince: localAt(1_001),
    });
    expect(desk.details.cancelReason).toBe("sold out");
  });

  test.each<[string, (desk: OrderDesk) => void, (desk: OrderDesk) => unknown, string, string]>([
    ["hold one that is on hold", hold, hold, "RECEIVED", "RELEASE,CANCEL"],
    ["release one that is not on hold", () => {}, release, "RECEIVED", "HOLD,CANCEL"],
    ["hold a cancelled one", cancel, hold, "CANCELLED", ""],
    ["cancel a cancelled one", cancel, cancel, "CANCELLED", ""],
    ["cancel a delivered one", (desk) => desk.report(report("1", "DELIVERED", 10)), cancel, "DELIVERED", ""],
    ["hold a delivered one", (desk) => desk.report(report("1", "DELIVERED", 10)), hold, "DELIVERED", ""],
  ])("one cannot %s: the refusal tells the state and the legal verbs", (_, before, verb, state, legal) => {
    const desk = OrderDesk.of();
    before(desk);
    const events = desk.history.length;
    expect(() => verb(desk)).toThrow(illegal(state, legal));
    expect(desk.history).toHaveLength(events);
  });

  test("an order whose delivery was retracted can be cancelled", () => {
    const desk = OrderDesk.of();
    desk.report(report("1", "DELIVERED", 10));
    desk.retract(retraction("1", 20));
    expect(cancel(desk).order?.status).toBe("CANCELLED");
  });

  test("a report after the cancellation is kept and flagged, and the order stays CANCELLED", () => {
    const desk = OrderDesk.of();
    cancel(desk);
    const answer = desk.report(report("1", "IN_TRANSIT", 10));
    expect(flagNames(answer.flags)).toEqual(["AFTER_CANCELLATION"]);
    expect(answer.status).toBe("CANCELLED");
    expect(desk.order.phase).toBe(Phase.CANCELLED);
    expect(desk.details.reports).toHaveLength(1);
  });

  test("an etag of another version is refused with ETAG_MISMATCH, the present one passes", () => {
    const desk = OrderDesk.of();
    desk.report(report("1", "READY", 10));
    for (const verb of [hold, cancel]) {
      expect(() => verb(desk, "1")).toThrow(
        refusal(ErrorReason.ETAG_MISMATCH, { metadata: { order_id: ORDER_ID, etag: "2" } }),
      );
    }
    expect(hold(desk, "2").order?.onHold).toBe(true);
    expect(() => release(desk, "02")).toThrow(refusal(ErrorReason.ETAG_MISMATCH));
  });

  test("an unknown order is refused with ORDER_UNKNOWN", () => {
    for (const verb of [hold, release, cancel, (desk: OrderDesk) => desk.report(report("1", "READY", 1))]) {
      expect(() => verb(new OrderDesk())).toThrow(
        refusal(ErrorReason.ORDER_UNKNOWN, { metadata: { order_id: ORDER_ID } }),
      );
    }
  });
});

describe("reporting", () => {
  test.each<[string, MessageInitShape<typeof ReportSchema>, ErrorReason]>([
    ["without a classifier", { classifier: Classifier.UNSPECIFIED }, ErrorReason.FIELD_INVALID],
    ["with neither status nor milestone", { status: "" }, ErrorReason.FIELD_INVALID],
    ["of the year 1970", { occurredAt: { instant: { seconds: 0n } } }, ErrorReason.FIELD_INVALID],
    ["said in the year 1970", { sourceUpdatedAt: { seconds: 0n } }, ErrorReason.FIELD_INVALID],
    ["of no time", { occurredAt: {} }, ErrorReason.FIELD_INVALID],
    [
      "in an unknown zone",
      { occurredAt: { instant: at(1), timeZone: "Europe/Rotterdm" } },
      ErrorReason.TIME_ZONE_UNKNOWN,
    ],
    ["at a place that names nothing", { place: { facilityType: "POTE" } }, ErrorReason.FIELD_INVALID],
    ["that names a line twice", { lines: [pieces("L1", 1), pieces("L1", 2)] }, ErrorReason.FIELD_INVALID],
    ["of an unknown status", { status: "TELEPORTED" }, ErrorReason.STATUS_UNKNOWN],
    ["of CANCELLED, which is a command", { status: "CANCELLED" }, ErrorReason.FIELD_INVALID],
  ])("a report %s is refused and nothing is recorded", (_, more, reason) => {
    const desk = OrderDesk.of();
    expect(() => desk.report(report("1", "READY", 10, more))).toThrow(refusal(reason));
    expect(desk.history).toHaveLength(1);
  });

  test("the refusal of an unknown status lists those of the flow", () => {
    const statuses = expect.stringContaining("RECEIVED,PROCESSING,BOOKED");
    expect(() => OrderDesk.of().report(report("1", "SHIPPED", 10))).toThrow(
      refusal(ErrorReason.STATUS_UNKNOWN, { metadata: { status: "SHIPPED", statuses } }),
    );
  });

  test("the refusal of an unknown status tells a carrier nothing of the flow", () => {
    const act = () => OrderDesk.of().report(report("1", "SHIPPED", 10), { role: Role.CARRIER });
    expect(act).toThrow(
      refusal(ErrorReason.STATUS_UNKNOWN, {
        message: 'report.status "SHIPPED" is not in the order\'s flow',
        metadata: { status: "SHIPPED" },
      }),
    );
  });

  test("the answer tells outcome, status, version, position and id", () => {
    const desk = OrderDesk.of();
    expect(desk.report(report("r-7", "READY", 10))).toMatchObject({
      outcome: ReportOutcome.APPLIED,
      status: "READY",
      version: 2n,
      position: "1-2",
      sourceId: "r-7",
    });
  });

  test("a repeated report writes nothing and is answered with the flags it was recorded with", () => {
    const desk = OrderDesk.of();
    const odd = report("1", "READY", 10, { unitIds: ["U9"] });
    desk.report(odd);
    const again = desk.report(odd);
    expect(again).toMatchObject({ outcome: ReportOutcome.ALREADY_KNOWN, version: 2n });
    expect(flagNames(again.flags)).toEqual(["UNIT_UNKNOWN"]);
    expect(desk.history).toHaveLength(2);
  });

  test("an update of the source that is older than what is known is SUPERSEDED", () => {
    const desk = OrderDesk.of();
    desk.report(report("1", "ARRIVED", 20, { sourceUpdatedAt: at(30) }));
    const old = desk.report(report("1", "DELIVERED", 20, { sourceUpdatedAt: at(25) }));
    expect(old).toMatchObject({ outcome: ReportOutcome.SUPERSEDED, status: "ARRIVED", version: 2n });
  });

  test.each<[string, (desk: OrderDesk) => void, string]>([
    ["out of the flow", (desk) => desk.report(report("0", "DELIVERED", 5)), "OUT_OF_FLOW"],
    ["late", (desk) => desk.report(report("0", "DELIVERED", 50)), "LATE"],
    ["of a cancelled order", cancel, "AFTER_CANCELLATION"],
  ])("a caller who asks for it is refused a report that is %s", (_, before, flag) => {
    const desk = OrderDesk.of();
    before(desk);
    const events = desk.history.length;
    expect(() => desk.report(report("1", "READY", 10), { refuseIfUnfit: true })).toThrow(
      refusal(ErrorReason.REPORT_UNFIT, { metadata: expect.objectContaining({ flags: flag }) }),
    );
    expect(desk.history).toHaveLength(events);
  });

  test("flags found where a report was translated are recorded with the others", () => {
    const desk = OrderDesk.of();
    const { flags } = desk.report(report("1", "READY", 10, { unitIds: ["U9"] }), { flags: [Flag.CODE_UNMAPPED] });
    expect(flagNames(flags)).toEqual(["UNIT_UNKNOWN", "CODE_UNMAPPED"]);
  });

  test("deciding changes nothing: the order before is the same afterwards", () => {
    const desk = OrderDesk.of({ lines: [line("L1", 5)], units: [unit("U1", pieces("L1", 5))] });
    desk.report(report("1", "READY", 10));
    const before = desk.known;
    const copy = structuredClone(before);
    desk.report(report("2", "DELIVERED", 20, { unitIds: ["U1"] }));
    desk.retract(retraction("1", 30));
    desk.run(
      decideReportStatus(ORDER_ID, report("3", "ARRIVED", 5), { strict: true, refuseIfUnfit: false, flags: [] }),
    );
    expect(before).toEqual(copy);
  });
});
