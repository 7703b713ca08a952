import type { Sample } from "./inspector.ts";

const MiB = 1024 * 1024;

/** What is judged, and how much more of it there may be at the end of the second half than at its beginning. */
const ALLOWED = {
  heap: 2 * MiB,
  external: 2 * MiB,
  rss: 8 * MiB,
  handles: 10,
  files: 10,
  connections: 10,
} as const satisfies Partial<Record<keyof Sample, number>>;

/** The rule, in words. */
export const RULE =
  "flat: over the second half of the time (the first is warm-up) the trend, which is the median of the slopes between any two" +
  " looks, rises by at most 2 MiB of heap, 2 MiB of buffers, 8 MiB of RSS of an instance, and by 10 handles, files or" +
  " connections of all together";

export interface Flatness {
  readonly what: keyof typeof ALLOWED;
  /** The median over the second half. */
  readonly level: number;
  /** By how much the trend rises over the second half; below 0: it falls. */
  readonly rise: number;
  readonly allowed: number;
  readonly isFlat: boolean;
}

const OF_EACH = ["heap", "external", "rss"] as const;
/** Clients connect to whichever instance they find: one has more of these when another has fewer. A leak is in the sum. */
const OF_ALL = ["handles", "files", "connections"] as const;

/** Judges the samples of instances, by their names, taken at even times. There must be at least six of each. */
export function judge(instances: ReadonlyMap<string, readonly Sample[]>): (Flatness & { instance: string })[] {
  const of = (instance: string, what: keyof typeof ALLOWED, values: readonly number[]) => ({
    instance,
    ...judged(what, values),
  });
  const all = [...instances.values()];
  const looks = Math.min(...all.map(({ length }) => length));
  const sums = (what: (typeof OF_ALL)[number]) =>
    Array.from({ length: looks }, (_, i) => all.reduce((sum, samples) => sum + (samples[i]?.[what] ?? 0), 0));
  const each = [...instances].flatMap(([name, samples]) =>
    OF_EACH.map((what) =>
      of(
        name,
        what,
        samples.map((sample) => sample[what]),
      ),
    ),
  );
  return [...each, ...OF_ALL.map((what) => of("all", what, sums(what)))];
}

function judged(what: keyof typeof ALLOWED, values: readonly number[]): Flatness {
  if (values.length < 6) throw new Error(`${values.length} samples are too few to tell a trend`);
  const half = values.slice(Math.floor(values.length / 2));
  const rise = trend(half) * (half.length - 1);
  const allowed = ALLOWED[what];
  return { what, level: median(half), rise, allowed, isFlat: rise <= allowed };
}

/** How much a value grows from one to the next, by Theil and Sen: single values that stand out do not move it. */
function trend(values: readonly number[]): number {
  return median(values.flatMap((from, i) => values.slice(i + 1).map((to, j) => (to - from) / (j + 1))));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
