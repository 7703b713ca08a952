import { describe, expect, test } from "vitest";
import { ImportOutcome } from "../../gen/leadline/v1/import_service_pb.ts";
import { equipmentEvent22, equipmentEvent30, transportEvent22, transportEvent30 } from "../fixtures/dcsa/events.ts";
import { carrierCall, eachInAWorld, outcomes, type World } from "./import-world.ts";

let world: World;
eachInAWorld((started) => {
  world = started;
});

/** An event that names the bookings A and B, and units. */
function sideBySide(event: Record<string, unknown>, units: readonly string[]): Record<string, unknown> {
  return {
    ...event,
    documentReferences: ["A", "B"].map((value) => ({ documentReferenceType: "BKG", documentReferenceValue: value })),
    references: units.map((value) => ({ referenceType: "EQ", referenceValue: value })),
  };
}

const BKG = { references: [{ type: "BKG", value: "PSEA7700412" }] };

describe("what an event belongs to", () => {
  const only = (references: { typeCode: string; reference: string }[], eventID = "e") =>
    transportEvent30({ eventID, shipmentDetails: { shipmentReferences: references } });

  test("is told by transport document, unit and shipper's reference when the booking is not named", async () => {
    await world.book("b1", {
      references: [
        { type: "TRD", value: "T1" },
        { type: "FF", value: "F1" },
      ],
      units: [{ id: "CSQU3054383" }],
    });
    for (const [typeCode, reference] of [
      ["TRD", "T1"],
      ["EQ", "CSQU3054383"],
      ["FF", "F1"],
    ] as const) {
      const [result] = await world.import([only([{ typeCode, reference }], typeCode)]);
      expect(result?.bookingIds).toEqual(["b1"]);
    }
  });

  test("is the booking by its reference, before another one by its unit", async () => {
    await world.book("unit", { units: [{ id: "CSQU3054383" }] });
    await world.book("named", BKG);
    const [result] = await world.import([equipmentEvent30()]);
    expect(result?.bookingIds).toEqual(["named"]);
  });

  test("is the newest booking when the carrier has used a reference again", async () => {
    await world.book("old", BKG);
    await world.book("new", BKG);
    expect((await world.import([transportEvent30()]))[0]?.bookingIds).toEqual(["new"]);
  });

  test.each([
    ["have their units", [{ id: "MSKU6874333" }]],
    ["have not told all their units yet", []],
  ])("is no single one of several bookings named side by side that %s", async (_, units) => {
    await world.order("o1");
    await world.order("o2");
    await world.book("old", { references: [{ type: "BKG", value: "B" }] });
    await world.book("b1", { references: [{ type: "BKG", value: "A" }], units: [{ id: "CSQU3054383" }] }, ["o1"]);
    await world.book("b2", { references: [{ type: "BKG", value: "B" }], units }, ["o2"]);
    const before = await world.revision();
    const departed = sideBySide(transportEvent22(), ["CSQU3054383", "MSKU6874333"]);
    const [result] = await world.import([departed]);
    expect(result).toMatchObject({ outcome: ImportOutcome.UNMATCHED, reason: "MATCH_AMBIGUOUS" });
    expect(result?.message).toBe("BKG A, BKG B names several bookings of PSEA: b1, b2");
    expect((await world.listWork()).items.map(({ reason }) => reason)).toEqual(["MATCH_AMBIGUOUS"]);
    expect((await world.booking("b1")).details.units.map(({ id }) => id)).toEqual(["CSQU3054383"]);
    expect(await world.revision()).toBe(before);
  });

  test("is the one of bookings named side by side that has all its units", async () => {
    const units = [{ id: "CSQU3054383" }, { id: "MSKU6874333" }];
    await world.book("b1", { references: [{ type: "BKG", value: "A" }], units });
    await world.book("b2", { references: [{ type: "BKG", value: "B" }] });
    const [result] = await world.import([
      sideBySide(
        transportEvent22(),
        units.map(({ id }) => id),
      ),
    ]);
    expect(result?.bookingIds).toEqual(["b1"]);
  });

  test("is the one of several bookings of a transport document that has the unit", async () => {
    const document = { references: [{ type: "TRD", value: "PSEAHAM204417" }] };
    await world.book("b1", { ...document, units: [{ id: "CSQU3054383" }] });
    await world.book("b2", document);
    expect((await world.import([equipmentEvent30()]))[0]?.bookingIds).toEqual(["b1"]);
    const [several] = await world.import([transportEvent30()]);
    expect(several).toMatchObject({
      outcome: ImportOutcome.UNMATCHED,
      message: expect.stringMatching(/several bookings.*b1/),
    });
  });

  test("is never a booking of another carrier", async () => {
    await world.book("b1", { ...BKG, carrier: "HLCU" });
    expect(outcomes(await world.import([transportEvent30()]))).toEqual(["UNMATCHED"]);
  });

  test("is an order where no booking is", async () => {
    await world.order("o1", { references: [{ type: "PO", value: "PO-88123" }] });
    const departed = only([{ typeCode: "PO", reference: "PO-88123" }]);
    const classified = { eventTypeCode: "TRANSPORT", eventClassifierCode: "ACT", transportEventTypeCode: "DEPA" };
    const event = { ...departed, eventClassification: classified };
    const [result] = await world.import([event]);
    expect(result).toMatchObject({ bookingIds: [], orderIds: ["o1"] });
    expect((await world.orderSubject("o1")).order.status).toBe("IN_TRANSIT");
    expect(outcomes(await world.import([event, { ...event, isRetracted: true }]))).toEqual([
      "ALREADY_KNOWN",
      "APPLIED",
    ]);
    expect((await world.orderSubject("o1")).order.status).toBe("RECEIVED");
  });

  test("is the booking that carries the order which has the unit", async () => {
    await world.order("o1", { units: [{ id: "CSQU3054383" }] });
    await world.book("b1", {}, ["o1"]);
    const [result] = await world.import([only([{ typeCode: "EQ", reference: "CSQU3054383" }])]);
    expect(result).toMatchObject({ bookingIds: ["b1"], orderIds: ["o1"] });
  });
});

