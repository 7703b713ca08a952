import { create } from "@bufbuild/protobuf";
import { createValidator } from "@bufbuild/protovalidate";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, Flag, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { type CarrierObservation, readTrackingEvent } from "../../src/domain/dcsa/tracking-event.ts";
import {
  equipmentEvent22,
  equipmentEvent30,
  equipmentEventBeta,
  retraction30,
  shipmentEvent22,
  transportEvent22,
  transportEvent30,
} from "../fixtures/dcsa/events.ts";

function observe(event: unknown): CarrierObservation {
  const reading = readTrackingEvent(event);
  if (reading.what !== "observation") throw new Error(`read as ${JSON.stringify(reading)}`);
  return reading.observation;
}

function faults(event: unknown): string[] {
  const reading = readTrackingEvent(event);
  if (reading.what !== "malformed") throw new Error(`read as ${reading.what}`);
  return reading.violations.map(({ field }) => field);
}

/** An event with one part of one of its objects replaced. */
function within(
  event: Record<string, unknown>,
  part: string,
  change: Record<string, unknown>,
): Record<string, unknown> {
  return { ...event, [part]: { ...(event[part] as Record<string, unknown>), ...change } };
}

describe("an event of Track & Trace 2.2", () => {
  it("reads an equipment event with unit, time, place, leg and references", () => {
    const read = observe(equipmentEvent22());
    expect(read).toMatchObject({
      source: "",
      sourceId: "5a0c7c1e-0001-4b6f-9a55-3b8c1f6d2e01",
      classifier: Classifier.ACTUAL,
      milestone: "LOADED",
      unitIds: ["CSQU3054383"],
      isoEquipmentCode: "22G1",
      place: { unlocode: "DEHAM", facility: "CTA", facilityCodeList: "SMDG", facilityType: "POTE" },
      leg: {
        end: "from",
        mode: TransportMode.OCEAN,
        vessel: "PSEA ALSTER",
        vesselImo: "9321483",
        voyages: ["2610W", "2609E"],
        service: "SAX",
        callSequence: 1,
      },
      flags: [],
    });
    expect(read.occurredAt).toMatchObject({
      instant: { seconds: 1772433600n },
      utcOffsetMinutes: 60,
      zoneUnknown: false,
    });
    expect(read.sourceUpdatedAt?.seconds).toBe(1772439300n);
    expect(read.references.map((r) => `${r.type}:${r.value}`)).toEqual([
      "BKG:PSEA7700412",
      "TRD:PSEAHAM204417",
      "EQ:CSQU3054383",
      "PO:PO-88123",
    ]);
  });

  it("reads a transport event with its delay and the vessel for people", () => {
    expect(observe(transportEvent22())).toMatchObject({
      milestone: "DEPARTED",
      unitIds: [],
      ofTransport: true,
      reasonCode: "WEA",
      remark: "Storm in the German Bight; vessel PSEA ALSTER, IMO 9321483, voyage 2610W / 2609E",
    });
  });

  it("takes the equipment that a transport event refers to as what was on board", () => {
    const references = [
      { referenceType: "EQ", referenceValue: "CSQU 305438-3" },
      { referenceType: "EQ", referenceValue: "MSKU6874333" },
    ];
    expect(observe(transportEvent22({ references })).unitIds).toEqual(["CSQU3054383", "MSKU6874333"]);
  });

  it("reads a shipment event as a milestone of its document", () => {
    expect(observe(shipmentEvent22())).toMatchObject({
      milestone: "BKG_CONFIRMED",
      remark: "space released",
      unitIds: [],
      references: [
        { type: "BKG", value: "PSEA7700412" },
        { type: "FF", value: "FF-1009" },
      ],
    });
  });

  it("takes the old common code field where the particular one is missing", () => {
    const { transportEventTypeCode, ...event } = transportEvent22();
    expect(observe({ ...event, eventTypeCode: transportEventTypeCode }).milestone).toBe("DEPARTED");
  });
});

