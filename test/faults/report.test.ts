import { expect, test } from "vitest";
import {
  BrokenOff,
  codeOf,
  complaintsOf,
  lastLine,
  lastLineAfter,
  type Report,
  shortcomingsOf,
  tableOf,
} from "./report.ts";

const faults = new Map([
  ["Postgres killed -9 and restarted", 2],
  ["NATS slow", 3],
]);
const violation = { validator: "unique", watcher: "acme all orders", what: "event 7 was told twice" };
const all = { minutes: 3, only: [] };

function report(fields: Partial<Report> = {}): Report {
  return {
    ...{ seed: 7, seconds: 200, faults, shortcomings: [], commands: { acked: 900, refused: 8, unknown: 3 } },
    ...{ watchers: 104, streams: 500, resets: 12, longestDelayMs: 24.6, kept: undefined },
    ...{ histories: 120, events: 30_000, told: 200_000, lostByFailover: 40, violations: [] },
    ...fields,
  };
}

test("the last line says what was checked and what was found, in the words that the help gives", () => {
  expect(lastLine(report())).toBe("120 histories checked, 30000 events, 5 faults: 0 violations");
  expect(lastLine(report({ violations: [violation] }))).toMatch(/5 faults: 1 violation$/);
});

test("nothing wrong is 0; a violation or a shortcoming is 1", () => {
  expect(codeOf(report())).toBe(0);
  expect(codeOf(report({ violations: [violation] }))).toBe(1);
  expect(codeOf(report({ shortcomings: ['"NATS slow" never happened'] }))).toBe(1);
});

test("a listed fault that never happened is a shortcoming, also where only some were asked for", () => {
  const never = new Map([...faults, ["NATS forging", 0]]);
  expect(shortcomingsOf(all, faults, { events: 20_000 })).toEqual([]);
  expect(shortcomingsOf(all, never, { events: 20_000 })).toEqual(['"NATS forging" never happened']);
  expect(shortcomingsOf({ ...all, only: ["NATS"] }, never, { events: 0 })).toEqual(['"NATS forging" never happened']);
});

test("a run of three minutes sees 20,000 events, a shorter one in proportion, a longer one no more", () => {
  const few = (minutes: number, events: number) => shortcomingsOf({ ...all, minutes }, faults, { events }).length;
  expect([few(3, 19_999), few(3, 20_000), few(60, 19_999), few(60, 20_000)]).toEqual([1, 0, 1, 0]);
  expect([few(0.5, 3_332), few(0.5, 3_333)]).toEqual([1, 0]);
  expect(shortcomingsOf(all, faults, { events: 3 })).toEqual([expect.stringMatching(/^3 events are too few.*20000/)]);
  expect(shortcomingsOf({ ...all, only: ["NATS"] }, faults, { events: 3 })).toEqual([]);
});

test("what was wrong names the seed, the validator, the watcher and the traces; of very much the rest is counted", () => {
  const kept = "/traces";
  const line = "seed 7: unique: acme all orders: event 7 was told twice (traces in /traces)";
  expect(complaintsOf(report({ violations: [violation], shortcomings: ["too few"], kept }))).toEqual([line, "too few"]);
  const many = complaintsOf(report({ violations: Array.from({ length: 53 }, () => violation), kept }));
  expect(many).toHaveLength(51);
  expect(many.at(-1)).toBe("and 3 more");
});

test("the table has a line for each fault", () => {
  expect(tableOf(report())).toEqual(
    expect.arrayContaining(["    2  Postgres killed -9 and restarted", "    3  NATS slow"]),
  );
});

test("the last line of a run that broke off says so, with what was found until then", () => {
  const error = new BrokenOff(new Error("Postgres did not start"), [violation], faults);
  expect(error.message).toBe("Postgres did not start");
  expect(lastLineAfter(error)).toBe("failed: broken off after 5 faults, 0 histories checked: 1 violation so far");
  expect(lastLineAfter(new Error("no port"))).toBe("failed: the run never began, 0 histories checked");
});
