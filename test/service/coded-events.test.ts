import { describe, expect, test } from "vitest";
import { ImportOutcome, MessageFormat } from "../../gen/leadline/v1/import_service_pb.ts";
import { Completeness } from "../../gen/leadline/v1/order_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, Flag } from "../../gen/leadline/v1/report_pb.ts";
import { carrierCall, eachInAWorld, outcomes, type World } from "./import-world.ts";

let world: World;
eachInAWorld((started) => {
  world = started;
});

type Fields = Record<string, unknown>;
let said = 0;

/** A coded event as a gateway sends it: JSON of leadline.v1.CodedEvent, of what happened in Hamburg. */
function coded(list: string, code: string, more: Fields = {}): Fields {
  said += 1;
  return {
    sourceId: `said-${said}`,
    codeList: `CODE_LIST_${list}`,
    code,
    occurredAt: { instant: "2026-03-02T10:00:00Z", utcOffsetMinutes: 60 },
    sourceUpdatedAt: "2026-03-02T10:05:00Z",
    place: { unlocode: "DEHAM" },
    ...more,
  };
}

const BKG = { references: [{ type: "BKG", value: "PSEA77" }] };
const ORDER = (id: string) => ({ references: [{ type: "ORDER", value: id }] });

describe("a coded event", () => {
  test("moves the booking, its unit and the attached order, and counts once", async () => {
    await world.order("o1");
    await world.book("b1", { ...BKG, units: [{ id: "CSQU3054383" }] }, ["o1"]);
    const event = coded("X12_315", "AE", { ...BKG, unitIds: ["CSQU3054383"] });
    const results = await world.import([event, event]);
    expect(outcomes(results)).toEqual(["APPLIED", "ALREADY_KNOWN"]);
    expect(results[0]).toMatchObject({ sourceId: event.sourceId, bookingIds: ["b1"], orderIds: ["o1"], flags: [] });
    const { details } = await world.booking("b1");
    expect(details.milestones).toMatchObject([
      { kind: "LOADED", place: "DEHAM", unitId: "CSQU3054383", actual: { source: "PSEA", sourceId: event.sourceId } },
    ]);
    expect((await world.orderSubject("o1")).details.reports).toMatchObject([{ report: { status: "READY" } }]);
  });

  test("is told from the item, and taken with its format named and with protobuf's own field names", async () => {
    await world.order("o1");
    const named = {
      source_id: "s1",
      code_list: "CODE_LIST_X12_214",
      code: "AF",
      occurred_at: coded("", "").occurredAt,
    };
    const format = MessageFormat.CODED_EVENT;
    const results = [
      ...(await world.import([{ ...named, ...ORDER("o1") }])),
      ...(await world.import([coded("X12_214", "D1", ORDER("o1"))], { format })),
    ];
    expect(outcomes(results)).toEqual(["APPLIED", "APPLIED"]);
    expect((await world.orderSubject("o1")).order.status).toBe("DELIVERED");
  });

  test("finds its place by air waybill with or without the hyphen, by unit and by order", async () => {
    await world.order("air", { references: [{ type: "AWB", value: "239-12345675" }] });
    await world.order("box", { units: [{ id: "CSQU3054383" }] });
    await world.order("po-7");
    const results = await world.import([
      coded("IATA_FSU", "DEP", { references: [{ type: "AWB", value: "23912345675" }] }),
      coded("X12_315", "I", { unitIds: ["CSQU305438"] }),
      coded("X12_214", "AF", ORDER("po-7")),
      coded("X12_214", "AF", ORDER("po-8")),
    ]);
    expect(results.map(({ orderIds }) => orderIds)).toEqual([["air"], ["box"], ["po-7"], []]);
    expect(outcomes(results)).toEqual(["APPLIED", "APPLIED", "APPLIED", "UNMATCHED"]);
    const { details } = await world.orderSubject("box");
    expect(details.reports).toMatchObject([{ report: { unitIds: ["CSQU3054383"], milestone: "GATE_IN" } }]);
  });

  test("belongs to the newest booking of an air waybill that is under way", async () => {
    const waybill = { mode: TransportMode.AIR, references: [{ type: "AWB", value: "239-12345675" }] };
    await world.book("a1", waybill);
    const [result] = await world.import([coded("IATA_FSU", "RCS", { references: waybill.references })]);
    expect(result).toMatchObject({ outcome: ImportOutcome.APPLIED, bookingIds: ["a1"] });
  });

  test("keeps its classifier, leg, reason and remark, and sets the exception where its code says so", async () => {
    await world.order("o1");
    await world.book("b1", BKG, ["o1"]);
    await world.import([
      coded("IATA_FSU", "ARR", { ...BKG, classifier: "CLASSIFIER_ESTIMATED", leg: 2, place: { unlocode: "BRSSZ" } }),
      coded("IATA_FSU", "DIS", { ...BKG, reasonCode: "OFLD", remark: "offloaded" }),
    ]);
    const { details } = await world.booking("b1");
    expect(details.reports).toMatchObject([
      { report: { classifier: Classifier.ESTIMATED, leg: 2, exception: false } },
      { report: { milestone: "DISCREPANCY", reasonCode: "OFLD", remark: "offloaded", exception: true } },
    ]);
    expect((await world.orderSubject("o1")).order).toMatchObject({ exception: true, status: "RECEIVED" });
  });

  test("is warned of for a wrong check digit and an unknown zone", async () => {
    await world.order("o1");
    const occurredAt = { instant: "2026-03-02T10:00:00Z", zoneUnknown: true };
    const references = [...ORDER("o1").references, { type: "AWB", value: "239-12345678" }];
    const [result] = await world.import([coded("IATA_FSU", "DEP", { references, occurredAt })]);
    expect(result).toMatchObject({
      outcome: ImportOutcome.WARNED,
      flags: [Flag.ZONE_UNKNOWN, Flag.CHECK_DIGIT_WRONG],
      orderIds: ["o1"],
    });
  });

  test("whose code moves nothing is passed over, and nothing is recorded", async () => {
    await world.order("o1");
    const revision = await world.revision();
    const [result] = await world.import([coded("IATA_FSU", "OCI", ORDER("o1"))]);
    expect(result).toMatchObject({
      outcome: ImportOutcome.PASSED_OVER,
      message: "IATA_FSU OCI is known and moves nothing",
    });
    expect(await world.revision()).toBe(revision);
    expect((await world.listWork()).items).toEqual([]);
  });

  test("that breaks its contract is refused by itself, with every violation", async () => {
    await world.order("o1");
    const results = await world.import([
      coded("X12_214", "AF", { sourceId: "", unitIds: ["a", "a"] }),
      coded("X12_214", "AF", { foo: 1 }),
      coded("NO_SUCH", "AF"),
      coded("X12_214", "AF", { occurredAt: undefined }),
      coded("X12_214", "AF", { occurredAt: { instant: "1970-01-01T00:00:00Z" } }),
      coded("X12_214", "AF", { place: {} }),
      coded("X12_214", "A F"),
      coded("X12_214", "AF", { pieces: 3 }),
      coded("X12_214", "AF", { pieces: 3, totalPieces: 2 }),
      coded("X12_214", "AF", { ...ORDER("o1"), remark: "\u0000" }),
      coded("X12_214", "AF", ORDER("o1")),
    ]);
    expect(results.map(({ reason }) => reason)).toEqual([
      "FIELD_INVALID",
      "MESSAGE_MALFORMED",
      "MESSAGE_MALFORMED",
      ...Array(7).fill("FIELD_INVALID"),
      "",
    ]);
    const messages = results.map(({ message }) => message);
    expect(messages[0]).toMatch(/source_id .*; unit_ids/);
    expect(messages[1]).toContain('"foo"');
    expect(messages.slice(3, 10)).toEqual(
      ["occurred_at", "occurred_at.instant", "place", "code", "total_pieces", "pieces", "remark"].map((field) =>
        expect.stringMatching(new RegExp(`^${field} `)),
      ),
    );
    expect(results[1]?.sourceId).toMatch(/^said-/);
    expect((await world.listWork()).items).toEqual([]);
  });

  test("needs somebody who says which carrier sent it", async () => {
    const [result] = await world.import([coded("X12_214", "AF", BKG)], { carrier: "" });
    expect(result).toMatchObject({ outcome: ImportOutcome.REFUSED, reason: "FIELD_INVALID" });
    expect(result?.message).toMatch(/^carrier /);
  });

  test("of a carrier moves its own booking, and names no order by its id", async () => {
    await world.order("o1");
    await world.book("b1", BKG, ["o1"]);
    const call = carrierCall("PSEA");
    const results = await world.import([coded("X12_315", "VD", BKG), coded("X12_315", "VD", ORDER("o1"))], {
      call,
      carrier: "",
    });
    expect(results[0]).toMatchObject({ outcome: ImportOutcome.APPLIED, bookingIds: ["b1"], orderIds: [] });
    expect(results[1]).toMatchObject({ outcome: ImportOutcome.UNMATCHED, bookingIds: [] });
    expect((await world.orderSubject("o1")).order.status).toBe("IN_TRANSIT");
  });
});

