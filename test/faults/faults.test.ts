import { expect, test } from "vitest";
import { campaign } from "./campaign.ts";
import { describe } from "./report.ts";
import { allFaults } from "./schedule.ts";

test("every fault, two at a time, and nothing is lost, repeated, reordered or told to the wrong one", async ({
  onTestFailed,
  onTestFinished,
  signal,
}) => {
  const lines: string[] = [];
  onTestFailed(() => console.error(lines.join("\n")));
  const begun = Date.now();
  const note = (text: string) => lines.push(`${Math.round((Date.now() - begun) / 1_000)} s  ${text}`);
  const running = campaign({
    ...{ seed: 1, minutes: 0.5, instances: 2, tenants: 4, singles: 10, rate: 100, only: [], stopMs: [5_000, 6_000] },
    stop: signal,
    say: note,
    onFault: (name, state) => note(`${name} ${state}`),
  });
  // When the time is over the processes are ended before the next test begins.
  onTestFinished(async () => void (await running.catch(() => undefined)), 60_000);
  const report = await running;
  expect(report.violations.map((violation) => describe(violation, report))).toEqual([]);
  expect(report.shortcomings).toEqual([]);
  expect([...report.faults].filter(([, count]) => count > 0).map(([name]) => name)).toEqual(
    allFaults().map(({ name }) => name),
  );
  expect(report.histories).toBeGreaterThan(100);
  expect(report.watchers).toBeGreaterThanOrEqual(100);
  expect(report.resets).toBeGreaterThan(0);
  expect(report.commands.acked).toBeGreaterThan(1_000);
  expect(report.lostByFailover).toBeGreaterThan(0);
}, 240_000);