describe("an event of Track & Trace 3.0", () => {
  it("identifies the event by party, list and id", () => {
    expect(observe(equipmentEvent30())).toMatchObject({
      source: "PSEA/SMDG/LCL",
      sender: "PSEA",
      sourceId: "psea-load-CSQU3054383-1",
      sourceUpdatedAt: { seconds: 1772439300n },
      milestone: "LOADED",
      place: {
        unlocode: "DEHAM",
        facility: "CTA",
        name: "Container Terminal Altenwerder",
        address: "Am Ballinkai, 1, 21129, Hamburg, DE",
        countryCode: "DE",
      },
    });
  });

  it("tells the same code of two lists apart", () => {
    const party = (codeListProvider: string) => ({ originatingParty: { partyCode: "PSEA", codeListProvider } });
    const sources = ["SMDG", "NMFTA"].map((list) => observe(equipmentEvent30({ eventRouting: party(list) })).source);
    expect(sources).toEqual(["PSEA/SMDG/", "PSEA/NMFTA/"]);
  });

  it("reads a transport event with several delay reasons", () => {
    expect(observe(transportEvent30())).toMatchObject({
      classifier: Classifier.ESTIMATED,
      milestone: "ARRIVED",
      reasonCode: "CGS",
      remark: "berth occupied; also LAB; vessel PSEA ALSTER, IMO 9321483, voyage 2610W",
      leg: { end: "to", vesselImo: "9321483", voyages: ["2610W"], service: "SAX", callSequence: 2 },
    });
  });

  it("reads what sensors and reefers say", () => {
    const iot = equipmentEvent30({
      eventClassification: { eventTypeCode: "IOT", iotEventTypeCode: "DETC" },
      iotDetails: { iotEventCode: "DRO" },
    });
    expect(observe(iot)).toMatchObject({ milestone: "DOOR_OPENED", classifier: Classifier.ACTUAL });
    const reefer = equipmentEvent30({
      eventClassification: { eventTypeCode: "REEFER", eventClassifierCode: "ACT", reeferEventTypeCode: "MEAS" },
      reeferDetails: {
        temperatureUnit: "CEL",
        internalSetpointTemperature: -18,
        temperatureProbeMeasurements: [{ USDAProbeNumber: 1, measuredTemperatureValue: -17.4 }],
      },
    });
    expect(observe(reefer)).toMatchObject({ milestone: "REEFER_MEASURED", remark: "set to -18 CEL, probes -17.4 CEL" });
  });

  it("names a place by its coordinates when it has nothing else", () => {
    const eventLocation = { geoCoordinate: { latitude: "36.13", longitude: "-5.44" } };
    expect(observe(equipmentEvent30({ eventLocation })).place?.name).toBe("36.13, -5.44");
  });

  it("takes back by the event's own id, whatever else the message says", () => {
    const reading = readTrackingEvent(retraction30({ eventDateTime: "nonsense", equipmentDetails: 7 }));
    expect(reading).toMatchObject({
      what: "retraction",
      identity: { source: "PSEA/SMDG/LCL", sourceId: "psea-load-CSQU3054383-1", sourceUpdatedAt: undefined },
    });
  });

  it("keeps the references of a retraction and when it was said", () => {
    const reading = readTrackingEvent({ ...equipmentEvent30(), isRetracted: true });
    expect(reading).toMatchObject({
      what: "retraction",
      identity: {
        sourceUpdatedAt: { seconds: 1772439300n },
        references: [{ type: "BKG" }, { type: "TRD" }, { type: "EQ" }, {}],
      },
    });
  });

  it("refuses a retraction that does not say of what", () => {
    expect(faults(retraction30({ eventID: undefined }))).toContain("$.eventID");
  });
});

describe("an event of Track & Trace 3.0.0-Beta-1", () => {
  it("reads metadata and payload under their names", () => {
    expect(observe(equipmentEventBeta())).toMatchObject({
      source: "PSEA/SMDG/",
      sourceId: "beta-000017",
      milestone: "DISCHARGED",
      place: { unlocode: "ESALG", name: "Algeciras", facilityType: "POTE" },
      leg: { end: "to", vessel: "PSEA ALSTER", voyages: ["2610W"] },
      references: [
        { type: "BKG", value: "PSEA7700412" },
        { type: "EQ", value: "CSQU3054383" },
        { type: "CR", value: "CR-5" },
      ],
    });
  });

  it("takes another event back by retractedEventID", () => {
    const { metadata } = equipmentEventBeta({}, { eventID: "beta-000018", retractedEventID: "beta-000017" });
    expect(readTrackingEvent({ metadata })).toMatchObject({
      what: "retraction",
      identity: { source: "PSEA/SMDG/", sourceId: "beta-000017" },
    });
  });
});

