import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  type Confirmation,
  DifferenceBase,
  EquipmentSchema,
  type Leg,
  LegStage,
  SpaceVerdict,
  TransportMeansSchema,
} from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import { PlaceSchema, TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { timeText } from "../../src/domain/booking-differences.ts";
import { allot, fits } from "../../src/domain/booking-equipment.ts";
import { compare } from "../../src/domain/confirmation.ts";
import {
  airConfirmation,
  airRequest,
  at,
  CONTAINERS,
  type ConfirmationInit,
  container,
  oceanConfirmation,
  oceanRequest,
  reasonOf,
  refusalOf,
  roadRequest,
  World,
} from "./booking-world.ts";

const { FULL, PARTIAL, SUBSTITUTED, ROLLED } = SpaceVerdict;
const { CONFIRM, AMEND, CONFIRM_AMENDMENT } = BookingVerb;

type Pair = readonly [code: string, units: number];
const equipment = (...pairs: Pair[]) =>
  pairs.map(([isoEquipmentCode, units]) => create(EquipmentSchema, { isoEquipmentCode, units }));

const sailing = { means: create(TransportMeansSchema, { voyage: "101E" }) };

/** A confirmation's first leg, otherwise. */
function firstLeg(confirmation: Confirmation, change: Partial<Leg> = {}): Leg {
  const [leg] = confirmation.legs;
  if (leg === undefined) throw new Error("there is no leg");
  return { ...leg, ...change };
}

/** Differences as `path: from -> to`, those against the request. */
function told(comparison: ReturnType<typeof compare>, base: DifferenceBase = DifferenceBase.REQUEST): string[] {
  return comparison.differences
    .filter((one) => one.base === base)
    .map((one) => `${one.path}: ${one.from || "-"} -> ${one.to || "-"}`);
}

describe("equipment that was confirmed against what was asked for", () => {
  it.each<[asked: Pair[], given: Pair[], verdict: SpaceVerdict, differences: string[]]>([
    [[["22GP", 2]], [["22GP", 2]], FULL, []],
    [[["22GP", 2]], [["22G1", 2]], FULL, []],
    [[["22G1", 2]], [["22GP", 2]], FULL, []],
    [
      [["22GP", 3]],
      [
        ["22G0", 1],
        ["22G1", 2],
      ],
      FULL,
      [],
    ],
    [[["22GP", 2]], [["22G1", 3]], FULL, ["equipment[22GP].units: 2 -> 3"]],
    [[["22GP", 2]], [["22G1", 1]], PARTIAL, ["equipment[22GP].units: 2 -> 1"]],
    [
      [
        ["22GP", 2],
        ["45R1", 1],
      ],
      [["22G1", 2]],
      PARTIAL,
      ["equipment[45R1].units: 1 -> 0"],
    ],
    [[["22G1", 2]], [["22G0", 2]], SUBSTITUTED, ["equipment[22G1].units: 2 -> 0", "equipment[22G0].units: - -> 2"]],
    [[["22GP", 2]], [["45G1", 2]], SUBSTITUTED, ["equipment[22GP].units: 2 -> 0", "equipment[45G1].units: - -> 2"]],
    [
      [["22GP", 2]],
      [
        ["22G1", 1],
        ["45G1", 1],
      ],
      SUBSTITUTED,
      ["equipment[22GP].units: 2 -> 1", "equipment[45G1].units: - -> 1"],
    ],
    [
      [["22GP", 3]],
      [
        ["22G1", 1],
        ["45G1", 1],
      ],
      PARTIAL,
      ["equipment[22GP].units: 3 -> 1", "equipment[45G1].units: - -> 1"],
    ],
    [[["22R1", 1]], [["22G1", 1]], SUBSTITUTED, ["equipment[22R1].units: 1 -> 0", "equipment[22G1].units: - -> 1"]],
  ])("%j confirmed as %j", (asked, given, verdict, differences) => {
    const request = oceanRequest({
      equipment: equipment(...asked),
      partialLoadAllowed: true,
      equipmentSubstitutionAllowed: true,
    });
    const comparison = compare(request, oceanConfirmation({ equipment: equipment(...given) }));
    expect(comparison.space).toBe(verdict);
    expect(told(comparison)).toEqual(differences);
  });

  it("takes a size and type for its group, and nothing else", () => {
    expect([fits("22G1", "22GP"), fits("22gp", "22G1"), fits("45R1", "45RT")]).toEqual([true, true, true]);
    expect([fits("22G1", "42GP"), fits("22G1", "22RT"), fits("22G1", "22G0"), fits("40HQ", "40HC")]).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });

  it("prefers the exact code, so that a group does not use up what was asked for by type", () => {
    const { asked, beyond } = allot(equipment(["22GP", 1], ["22G1", 1]), equipment(["22G1", 1], ["22G0", 1]));
    expect(asked.map(({ code, given }) => [code, given])).toEqual([
      ["22GP", 1],
      ["22G1", 1],
    ]);
    expect(beyond).toEqual([]);
  });

  it("says when less or other equipment was not allowed", () => {
    const less = compare(oceanRequest(), oceanConfirmation({ equipment: equipment(["22G1", 1]) }));
    expect([less.space, ...told(less)]).toEqual([
      PARTIAL,
      "equipment[22GP].units: 2 -> 1",
      "partial_load_allowed: false -> true",
    ]);
    const other = compare(oceanRequest(), oceanConfirmation({ equipment: equipment(["45G1", 2]) }));
    expect(other.space).toBe(SUBSTITUTED);
    expect(told(other)).toContain("equipment_substitution_allowed: false -> true");
  });

  it("tells another set temperature, where the confirmation names one", () => {
    const reefer = (temperatureMillicelsius: number) => [
      create(EquipmentSchema, { isoEquipmentCode: "45R1", units: 1, temperatureMillicelsius }),
    ];
    const comparison = compare(
      oceanRequest({ equipment: reefer(-18_000) }),
      oceanConfirmation({ equipment: reefer(4_000) }),
    );
    expect([comparison.space, ...told(comparison)]).toEqual([
      FULL,
      "equipment[45R1].temperature_millicelsius: -18000 -> 4000",
    ]);
  });
});

describe("cargo that was confirmed against what was asked for", () => {
  it.each<[given: { pieces: number; grossWeightGrams: bigint }, verdict: SpaceVerdict, differences: string[]]>([
    [{ pieces: 10, grossWeightGrams: 500_000n }, FULL, []],
    [{ pieces: 10, grossWeightGrams: 0n }, FULL, []],
    [{ pieces: 12, grossWeightGrams: 500_000n }, FULL, ["cargo.pieces: 10 -> 12"]],
    [{ pieces: 6, grossWeightGrams: 500_000n }, PARTIAL, ["cargo.pieces: 10 -> 6"]],
    [{ pieces: 10, grossWeightGrams: 400_000n }, PARTIAL, ["cargo.gross_weight_grams: 500000 -> 400000"]],
  ])("%o", (cargo, verdict, differences) => {
    const comparison = compare(airRequest({ partialLoadAllowed: true }), airConfirmation({ cargo }));
    expect([comparison.space, ...told(comparison)]).toEqual([verdict, ...differences]);
  });
});

describe("another sailing, date or port than asked for", () => {
  const leg = (change: Partial<Leg>) => oceanConfirmation({ legs: [firstLeg(oceanConfirmation(), change)] });

  it("is a difference and no verdict", () => {
    const means = create(TransportMeansSchema, { vessel: "EVER WINDWARD", vesselImo: "9298686", voyage: "102E" });
    const comparison = compare(oceanRequest(), leg({ means, departure: at("2026-03-08T18:00:00Z") }));
    expect([comparison.space, ...told(comparison)]).toEqual([
      FULL,
      "legs[1].means.vessel: Ever Lead -> EVER WINDWARD",
      "legs[1].means.vessel_imo: 9321483 -> 9298686",
      "legs[1].means.voyage: 101E -> 102E",
      "legs[1].departure: 2026-03-01 -> 2026-03-08",
    ]);
  });

  it("is none when only the hour, the letters' case or what the carrier left out differs", () => {
    const request = oceanRequest({ means: { vessel: "Ever Lead", voyage: "101E", service: "TA2" } });
    expect(told(compare(request, oceanConfirmation()))).toEqual([]);
  });

  it("tells an arrival outside the window, not one on its last day", () => {
    const request = oceanRequest({ expectedArrivalFrom: at("2026-03-08"), expectedArrivalTo: at("2026-03-12") });
    expect(told(compare(request, leg({ arrival: at("2026-03-12T23:00:00Z") })))).toEqual([]);
    expect(told(compare(request, leg({ arrival: at("2026-03-13T01:00:00Z") })))).toEqual([
      "legs[1].arrival: 2026-03-08/2026-03-12 -> 2026-03-13",
    ]);
  });

  it("tells another port of discharge, of the last main leg", () => {
    const confirmation = leg({ ...sailing, to: create(PlaceSchema, { unlocode: "USBAL" }) });
    expect(told(compare(oceanRequest(sailing), confirmation))).toEqual(["legs[1].to: USNYC -> USBAL"]);
  });
});

describe("against the confirmation before", () => {
  const previous = oceanConfirmation();
  const on = (voyage: string, departure: string, more: ConfirmationInit = {}) => {
    const means = create(TransportMeansSchema, { vessel: "EVER LEAD", vesselImo: "9321483", voyage });
    return oceanConfirmation({ legs: [firstLeg(previous, { means, departure: at(departure) })], ...more });
  };

  it.each([
    ["a later sailing of another voyage is rolled", on("102E", "2026-03-08T18:00:00Z"), ROLLED],
    ["an earlier sailing of another voyage is not", on("100E", "2026-02-22T18:00:00Z"), FULL],
    ["the same voyage that sails later is not", on("101E", "2026-03-04T18:00:00Z"), FULL],
    ["rolled comes before partial", on("102E", "2026-03-08T18:00:00Z", { equipment: equipment(["22G1", 1]) }), ROLLED],
  ] as const)("%s", (_case, confirmation, verdict) => {
    expect(compare(oceanRequest(), confirmation, previous).space).toBe(verdict);
    expect(compare(oceanRequest(), confirmation).space).not.toBe(ROLLED);
  });

  it("lists what changed, cut-offs and legs included", () => {
    const now = on("102E", "2026-03-08T18:00:00Z", {
      bookingReference: "BKG-78",
      equipment: equipment(["22G1", 1]),
      cutOffs: [{ code: "FCO", at: at("2026-03-06T12:00:00Z") }],
    });
    expect(told(compare(oceanRequest(), now, previous), DifferenceBase.PREVIOUS_CONFIRMATION)).toEqual([
      "equipment[22G1].units: 2 -> 1",
      "legs[1].means.voyage: 101E -> 102E",
      "legs[1].departure: 2026-03-01T18:00:00Z -> 2026-03-08T18:00:00Z",
      "cut_offs[FCO].at: 2026-02-27T12:00:00Z -> 2026-03-06T12:00:00Z",
      "cut_offs[EFC].at: 2026-02-20T12:00:00Z -> -",
      "booking_reference: BKG-77 -> BKG-78",
    ]);
  });

  it("is rolled when only the second of two vessels is a later one", () => {
    const main = { stage: LegStage.MAIN_CARRIAGE, mode: TransportMode.OCEAN };
    const legs = (voyage: string, departure: string) => [
      { ...main, sequence: 1, from: { unlocode: "NLRTM" }, to: { unlocode: "ESALG" }, means: { voyage: "1" } },
      {
        ...main,
        sequence: 2,
        from: { unlocode: "ESALG" },
        to: { unlocode: "USNYC" },
        means: { voyage },
        departure: at(departure),
      },
    ];
    const before = oceanConfirmation({ legs: legs("7W", "2026-03-05") });
    const now = oceanConfirmation({ legs: legs("8W", "2026-03-12") });
    expect(compare(oceanRequest(), now, before).space).toBe(ROLLED);
  });

  it("is rolled when the same flight goes on a later day", () => {
    const means = create(TransportMeansSchema, { flight: "KL0641", flightDate: "2026-03-02" });
    const later = firstLeg(airConfirmation(), { means, departure: at("2026-03-02T13:00:00Z") });
    expect(compare(airRequest(), airConfirmation({ legs: [later] }), airConfirmation()).space).toBe(ROLLED);
  });
});

describe("confirming", () => {
  it("numbers the confirmations, keeps them all, and fills in verdict, kinds of cut-offs and plan", () => {
    const world = new World();
    world.request(oceanRequest());
    expect(world.booking().booking.space).toBe(SpaceVerdict.REQUESTED);
    world.verb(CONFIRM, { confirmation: oceanConfirmation({ equipment: equipment(["22G1", 1]) }) });
    world.verb(CONFIRM, { confirmation: oceanConfirmation({ units: [container(CONTAINERS[0])] }) });
    const { booking, details } = world.booking();
    expect(details.confirmations.map((one) => [one.version, one.space])).toEqual([
      [1, PARTIAL],
      [2, FULL],
    ]);
    expect([booking.confirmationVersion, booking.space, booking.bookingReference]).toEqual([2, FULL, "BKG-77"]);
    expect(details.cutOffs.map((one) => [one.code, one.kind])).toEqual([
      ["FCO", 1],
      ["EFC", 2],
    ]);
    expect(booking.means?.vessel).toBe("EVER LEAD");
    expect([timeText(booking.departure), timeText(booking.arrival)]).toEqual([
      "2026-03-01T18:00:00Z",
      "2026-03-12T06:00:00Z",
    ]);
    expect(details.units.map((unit) => unit.id)).toEqual([CONTAINERS[0]]);
  });

  it("compares a confirmed amendment with the amendment", () => {
    const world = new World();
    world.request(oceanRequest());
    world.verb(CONFIRM, { confirmation: oceanConfirmation() });
    world.verb(AMEND, { request: oceanRequest({ equipment: equipment(["22GP", 3]) }) });
    world.verb(CONFIRM_AMENDMENT, { confirmation: oceanConfirmation() });
    expect(world.booking().booking.space).toBe(PARTIAL);
  });

  it.each([
    ["ocean without equipment", oceanRequest(), oceanConfirmation({ equipment: [] }), ["confirmation.equipment"]],
    [
      "ocean without plan and cut-offs",
      oceanRequest(),
      oceanConfirmation({ legs: [], cutOffs: [] }),
      ["confirmation.legs", "confirmation.cut_offs"],
    ],
    ["air without cargo", airRequest(), airConfirmation({ cargo: {} }), ["confirmation.cargo"]],
    ["air without plan", airRequest(), airConfirmation({ legs: [] }), ["confirmation.legs"]],
  ] as const)("refuses %s", (_case, request, confirmation, fields) => {
    const world = new World();
    world.request(request);
    const refusal = refusalOf(() => world.verb(CONFIRM, { confirmation }));
    expect(refusal.reason).toBe(ErrorReason.CONFIRMATION_INCOMPLETE);
    expect(refusal.violations.map((one) => one.field)).toEqual(fields);
  });

  it("takes a road confirmation that says nothing", () => {
    const world = new World();
    world.request(roadRequest({ cargo: { pieces: 4 } }));
    world.verb(CONFIRM, { confirmation: oceanConfirmation({ equipment: [], legs: [], cutOffs: [] }) });
    expect(world.booking().booking.space).toBe(FULL);
  });

  it.each([
    [
      "a cut-off code twice",
      {
        cutOffs: [
          { code: "FCO", at: at("2026-02-27") },
          { code: "FCO", at: at("2026-02-28") },
        ],
      },
    ],
    ["a leg's sequence twice", { legs: [{ sequence: 1 }, { sequence: 1 }] }],
    [
      "a leg that arrives before it departs",
      { legs: [{ sequence: 1, departure: at("2026-03-02"), arrival: at("2026-03-01") }] },
    ],
  ])("refuses %s", (_case, change) => {
    const world = new World();
    world.request(oceanRequest());
    const act = () => world.verb(CONFIRM, { confirmation: oceanConfirmation(change) });
    expect(reasonOf(act)).toBe(ErrorReason.FIELD_INVALID);
  });

  it("refuses wrong check digits that are typed, and keeps those of a feed", () => {
    const confirmation = oceanConfirmation({ legs: [{ sequence: 1, means: { vesselImo: "7654321" } }] });
    const world = new World();
    world.request(oceanRequest());
    expect(reasonOf(() => world.verb(CONFIRM, { confirmation }))).toBe(ErrorReason.CHECK_DIGIT_WRONG);
    world.verb(CONFIRM, { confirmation, identifiers: "as they came" });
    expect(world.booking().booking.means?.vesselImo).toBe("7654321");
  });

  it("keeps 50 confirmations and no more", () => {
    const world = new World();
    world.request(oceanRequest());
    for (let i = 0; i < 50; i += 1) world.verb(CONFIRM, { confirmation: oceanConfirmation() });
    expect(reasonOf(() => world.verb(CONFIRM, { confirmation: oceanConfirmation() }))).toBe(ErrorReason.SUBJECT_FULL);
    expect(world.booking().details.confirmations.length).toBe(50);
  });
});
