import { expect, test } from "vitest";
import { LEAST_A_MINUTE, missingLoad } from "./load.ts";

/** As two cores do in ten minutes. */
const usual = { minutes: 10, commands: 110_000, events: 760_000, reconnects: 3_000 };

test("a run with the usual load, or with the least, has shown what it judges", () => {
  expect(missingLoad(usual)).toEqual([]);
  const least = Object.entries(LEAST_A_MINUTE).map(([what, each]) => [what, each * 10]);
  expect(missingLoad({ ...usual, ...Object.fromEntries(least) })).toEqual([]);
  expect(missingLoad({ minutes: 1, commands: 11_000, events: 76_000, reconnects: 300 })).toEqual([]);
});

test.each([
  ["commands", "10999 commands answered"],
  ["events", "75999 events told"],
  ["reconnects", "299 reconnects"],
] as const)("one with too few %s has not, and says why", (what, text) => {
  const load = { ...usual, [what]: LEAST_A_MINUTE[what] * usual.minutes - 1 };
  expect(missingLoad(load)).toEqual([expect.stringMatching(`^${text} in 10 minutes are too few`)]);
});

test("one without any load lacks everything", () => {
  expect(missingLoad({ minutes: 1, commands: 0, events: 0, reconnects: 0 })).toHaveLength(3);
});
