import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { type LocalTime, LocalTimeSchema } from "../../../gen/leadline/v1/place_pb.ts";
import { EARLIEST_SECONDS, LATEST_SECONDS } from "../times.ts";
import type { JsonObject, Names } from "./json-reader.ts";

/** The offset that `LocalTime.utc_offset_minutes` can hold, either way of UTC. */
const OFFSET_MAX_MINUTES = 18 * 60;

const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const DATE_TIME = /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9})\d*)?)?(.*)$/;
const OFFSET = /^([+-])(\d{2}):?(\d{2})?$/;

/**
 * A date and time as DCSA messages carry it (RFC 3339). A reading without an offset, and a date without a time, are taken as
 * the place's own clock: `zone_unknown`, as if it were UTC. A string: what is wrong with it.
 */
function localTimeFrom(text: string): LocalTime | string {
  const date = DATE.exec(text);
  if (date) return atClock(text, 0, 0, 0, 0, "");
  const match = DATE_TIME.exec(text);
  if (!match) return `"${text}" is not a date and time`;
  const [, day = "", hours = "", minutes = "", seconds = "0", fraction = "", zone = ""] = match;
  return atClock(day, Number(hours), Number(minutes), Number(seconds), Number(fraction.padEnd(9, "0")), zone);
}

function atClock(
  day: string,
  hours: number,
  minutes: number,
  seconds: number,
  nanos: number,
  zone: string,
): LocalTime | string {
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // Date.parse takes 30 February for 2 March.
  if (Number.isNaN(midnight) || new Date(midnight).toISOString().slice(0, 10) !== day) return `"${day}" is not a date`;
  if (hours > 23 || minutes > 59 || seconds > 59) return `"${hours}:${minutes}:${seconds}" is not a time of day`;
  const offset = offsetFrom(zone.trim());
  if (typeof offset === "string") return offset;
  const clock = BigInt(midnight / 1000 + hours * 3600 + minutes * 60 + seconds);
  const instant = clock - BigInt((offset ?? 0) * 60);
  if (instant < EARLIEST_SECONDS || instant >= LATEST_SECONDS) return "lies outside the years 1990 to 2100";
  return create(LocalTimeSchema, {
    instant: create(TimestampSchema, { seconds: instant, nanos }),
    utcOffsetMinutes: offset ?? 0,
    zoneUnknown: offset === undefined,
  });
}

/** Minutes east of UTC; undefined: not written; a string: what is wrong with it. */
function offsetFrom(zone: string): number | string | undefined {
  if (zone === "") return undefined;
  if (zone === "Z" || zone === "z") return 0;
  const match = OFFSET.exec(zone);
  if (!match) return `"${zone}" is not an offset from UTC`;
  const [, sign, hours = "0", minutes = "0"] = match;
  const offset = Number(hours) * 60 + Number(minutes);
  if (Number(minutes) > 59 || offset > OFFSET_MAX_MINUTES) return `"${zone}" is not an offset from UTC`;
  return sign === "-" && offset > 0 ? -offset : offset;
}

/** Reads a date and time; undefined: absent, or a violation. */
export function readLocalTime(object: JsonObject, names: Names, needed = false): LocalTime | undefined {
  const text = object.text(names, { max: 64, needed });
  if (text === "") return undefined;
  const time = localTimeFrom(text);
  if (typeof time !== "string") return time;
  object.violation(typeof names === "string" ? names : (names.find((name) => object.has(name)) ?? ""), time);
  return undefined;
}

/**
 * Reads when a source said something. Without an offset it is taken as UTC: what counts is the order among the times of one
 * source, and that is the same either way.
 */
export function readSourceTime(object: JsonObject, names: Names, needed: boolean): Timestamp | undefined {
  return readLocalTime(object, names, needed)?.instant;
}
