import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { BROKEN, NO_HINTS } from "./broken.ts";
import { EXPECTED } from "./coverage.ts";
import { Totals } from "./totals.ts";
import { type Outcome, play } from "./world.ts";

/* A short run of the simulation; `npm run sim` is the long one. */

const SEEDS = 80;
/** A broken variant must show in so many seeds at most. */
const BROKEN_SEEDS = 40;

test("no promise is broken in any of the seeds, and the storm is one", async () => {
  const totals = new Totals();
  for (let seed = 1; seed <= SEEDS; seed += 1) totals.add(await play(seed));
  expect(totals.failed.map(({ seed, faults }) => [seed, faults.slice(0, 3)])).toEqual([]);
  const { unknown } = totals.coverage.gaps();
  expect(unknown).toEqual([]);
  // What is rare needs more seeds than these.
  for (const kind of ["state", "read"] as const) {
    for (const name of EXPECTED[kind]) expect(totals.coverage.counts[`${kind}/${name}`], name).toBeGreaterThan(0);
  }
  expect(totals.deliveries).toBeGreaterThan(SEEDS * 20);
}, 120_000);

test("no promise needs a hint", async () => {
  const failed: unknown[] = [];
  for (let seed = 1; seed <= BROKEN_SEEDS; seed += 1) {
    const { faults } = await play(seed, NO_HINTS);
    if (faults.length > 0) failed.push([seed, faults.slice(0, 3)]);
  }
  expect(failed).toEqual([]);
});

test("a seed gives one run", async () => {
  const once = await play(4711);
  const again = await play(4711);
  expect(again).toEqual(once);
  expect((await play(4712)).digest).not.toBe(once.digest);
});

describe("it is found out when", () => {
  test.each(BROKEN.map((variant) => [variant.name, variant] as const))("%s", async (_name, { seams, seenBy }) => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= BROKEN_SEEDS && !seenBy.every((promise) => seen.has(promise)); seed += 1) {
      const { faults } = await play(seed, seams);
      for (const fault of faults) seen.add(/: (\w+): /.exec(fault)?.[1] ?? fault);
    }
    expect([...seen]).toEqual(expect.arrayContaining([...seenBy]));
  });
});

describe("npm run sim", () => {
  async function sim(...args: string[]) {
    const child = spawn(process.execPath, ["test/sim/main.ts", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
    return { out, err, code };
  }

  test("plays a seed again exactly, also in another process", async () => {
    const { out, code } = await sim("--seed", "7", "--json");
    expect(code).toBe(0);
    expect((JSON.parse(out) as Outcome).digest).toBe((await play(7)).digest);
  });

  test("says how often what happened", async () => {
    const { out, code } = await sim("--seeds", "6", "--from", "20");
    expect(code).toBe(0);
    expect(out).toMatch(/^state +live +\d+$/m);
    expect(out).toMatch(/^6 seeds, \d+ a minute: \d+ simulated events, \d+ deliveries, 0 seeds failed$/m);
  });

  test("explains itself, and refuses what is no seed", async () => {
    const help = await sim("--help");
    expect(help.out).toMatch(/--seeds <n>.*\n.*--from <s>.*\n.*--seed <s>/);
    const wrong = await sim("--seed", "x");
    expect([wrong.code, wrong.err]).toEqual([1, expect.stringMatching(/give a whole number from 0/)]);
  });
});
