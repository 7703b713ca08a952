import { describe, expect, test } from "vitest";
import { duration, progressLine } from "../../src/cli/progress.ts";

describe("the progress line", () => {
  test("tells share, counts and the time that is left", () => {
    expect(progressLine(450, 1_000, 9_000, "events.json", 120)).toBe(
      "███████████░░░░░░░░░░░░░   45 %  450/1,000  11 s left  events.json",
    );
  });

  test("has no time left at the start and at the end", () => {
    expect(progressLine(0, 10, 5_000, "", 120)).toBe("░░░░░░░░░░░░░░░░░░░░░░░░    0 %  0/10");
    expect(progressLine(10, 10, 5_000, "", 120)).toBe("████████████████████████  100 %  10/10");
  });

  test("of nothing is complete", () => {
    expect(progressLine(0, 0, 0, "", 120)).toContain("100 %");
  });

  test("is shorter than the terminal", () => {
    expect([...progressLine(5, 10, 5_000, "a".repeat(200), 40)]).toHaveLength(39);
  });
});

test.each([
  [850, "1 s"],
  [59_000, "59 s"],
  [75_000, "1 min 15 s"],
  [7_500_000, "2 h 5 min"],
])("%i ms are %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});