describe("carriers", () => {
  test("import for their own bookings and are shown no orders", async () => {
    await world.order("o1", { references: [{ type: "PO", value: "PO-88123" }] });
    await world.book("b1", BKG, ["o1"]);
    const call = carrierCall("PSEA");
    const [own] = await world.import([transportEvent30()], { call, carrier: "" });
    expect(own).toMatchObject({ outcome: ImportOutcome.APPLIED, bookingIds: ["b1"], orderIds: [] });
    const references = { shipmentReferences: [{ typeCode: "PO", reference: "PO-88123" }] };
    const [through] = await world.import([transportEvent30({ eventID: "2", shipmentDetails: references })], { call });
    expect(through).toMatchObject({ bookingIds: ["b1"], orderIds: [] });
  });

  test("speak for no other carrier", async () => {
    await world.book("b1", { ...BKG, carrier: "HLCU" });
    const call = carrierCall("HLCU");
    const results = [
      ...(await world.import([transportEvent30()], { call, carrier: "" })),
      ...(await world.import([equipmentEvent22()], { call, carrier: "PSEA" })),
    ];
    expect(results.map(({ reason }) => reason)).toEqual(["ROLE_FORBIDS", "ROLE_FORBIDS"]);
  });

  test("learn nothing of orders that no booking of theirs carries", async () => {
    await world.order("o1", { references: [{ type: "PO", value: "PO-88123" }] });
    const references = { shipmentReferences: [{ typeCode: "PO", reference: "PO-88123" }] };
    const event = transportEvent30({ shipmentDetails: references });
    const [result] = await world.import([event], { call: carrierCall("PSEA") });
    expect(result).toMatchObject({ outcome: ImportOutcome.UNMATCHED, orderIds: [] });
    expect(result?.message).not.toContain("order");
    expect((await world.retry())[0]).toMatchObject({ outcome: ImportOutcome.APPLIED, orderIds: ["o1"] });
  });

  test("are not told the order that several bookings of theirs carry", async () => {
    await world.order("po-7", { references: [{ type: "PO", value: "PO-88123" }] });
    await world.book("b1", {}, ["po-7"]);
    await world.book("b2", {}, ["po-7"]);
    const references = { shipmentReferences: [{ typeCode: "PO", reference: "PO-88123" }] };
    const event = transportEvent30({ shipmentDetails: references });
    const [result] = await world.import([event], { call: carrierCall("PSEA") });
    expect(result).toMatchObject({ outcome: ImportOutcome.UNMATCHED, reason: "MATCH_AMBIGUOUS" });
    expect(result?.message).toMatch(/b1/);
    expect(result?.message).not.toMatch(/po-7|order/);
    // Staff is told.
    expect((await world.import([event]))[0]?.message).toContain("po-7");
  });
});
