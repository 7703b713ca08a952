import { describe, expect, test } from "vitest";
import { BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ImportOutcome, MessageFormat } from "../../gen/leadline/v1/import_service_pb.ts";
import { Classifier, Flag } from "../../gen/leadline/v1/report_pb.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { dryEquipment, dryRequest } from "../fixtures/dcsa/booking-requests.ts";
import {
  equipmentEvent22,
  equipmentEvent30,
  equipmentEventBeta,
  retraction30,
  shipmentEvent22,
  transportEvent22,
  transportEvent30,
} from "../fixtures/dcsa/events.ts";
import { carrierCall, eachInAWorld, outcomes, startWorld, type World } from "./import-world.ts";
import { nowhere } from "./support.ts";

let world: World;
eachInAWorld((started) => {
  world = started;
});

const BKG = { references: [{ type: "BKG", value: "PSEA7700412" }] };

describe("booking requests", () => {
  test("become bookings, once, whatever the white space and the order of their fields", async () => {
    const request = dryRequest();
    const [first] = await world.import([request]);
    expect(first).toMatchObject({ outcome: ImportOutcome.APPLIED, flags: [] });
    const [id = ""] = first?.bookingIds ?? [];
    expect(id).toMatch(/^bkg_[0-9a-f]{32}$/);
    expect((await world.booking(id)).booking).toMatchObject({ carrier: "PSEA", state: BookingState.RECEIVED });

    const revision = await world.revision();
    const shuffled = Object.fromEntries(Object.entries(request).reverse());
    const again = await world.import([JSON.stringify(shuffled, undefined, 2), request]);
    expect(outcomes(again)).toEqual(["ALREADY_KNOWN", "ALREADY_KNOWN"]);
    expect(again[0]?.bookingIds).toEqual([id]);
    expect(await world.revision()).toBe(revision);
  });

  test("are the same booking when the carrier's copy says where it stands now", async () => {
    const sent = dryRequest({ carrierBookingRequestReference: "REQ-1" });
    const copy = { ...sent, bookingStatus: "PENDING UPDATE", feedbacks: [], carrierBookingReference: "PSEA1" };
    const results = await world.import([sent, copy]);
    expect(outcomes(results)).toEqual(["APPLIED", "ALREADY_KNOWN"]);
  });

  test("are other bookings for another carrier or with another reference", async () => {
    const [one] = await world.import([dryRequest()]);
    const [other] = await world.import([dryRequest()], { carrier: "HLCU" });
    const [third] = await world.import([dryRequest({ references: [{ type: "CR", value: "CR-6" }] })]);
    expect(new Set([one, other, third].map((result) => result?.bookingIds[0])).size).toBe(3);
  });

  test("keep wrong check digits, flagged, and say what is not kept", async () => {
    const equipment = dryEquipment({ equipmentReferences: ["MSCU1234567"] });
    const [result] = await world.import([dryRequest({ requestedEquipments: [equipment], incoTerms: "FOB" })]);
    expect(result).toMatchObject({ outcome: ImportOutcome.WARNED, flags: [Flag.CHECK_DIGIT_WRONG] });
    expect(result?.message).toContain("$.incoTerms is not kept");
    const { details } = await world.booking(result?.bookingIds[0] ?? "");
    expect(details.units.map(({ id }) => id)).toEqual(["MSCU1234567"]);
  });

  test("are refused one by one when malformed, and the rest goes in", async () => {
    const results = await world.import([
      dryRequest({ shipmentLocations: [] }),
      dryRequest(),
      "{",
      "[]",
      '{"unheard":"of"}',
      `{"events":[]}`,
      `${'{"a":'.repeat(70)}1${"}".repeat(70)}`,
    ]);
    expect(outcomes(results)).toEqual(["REFUSED", "APPLIED", "REFUSED", "REFUSED", "REFUSED", "REFUSED", "REFUSED"]);
    expect(results[0]).toMatchObject({
      reason: "FIELD_INVALID",
      message: expect.stringContaining("$.shipmentLocations"),
    });
    expect(results.slice(2).map(({ reason }) => reason)).toEqual(Array(5).fill("MESSAGE_MALFORMED"));
    expect((await world.listWork()).items).toEqual([]);
  });

  test("are refused by themselves when they are empty, too long, or hold a character that is none", async () => {
    const results = await world.import(["", `{"a":"${"x".repeat(262_144)}"}`, `{"a":"\0"}`, dryRequest()]);
    expect(outcomes(results)).toEqual(["REFUSED", "REFUSED", "REFUSED", "APPLIED"]);
    expect(results.slice(0, 3).map(({ reason }) => reason)).toEqual([
      "MESSAGE_MALFORMED",
      "FIELD_INVALID",
      "MESSAGE_MALFORMED",
    ]);
  });

  test("are not for carriers to import", async () => {
    const [result] = await world.import([dryRequest()], { call: carrierCall("PSEA") });
    expect(result).toMatchObject({ outcome: ImportOutcome.REFUSED, reason: "ROLE_FORBIDS" });
  });
});

