import { describe, expect, test } from "vitest";
import { broken, foreign, history, orders, START_MS, stepsOf, watches } from "./faultless.ts";
import {
  delay,
  dropRow,
  entersAt,
  eventOf,
  find,
  moveBookmark,
  needlessReset,
  nth,
  put,
  secondPart,
  skipReset,
  splitBySnapshot,
  swap,
  tellNonMatching,
} from "./spoils.ts";
import { isTold, type Step, type Told, type Watch } from "./trace.ts";
import { type PromiseName, validators } from "./validators.ts";

/*
 * Each fault that a watch could have is put into a faultless trace, and it is said which validators see it: no more, no fewer.
 * Every validator sees at least one.
 */

type Mutation = readonly [
  what: string,
  watch: keyof typeof watches,
  spoil: (steps: Step[]) => void,
  seenBy: readonly PromiseName[],
];

const mutations: readonly Mutation[] = [
  ["an event is dropped", "orders", (s) => s.splice(nth(s, 3), 1), ["reliable", "bookmarkable"]],
  [
    "the last event is dropped",
    "orders",
    (s) =>
      s.splice(
        nth(s, 0, ({ at }) => at.revision >= 99),
        1,
      ),
    ["reliable", "bookmarkable", "convergent"],
  ],
  ["two events change places", "orders", (s) => swap(s, nth(s, 2), nth(s, 3)), ["ordered", "reliable", "atomic"]],
  ["an event is repeated", "orders", (s) => s.splice(nth(s, 3), 0, s[nth(s, 3)] as Step), ["unique", "atomic"]],
  ["a row is repeated", "orders", (s) => s.splice(find(s, "row"), 0, s[find(s, "row")] as Step), ["unique"]],
  ["a row is dropped", "orders", dropRow, ["convergent"]],
  [
    "a row is older than the snapshot",
    "orders",
    (s) => put(s, find(s, "row"), { version: 1 } as never),
    ["tenantIsolated", "convergent"],
  ],
  [
    "an event is told with another state",
    "orders",
    (s) => put(s, nth(s, 3), { content: "something else" }),
    ["reliable", "tenantIsolated"],
  ],
  [
    "an event from before the start is told",
    "orders",
    (s) => s.splice(nth(s, 3), 0, eventOf(history, /orders/, orders.reader)),
    ["ordered", "atomic"],
  ],
  [
    "a stream continues one too late",
    "orders",
    (s) =>
      s.splice(
        nth(s, 0, ({ at }) => at.revision > 30),
        1,
      ),
    ["reliable", "resumable", "bookmarkable"],
  ],
  [
    "a stream continues before where it was told to",
    "orders",
    (s) => s.splice(find(s, "started", 1) + 1, 0, s[nth(s, 2)] as Step),
    ["ordered", "unique", "resumable", "atomic"],
  ],
  ["a bookmark comes too early", "orders", (s) => moveBookmark(s, 4), ["bookmarkable"]],
  [
    "a bookmark goes back",
    "orders",
    (s) => put(s, find(s, "bookmark", 1), { at: (s[nth(s, 0)] as Told).at } as never),
    ["bookmarkable"],
  ],
  [
    "a bookmark does not say when it was verified",
    "orders",
    (s) => put(s, find(s, "bookmark"), { verifiedAtMs: undefined } as never),
    ["bookmarkable"],
  ],
  [
    "a bookmark was verified in the future",
    "orders",
    (s) => put(s, find(s, "bookmark"), { verifiedAtMs: Number.MAX_SAFE_INTEGER } as never),
    ["bookmarkable"],
  ],
  [
    "a bookmark was verified long ago",
    "orders",
    (s) => put(s, find(s, "bookmark", 3), { verifiedAtMs: START_MS - 30_000 } as never),
    ["bookmarkable"],
  ],
  [
    "a tenant leaks",
    "orders",
    (s) => s.splice(nth(s, 3), 0, eventOf(foreign, /orders/, orders.reader)),
    ["ordered", "tenantIsolated", "atomic"],
  ],
  [
    "a tenant's word leaks",
    "orders",
    (s) => s.push({ what: "words", words: ["secret-1"], atMs: 0 }),
    ["tenantIsolated"],
  ],
  [
    "a carrier leaks",
    "carrier",
    (s) => s.splice(nth(s, 3), 0, eventOf(history, /b1/, watches.orders.reader)),
    ["ordered", "reliable", "tenantIsolated", "filterCorrect", "carrierIsolated"],
  ],
  [
    "a carrier is shown a revision",
    "carrier",
    (s) => put(s, nth(s, 3), { shows: ["revision"] } as never),
    ["carrierIsolated"],
  ],
  [
    "a carrier reads of an order",
    "carrier",
    (s) => s.push({ what: "words", words: ["hidden-1"], atMs: 0 }),
    ["carrierIsolated"],
  ],
  [
    "a command is split by another event",
    "orders",
    (s) => swap(s, secondPart(s), secondPart(s) + 2),
    ["ordered", "reliable", "atomic"],
  ],
  ["a command is split by a snapshot", "orders", splitBySnapshot, ["atomic"]],
  [
    "what left is not told",
    "filtered",
    (s) =>
      s.splice(
        nth(s, 0, ({ what }) => what === "left"),
        1,
      ),
    ["reliable", "bookmarkable", "filterCorrect"],
  ],
  [
    "what entered is not told",
    "filtered",
    (s) =>
      s.splice(
        nth(s, 0, ({ at }) => entersAt(at.revision)),
        1,
      ),
    ["reliable", "bookmarkable", "filterCorrect", "atomic"],
  ],
  ["what does not match is told", "filtered", (s) => tellNonMatching(s), ["filterCorrect", "convergent"]],
  ["a message is too large", "orders", (s) => put(s, find(s, "message"), { bytes: 1_001 } as never), ["bounded"]],
  ["a bound is passed", "orders", (s) => put(s, find(s, "gauge"), { value: 11 } as never), ["bounded"]],
  ["an event comes late", "orders", (s) => delay(s), ["live"]],
  ["a reset is skipped", "orders", skipReset, ["resetHonest"]],
  [
    "a lost history is followed to the end",
    "orders",
    (s) => s.splice(find(s, "reset"), s.length - find(s, "reset") - 1),
    ["resetHonest", "convergent"],
  ],
  ["a reset comes for nothing", "orders", (s) => needlessReset(s), ["resetHonest"]],
];