describe("part shipments", () => {
  const pieces = (some: number) => ({ pieces: some, totalPieces: 25 });
  const at = { place: { unlocode: "BRSSZ" } };

  test("3 of 25 pieces delivered are not the order delivered; the other 22 make it so", async () => {
    await world.order("o1", { lines: [{ id: "10", sku: "sku", quantity: 25n }] });
    await world.book("b1", { mode: TransportMode.AIR, ...BKG }, ["o1"]);
    await world.import([coded("IATA_FSU", "DLV", { ...BKG, ...at, ...pieces(3) })]);
    const partly = await world.orderSubject("o1");
    expect(partly.order).toMatchObject({
      status: "RECEIVED",
      delivery: { completeness: Completeness.PARTIAL, quantityDone: 3n },
    });
    expect(partly.details.reports).toMatchObject([{ report: { remark: "3 of 25 pieces" } }]);
    await world.import([coded("IATA_FSU", "DLV", { ...BKG, ...at, ...pieces(22) })]);
    const whole = await world.orderSubject("o1");
    expect(whole.order).toMatchObject({ status: "DELIVERED", delivery: { completeness: Completeness.COMPLETE } });
  });

  test("of an order that says nothing of its pieces move its milestone and not its status", async () => {
    await world.order("o1");
    await world.order("o2", { lines: [{ id: "10", sku: "sku", quantity: 24n }] });
    for (const id of ["o1", "o2"])
      await world.import([coded("IATA_FSU", "DLV", { ...ORDER(id), ...at, ...pieces(3) })]);
    for (const id of ["o1", "o2"]) {
      const { order, details } = await world.orderSubject(id);
      expect(order.status).toBe("RECEIVED");
      expect(details.reports).toMatchObject([{ report: { milestone: "DELIVERED", status: "", lines: [] } }]);
    }
    await world.import([coded("IATA_FSU", "DLV", { ...ORDER("o1"), ...at, ...pieces(25) })]);
    expect((await world.orderSubject("o1")).order.status).toBe("DELIVERED");
  });

  test("with quantities by line move by those", async () => {
    const lines = ["10", "20"].map((id) => ({ id, sku: id, quantity: 5n }));
    await world.order("o1", { lines });
    const some = (lineId: string) => ({ ...ORDER("o1"), ...at, lines: [{ lineId, quantity: "5" }], ...pieces(5) });
    await world.import([coded("IATA_FSU", "DLV", some("10"))]);
    expect((await world.orderSubject("o1")).order.delivery).toMatchObject({ quantityDone: 5n, quantityTotal: 10n });
    await world.import([coded("IATA_FSU", "DLV", some("20"))]);
    expect((await world.orderSubject("o1")).order.status).toBe("DELIVERED");
  });
});