describe("tracking events", () => {
  test("move the booking, its unit and the attached order", async () => {
    await world.order("o1");
    await world.book("b1", { ...BKG, units: [{ id: "CSQU3054383" }] }, ["o1"]);
    const [result] = await world.import([equipmentEvent30()]);
    expect(result).toMatchObject({
      outcome: ImportOutcome.APPLIED,
      sourceId: "psea-load-CSQU3054383-1",
      flags: [],
      bookingIds: ["b1"],
      orderIds: ["o1"],
    });
    const { details } = await world.booking("b1");
    expect(details.milestones).toMatchObject([
      { kind: "LOADED", place: "DEHAM", unitId: "CSQU3054383", actual: { source: "PSEA/SMDG/LCL" } },
    ]);
    expect((await world.orderSubject("o1")).details.reports).toMatchObject([{ report: { status: "READY" } }]);
  });

  test("of 2.2, 3.0 and the beta, with a shipment event that moves no axis, go in together", async () => {
    await world.book("b1", { ...BKG, units: [{ id: "CSQU3054383" }] });
    const events = [
      equipmentEvent22(),
      transportEvent30(),
      equipmentEventBeta(),
      shipmentEvent22({ shipmentEventTypeCode: "REJE" }),
    ];
    expect(outcomes(await world.import(events))).toEqual(["APPLIED", "APPLIED", "APPLIED", "APPLIED"]);
    const { booking, details } = await world.booking("b1");
    expect(booking.state).toBe(BookingState.RECEIVED);
    expect(details.milestones.map(({ kind }) => kind)).toEqual(["LOADED", "ARRIVED", "DISCHARGED", "BKG_REJECTED"]);
  });

  test("change nothing the second time, though plan and units have moved since", async () => {
    await world.book("b1", { ...BKG, equipment: [{ isoEquipmentCode: "22G1", units: 1 }] });
    const onBoard = [{ referenceType: "EQ", referenceValue: "CSQU3054383" }];
    const file = [
      transportEvent22({ references: onBoard }),
      equipmentEvent22({ equipmentReference: "MSKU6874333" }),
      equipmentEvent30(),
      retraction30({
        eventID: "never-sent",
        shipmentDetails: { documentReference: { typeCode: "BKG", reference: "PSEA7700412" } },
      }),
    ];
    expect(outcomes(await world.import(file))).toEqual(["APPLIED", "WARNED", "WARNED", "APPLIED"]);
    const before = await world.booking("b1");
    const revision = await world.revision();
    expect(outcomes(await world.import(file))).toEqual(Array(4).fill("ALREADY_KNOWN"));
    expect(await world.revision()).toBe(revision);
    expect(await world.booking("b1")).toEqual(before);
  });

  test("follow the merge rule: the later update counts, whichever comes first", async () => {
    await world.book("b1", BKG);
    const said = (eventUpdatedDateTime: string, eventDateTime: string) =>
      transportEvent30({ eventUpdatedDateTime, eventDateTime });
    const [first, late, newer] = await world.import([
      said("2026-03-05T09:00:00Z", "2026-03-07T16:00:00+01:00"),
      said("2026-03-04T09:00:00Z", "2026-03-06T16:00:00+01:00"),
      said("2026-03-06T09:00:00Z", "2026-03-08T16:00:00+01:00"),
    ]);
    expect(outcomes([first, late, newer].filter((one) => one !== undefined))).toEqual([
      "APPLIED",
      "SUPERSEDED",
      "APPLIED",
    ]);
    const [arrival] = (await world.booking("b1")).details.milestones;
    expect(arrival).toMatchObject({ kind: "ARRIVED", estimated: { classifier: Classifier.ESTIMATED } });
    expect(arrival?.estimated?.time?.instant?.seconds).toBe(1772982000n);
  });

  test("that were taken back before they came count for nothing, at the booking and at its orders", async () => {
    await world.order("o1");
    await world.book("b1", { ...BKG, units: [{ id: "CSQU3054383" }] }, ["o1"]);
    const retraction = { ...equipmentEvent30(), isRetracted: true, eventUpdatedDateTime: "2026-03-03T00:00:00Z" };
    expect(outcomes(await world.import([retraction, equipmentEvent30()]))).toEqual(["APPLIED", "SUPERSEDED"]);
    expect((await world.booking("b1")).details.milestones).toEqual([]);
    expect((await world.orderSubject("o1")).order.status).toBe("RECEIVED");
  });

  test("are taken back by their id alone, in the same import and in a later one", async () => {
    await world.order("o1");
    await world.book("b1", { ...BKG, units: [{ id: "CSQU3054383" }] }, ["o1"]);
    const second = equipmentEvent30({ eventID: "second" });
    expect(outcomes(await world.import([equipmentEvent30(), second, retraction30()]))).toEqual([
      "APPLIED",
      "APPLIED",
      "APPLIED",
    ]);
    expect(outcomes(await world.import([retraction30({ eventID: "second" })]))).toEqual(["APPLIED"]);
    expect((await world.booking("b1")).details.milestones).toEqual([]);
    expect((await world.orderSubject("o1")).order.status).toBe("RECEIVED");
  });

  test("tell the booking a unit that it does not have yet, and are flagged", async () => {
    await world.book("b1", BKG);
    const [told, alone] = await world.import([
      equipmentEvent30(),
      equipmentEvent30({ eventID: "2", shipmentDetails: undefined, eventLocation: { UNLocationCode: "DEHAM" } }),
    ]);
    expect(told).toMatchObject({ outcome: ImportOutcome.WARNED, flags: [Flag.UNIT_UNKNOWN] });
    expect(alone).toMatchObject({ outcome: ImportOutcome.APPLIED, bookingIds: ["b1"], flags: [] });
    expect((await world.booking("b1")).details.units).toMatchObject([{ id: "CSQU3054383", isoEquipmentCode: "22G1" }]);
  });

  test("speak of the whole booking when the transport carries all of it, and of units when it carries some", async () => {
    await world.book("b1", {
      ...BKG,
      units: [{ id: "CSQU3054383" }, { id: "MSKU6874333" }],
      equipment: [{ isoEquipmentCode: "22G1", units: 2 }],
    });
    const named = (...ids: string[]) => ids.map((referenceValue) => ({ referenceType: "EQ", referenceValue }));
    await world.import([
      transportEvent22({ references: named("CSQU3054383") }),
      transportEvent22({
        eventID: "all",
        transportEventTypeCode: "ARRI",
        references: named("MSKU6874333", "CSQU3054383"),
      }),
    ]);
    const { milestones } = (await world.booking("b1")).details;
    expect(milestones.map(({ kind, unitId }) => `${kind} ${unitId}`)).toEqual(["DEPARTED CSQU3054383", "ARRIVED "]);
  });

  test("are refused without a sender, and with a malformed field, under their id", async () => {
    await world.book("b1", BKG);
    const [nobody] = await world.import([equipmentEvent22()], { carrier: "" });
    expect(nobody).toMatchObject({
      outcome: ImportOutcome.REFUSED,
      reason: "FIELD_INVALID",
      sourceId: equipmentEvent22().eventID,
    });
    const [broken] = await world.import([equipmentEvent30({ eventDateTime: "soon" })]);
    expect(broken).toMatchObject({ reason: "FIELD_INVALID", message: '$.eventDateTime "soon" is not a date and time' });
    expect(outcomes(await world.import([equipmentEvent30()], { carrier: "" }))).toEqual(["WARNED"]);
  });

  test("are never one whose ids differ where JSON keeps no digits", async () => {
    await world.book("b1", BKG);
    const withId = (eventID: string) =>
      JSON.stringify(equipmentEvent30({ eventID: "id" })).replace('"eventID":"id"', `"eventID":${eventID}`);
    const results = await world.import(["9007199254740992", "9007199254740993"].map(withId));
    expect(results.map(({ reason }) => reason)).toEqual(["FIELD_INVALID", "FIELD_INVALID"]);
    expect(results[0]?.message).toMatch(/^\$\.eventID .*write it in quotes$/);
    const quoted = await world.import(['"9007199254740992"', '"9007199254740993"'].map(withId));
    expect(quoted.map(({ sourceId }) => sourceId)).toEqual(["9007199254740992", "9007199254740993"]);
    expect((await world.booking("b1")).details.reports).toHaveLength(2);
  });

  test("take the format that the import names", async () => {
    const [result] = await world.import([equipmentEvent30()], { format: MessageFormat.DCSA_BOOKING_2 });
    expect(result).toMatchObject({ outcome: ImportOutcome.REFUSED, reason: "FIELD_INVALID" });
  });
});

