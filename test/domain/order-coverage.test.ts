import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Report } from "../../gen/leadline/v1/report_pb.ts";
import {
  type Coverage,
  countPart,
  emptyCoverage,
  isCovered,
  isExceeded,
  moveUnit,
  quantityAt,
  unitsAt,
} from "../../src/domain/order-coverage.ts";
import { line, pieces, report, unit } from "./order-desk.ts";

const RANKS = 6;
const LINES = [line("L1", 25), line("L2", 4), line("L3", 7)];
const HOLDING = [
  unit("U1", pieces("L1", 10)),
  unit("U2", pieces("L1", 15), pieces("L2", 4)),
  unit("U3", pieces("L3", 5)),
];
const UNSAID = [...HOLDING, unit("U4")];

/** A report of a part, or a unit that comes to a rank by what is reported of everything. */
type Act = { readonly rank: number } & ({ readonly part: Report } | { readonly unitId: string });

const rank = fc.integer({ min: 0, max: RANKS - 1 });
const lines = fc.uniqueArray(fc.tuple(fc.constantFrom("L1", "L2", "L3", "L9"), fc.integer({ min: 1, max: 26 })), {
  selector: ([id]) => id,
  maxLength: 3,
});
const unitIds = fc.subarray(["U1", "U2", "U3", "U4", "U9"]);
const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ rank, unitIds, lines }).map(
      ({ rank: at, unitIds: named, lines: counted }): Act => ({
        rank: at,
        part: report("r", "READY", 1, { unitIds: named, lines: counted.map(([id, n]) => pieces(id, n)) }),
      }),
    ),
  },
  { weight: 1, arbitrary: fc.record({ rank, unitId: fc.constantFrom("U1", "U2", "U3", "U4", "U9") }) },
);

function countAll(coverage: Coverage, all: readonly Act[]): Coverage {
  for (const act of all) {
    if ("part" in act) countPart(coverage, act.part, act.rank);
    else moveUnit(coverage, act.unitId, act.rank);
  }
  return coverage;
}

function told(coverage: Coverage) {
  return Array.from({ length: RANKS }, (_, at) => ({
    covered: isCovered(coverage, at),
    units: unitsAt(coverage, at),
    quantities: LINES.map(({ id }) => quantityAt(coverage, id, at)),
    exceeded: LINES.map(({ id }) => isExceeded(coverage, id, at)),
  }));
}

/** The same, each answer looked for anew in all that was reported. */
function plainly(units: typeof HOLDING, all: readonly Act[]) {
  const total = (of: readonly { readonly lineId: string; readonly quantity: bigint }[], lineId: string) =>
    of.reduce((sum, one) => (one.lineId === lineId ? sum + Number(one.quantity) : sum), 0);
  const held = (ids: readonly string[]) => units.filter(({ id }) => ids.includes(id)).flatMap((one) => one.contents);
  const moves = ({ unitIds: ids, lines: named }: Report) =>
    named.length === 0 || held(ids).every(({ lineId }) => total(named, lineId) >= total(held(ids), lineId));
  const cameTo = (id: string) =>
    Math.max(
      -1,
      ...all.flatMap((act) => {
        if ("unitId" in act) return act.unitId === id ? [act.rank] : [];
        return act.part.unitIds.includes(id) && moves(act.part) ? [act.rank] : [];
      }),
    );
  const sum = (lineId: string, at: number, inUnits: boolean) =>
    all.reduce((so, act) => {
      if (!("part" in act) || act.rank !== at || act.part.unitIds.length > 0 !== inUnits) return so;
      return so + total(act.part.lines, lineId);
    }, 0);
  const ranks = Array.from({ length: RANKS }, (_, at) => at);
  const greatest = (lineId: string, from: number, inUnits: boolean) =>
    Math.max(...ranks.slice(from).map((at) => sum(lineId, at, inUnits)));
  return ranks.map((at) => {
    const here = units.map(({ id }) => id).filter((id) => cameTo(id) >= at);
    const contents = (lineId: string) => total(held(here), lineId);
    const raw = (lineId: string) =>
      greatest(lineId, at, false) + Math.max(greatest(lineId, at, true), contents(lineId));
    const byUnits = units.some((one) => one.contents.length === 0) && here.length === units.length;
    return {
      covered: LINES.every(({ id, quantity }) => raw(id) >= Number(quantity)) || byUnits,
      units: here.length,
      quantities: LINES.map(({ id, quantity }) => Math.min(Number(quantity), raw(id))),
      exceeded: LINES.map(
        ({ id, quantity }) => sum(id, at, false) + Math.max(sum(id, at, true), contents(id)) > Number(quantity),
      ),
    };
  });
}

describe("how much of an order has come how far", () => {
  test.each([
    ["say what they hold", HOLDING],
    ["do not all say what they hold", UNSAID],
  ])("is what a plain count of all that was reported finds, where units %s", (_case, units) => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 16 }), (all) => {
        expect(told(countAll(emptyCoverage(LINES, units, RANKS), all))).toEqual(plainly(units, all));
      }),
      { numRuns: 600, seed: 20_260_301 },
    );
  });
});

describe("the work of a count", () => {
  /** An order of as many lines as units, each unit with a piece of each line, and all lines far ahead of its units. */
  function ahead(size: number, ranks: number) {
    const ids = Array.from({ length: size }, (_, i) => `L${i}`);
    const units = ids.map((_, i) => unit(`U${i}`, ...ids.map((id) => pieces(id, 1))));
    const coverage = emptyCoverage(
      ids.map((id) => line(id, 1_000_000_000_000)),
      units,
      ranks,
    );
    countPart(coverage, report("r", "READY", 1, { lines: ids.map((id) => pieces(id, 1)) }), ranks - 1);
    return { coverage, units };
  }

  /** Counts how often the lists of a count are read and written; fails past `most`, so that nobody waits for the number. */
  function counted<T extends object>(value: T, most: number, steps: { taken: number }): T {
    const step = () => {
      steps.taken += 1;
      if (steps.taken > most) throw new Error(`it takes more than ${most} steps`);
    };
    const entries = Object.entries(value).map(([name, inner]) => [
      name,
      typeof inner === "object" && inner !== null ? counted(inner, most, steps) : inner,
    ]);
    if (!Array.isArray(value)) return Object.fromEntries(entries);
    return new Proxy(value, {
      get: (list, key, receiver) => {
        step();
        return Reflect.get(list, key, receiver);
      },
      set: (list, key, is, receiver) => {
        step();
        return Reflect.set(list, key, is, receiver);
      },
    });
  }

  test("is a few steps for each content and each status that it moves by, however many statuses there are", () => {
    const [size, ranks] = [20, 100];
    const { coverage, units } = ahead(size, ranks);
    const steps = { taken: 0 };
    const most = 8 * size * size * ranks;
    const lists = new Map([...coverage.lines].map(([id, tally]) => [id, counted(tally, most, steps)]));
    const watched: Coverage = { ...coverage, lines: lists };
    for (let at = 1; at < ranks - 1; at += 1) for (const { id } of units) moveUnit(watched, id, at);
    expect(steps.taken).toBeGreaterThan(size * size * (ranks - 2));
    expect(quantityAt(watched, "L0", ranks - 2)).toBe(size + 1);
  });
});
