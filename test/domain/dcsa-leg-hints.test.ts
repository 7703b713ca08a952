import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { type Leg, LegSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { PlaceSchema, TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { type LegHints, legOf } from "../../src/domain/dcsa/leg-hints.ts";

const leg = (
  sequence: number,
  from: string,
  to: string,
  means: MessageInitShape<typeof LegSchema>["means"] = {},
): Leg =>
  create(LegSchema, { sequence, mode: TransportMode.OCEAN, from: { unlocode: from }, to: { unlocode: to }, means });

const hints = (given: Partial<LegHints>): LegHints => ({
  end: "from",
  mode: TransportMode.UNSPECIFIED,
  vessel: "",
  vesselImo: "",
  voyages: [],
  service: "",
  callSequence: 0,
  ...given,
});

const at = (unlocode: string) => create(PlaceSchema, { unlocode });

/** Out to Algeciras, on to Tangier, back over Algeciras: it is passed twice. */
const twiceOverAlgeciras = [
  leg(1, "DEHAM", "ESALG", { vesselImo: "9321483", voyage: "2610W" }),
  leg(2, "ESALG", "MAPTM", { vesselImo: "9298686", voyage: "F12" }),
  leg(3, "MAPTM", "ESALG", { vesselImo: "9352004", voyage: "F13" }),
  leg(4, "ESALG", "BRSSZ", { vesselImo: "9710438", voyage: "611S" }),
];

describe("the leg of an event", () => {
  it("is the one that begins or ends where it happened", () => {
    expect(legOf(hints({ end: "from" }), at("DEHAM"), twiceOverAlgeciras)).toBe(1);
    expect(legOf(hints({ end: "to" }), at("BRSSZ"), twiceOverAlgeciras)).toBe(4);
  });

  it.each([
    ["to", "9321483", 1],
    ["to", "9352004", 3],
    ["from", "9298686", 2],
    ["from", "9710438", 4],
  ] as const)("is told by the vessel where a port is passed twice: %s, vessel %s", (end, vesselImo, sequence) => {
    expect(legOf(hints({ end, vesselImo }), at("ESALG"), twiceOverAlgeciras)).toBe(sequence);
  });

  it("is told by the voyage, of export or import, in any case of letters", () => {
    expect(legOf(hints({ end: "to", voyages: ["9X", "f13"] }), at("ESALG"), twiceOverAlgeciras)).toBe(3);
  });

  it("is not guessed at: without a vessel, with another vessel, at another place, without an end", () => {
    expect(legOf(hints({ end: "to" }), at("ESALG"), twiceOverAlgeciras)).toBe(0);
    expect(legOf(hints({ end: "to", vesselImo: "9450571" }), at("BRSSZ"), twiceOverAlgeciras)).toBe(0);
    expect(legOf(hints({ end: "to" }), at("NLRTM"), twiceOverAlgeciras)).toBe(0);
    expect(legOf(hints({ end: undefined }), at("DEHAM"), twiceOverAlgeciras)).toBe(0);
    expect(legOf(hints({}), undefined, twiceOverAlgeciras)).toBe(0);
    expect(legOf(hints({}), at("DEHAM"), [])).toBe(0);
  });

  it("is told by the mode where a truck and a vessel leave from one place", () => {
    const truck = create(LegSchema, { ...leg(1, "DEHAM", "DEBRV"), mode: TransportMode.ROAD });
    const legs = [truck, leg(2, "DEHAM", "BRSSZ")];
    expect(legOf(hints({ mode: TransportMode.ROAD }), at("DEHAM"), legs)).toBe(1);
    expect(legOf(hints({ mode: TransportMode.OCEAN }), at("DEHAM"), legs)).toBe(2);
    expect(legOf(hints({}), at("DEHAM"), legs)).toBe(0);
  });

  it("is not contradicted by what the plan does not say", () => {
    expect(legOf(hints({ vesselImo: "9321483", voyages: ["2610W"] }), at("DEHAM"), [leg(1, "DEHAM", "BRSSZ")])).toBe(1);
  });
});
