import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { BookingState, SpaceVerdict } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import { LocalTimeSchema, UnitKind } from "../../gen/leadline/v1/place_pb.ts";
import { calledBooking } from "../../src/domain/booking-effects.ts";
import { bookingRef } from "../../src/domain/subject.ts";
import {
  airRequest,
  at,
  type BookingRequestInit,
  CALL,
  CONTAINERS,
  container,
  ID,
  oceanRequest,
  reasonOf,
  refusalOf,
  roadRequest,
  stamp,
  World,
} from "./booking-world.ts";

const POL = { type: "POL", place: { unlocode: "NLRTM" } };
const POD = { type: "POD", place: { unlocode: "USNYC" } };

/** A request with nothing that says when it shall travel, but for the change. */
function timeless(change: BookingRequestInit) {
  const request = oceanRequest(change);
  if (change.means === undefined) delete request.means;
  if (change.expectedDeparture === undefined) delete request.expectedDeparture;
  return request;
}

describe("a request", () => {
  it.each([
    ["no origin", { places: [POD] }, "request.places"],
    ["no destination", { places: [POL] }, "request.places"],
    ["two ports of loading", { places: [POL, POL, POD] }, "request.places[1].type"],
    ["a place that names nothing", { places: [POL, { type: "POD", place: {} }] }, "request.places[1].place"],
    ["half an arrival window", { expectedArrivalFrom: at("2026-03-10") }, "request.expected_arrival_to"],
    [
      "an arrival window that ends before it starts",
      { expectedArrivalFrom: at("2026-03-10"), expectedArrivalTo: at("2026-03-09") },
      "request.expected_arrival_to",
    ],
    ["two shippers", { parties: [{ role: "SHIPPER" }, { role: "SHIPPER" }] }, "request.parties[1].role"],
    [
      "a reefer without temperature",
      { equipment: [{ isoEquipmentCode: "45R1", units: 1 }] },
      "request.equipment[0].temperature_millicelsius",
    ],
    [
      "dangerous goods without packages",
      { equipment: [{ isoEquipmentCode: "22G1", units: 1, commodities: [{ dangerousGoods: ["UN1263"] }] }] },
      "request.equipment[0].commodities[0].packages",
    ],
    ["a unit twice", { units: [container(CONTAINERS[0]), container(CONTAINERS[0])] }, "request.units[1].id"],
    ["an air action at sea", { spaceAction: "SS" }, "request.space_action"],
    [
      "a routing reference with a voyage",
      { routingReference: "R-1", places: [], means: { voyage: "1" } },
      "request.means.voyage",
    ],
    ["a routing reference with a port", { routingReference: "R-1", places: [POL], means: {} }, "request.places[0]"],
  ])("with %s is refused", (_case, change, field) => {
    const refusal = refusalOf(() => new World().request(oceanRequest(change)));
    expect([refusal.reason, refusal.violations.map((one) => one.field)]).toEqual([ErrorReason.FIELD_INVALID, [field]]);
  });

  it.each([
    [
      "PRE and PDE for ports",
      {
        places: [
          { type: "PRE", place: POL.place },
          { type: "PDE", place: POD.place },
        ],
      },
    ],
    ["two parties to notify", { parties: [{ role: "NOTIFY" }, { role: "NOTIFY" }, { role: "NI" }, { role: "NI" }] }],
    ["a reefer that does not cool", { equipment: [{ isoEquipmentCode: "45R1", units: 1, nonOperatingReefer: true }] }],
    ["a reefer that cools", { equipment: [{ isoEquipmentCode: "45R1", units: 1, temperatureMillicelsius: 0 }] }],
    ["a routing reference and nothing else", { routingReference: "R-1", places: [], means: {} }],
  ])("with %s is taken", (_case, change) => {
    const world = new World();
    world.request(oceanRequest(change));
    expect(world.booking().booking.state).toBe(BookingState.RECEIVED);
  });

  it.each<[string, BookingRequestInit, boolean]>([
    ["nothing", {}, false],
    ["a voyage without vessel or service", { means: { voyage: "1" } }, false],
    ["a vessel without voyage", { means: { vessel: "A" } }, false],
    ["a voyage and its vessel", { means: { voyage: "1", vessel: "A" } }, true],
    ["a voyage and its service", { means: { voyage: "1", service: "TA2" } }, true],
    ["a departure", { expectedDeparture: at("2026-03-01") }, true],
    ["an arrival window", { expectedArrivalFrom: at("2026-03-01"), expectedArrivalTo: at("2026-03-02") }, true],
    ["a routing reference", { routingReference: "R-1", places: [] }, true],
  ])("that says when it shall travel by %s", (_case, change, enough) => {
    const act = () => new World().request(timeless(change));
    if (enough) expect(act).not.toThrow();
    else expect(refusalOf(act).violations.map((one) => one.field)).toEqual(["request.expected_departure"]);
  });

  it("for air may say it by flight and date, for road not by a voyage", () => {
    expect(() => new World().request(airRequest())).not.toThrow();
    const request = roadRequest({ means: { voyage: "1", vessel: "A" } });
    delete request.expectedDeparture;
    const road = () => new World().request(request);
    expect(reasonOf(road)).toBe(ErrorReason.FIELD_INVALID);
  });

  it("lists every violation at once", () => {
    const refusal = refusalOf(() => new World().request(oceanRequest({ places: [], spaceAction: "NN" })));
    expect(refusal.violations.map((one) => one.field)).toEqual([
      "request.places",
      "request.places",
      "request.space_action",
    ]);
  });

  it.each([
    ["a vessel's number", { means: { vesselImo: "7654321", voyage: "1" } }, "request.means.vessel_imo"],
    ["a container's number", { units: [{ id: "APNR7744962", kind: UnitKind.CONTAINER }] }, "request.units[0].id"],
  ])("with a wrong check digit of %s is refused", (_case, change, field) => {
    const refusal = refusalOf(() => new World().request(oceanRequest(change)));
    expect([refusal.reason, refusal.metadata.field]).toEqual([ErrorReason.CHECK_DIGIT_WRONG, field]);
  });

  it("with a time zone that there is not is refused", () => {
    const expectedDeparture = create(LocalTimeSchema, { instant: stamp("2026-03-01"), timeZone: "Europe/Nowhere" });
    expect(reasonOf(() => new World().request(oceanRequest({ expectedDeparture })))).toBe(
      ErrorReason.TIME_ZONE_UNKNOWN,
    );
  });

  it("under an id that is taken is refused", () => {
    const world = new World();
    world.request(oceanRequest());
    expect(reasonOf(() => world.request(oceanRequest()))).toBe(ErrorReason.BOOKING_EXISTS);
  });

  it("makes the booking's compact form", () => {
    const world = new World();
    world.request(oceanRequest({ references: [{ type: "FF", value: "F-1" }] }));
    const { booking } = world.booking();
    expect(booking).toMatchObject({
      id: ID,
      version: 1n,
      carrier: "MAEU",
      spaceCode: "",
      space: SpaceVerdict.REQUESTED,
    });
    expect([booking.origin?.unlocode, booking.destination?.unlocode]).toEqual(["NLRTM", "USNYC"]);
    expect(booking.references.map((one) => one.value)).toEqual(["F-1"]);
    expect(booking.departure).toEqual(at("2026-03-01"));
  });
});

