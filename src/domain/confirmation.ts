import {
  type BookingRequest,
  type Cargo,
  type Confirmation,
  type Difference,
  DifferenceBase,
  type Leg,
  LegStage,
  SpaceVerdict,
  type TransportMeans,
} from "../../gen/leadline/v1/booking_pb.ts";
import type { LocalTime, TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import {
  dayText,
  differencesAgainst,
  type Note,
  noteCargo,
  noteCutOffs,
  noteLegs,
  noteMeans,
  placeText,
} from "./booking-differences.ts";
import { allot, fits, unitsByCode } from "./booking-equipment.ts";
import { inOrder, samePlace } from "./milestone-kinds.ts";
import { compareLocalTimes } from "./times.ts";

/** What a confirmation gives against what was asked for. */
export interface Comparison {
  readonly space: SpaceVerdict;
  /** Against the request, then against the confirmation before. */
  readonly differences: Difference[];
}

/**
 * Compares a confirmation with the request as it stands and with the confirmation before it. The verdict is the first that
 * applies of ROLLED, PARTIAL, SUBSTITUTED and FULL:
 *
 * - ROLLED: a main leg is confirmed for another vessel, voyage or flight than before, and departs later.
 * - PARTIAL: fewer units in all than asked for, or fewer pieces, weight or volume.
 * - SUBSTITUTED: at least as many units, but not all in the equipment asked for.
 *
 * Space that is less or other than asked for is a verdict whether or not the request allowed it; where it did not, the
 * differences say so under `partial_load_allowed` or `equipment_substitution_allowed`. Another vessel, date or port than
 * asked for is a difference only.
 */
export function compare(request: BookingRequest, confirmation: Confirmation, previous?: Confirmation): Comparison {
  const against = differencesAgainst(DifferenceBase.REQUEST);
  const equipment = equipmentVerdict(request, confirmation, against.note);
  const cargo = cargoVerdict(request.cargo, confirmation.cargo, against.note);
  compareRoute(request, confirmation.legs, against.note);
  const changed = differencesAgainst(DifferenceBase.PREVIOUS_CONFIRMATION);
  if (previous !== undefined) compareConfirmations(previous, confirmation, changed.note);

  const rolled = previous !== undefined && isRolled(previous.legs, confirmation.legs, request.mode);
  const verdicts = [equipment, cargo, ...(rolled ? [SpaceVerdict.ROLLED] : [])];
  const order = [SpaceVerdict.ROLLED, SpaceVerdict.PARTIAL, SpaceVerdict.SUBSTITUTED];
  if (verdicts.includes(SpaceVerdict.PARTIAL) && !request.partialLoadAllowed) {
    against.note("partial_load_allowed", "false", "true");
  }
  if (equipment === SpaceVerdict.SUBSTITUTED && !request.equipmentSubstitutionAllowed) {
    against.note("equipment_substitution_allowed", "false", "true");
  }
  return {
    space: order.find((verdict) => verdicts.includes(verdict)) ?? SpaceVerdict.FULL,
    differences: [...against.found, ...changed.found],
  };
}

/** The legs of the main carriage in their order; where no leg says its stage, all of them. */
export function mainLegs(legs: readonly Leg[]): Leg[] {
  const ordered = inOrder(legs);
  const main = ordered.filter((leg) => leg.stage === LegStage.MAIN_CARRIAGE);
  if (main.length > 0) return main;
  const unsaid = ordered.filter((leg) => leg.stage === LegStage.UNSPECIFIED);
  return unsaid.length > 0 ? unsaid : ordered;
}

/** An absent list of equipment or cargo says nothing of space: what was asked for is taken as given. */
function equipmentVerdict(request: BookingRequest, confirmation: Confirmation, note: Note): SpaceVerdict {
  if (confirmation.equipment.length === 0 || request.equipment.length === 0) return SpaceVerdict.FULL;
  const { asked, beyond } = allot(request.equipment, confirmation.equipment);
  for (const line of asked) {
    const more = beyond.filter((extra) => fits(extra.code, line.code)).reduce((sum, extra) => sum + extra.given, 0);
    note(`equipment[${line.code}].units`, String(line.asked), String(line.given + more));
  }
  for (const extra of beyond) {
    if (!asked.some((line) => fits(extra.code, line.code))) {
      note(`equipment[${extra.code}].units`, "", String(extra.given));
    }
  }
  compareTemperatures(request, confirmation, note);
  if (asked.every((line) => line.given >= line.asked)) return SpaceVerdict.FULL;
  const missing = asked.reduce((sum, line) => sum + line.asked - line.given, 0);
  const otherwise = beyond.reduce((sum, extra) => sum + extra.given, 0);
  return otherwise >= missing ? SpaceVerdict.SUBSTITUTED : SpaceVerdict.PARTIAL;
}

/** Only what the confirmation states: most leave the set temperature out. */
function compareTemperatures(request: BookingRequest, confirmation: Confirmation, note: Note): void {
  for (const given of confirmation.equipment) {
    if (given.temperatureMillicelsius === undefined) continue;
    const asked = request.equipment.find((one) => fits(given.isoEquipmentCode, one.isoEquipmentCode));
    if (asked?.temperatureMillicelsius === undefined) continue;
    const path = `equipment[${given.isoEquipmentCode.toUpperCase()}].temperature_millicelsius`;
    note(path, String(asked.temperatureMillicelsius), String(given.temperatureMillicelsius));
  }
}

function cargoVerdict(asked: Cargo | undefined, given: Cargo | undefined, note: Note): SpaceVerdict {
  if (asked === undefined || given === undefined) return SpaceVerdict.FULL;
  const stated = statedCargo(asked, given);
  noteCargo(note, asked, stated, true);
  const less =
    stated.pieces < asked.pieces ||
    stated.grossWeightGrams < asked.grossWeightGrams ||
    stated.volumeCm3 < asked.volumeCm3;
  return less ? SpaceVerdict.PARTIAL : SpaceVerdict.FULL;
}

/** A figure that the confirmation leaves out is as asked, as long as it states any. */
function statedCargo(asked: Cargo, given: Cargo): Cargo {
  return {
    ...given,
    pieces: given.pieces || asked.pieces,
    grossWeightGrams: given.grossWeightGrams || asked.grossWeightGrams,
    volumeCm3: given.volumeCm3 || asked.volumeCm3,
  };
}

function compareRoute(request: BookingRequest, legs: readonly Leg[], note: Note): void {
  const main = mainLegs(legs);
  const first = main[0];
  const last = main.at(-1);
  if (first === undefined || last === undefined) return;
  const path = `legs[${first.sequence}]`;
  noteMeans(note, `${path}.means`, request.means, first.means, true);
  comparePort(request, "POL", `${path}.from`, first.from, note);
  comparePort(request, "POD", `legs[${last.sequence}].to`, last.to, note);
  // A day was asked for, so only another day is a difference.
  const day = dayText(request.expectedDeparture);
  if (day !== "" && first.departure) note(`${path}.departure`, day, dayText(first.departure));
  const arrival = inOrder(legs).at(-1);
  if (arrival?.arrival) compareArrival(request, arrival.sequence, arrival.arrival, note);
}

function comparePort(request: BookingRequest, type: string, path: string, to: Leg["from"], note: Note): void {
  const asked = request.places.find((place) => place.type === type)?.place;
  if (asked && to && !samePlace(asked, to) && asked.unlocode !== "" && to.unlocode !== "") {
    note(path, placeText(asked), placeText(to));
  }
}

/** The window was asked for in days: an arrival on its first or last day is in it. */
function compareArrival(request: BookingRequest, sequence: number, arrival: LocalTime, note: Note): void {
  const from = dayText(request.expectedArrivalFrom);
  const to = dayText(request.expectedArrivalTo);
  const day = dayText(arrival);
  if (from === "" || to === "" || (day >= from && day <= to)) return;
  note(`legs[${sequence}].arrival`, `${from}/${to}`, day);
}

function compareConfirmations(before: Confirmation, now: Confirmation, note: Note): void {
  const units = unitsByCode(before.equipment);
  for (const [code, given] of unitsByCode(now.equipment)) {
    note(`equipment[${code}].units`, String(units.get(code) ?? ""), String(given));
    units.delete(code);
  }
  for (const [code, given] of units) note(`equipment[${code}].units`, String(given), "");
  noteCargo(note, before.cargo, now.cargo, false);
  noteLegs(note, before.legs, now.legs, false);
  noteCutOffs(note, before.cutOffs, now.cutOffs, false);
  if (now.bookingReference !== "") {
    note("booking_reference", before.bookingReference, now.bookingReference);
  }
}

/**
 * Whether a main leg goes with another sailing or flight than before, and later. Legs are paired by where they start;
 * where the plans share no such place, by their place in the order.
 */
function isRolled(before: readonly Leg[], now: readonly Leg[], mode: TransportMode): boolean {
  const earlier = mainLegs(before);
  return mainLegs(now).some((leg, i) => {
    if (leg.mode !== 0 && leg.mode !== mode) return false;
    const was = earlier.find((one) => samePlace(one.from, leg.from)) ?? earlier[i];
    return was !== undefined && isOtherSailing(was.means, leg.means) && departsLater(was, leg);
  });
}

/** Only what both state can differ. A vessel is known by its IMO number, else by its name. */
function isOtherSailing(a: TransportMeans | undefined, b: TransportMeans | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  const differ = (x: string, y: string) => x !== "" && y !== "" && x.trim().toUpperCase() !== y.trim().toUpperCase();
  const otherVessel = a.vesselImo && b.vesselImo ? a.vesselImo !== b.vesselImo : differ(a.vessel, b.vessel);
  return otherVessel || differ(a.voyage, b.voyage) || differ(a.flight, b.flight) || differ(a.flightDate, b.flightDate);
}

function departsLater(was: Leg, leg: Leg): boolean {
  if (was.departure === undefined || leg.departure === undefined) return false;
  return compareLocalTimes(leg.departure, was.departure) > 0;
}
