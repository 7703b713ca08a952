import { expect, test } from "vitest";
import { campaign, describe } from "./campaign.ts";
import { allFaults } from "./schedule.ts";

test("every fault, two at a time, and nothing is lost, repeated, reordered or told to the wrong one", async () => {
  const lines: string[] = [];
  const report = await campaign({
    ...{ seed: 1, minutes: 0.5, instances: 2, tenants: 4, singles: 10, rate: 100, only: [], stopMs: [5_000, 6_000] },
    say: (text) => lines.push(text),
    onFault: (name, state) => lines.push(`${name} ${state}`),
  });
  expect(report.violations.map((violation) => describe(violation, report))).toEqual([]);
  expect(report.shortcomings, lines.join("\n")).toEqual([]);
  expect([...report.faults].filter(([, count]) => count > 0).map(([name]) => name)).toEqual(
    allFaults().map(({ name }) => name),
  );
  expect(report.histories).toBeGreaterThan(100);
  expect(report.commands.acked).toBeGreaterThan(1_000);
  expect(report.lostByFailover).toBeGreaterThan(0);
}, 240_000);
