import type { Confirmation, CutOff, Leg } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import {
  checkContainers,
  checkVesselImo,
  type Identifiers,
  refuseFields,
  unitViolations,
} from "./booking-request-rules.ts";
import { cutOffViolations, repeated } from "./cut-offs.ts";
import { Refusal, type Violation } from "./refusal.ts";
import { checkPlace } from "./report-rules.ts";
import { checkLocalTime, compareLocalTimes } from "./times.ts";

/** What a confirmation of each mode cannot be without. Road needs nothing: accepting the tender is enough. */
const NEEDED: Readonly<Partial<Record<TransportMode, readonly (keyof Missing)[]>>> = {
  [TransportMode.OCEAN]: ["equipment", "legs", "cut_offs"],
  [TransportMode.AIR]: ["cargo", "legs"],
};

interface Missing {
  readonly equipment: boolean;
  readonly cargo: boolean;
  readonly legs: boolean;
  readonly cut_offs: boolean;
}

/**
 * Refuses a confirmation that lacks what its mode needs (CONFIRMATION_INCOMPLETE with the violations), or whose fields
 * contradict each other (FIELD_INVALID, TIME_ZONE_UNKNOWN, CHECK_DIGIT_WRONG).
 */
export function checkConfirmation(confirmation: Confirmation, mode: TransportMode, identifiers: Identifiers): void {
  const missing: Missing = {
    equipment: confirmation.equipment.length === 0,
    cargo: confirmation.cargo === undefined || isEmptyCargo(confirmation),
    legs: confirmation.legs.length === 0,
    cut_offs: confirmation.cutOffs.length === 0,
  };
  const lacking = (NEEDED[mode] ?? [])
    .filter((name) => missing[name])
    .map((name): Violation => ({ field: `confirmation.${name}`, description: "is needed to confirm" }));
  if (lacking.length > 0) {
    const names = lacking.map((one) => one.field).join(", ");
    throw new Refusal(ErrorReason.CONFIRMATION_INCOMPLETE, `the confirmation lacks ${names}`, { violations: lacking });
  }
  refuseFields([...unitViolations(confirmation.units, "confirmation.units"), ...backwardLegs(confirmation.legs)]);
  if (identifiers === "strict") checkContainers(confirmation.units, "confirmation.units");
  checkPlan(confirmation.legs, confirmation.cutOffs, "confirmation.", identifiers);
}

/** Refuses a plan whose legs or cut-offs stand twice, or whose times are wrong. */
export function checkPlan(
  legs: readonly Leg[],
  cutOffs: readonly CutOff[],
  path: string,
  identifiers: Identifiers,
): void {
  const twice = repeated(
    legs.map((leg) => leg.sequence),
    (i, sequence) => ({ field: `${path}legs[${i}].sequence`, description: `${sequence} stands twice` }),
  );
  refuseFields([...twice, ...cutOffViolations(cutOffs, `${path}cut_offs`)]);
  for (const [i, leg] of legs.entries()) {
    checkPlace(leg.from, `${path}legs[${i}].from`);
    checkPlace(leg.to, `${path}legs[${i}].to`);
    checkLocalTime(leg.departure, `${path}legs[${i}].departure`);
    checkLocalTime(leg.arrival, `${path}legs[${i}].arrival`);
    if (identifiers === "strict") checkVesselImo(leg.means?.vesselImo ?? "", `${path}legs[${i}].means.vessel_imo`);
  }
  for (const [i, cutOff] of cutOffs.entries()) checkLocalTime(cutOff.at, `${path}cut_offs[${i}].at`);
}

/** Legs that arrive before they depart. Without a zone on either side the order of two wall clocks tells nothing. */
function backwardLegs(legs: readonly Leg[]): Violation[] {
  return legs.flatMap((leg, i): Violation[] => {
    const { departure, arrival } = leg;
    const comparable = departure && arrival && !departure.zoneUnknown && !arrival.zoneUnknown;
    if (!comparable || compareLocalTimes(departure, arrival) <= 0) return [];
    return [{ field: `confirmation.legs[${i}].arrival`, description: "lies before the leg's departure" }];
  });
}

function isEmptyCargo({ cargo }: Confirmation): boolean {
  return cargo?.pieces === 0 && cargo.grossWeightGrams === 0n && cargo.volumeCm3 === 0n;
}