describe("an update", () => {
  const updated = (change: object) => {
    const world = new World();
    world.request(oceanRequest());
    return () => world.verb(BookingVerb.UPDATE, { request: oceanRequest(change) });
  };

  it.each([
    ["mode", { mode: roadRequest().mode, means: {} }],
    ["carrier", { carrier: "HLCU" }],
    ["carrier_code_list", { carrierCodeList: "SMDG" }],
  ])("cannot change the %s", (field, change) => {
    const refusal = refusalOf(updated(change));
    expect([refusal.reason, refusal.violations[0]?.field]).toEqual([ErrorReason.FIELD_INVALID, `request.${field}`]);
  });

  it("keeps to the rules of a request", () => {
    expect(reasonOf(updated({ places: [POL] }))).toBe(ErrorReason.FIELD_INVALID);
  });
});

describe("whose booking it is", () => {
  const world = new World();
  world.request(oceanRequest());
  const called = (change: object) => () =>
    world.run((load) => ({ drafts: [], booking: calledBooking(load, { ...CALL, ...change }) }));

  it("a carrier calls upon its own, and cannot tell others from unknown ones", () => {
    expect(called({ visibility: { class: "carrier", carrier: "MAEU" } })().booking.booking.id).toBe(ID);
    const foreign = refusalOf(called({ visibility: { class: "carrier", carrier: "HLCU" } }));
    const unknown = refusalOf(() =>
      world.run(
        (load) => ({ drafts: [], booking: calledBooking(load, { ...CALL, bookingId: "bkg-2" }) }),
        [bookingRef("bkg-2")],
      ),
    );
    expect(foreign.reason).toBe(ErrorReason.BOOKING_UNKNOWN);
    expect(foreign.message.replace(ID, "?")).toBe(unknown.message.replace("bkg-2", "?"));
    expect(Object.keys(foreign.metadata)).toEqual(Object.keys(unknown.metadata));
  });

  it("a caller that has seen another version is told the present one", () => {
    expect(called({ etag: "1" })().booking.booking.version).toBe(1n);
    for (const etag of ["2", "01", "x"]) {
      const refusal = refusalOf(called({ etag }));
      expect([refusal.reason, refusal.metadata.etag]).toEqual([ErrorReason.ETAG_MISMATCH, "1"]);
    }
  });
});