describe("the work list", () => {
  const early = transportEvent30();
  const odd = equipmentEvent22({ equipmentEventTypeCode: "XYZZ" });

  test("keeps what matches nothing and what is not mapped, each once, with the reason", async () => {
    const [unmatched, unmapped] = await world.import([early, odd]);
    expect(unmatched).toMatchObject({ outcome: ImportOutcome.UNMATCHED, reason: "BOOKING_UNKNOWN" });
    expect(unmapped).toMatchObject({
      outcome: ImportOutcome.UNMATCHED,
      reason: "CODE_UNMAPPED",
      flags: [Flag.CODE_UNMAPPED],
    });
    const again = await world.import([odd, early, early]);
    expect(again.map(({ workItemId }) => workItemId)).toEqual([
      unmapped?.workItemId,
      unmatched?.workItemId,
      unmatched?.workItemId,
    ]);
    const { items } = await world.listWork();
    expect(items).toHaveLength(2);
    const kept = items.find(({ id }) => id === unmatched?.workItemId);
    expect(kept).toMatchObject({
      format: MessageFormat.DCSA_TNT_3,
      carrier: "PSEA",
      sourceId: "psea-arri-ESALG-2610W",
      item: JSON.stringify(early),
      tries: 1,
    });
    expect(kept?.message).toContain("BKG PSEA7700412");
  });

  test("gives back what matches when it is tried again, and keeps the rest", async () => {
    await world.import([early, odd]);
    await world.book("b1", BKG);
    const results = await world.retry();
    expect(outcomes(results).sort()).toEqual(["APPLIED", "UNMATCHED"]);
    expect((await world.booking("b1")).details.milestones).toHaveLength(1);
    const { items } = await world.listWork();
    expect(items).toMatchObject([{ reason: "CODE_UNMAPPED", tries: 2 }]);
    expect(outcomes(await world.import([early]))).toEqual(["ALREADY_KNOWN"]);
  });

  test("tries those that are named, and says which are not there", async () => {
    const [first] = await world.import([early]);
    const results = await world.retry(["wrk_unknown", first?.workItemId ?? ""]);
    expect(results).toMatchObject([
      { outcome: ImportOutcome.REFUSED, message: 'there is no work item "wrk_unknown"' },
      { outcome: ImportOutcome.UNMATCHED, workItemId: first?.workItemId },
    ]);
  });

  test("forgets an item that finds its place in a later import", async () => {
    await world.import([early]);
    await world.book("b1", BKG);
    expect(outcomes(await world.import([early]))).toEqual(["APPLIED"]);
    expect((await world.listWork()).items).toEqual([]);
  });

  test("keeps a retraction of what was never heard of", async () => {
    const [result] = await world.import([retraction30()]);
    expect(result).toMatchObject({ outcome: ImportOutcome.UNMATCHED, sourceId: "psea-load-CSQU3054383-1" });
    expect((await world.listWork()).items).toHaveLength(1);
  });

  test("is read in pages, the oldest first, each item once", async () => {
    await world.import(Array.from({ length: 5 }, (_, i) => transportEvent30({ eventID: `e${i}` })));
    const ids: string[] = [];
    let token = "";
    let pages = 0;
    do {
      const page = await world.listWork(2, token);
      ids.push(...page.items.map(({ sourceId }) => sourceId));
      token = page.nextPageToken;
      pages += 1;
    } while (token !== "");
    expect(pages).toBe(3);
    expect(ids.toSorted()).toEqual(["e0", "e1", "e2", "e3", "e4"]);
    const refusal = await world.listWork(2, "bm90IG91cnM").catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal).toMatchObject({ reason: ErrorReason.PAGE_TOKEN_INVALID });
  });
});

