import { timestampDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { parseExpiry, parseLocalTime, parseSpan, shownLocalTime } from "../../src/cli/times.ts";

describe("a time on the command line", () => {
  test.each([
    ["2026-11-22T10:00+01:00", "2026-11-22T09:00:00.000Z", 60, false],
    ["2026-11-22T10:00:30.5-0330", "2026-11-22T13:30:30.500Z", -210, false],
    ["2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000Z", 0, false],
    ["2026-11-22T10:00", "2026-11-22T10:00:00.000Z", 0, true],
  ])("%s is %s", (text, instant, offset, zoneUnknown) => {
    const time = parseLocalTime(text);
    expect(time.instant && timestampDate(time.instant).toISOString()).toBe(instant);
    expect(time.utcOffsetMinutes).toBe(offset);
    expect(time.zoneUnknown).toBe(zoneUnknown);
  });

  test.each(["", "now", "2026-11-22", "2026-02-30T10:00Z", "2026-11-22T25:00Z", "22/11/2026 10:00"])(
    "%j is refused",
    (text) => {
      expect(() => parseLocalTime(text)).toThrow(/is no time/);
    },
  );

  test.each([
    ["2026-11-22T10:00+01:00", "2026-11-22 10:00+01:00"],
    ["2026-11-22T10:00-03:30", "2026-11-22 10:00-03:30"],
    ["2026-11-22T10:00Z", "2026-11-22 10:00Z"],
    ["2026-11-22T10:00", "2026-11-22 10:00?"],
  ])("%s is shown as %s", (text, shown) => {
    expect(shownLocalTime(parseLocalTime(text))).toBe(shown);
  });
});

describe("an end", () => {
  test("may be a span from now or a time", () => {
    expect(parseExpiry("2h", 1_000).seconds).toBe(7_201n);
    expect(timestampDate(parseExpiry("2027-01-01T00:00+01:00", 0)).toISOString()).toBe("2026-12-31T23:00:00.000Z");
    expect(() => parseExpiry("2027-01-01T00:00", 0)).toThrow(/lacks an offset/);
  });

  test.each([
    ["90s", 90_000],
    ["30min", 1_800_000],
    ["12h", 43_200_000],
    ["30d", 2_592_000_000],
  ])("%s is %i ms", (text, ms) => {
    expect(parseSpan(text)).toBe(ms);
  });

  test.each(["", "5", "d", "-1d", "1w", "1.5h"])("%j is no span", (text) => {
    expect(() => parseSpan(text)).toThrow(/is no span of time/);
  });
});
