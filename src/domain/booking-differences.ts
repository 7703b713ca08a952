import { create } from "@bufbuild/protobuf";
import {
  type Cargo,
  type CutOff,
  type Difference,
  type DifferenceBase,
  DifferenceSchema,
  type Leg,
  type TransportMeans,
} from "../../gen/leadline/v1/booking_pb.ts";
import type { LocalTime, Place } from "../../gen/leadline/v1/place_pb.ts";
import { inOrder } from "./milestone-kinds.ts";

/** The fields of a means of transport, by their names in paths. */
const MEANS_FIELDS = [
  ["vessel", "vessel"],
  ["vessel_imo", "vesselImo"],
  ["voyage", "voyage"],
  ["service", "service"],
  ["flight", "flight"],
  ["flight_date", "flightDate"],
  ["licence_plate", "licencePlate"],
] as const;

const CARGO_FIELDS = [
  ["pieces", "pieces"],
  ["gross_weight_grams", "grossWeightGrams"],
  ["volume_cm3", "volumeCm3"],
] as const;

/** Takes note of one difference. Equal texts are none. */
export type Note = (path: string, from: string, to: string) => void;

/** A list of differences against one base, and the function that adds to it. */
export function differencesAgainst(base: DifferenceBase): {
  readonly found: readonly Difference[];
  readonly note: Note;
} {
  const found: Difference[] = [];
  const note: Note = (path, from, to) => {
    if (from !== to) found.push(create(DifferenceSchema, { base, path, from, to }));
  };
  return { found, note };
}

/**
 * Every field of the means that differs, in more than the case of its letters; with `onlyStated`, only those that both
 * sides state.
 */
export function noteMeans(
  note: Note,
  path: string,
  from: TransportMeans | undefined,
  to: TransportMeans | undefined,
  onlyStated: boolean,
): void {
  for (const [name, field] of MEANS_FIELDS) {
    const was = from?.[field] ?? "";
    const is = to?.[field] ?? "";
    if (onlyStated && (was === "" || is === "")) continue;
    if (was.trim().toUpperCase() !== is.trim().toUpperCase()) note(`${path}.${name}`, was, is);
  }
}

/** Every figure of the cargo that differs; with `onlyStated`, only those that `from` states. */
export function noteCargo(note: Note, from: Cargo | undefined, to: Cargo | undefined, onlyStated: boolean): void {
  for (const [name, field] of CARGO_FIELDS) {
    const was = figure(from?.[field]);
    if (!onlyStated || was !== "") note(`cargo.${name}`, was, figure(to?.[field]));
  }
}

/**
 * Legs by their sequence numbers; a leg that came or went is one difference. With `onlySaid`, legs that `to` leaves out
 * have not gone: they were not spoken of.
 */
export function noteLegs(note: Note, from: readonly Leg[], to: readonly Leg[], onlySaid: boolean): void {
  const before = new Map(from.map((leg) => [leg.sequence, leg]));
  for (const leg of inOrder(to)) {
    const was = before.get(leg.sequence);
    before.delete(leg.sequence);
    if (was === undefined) note(`legs[${leg.sequence}]`, "", legText(leg));
    else noteLeg(note, was, leg);
  }
  if (onlySaid) return;
  for (const leg of inOrder([...before.values()])) note(`legs[${leg.sequence}]`, legText(leg), "");
}

function noteLeg(note: Note, from: Leg, to: Leg): void {
  const path = `legs[${to.sequence}]`;
  note(`${path}.from`, placeText(from.from), placeText(to.from));
  note(`${path}.to`, placeText(from.to), placeText(to.to));
  noteMeans(note, `${path}.means`, from.means, to.means, false);
  note(`${path}.departure`, timeText(from.departure), timeText(to.departure));
  note(`${path}.arrival`, timeText(from.arrival), timeText(to.arrival));
}

/** Cut-offs by their codes. With `onlySaid`, those that `to` leaves out have not gone: they were not spoken of. */
export function noteCutOffs(note: Note, from: readonly CutOff[], to: readonly CutOff[], onlySaid: boolean): void {
  const before = new Map(from.map((cutOff) => [cutOff.code, timeText(cutOff.at)]));
  for (const cutOff of to) {
    note(`cut_offs[${cutOff.code}].at`, before.get(cutOff.code) ?? "", timeText(cutOff.at));
    before.delete(cutOff.code);
  }
  if (!onlySaid) for (const [code, at] of before) note(`cut_offs[${code}].at`, at, "");
}

/**
 * A time as differences show it: RFC 3339 with the offset that the source wrote; without any when the zone was not known.
 * Fractions of a second are left out.
 */
export function timeText(time: LocalTime | undefined): string {
  if (time?.instant === undefined) return "";
  const shifted = new Date((Number(time.instant.seconds) + time.utcOffsetMinutes * 60) * 1000);
  const wall = shifted.toISOString().slice(0, "2026-01-31T12:00:00".length);
  if (time.zoneUnknown) return wall;
  if (time.utcOffsetMinutes === 0) return `${wall}Z`;
  const minutes = Math.abs(time.utcOffsetMinutes);
  const offset = [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0")).join(":");
  return `${wall}${time.utcOffsetMinutes < 0 ? "-" : "+"}${offset}`;
}

/** The day on the clock of the place, `YYYY-MM-DD`; empty for no time. */
export function dayText(time: LocalTime | undefined): string {
  return timeText(time).slice(0, "2026-01-31".length);
}

/** A place as differences show it: its UN/LOCODE with its facility, or its name. */
export function placeText(place: Place | undefined): string {
  if (place === undefined) return "";
  return [place.unlocode, place.facility].filter((part) => part !== "").join(" ") || place.name;
}

function legText(leg: Leg): string {
  const means = leg.means?.vessel || leg.means?.flight || leg.means?.licencePlate || "";
  return [`${placeText(leg.from)}-${placeText(leg.to)}`, means].filter((part) => part !== "").join(" ");
}

function figure(value: number | bigint | undefined): string {
  return value === undefined || BigInt(value) === 0n ? "" : String(value);
}