test("two imports of one file at a time take each item once", async () => {
  await world.book("b1", { ...BKG, units: [{ id: "CSQU3054383" }] });
  const before = await world.revision();
  const lost = transportEvent30({ eventID: "lost", shipmentDetails: undefined });
  const file = [dryRequest(), equipmentEvent30(), transportEvent30(), lost];
  const both = await Promise.all([world.import(file), world.import(file)]);
  // Which of the two is first is each item's own matter; that one of them is, is the promise.
  const [here, there] = both.map(outcomes);
  const told = file.map((_, at) => [here?.[at], there?.[at]].sort());
  const once = ["ALREADY_KNOWN", "APPLIED"];
  expect(told).toEqual([once, once, once, ["UNMATCHED", "UNMATCHED"]]);
  expect(await world.revision()).toBe(before + 3n);
  expect((await world.listWork()).items).toHaveLength(1);
});

test("an import that the database cannot take now is refused as a whole, to be sent again", async () => {
  await using away = await startWorld({}, nowhere);
  const refusal = await away.import([equipmentEvent30()]).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(Refusal);
  expect(refusal).toMatchObject({ reason: ErrorReason.DATABASE_UNAVAILABLE });
});

test("a work list that is full refuses what does not fit, and takes the rest", async () => {
  await using small = await startWorld({ maxItems: 2 });
  const results = await small.import(Array.from({ length: 3 }, (_, i) => transportEvent30({ eventID: `e${i}` })));
  expect(outcomes(results)).toEqual(["UNMATCHED", "UNMATCHED", "REFUSED"]);
  expect(results[2]).toMatchObject({ reason: "SUBJECT_FULL", workItemId: "" });
  expect(results[2]?.message).toMatch(
    /work_items: 2 allowed, 2 used\): map the codes .* or import their bookings, then RetryWorkItems/,
  );
});
