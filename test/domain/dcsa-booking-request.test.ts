import { createValidator } from "@bufbuild/protovalidate";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BookingRequestSchema, BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { Flag } from "../../gen/leadline/v1/report_pb.ts";
import { checkRequest } from "../../src/domain/booking-request-rules.ts";
import { type BookingRequestReading, readBookingRequest } from "../../src/domain/dcsa/booking-request.ts";
import {
  dangerousCommodity,
  dryEquipment,
  dryRequest,
  reeferEquipment,
  shipmentLocation,
} from "../fixtures/dcsa/booking-requests.ts";

function read(message: unknown, carrier = "PSEA"): BookingRequestReading {
  const reading = readBookingRequest(message, carrier);
  if ("violations" in reading) throw new Error(JSON.stringify(reading.violations));
  return reading;
}

function faults(message: unknown, carrier = "PSEA"): string[] {
  const reading = readBookingRequest(message, carrier);
  if (!("violations" in reading)) throw new Error("it was read without a fault");
  return reading.violations.map(({ field }) => field);
}

const notedPaths = (message: unknown, carrier?: string) => read(message, carrier).notes.map(({ path }) => path);

describe("a DCSA booking request", () => {
  it("is read whole", () => {
    const { request, flags } = read(dryRequest());
    expect(request).toMatchObject({
      mode: TransportMode.OCEAN,
      carrier: "PSEA",
      receiptType: "CY",
      deliveryType: "CFS",
      movementType: "FCL",
      contractReference: "PSEA-SC-2026-014",
      partialLoadAllowed: true,
      equipmentSubstitutionAllowed: false,
      means: { vessel: "PSEA ALSTER", vesselImo: "9321483", voyage: "2610W", service: "SAX" },
      places: [
        { type: "POL", place: { unlocode: "DEHAM" } },
        { type: "POD", place: { unlocode: "BRSSZ" } },
      ],
      equipment: [
        {
          isoEquipmentCode: "22G1",
          units: 2,
          commodities: [{ type: "Bicycle saddles", hsCodes: ["871495"], grossWeightGrams: 10_250_500n }],
        },
      ],
      expectedDeparture: { instant: { seconds: 1772409600n }, zoneUnknown: true },
      expectedArrivalFrom: { instant: { seconds: 1774310400n } },
      expectedArrivalTo: { instant: { seconds: 1774656000n } },
    });
    expect(request.references.map((r) => `${r.type}:${r.value}`)).toEqual([
      "CR:CR-5",
      "FF:FF-1009",
      "PO:PO-88123",
      "PO:PO-88124",
    ]);
    expect(flags).toEqual([]);
  });

  it("is read with its parties, codes with their lists, and contacts on one line", () => {
    const { parties } = read(dryRequest()).request;
    expect(parties.map(({ role, name }) => `${role} ${name}`)).toEqual([
      "BOOKING_AGENT Elbe Forwarding",
      "SHIPPER Saddle Works",
      "CONSIGNEE Bicicletas Santos",
      "N1 Santos Brokers",
      "NI Notify A",
      "NI Notify B",
    ]);
    expect(parties[0]).toMatchObject({
      code: "529900ABCDEF12345678",
      codeList: "GLEIF",
      address: "Kajen, 2, 20459, Hamburg, DE",
      contact: "J. Petersen, desk@elbe.example, +49 40 5550100",
    });
  });

  it("breaks no rule of a booking as it came", () => {
    expect(() => checkRequest(read(dryRequest()).request, "as they came")).not.toThrow();
  });

  it.each([
    [-18.5, "CEL", -18_500],
    [5, "CEL", 5_000],
    [0, "FAH", -17_778],
    [41, "FAH", 5_000],
  ])("converts a set temperature of %s %s", (setpoint, unit, millicelsius) => {
    const { request } = read(dryRequest({ requestedEquipments: [reeferEquipment(setpoint, unit)] }));
    expect(request.equipment[0]?.temperatureMillicelsius).toBe(millicelsius);
  });

  it("keeps no temperature of a reefer that does not cool", () => {
    const equipment = reeferEquipment(5, "CEL", { isNonOperatingReefer: true });
    const { request, notes } = read(dryRequest({ requestedEquipments: [equipment] }));
    expect(request.equipment[0]).toMatchObject({ nonOperatingReefer: true });
    expect(request.equipment[0]?.temperatureMillicelsius).toBeUndefined();
    expect(notes.map((n) => n.path)).toContain("$.requestedEquipments[0].activeReeferSettings.temperatureSetpoint");
  });

  it("reads dangerous goods by UN and NA number, and pounds as grams", () => {
    const { request } = read(
      dryRequest({ requestedEquipments: [dryEquipment({ commodities: [dangerousCommodity()] })] }),
    );
    expect(request.equipment[0]?.commodities[0]).toMatchObject({
      dangerousGoods: ["UN1263", "NA1993"],
      packages: 40,
      grossWeightGrams: 45_359n,
    });
  });

  it("gives the weight of the equipment's cargo to its only commodity", () => {
    const equipment = dryEquipment({
      cargoGrossWeight: { value: 12, unit: "KGM" },
      commodities: [{ commodityType: "Saddles" }],
    });
    const { request } = read(dryRequest({ requestedEquipments: [equipment] }));
    expect(request.equipment[0]?.commodities[0]?.grossWeightGrams).toBe(12_000n);
  });

  it("keeps shipper's own containers as units, and flags wrong check digits", () => {
    const named = (...equipmentReferences: string[]) =>
      dryRequest({ requestedEquipments: [dryEquipment({ equipmentReferences })] });
    const good = read(named("CSQU 305438-3"));
    expect(good.request.units).toMatchObject([{ id: "CSQU3054383", isoEquipmentCode: "22G1" }]);
    expect(good.flags).toEqual([]);
    expect(read(named("CSQU3054383", "MSCU1234567")).flags).toEqual([Flag.CHECK_DIGIT_WRONG]);
  });

  it("flags a vessel whose check digit is wrong", () => {
    const { request, flags } = read(dryRequest({ vessel: { name: "X", vesselIMONumber: "7654321" } }));
    expect(request.means?.vesselImo).toBe("7654321");
    expect(flags).toEqual([Flag.CHECK_DIGIT_WRONG]);
  });

  it("takes a routing reference in the place of ports, vessel and voyage", () => {
    const parts = {
      routingReference: "ROUTE-7",
      vessel: undefined,
      carrierExportVoyageNumber: undefined,
      shipmentLocations: [shipmentLocation("ROU", { locationName: "as routed" })],
    };
    expect(read(dryRequest(parts)).request).toMatchObject({ routingReference: "ROUTE-7", places: [{ type: "ROU" }] });
    expect(faults(dryRequest({ routingReference: "ROUTE-7" }))).toEqual([
      "$.shipmentLocations",
      "$.vessel",
      "$.carrierExportVoyageNumber",
    ]);
  });

  it.each(["PENDING UPDATE", "PENDING_UPDATE"])(
    "tells the status %s that a carrier's copy claims, and keeps the references",
    (bookingStatus) => {
      const reading = read(
        dryRequest({ bookingStatus, carrierBookingRequestReference: "REQ-1", carrierBookingReference: "PSEA7700412" }),
      );
      expect(reading).toMatchObject({
        claimedState: BookingState.PENDING_UPDATE,
        requestReference: "REQ-1",
      });
      expect(reading.request.references.map((r) => `${r.type}:${r.value}`)).toContain("BKG:PSEA7700412");
      expect(reading.notes.map((n) => n.path)).toContain("$.bookingStatus");
    },
  );

  it("goes to the carrier that the import names, else to its own", () => {
    const parts = { carrierCode: "HLCU", carrierCodeListProvider: "NMFTA" };
    expect(read(dryRequest(parts), "").request).toMatchObject({ carrier: "HLCU", carrierCodeList: "NMFTA" });
    expect(read(dryRequest(parts), "HLCU").request).toMatchObject({ carrier: "HLCU", carrierCodeList: "NMFTA" });
    expect(read(dryRequest(parts), "PSEA").request).toMatchObject({ carrier: "PSEA", carrierCodeList: "" });
    expect(notedPaths(dryRequest(parts), "PSEA")).toContain("$.carrierCode");
    expect(faults(dryRequest(), "")).toEqual(["$.carrierCode"]);
  });

  it("notes what it does not keep, and nothing of what it keeps", () => {
    expect(notedPaths(dryRequest())).toEqual(["$.documentParties.bookingAgent.identifyingCodes[0].codeListName"]);
    const paths = notedPaths(
      dryRequest({ incoTerms: "FOB", customsReferences: [{ type: "ACID" }], unheardOf: { a: 1 } }),
    );
    expect(paths).toEqual(expect.arrayContaining(["$.incoTerms", "$.customsReferences", "$.unheardOf"]));
  });

  it.each([
    [{ receiptTypeAtOrigin: "DOOR" }, "$.receiptTypeAtOrigin"],
    [{ shipmentLocations: [] }, "$.shipmentLocations"],
    [
      { shipmentLocations: [shipmentLocation("POX", { UNLocationCode: "DEHAM" })] },
      "$.shipmentLocations[0].locationTypeCode",
    ],
    [{ shipmentLocations: [shipmentLocation("POL", {})] }, "$.shipmentLocations[0].location"],
    [{ requestedEquipments: undefined }, "$.requestedEquipments"],
    [{ requestedEquipments: [dryEquipment({ units: 0 })] }, "$.requestedEquipments[0].units"],
    [{ requestedEquipments: [dryEquipment({ units: 1.5 })] }, "$.requestedEquipments[0].units"],
    [
      { requestedEquipments: [reeferEquipment(5, "KEL")] },
      "$.requestedEquipments[0].activeReeferSettings.temperatureUnit",
    ],
    [
      { requestedEquipments: [dryEquipment({ ISOEquipmentCode: "45R1" })] },
      "$.requestedEquipments[0].activeReeferSettings",
    ],
    [
      { requestedEquipments: [dryEquipment({ commodities: [dangerousCommodity({ numberOfPackages: undefined })] })] },
      "$.requestedEquipments[0].commodities[0].outerPackaging.numberOfPackages",
    ],
    [
      { requestedEquipments: [dryEquipment({ commodities: [{ commodityType: "x", HSCodes: ["12"] }] })] },
      "$.requestedEquipments[0].commodities[0].HSCodes[0]",
    ],
    [{ expectedArrivalAtPlaceOfDeliveryEndDate: undefined }, "$.expectedArrivalAtPlaceOfDeliveryEndDate"],
    [{ expectedDepartureDate: "2026-02-29" }, "$.expectedDepartureDate"],
    [{ vessel: { vesselIMONumber: "IMO9321483" } }, "$.vessel.vesselIMONumber"],
    [{ documentParties: { bookingAgent: {} } }, "$.documentParties.bookingAgent.partyName"],
    [
      {
        documentParties: {
          other: [
            { partyFunction: "N1", party: { partyName: "A" } },
            { partyFunction: "N1", party: { partyName: "B" } },
          ],
        },
      },
      "$.documentParties.other[1].partyFunction",
    ],
    [{ bookingStatus: "SAILED" }, "$.bookingStatus"],
    [{ routingReference: "r".repeat(101) }, "$.routingReference"],
    [{ serviceContractReference: "nul\u0000" }, "$.serviceContractReference"],
    [{ isPartialLoadAllowed: "yes" }, "$.isPartialLoadAllowed"],
  ])("is refused with %o, saying where", (parts, path) => {
    expect(faults(dryRequest(parts))).toContain(path);
  });

  it("needs a departure, a window of arrival, a voyage or a routing", () => {
    const nothing = {
      expectedDepartureDate: undefined,
      expectedArrivalAtPlaceOfDeliveryStartDate: undefined,
      expectedArrivalAtPlaceOfDeliveryEndDate: undefined,
      carrierExportVoyageNumber: undefined,
    };
    expect(faults(dryRequest(nothing))).toEqual(["$.expectedDepartureDate"]);
    expect(
      faults(
        dryRequest({ ...nothing, carrierExportVoyageNumber: "1W", vessel: undefined, carrierServiceCode: undefined }),
      ),
    ).toEqual(["$.expectedDepartureDate"]);
    expect(read(dryRequest({ ...nothing, carrierExportVoyageNumber: "1W" })).flags).toEqual([]);
  });

  it.each([[null], [1], ["x"], [[dryRequest()]]])("is not %o", (message) => {
    expect(faults(message)).toEqual(["$"]);
  });
});

