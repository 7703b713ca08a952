import { create } from "@bufbuild/protobuf";
import { TimestampSchema, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { LocalTimeSchema } from "../../gen/leadline/v1/place_pb.ts";
import {
  checkLocalTime,
  checkTimestamp,
  compareLocalTimes,
  compareTimestamps,
  isAfterBy,
  isTimeZone,
} from "../../src/domain/times.ts";

const time = (text: string) => timestampFromDate(new Date(text));
const local = (text: string, timeZone = "") => create(LocalTimeSchema, { instant: time(text), timeZone });

describe("time zones", () => {
  test.each(["Europe/Amsterdam", "Asia/Calcutta", "Asia/Kolkata", "UTC", "America/Argentina/Buenos_Aires"])(
    "%s is in the IANA database",
    (name) => expect(isTimeZone(name)).toBe(true),
  );
  test.each(["Europe/Amsterdm", "Mars/Olympus", "+01:00", "-05", "", "CEST "])("%j is not", (name) =>
    expect(isTimeZone(name)).toBe(false),
  );
});

describe("bounds", () => {
  test("the first and the last moment of 1990 to 2100 are taken", () => {
    expect(() => checkTimestamp(time("1990-01-01T00:00:00Z"), "t")).not.toThrow();
    expect(() => checkTimestamp(time("2100-12-31T23:59:59.999Z"), "t")).not.toThrow();
  });

  test.each(["1989-12-31T23:59:59.999Z", "2101-01-01T00:00:00Z", "0202-05-01T00:00:00Z"])(
    "%s is refused with its field",
    (text) =>
      expect(() => checkTimestamp(time(text), "promised_at")).toThrow(
        expect.objectContaining({
          reason: ErrorReason.FIELD_INVALID,
          violations: [expect.objectContaining({ field: "promised_at" })],
        }),
      ),
  );

  test("nanos outside a second are refused", () => {
    const broken = create(TimestampSchema, { seconds: 1_772_323_200n, nanos: 1_000_000_000 });
    expect(() => checkTimestamp(broken, "t")).toThrow(expect.objectContaining({ reason: ErrorReason.FIELD_INVALID }));
  });

  test("an absent time passes, a local time without an instant does not", () => {
    expect(() => checkTimestamp(undefined, "t")).not.toThrow();
    expect(() => checkLocalTime(undefined, "t")).not.toThrow();
    expect(() => checkLocalTime(create(LocalTimeSchema), "report.occurred_at")).toThrow("report.occurred_at.instant");
  });

  test("an unknown zone is refused with TIME_ZONE_UNKNOWN and its field", () => {
    expect(() => checkLocalTime(local("2026-03-01T00:00:00Z", "Europe/Rotterdm"), "report.occurred_at")).toThrow(
      expect.objectContaining({
        reason: ErrorReason.TIME_ZONE_UNKNOWN,
        metadata: { field: "report.occurred_at.time_zone", time_zone: "Europe/Rotterdm" },
      }),
    );
  });
});

describe("order of times", () => {
  test("timestamps compare by seconds, then by nanos", () => {
    const nanos = (n: number) => create(TimestampSchema, { seconds: 5n, nanos: n });
    expect(compareTimestamps(nanos(1), nanos(2))).toBeLessThan(0);
    expect(compareTimestamps(nanos(2), nanos(2))).toBe(0);
    expect(compareTimestamps(create(TimestampSchema, { seconds: 6n }), nanos(2))).toBeGreaterThan(0);
  });

  test("local times compare by their instants, whatever their offsets", () => {
    const early = create(LocalTimeSchema, { instant: time("2026-03-29T00:30:00Z"), utcOffsetMinutes: 120 });
    const late = create(LocalTimeSchema, { instant: time("2026-03-29T01:00:00Z"), utcOffsetMinutes: 0 });
    expect(compareLocalTimes(early, late)).toBeLessThan(0);
    expect(compareLocalTimes(undefined, late)).toBeLessThan(0);
    expect(compareLocalTimes(undefined, undefined)).toBe(0);
  });

  test("isAfterBy tells more than a number of seconds from exactly as many", () => {
    const now = create(TimestampSchema, { seconds: 100n, nanos: 5 });
    expect(isAfterBy(create(TimestampSchema, { seconds: 110n, nanos: 5 }), now, 10n)).toBe(false);
    expect(isAfterBy(create(TimestampSchema, { seconds: 110n, nanos: 6 }), now, 10n)).toBe(true);
  });
});
