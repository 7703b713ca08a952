import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type LocalTime, LocalTimeSchema } from "../../gen/leadline/v1/place_pb.ts";
import { wrongUse } from "./cli-error.ts";

const iso = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:?\d{2})?$/;
const spans = { s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * ISO 8601 with an offset (`2026-11-22T10:00+01:00`), or without one: then the reading is kept and marked as of an unknown
 * zone. `timeZone` is an IANA name that the service checks. Throws a CliError for anything else.
 */
export function parseLocalTime(text: string, timeZone = ""): LocalTime {
  const [, day, clock, offset] = iso.exec(text) ?? [];
  const ms = day === undefined ? Number.NaN : Date.parse(`${day}T${clock}Z`);
  // Date.parse takes 30 February for 2 March.
  if (Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== day) {
    throw wrongUse(`"${text}" is no time`, "write it like 2026-11-22T10:00:00+01:00 or 2026-11-22T09:00:00Z");
  }
  const minutes = offset === undefined ? 0 : offsetMinutes(offset);
  return create(LocalTimeSchema, {
    instant: timestampFromMs(ms - minutes * 60_000),
    utcOffsetMinutes: minutes,
    zoneUnknown: offset === undefined,
    timeZone,
  });
}

function offsetMinutes(offset: string): number {
  if (offset === "Z") return 0;
  const digits = offset.slice(1).replace(":", "");
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
  return offset.startsWith("-") ? -minutes : minutes;
}

/** A point in the future: ISO 8601 with an offset, or a span from now: `90s`, `30min`, `12h`, `30d`. */
export function parseExpiry(text: string, nowMs: number): Timestamp {
  if (/^\d/.test(text) && iso.test(text)) {
    const time = parseLocalTime(text);
    if (time.zoneUnknown || time.instant === undefined) throw wrongUse(`"${text}" lacks an offset or Z`);
    return time.instant;
  }
  return timestampFromMs(nowMs + parseSpan(text));
}

/** `90s`, `30min`, `12h` or `30d` in milliseconds. */
export function parseSpan(text: string): number {
  const [, count, unit] = /^(\d{1,6})(s|min|h|d)$/.exec(text) ?? [];
  const factor = Object.entries(spans).find(([name]) => name === unit)?.[1];
  if (factor === undefined) throw wrongUse(`"${text}" is no span of time`, "write it like 90s, 30min, 12h or 30d");
  return Number(count) * factor;
}

/** A recorded time as people read it, in UTC; empty when there is none. */
export function shownTimestamp(time: Timestamp | undefined): string {
  return time === undefined
    ? ""
    : timestampDate(time)
        .toISOString()
        .replace(/\.\d+Z$/, "Z");
}

/** A time at a place as the source wrote it: `2026-11-22 10:00+01:00`, or with `?` where the zone is not known. */
export function shownLocalTime(time: LocalTime | undefined): string {
  if (time?.instant === undefined) return "";
  const minutes = time.utcOffsetMinutes;
  const reading = new Date(timestampDate(time.instant).getTime() + minutes * 60_000).toISOString();
  const clock = reading.slice(0, 16).replace("T", " ");
  if (time.zoneUnknown) return `${clock}?`;
  if (minutes === 0) return `${clock}Z`;
  const size = Math.abs(minutes);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${clock}${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}
