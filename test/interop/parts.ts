import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type ConfirmationSchema, LegStage } from "../../gen/leadline/v1/booking_pb.ts";
import { type LocalTimeSchema, TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { CARRIERS } from "../support/app.ts";

/** A container number whose check digit is right. */
export const CONTAINER = "MSKU6874333";

/** Day 1 is 2 March 2026; `at(3, 14)` is 14:00 UTC on day 3. */
export function at(day: number, hour = 8): MessageInitShape<typeof LocalTimeSchema> {
  return { instant: timestampFromDate(new Date(Date.UTC(2026, 2, 1 + day, hour))) };
}

/** Space for a 45G1 from Shanghai to Rotterdam. */
export function oceanRequest(carrier: string = CARRIERS.carrier) {
  return {
    mode: TransportMode.OCEAN,
    carrier,
    places: [
      { type: "POL", place: { unlocode: "CNSHA" } },
      { type: "POD", place: { unlocode: "NLRTM" } },
    ],
    equipment: [{ isoEquipmentCode: "45G1", units: 1 }],
    expectedDeparture: at(6),
  };
}

/** All of it confirmed, under this booking reference. */
export function oceanConfirmation(bookingReference: string, departs = 6): MessageInitShape<typeof ConfirmationSchema> {
  return {
    bookingReference,
    equipment: [{ isoEquipmentCode: "45G1", units: 1 }],
    legs: [oceanLeg(departs, departs + 26)],
    cutOffs: [{ code: "FCO", at: at(departs - 1) }],
  };
}

export function oceanLeg(departs: number, arrives: number) {
  return {
    sequence: 1,
    stage: LegStage.MAIN_CARRIAGE,
    mode: TransportMode.OCEAN,
    from: { unlocode: "CNSHA" },
    to: { unlocode: "NLRTM" },
    means: { vessel: "EVER DAWN", vesselImo: "9321483", voyage: "012W" },
    departure: at(departs),
    arrival: at(arrives),
  };
}
