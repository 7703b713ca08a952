import { readdirSync, readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";

/** Each bench measures for this long in all, both sides together, if nothing else is said. */
export const MEASURING_SECONDS = 50;
/** Pairs of rounds: ours and the reference's by turns, so that a noisy machine is noisy for both. */
export const PAIRS = 5;

export type Figure = number | string | readonly number[] | { readonly [name: string]: Figure };

export interface BenchResult {
  readonly bench: string;
  /** Ours over the reference's, as the table of targets names them. */
  readonly ratios: Readonly<Record<string, number>>;
  /** The absolute values of both sides, and which side the CPU went to. */
  readonly figures: Readonly<Record<string, Figure>>;
}

/** How a bench is run. */
export interface BenchOptions {
  /** Of measuring, in all. */
  readonly seconds: number;
  readonly pairs: number;
  /** Sizes are divided by this: for a test of the bench itself. Default 1. */
  readonly scale: number;
  /** Write a CPU profile of the server's into this folder, and print where its time goes. */
  readonly profile: string | undefined;
  /** Told what is being done. */
  say(text: string): void;
}

/** What the figures were taken on. */
export function machine(): Record<string, string | number> {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
  };
}

/** Runs the two sides by turns, each round in another order. @returns what each side's rounds gave */
export async function alternate<A, B>(
  pairs: number,
  ours: () => Promise<A>,
  reference: () => Promise<B>,
): Promise<{ ours: A[]; reference: B[] }> {
  const results: { ours: A[]; reference: B[] } = { ours: [], reference: [] };
  for (let i = 0; i < pairs; i++) {
    if (i % 2 === 0) results.ours.push(await ours());
    results.reference.push(await reference());
    if (i % 2 === 1) results.ours.push(await ours());
  }
  return results;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** The median of the pairs' ratios: what a noisy machine does to one round it does to the other beside it. */
export function pairRatio(ours: readonly number[], reference: readonly number[]): number {
  return round(median(ours.map((value, i) => value / (reference[i] ?? Number.NaN))));
}

export function round(value: number, digits = 3): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}

export function rounded(values: readonly number[], digits = 1): number[] {
  return values.map((value) => round(value, digits));
}

/** CPU seconds of a process, user and system; `children`: of those it has waited for too (proc(5), stat). */
export function cpuSeconds(pid: number, children = false): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const used = children ? fields.slice(11, 15) : fields.slice(11, 13);
  return used.reduce((sum, ticks) => sum + Number(ticks), 0) / 100;
}

/** CPU seconds of a server that works in children: theirs and its own, those that have ended among them. */
export function cpuOfFamily(parent: number): number {
  let sum = cpuSeconds(parent, true);
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent) sum += cpuSeconds(Number(name));
    } catch {
      // it has ended meanwhile
    }
  }
  return sum;
}

/** Adds up what each process uses while something is done. */
export class CpuMeter {
  readonly #readers: Readonly<Record<string, () => number>>;
  readonly #used = new Map<string, number>();

  /** @param readers CPU seconds so far, by name */
  constructor(readers: Readonly<Record<string, () => number>>) {
    this.#readers = readers;
  }

  async during<T>(work: () => Promise<T>): Promise<T> {
    const before = Object.entries(this.#readers).map(([name, read]) => ({ name, read, from: read() }));
    const result = await work();
    for (const { name, read, from } of before) this.#used.set(name, (this.#used.get(name) ?? 0) + read() - from);
    return result;
  }

  /** Microseconds of each process for each of so many calls. */
  each(calls: number): Record<string, number> {
    return Object.fromEntries([...this.#used].map(([name, seconds]) => [name, round((seconds * 1e6) / calls, 1)]));
  }

  get figures(): Record<string, number> {
    return Object.fromEntries([...this.#used].map(([name, seconds]) => [name, round(seconds, 2)]));
  }
}
