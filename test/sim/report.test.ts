import { describe, expect, test } from "vitest";
import { EXPECTED } from "./coverage.ts";
import { ENOUGH_SEEDS, report } from "./report.ts";
import { Totals } from "./totals.ts";
import type { Outcome } from "./world.ts";

/* What is said of a run and how it exits, without a run. */

/** Everything that is expected, once each, but for what is left out. */
function countsWithout(...left: readonly string[]): Record<string, number> {
  const keys = Object.entries(EXPECTED).flatMap(([kind, names]) => names.map((name) => `${kind}/${name}`));
  return Object.fromEntries(keys.filter((key) => !left.includes(key)).map((key) => [key, 1]));
}

function outcome(seed: number, more: Partial<Outcome> = {}): Outcome {
  return { seed, faults: [], digest: "d", counts: countsWithout(), events: 5, deliveries: 3, ...more };
}

function totalsOf(...outcomes: readonly Outcome[]): Totals {
  const totals = new Totals();
  for (const one of outcomes) totals.add(one);
  return totals;
}

/** A run of so many seeds of one kind. */
function run(seeds: number, more: Partial<Outcome> = {}): Totals {
  return totalsOf(...Array.from({ length: seeds }, (_, i) => outcome(i + 1, more)));
}

test("a run in which all was kept exits 0 and says how much it was", () => {
  const { text, code } = report(run(ENOUGH_SEEDS), 60, {});
  expect(code).toBe(0);
  expect(text).toMatch(/^fault +hint dropped +1000$/m);
  expect(text).toMatch(/^1000 seeds, 1000 a minute: 5000 simulated events, 3000 deliveries, 0 seeds failed$/m);
  expect(text).not.toMatch(/never happened|in no table|again with/);
});

describe("a run exits 1", () => {
  test("when a promise was broken, and names each seed that broke one, in order, and how to play it again", () => {
    const totals = totalsOf(
      outcome(4712, { faults: ["w2 wire: unique: revision 9 came twice"] }),
      outcome(1),
      outcome(17, { faults: ["w1 given: reliable: revision 3 is missing\n    at a.ts:1", "w1 given: another"] }),
    );
    const { text, code } = report(totals, 1, {});
    expect(code).toBe(1);
    expect(text).toContain(
      [
        "",
        "seed 17 (again with: npm run sim -- --seed 17)",
        "  w1 given: reliable: revision 3 is missing",
        "  w1 given: another",
        "",
        "seed 4712 (again with: npm run sim -- --seed 4712)",
        "  w2 wire: unique: revision 9 came twice",
        "",
        "3 seeds, ",
      ].join("\n"),
    );
    expect(text).toMatch(/, 2 seeds failed$/);
    expect(text).not.toMatch(/^seed 1 /m);
    expect(report(totals, 1, { broken: "a page lies" }).text).toContain(
      'npm run sim -- --seed 17 --broken "a page lies")',
    );
  });

  test("when over many seeds something never happened; over few it may be missing", () => {
    const never = ["reset/OTHER_JOURNAL", "end/SLOW_READER"];
    const few = report(run(ENOUGH_SEEDS - 1, { counts: countsWithout(...never) }), 60, {});
    expect(few.code).toBe(0);
    expect(few.text).not.toContain("never happened");
    const many = report(run(ENOUGH_SEEDS, { counts: countsWithout(...never) }), 60, {});
    expect(many.code).toBe(1);
    expect(many.text).toMatch(/^never happened: end\/SLOW_READER, reset\/OTHER_JOURNAL$/m);
    // It stands in the table too.
    expect(many.text).toMatch(/^end +SLOW_READER +0$/m);
  });

  test("when something happened that is in no table", () => {
    const { text, code } = report(run(1, { counts: { ...countsWithout(), "end/UNHEARD_OF": 2 } }), 1, {});
    expect(code).toBe(1);
    expect(text).toMatch(/^happened, and is in no table: end\/UNHEARD_OF$/m);
  });

  test("and says the same to programs", () => {
    const counts = { ...countsWithout("told/restart"), "end/UNHEARD_OF": 2 };
    const { text, code } = report(run(2, { counts, faults: ["wrong"] }), 60, { json: true });
    expect(code).toBe(1);
    expect(JSON.parse(text)).toMatchObject({
      ...{ ok: false, seeds: 2, perMinute: 2, events: 10, deliveries: 6 },
      ...{ never: ["told/restart"], unknown: ["end/UNHEARD_OF"] },
      failed: [
        { seed: 1, faults: ["wrong"] },
        { seed: 2, faults: ["wrong"] },
      ],
    });
  });
});
