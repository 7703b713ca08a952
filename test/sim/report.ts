import type { Totals } from "./totals.ts";

/** From here on, what never happened is a fault of the run. */
export const ENOUGH_SEEDS = 1_000;
/** So many failed seeds are shown, and so many faults of each. */
const FAILED_MAX = 10;

export interface Asked {
  /** The variant that was played, if it was broken on purpose. */
  readonly broken?: string;
  readonly json?: boolean;
}

/** What is printed of a run, and its exit code: 1 when a promise was broken, or when the storm was none. */
export function report(totals: Totals, seconds: number, asked: Asked): { text: string; code: number } {
  const { seeds, events, deliveries, coverage } = totals;
  const { never, unknown } = coverage.gaps();
  const isThin = seeds >= ENOUGH_SEEDS && never.length > 0;
  const failed = totals.failed.toSorted((a, b) => a.seed - b.seed);
  const ok = failed.length === 0 && !isThin && unknown.length === 0;
  const code = ok ? 0 : 1;
  const perMinute = Math.round((seeds / seconds) * 60);
  if (asked.json) {
    const found = failed.map(({ seed, faults }) => ({ seed, faults }));
    const told = { ok, seeds, perMinute, events, deliveries, coverage: coverage.counts, never, unknown, failed: found };
    return { text: JSON.stringify(told), code };
  }
  const lines: string[] = [];
  for (const [kind, name, times] of coverage.rows())
    lines.push(`${kind.padEnd(11)}${name.padEnd(28)}${String(times).padStart(10)}`);
  for (const { seed, faults } of failed.slice(0, FAILED_MAX)) {
    lines.push("", `seed ${seed} (again with: ${again(seed, asked)})`);
    for (const fault of faults.slice(0, FAILED_MAX)) lines.push(`  ${fault.split("\n")[0]}`);
  }
  if (isThin) lines.push("", `never happened: ${never.join(", ")}`);
  if (unknown.length > 0) lines.push("", `happened, and is in no table: ${unknown.join(", ")}`);
  const sum = `${events} simulated events, ${deliveries} deliveries, ${failed.length} seeds failed`;
  lines.push("", `${seeds} seeds, ${perMinute} a minute: ${sum}`);
  return { text: lines.join("\n"), code };
}

/** The command that plays a seed again. */
function again(seed: number, { broken }: Asked): string {
  return `npm run sim -- --seed ${seed}${broken === undefined ? "" : ` --broken "${broken}"`}`;
}