describe("the traps of real feeds", () => {
  it.each([
    ["2026-03-29T02:30:00", 1774751400n, 0, true],
    ["2026-03-29T02:30", 1774751400n, 0, true],
    ["2026-03-29", 1774742400n, 0, true],
    ["2026-03-29T02:30:00Z", 1774751400n, 0, false],
    ["2026-03-29T02:30:00+0530", 1774731600n, 330, false],
    ["2026-03-29T02:30:00-03:00", 1774762200n, -180, false],
    ["2026-03-29T02:30:00.125+02", 1774744200n, 120, false],
  ])("reads the time %s", (eventDateTime, seconds, utcOffsetMinutes, zoneUnknown) => {
    const read = observe(equipmentEvent30({ eventDateTime }));
    expect(read.occurredAt).toMatchObject({ instant: { seconds }, utcOffsetMinutes, zoneUnknown });
    expect(read.flags.includes(Flag.ZONE_UNKNOWN)).toBe(zoneUnknown);
  });

  it.each([
    "2026-02-30T10:00:00Z",
    "2026-13-01",
    "26-03-02T10:00",
    "2026-03-02T25:00:00Z",
    "2026-03-02T10:00:00+19:00",
    "yesterday",
    "1889-01-01T00:00:00Z",
  ])("refuses the time %s", (eventDateTime) => {
    expect(faults(equipmentEvent30({ eventDateTime }))).toEqual(["$.eventDateTime"]);
  });

  it("keeps a container and a vessel whose check digits are wrong, and flags them", () => {
    expect(observe(equipmentEvent22({ equipmentReference: "APNR7744962" }))).toMatchObject({
      unitIds: ["APNR7744962"],
      flags: [Flag.CHECK_DIGIT_WRONG],
    });
    const transportCall = { UNLocationCode: "DEHAM", vessel: { vesselIMONumber: "9456789" } };
    expect(observe(transportEvent22({ transportCall }))).toMatchObject({
      leg: { vesselImo: "9456789" },
      flags: [Flag.CHECK_DIGIT_WRONG],
    });
  });

  it("does not check the digits of marks that are no container numbers", () => {
    expect(observe(equipmentEvent22({ equipmentReference: "TRAILER-17" })).flags).toEqual([]);
  });

  it.each([
    ["BORD", []],
    ["BOCR", [Flag.CODE_OBSOLETE]],
  ])("takes the facility type %s for a border", (facilityTypeCode, flags) => {
    const event = within(equipmentEvent30(), "eventLocation", { facilityTypeCode });
    expect(observe(event)).toMatchObject({ place: { facilityType: "BORD" }, flags });
  });

  it.each([
    ["LOAD", "LADEN", "POTE", "LOADED"],
    ["GTOT", "EMPTY", "DEPO", "EMPTY_PICKED_UP"],
    ["PICK", "EMPTY", "DEPO", "EMPTY_PICKED_UP"],
    ["GTIN", "EMPTY", "DEPO", "EMPTY_RETURNED"],
    ["DROP", "EMPTY", "DEPO", "EMPTY_RETURNED"],
    ["DROP", "EMPTY", "CLOC", "DROPPED_OFF"],
    ["DROP", "LADEN", "CLOC", "DELIVERED"],
    ["DROP", "LADEN", "DEPO", "DROPPED_OFF"],
    ["GTIN", "LADEN", "POTE", "GATE_IN"],
    ["GTOT", "LADEN", "POTE", "GATE_OUT"],
  ])(
    "tells %s of an %s container at a %s apart",
    (equipmentEventTypeCode, emptyIndicatorCode, facilityTypeCode, kind) => {
      const classified = within(equipmentEvent30(), "eventClassification", { equipmentEventTypeCode });
      const filled = within(classified, "equipmentDetails", { emptyIndicatorCode });
      expect(observe(within(filled, "eventLocation", { facilityTypeCode })).milestone).toBe(kind);
    },
  );

  it.each([
    [
      {
        eventClassification: { eventTypeCode: "EQUIPMENT", eventClassifierCode: "ACT", equipmentEventTypeCode: "XYZZ" },
      },
      "equipmentEventTypeCode XYZZ",
    ],
    [
      {
        eventClassification: { eventTypeCode: "TRANSPORT", eventClassifierCode: "REQ", transportEventTypeCode: "ARRI" },
      },
      "eventClassifierCode REQ",
    ],
    [{ eventClassification: { eventTypeCode: "OPERATIONS", eventClassifierCode: "ACT" } }, "eventType OPERATIONS"],
    [
      { eventClassification: { eventTypeCode: "SHIPMENT", shipmentEventTypeCode: "CONF" }, shipmentDetails: {} },
      "shipmentEventTypeCode CONF of documentTypeCode (none)",
    ],
  ])("leaves a code that it does not know to people: %o", (parts, code) => {
    expect(readTrackingEvent(equipmentEvent30(parts))).toMatchObject({
      what: "unmapped",
      code,
      identity: { sourceId: "psea-load-CSQU3054383-1" },
    });
  });

  it.each([
    [{ eventID: undefined }, "$.eventID"],
    [{ eventID: "x".repeat(501) }, "$.eventID"],
    [{ eventUpdatedDateTime: null }, "$.eventUpdatedDateTime"],
    [{ eventDateTime: "" }, "$.eventDateTime"],
    [{ eventClassification: undefined }, "$.eventTypeCode"],
    [{ eventLocation: { UNLocationCode: "DEHA1" } }, "$.eventLocation.UNLocationCode"],
    [{ equipmentDetails: { equipmentReference: "?" } }, "$.equipmentDetails.equipmentReference"],
    [{ shipmentDetails: [] }, "$.shipmentDetails"],
    [
      { shipmentDetails: { shipmentReferences: [{ typeCode: "p o", reference: "1" }] } },
      "$.shipmentDetails.shipmentReferences[0].typeCode",
    ],
    [{ eventRouting: { originatingParty: { partyCode: "A/B" } } }, "$.eventRouting.originatingParty.partyCode"],
  ])("refuses %o and says where it is wrong", (parts, path) => {
    expect(faults(equipmentEvent30(parts))).toContain(path);
  });

  it("takes an id without quotes, but for one that JSON has not kept whole", () => {
    expect(observe(equipmentEvent30({ eventID: 9_007_199_254_740_991 })).sourceId).toBe("9007199254740991");
    const ids = ["9007199254740992", "9007199254740993", "1234567890123456789012"];
    for (const eventID of ids.map(Number)) {
      expect(readTrackingEvent(equipmentEvent30({ eventID }))).toMatchObject({
        what: "malformed",
        sourceId: "",
        violations: [{ field: "$.eventID", description: expect.stringContaining("write it in quotes") }],
      });
    }
  });

  it.each([[null], [7], ["event"], [[]], [[equipmentEvent30()]]])("refuses %o, which is no event", (message) => {
    expect(faults(message)).toContain("$");
  });

  it("notes what it does not keep", () => {
    const paths = observe(equipmentEvent30({ seals: [{ number: "1" }] })).notes.map(({ path }) => path);
    expect(paths).toContain("$.seals");
    expect(paths).toContain("$.equipmentDetails.movementType");
  });
});