describe("any JSON", () => {
  const validator = createValidator();

  it("is read without throwing", () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => void readBookingRequest(value, "PSEA")));
  });

  it("in the place of any part of a request is told, or read into what a request may hold", () => {
    const whole = dryRequest({
      requestedEquipments: [
        reeferEquipment(4, "CEL"),
        dryEquipment({ commodities: [dangerousCommodity()], equipmentReferences: ["A"] }),
      ],
    });
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }), fc.jsonValue(), (path, value) => {
        const reading = readBookingRequest(damage(whole, path, value), "PSEA");
        if ("violations" in reading) expect(reading.violations.length).toBeGreaterThan(0);
        else expect(validator.validate(BookingRequestSchema, reading.request).kind).toBe("valid");
      }),
      { numRuns: 500 },
    );
  });

  /** Replaces what a path of indexes leads to. */
  function damage(whole: unknown, path: readonly number[], value: unknown): unknown {
    const [at, ...rest] = path;
    if (at === undefined || typeof whole !== "object" || whole === null) return value;
    if (Array.isArray(whole)) return whole.map((one, i) => (i === at % whole.length ? damage(one, rest, value) : one));
    const names = Object.keys(whole);
    const name = names[at % Math.max(names.length, 1)] ?? "";
    return { ...whole, [name]: damage((whole as Record<string, unknown>)[name], rest, value) };
  }
});
