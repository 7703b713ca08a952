import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { LocalTime } from "../../gen/leadline/v1/place_pb.ts";
import { fieldInvalid } from "./field-invalid.ts";
import { Refusal } from "./refusal.ts";

/** The earliest time that is taken: the start of 1990, seconds since the epoch. Anything before is a mistyped year. */
export const EARLIEST_SECONDS = 631_152_000n;
/** The first time that is no longer taken: the start of 2101, seconds since the epoch. */
export const LATEST_SECONDS = 4_133_980_800n;
/** How many time zone names are remembered as known; the IANA database has about 600. */
const ZONES_REMEMBERED_MAX = 2_000;

const knownZones = new Set<string>(["UTC"]);

/** Negative: `a` is earlier; positive: later; 0: the same instant. */
export function compareTimestamps(a: Timestamp, b: Timestamp): number {
  if (a.seconds !== b.seconds) return a.seconds < b.seconds ? -1 : 1;
  return a.nanos - b.nanos;
}

export function laterOf(a: Timestamp, b: Timestamp): Timestamp {
  return compareTimestamps(a, b) >= 0 ? a : b;
}

/** Orders local times by their instants; one without an instant comes first. */
export function compareLocalTimes(a: LocalTime | undefined, b: LocalTime | undefined): number {
  const left = a?.instant;
  const right = b?.instant;
  if (left === undefined || right === undefined) return Number(left !== undefined) - Number(right !== undefined);
  return compareTimestamps(left, right);
}

/** Whether a time lies after another one by more than a number of seconds. */
export function isAfterBy(time: Timestamp, than: Timestamp, seconds: bigint): boolean {
  const limit = than.seconds + seconds;
  return time.seconds > limit || (time.seconds === limit && time.nanos > than.nanos);
}

/** Whether a name is a time zone of the IANA database, aliases included; offsets such as `+01:00` are none. */
export function isTimeZone(name: string): boolean {
  if (knownZones.has(name)) return true;
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
  if (knownZones.size < ZONES_REMEMBERED_MAX) knownZones.add(name);
  return true;
}

/** Refuses with FIELD_INVALID a time outside the years 1990 to 2100; an absent one passes. */
export function checkTimestamp(time: Timestamp | undefined, field: string): void {
  if (time === undefined) return;
  if (time.seconds < EARLIEST_SECONDS || time.seconds >= LATEST_SECONDS) {
    throw fieldInvalid(field, "lies outside the years 1990 to 2100");
  }
  if (time.nanos < 0 || time.nanos > 999_999_999) throw fieldInvalid(field, "has nanos outside 0 to 999999999");
}

/**
 * Refuses with FIELD_INVALID a local time without an instant or outside the years 1990 to 2100, and with
 * TIME_ZONE_UNKNOWN one whose zone is not in the IANA database. An absent one passes.
 */
export function checkLocalTime(time: LocalTime | undefined, field: string): void {
  if (time === undefined) return;
  if (time.instant === undefined) throw fieldInvalid(`${field}.instant`, "must be set");
  checkTimestamp(time.instant, `${field}.instant`);
  if (time.timeZone !== "" && !isTimeZone(time.timeZone)) {
    throw new Refusal(
      ErrorReason.TIME_ZONE_UNKNOWN,
      `${field}.time_zone "${time.timeZone}" is not in the IANA database; write it as in "Europe/Amsterdam"`,
      { metadata: { field: `${field}.time_zone`, time_zone: time.timeZone } },
    );
  }
}