describe("any JSON", () => {
  const validator = createValidator();
  /** Wraps a generator of values so that whole events are hit in single places. */
  const events = fc.constantFrom<Record<string, unknown>>(
    equipmentEvent22(),
    transportEvent22(),
    shipmentEvent22(),
    equipmentEvent30(),
    transportEvent30(),
    equipmentEventBeta(),
    retraction30(),
  );

  it("is read without throwing", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(["malformed", "unmapped", "observation", "retraction"]).toContain(readTrackingEvent(value).what);
      }),
    );
  });

  it("in the place of any part of an event is told, or read into what a report may hold", () => {
    fc.assert(
      fc.property(events, fc.nat(), fc.jsonValue(), fc.boolean(), (event, at, value, deep) => {
        const damaged = damage(event, at, value, deep);
        const reading = readTrackingEvent(damaged);
        if (reading.what === "malformed") expect(reading.violations.length).toBeGreaterThan(0);
        if (reading.what !== "observation") return;
        const { sourceUpdatedAt, place, ...o } = reading.observation;
        const report = create(ReportSchema, {
          source: o.source,
          sourceId: o.sourceId,
          classifier: o.classifier,
          milestone: o.milestone,
          occurredAt: o.occurredAt,
          unitIds: [...o.unitIds],
          reasonCode: o.reasonCode,
          remark: o.remark,
          ...(sourceUpdatedAt && { sourceUpdatedAt }),
          ...(place && { place }),
        });
        expect(validator.validate(ReportSchema, report).kind).toBe("valid");
      }),
      { numRuns: 500 },
    );
  });

  /** Replaces one field of the event, or of one of its objects. */
  function damage(event: Record<string, unknown>, at: number, value: unknown, deep: boolean): Record<string, unknown> {
    const names = Object.keys(event);
    const name = names[at % names.length] ?? "";
    const inner = event[name];
    if (deep && typeof inner === "object" && inner !== null && !Array.isArray(inner)) {
      return { ...event, [name]: damage(inner as Record<string, unknown>, at, value, deep) };
    }
    return { ...event, [name]: value };
  }
});
