import { describe, expect, test } from "vitest";
import { ImportOutcome } from "../../gen/leadline/v1/import_service_pb.ts";
import { equipmentEvent22, equipmentEvent30, transportEvent30 } from "../fixtures/dcsa/events.ts";
import { carrierCall, eachInAWorld, outcomes, type World } from "./import-world.ts";

let world: World;
eachInAWorld((started) => {
  world = started;
});

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
});