const words = { foreign: new Set(["secret-1"]), hidden: new Set(["hidden-1"]) };

test.each(["orders", "filtered", "carrier"] as const)("a faultless trace of %s has no fault", (which) => {
  const steps = stepsOf(watches[which]);
  expect(steps.filter(isTold).length).toBeGreaterThan(10);
  expect(broken(watches[which], steps, words).faults).toEqual([]);
});

describe("is seen by exactly those validators whose promise it breaks, when", () => {
  test.each(mutations)("%s", (_what, which, spoil, seenBy) => {
    const steps = stepsOf(watches[which]);
    spoil(steps);
    expect(broken(watches[which], steps, words).broken.sort()).toEqual([...seenBy].sort());
  });

  test("and every validator sees something", () => {
    const seen = new Set(mutations.flatMap(([, , , by]) => by));
    expect([...seen].sort()).toEqual(Object.keys(validators).sort());
  });
});

describe("mode LATEST", () => {
  const latest: Watch = { ...orders, mode: "LATEST" };
  /** Of each subject only the last that is due between two places. */
  const thinned = (steps: readonly Step[]) => {
    const first = steps.findIndex((step) => step.what === "reset");
    const last = new Map(
      steps
        .slice(first)
        .filter(isTold)
        .map((step) => [step.id, step]),
    );
    return steps.filter((step, i) => i < first || !isTold(step) || last.get(step.id) === step);
  };

  test("may pass states over where a later one follows", () => {
    const steps = thinned(stepsOf(orders));
    expect(steps.filter(isTold).length).toBeLessThan(stepsOf(orders).filter(isTold).length);
    expect(broken(latest, steps).faults).toEqual([]);
    expect(broken(orders, steps).broken).toContain("reliable");
  });

  test("and not the last one", () => {
    const steps = thinned(stepsOf(orders));
    steps.splice(steps.findLastIndex(isTold), 1);
    expect(broken(latest, steps).broken.sort()).toEqual(["bookmarkable", "convergent", "reliable"]);
  });
});
