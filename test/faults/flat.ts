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
  " looks, rises by at most 2 MiB of heap, 2 MiB of buffers, 8 MiB of RSS, 10 handles, files or connections";

export interface Flatness {
  readonly what: keyof typeof ALLOWED;
  /** The median over the second half. */
  readonly level: number;
  /** By how much the trend rises over the second half; below 0: it falls. */
  readonly rise: number;
  readonly allowed: number;
  readonly isFlat: boolean;
}

/** Judges the samples of one process, taken at even times. There must be at least six. */
export function judge(samples: readonly Sample[]): Flatness[] {
  if (samples.length < 6) throw new Error(`${samples.length} samples are too few to tell a trend`);
  const half = samples.slice(Math.floor(samples.length / 2));
  return (Object.keys(ALLOWED) as (keyof typeof ALLOWED)[]).map((what) => {
    const values = half.map((sample) => sample[what]);
    const rise = trend(values) * (values.length - 1);
    const allowed = ALLOWED[what];
    return { what, level: median(values), rise, allowed, isFlat: rise <= allowed };
  });
}

/** How much a value grows from one to the next, by Theil and Sen: single values that stand out do not move it. */
function trend(values: readonly number[]): number {
  return median(values.flatMap((from, i) => values.slice(i + 1).map((to, j) => (to - from) / (j + 1))));
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
