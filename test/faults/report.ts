import type { Verdict } from "./check.ts";
import type { Violation } from "./run.ts";

/** A run of this many minutes sees so many events, a shorter one in proportion. */
const FULL_MINUTES = 3;
const FULL_EVENTS = 20_000;
/** Violations that are printed in full. */
const SHOWN = 50;

/** What a run came to. */
export interface Report extends Verdict {
  readonly seed: number;
  readonly seconds: number;
  /** How often each fault happened. */
  readonly faults: ReadonlyMap<string, number>;
  /** What the run promises of itself and has not done. */
  readonly shortcomings: readonly string[];
  readonly commands: { readonly acked: number; readonly refused: number; readonly unknown: number };
  /** Who watched from the beginning to the end. */
  readonly watchers: number;
  readonly streams: number;
  readonly resets: number;
  /** The longest write while another instance was stopped or a head was locked, in milliseconds. */
  readonly longestDelayMs: number;
  /** Where the traces are kept; undefined: nothing was wrong, and nothing is kept. */
  readonly kept: string | undefined;
}

/** A run came to its end before it was checked, for a reason that is its `cause`. What was found until then stands. */
export class BrokenOff extends Error {
  readonly violations: readonly Violation[];
  readonly faults: ReadonlyMap<string, number>;

  constructor(cause: unknown, violations: readonly Violation[], faults: ReadonlyMap<string, number>) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.violations = violations;
    this.faults = faults;
  }
}

/** What a run has not done that it promises of itself, a line each. */
export function shortcomingsOf(
  { minutes, only }: { readonly minutes: number; readonly only: readonly string[] },
  faults: ReadonlyMap<string, number>,
  { events }: Pick<Verdict, "events">,
): string[] {
  const never = [...faults].filter(([, count]) => count === 0).map(([name]) => `"${name}" never happened`);
  const least = Math.round((FULL_EVENTS * Math.min(minutes, FULL_MINUTES)) / FULL_MINUTES);
  if (only.length > 0 || events >= least) return never;
  return [...never, `${events} events are too few to show anything: ${least} are expected`];
}

/** What a violation says of itself. */
export function describe(
  { validator, watcher, what }: Violation,
  { seed, kept }: Pick<Report, "seed" | "kept">,
): string {
  return `seed ${seed}: ${validator}: ${watcher}: ${what} (traces in ${kept})`;
}

/** 1: there was a violation, or the run has not done what it promises. */
export function codeOf({ violations, shortcomings }: Pick<Report, "violations" | "shortcomings">): number {
  return violations.length + shortcomings.length > 0 ? 1 : 0;
}

/** What is said of what happened, before the last line. */
export function tableOf(report: Report): string[] {
  const { commands, faults } = report;
  return [
    ...[...faults].map(([name, count]) => `${String(count).padStart(5)}  ${name}`),
    `commands: ${commands.acked} answered, ${report.lostByFailover} of them lost by failovers and nothing else`,
    `          ${commands.refused} refused, ${commands.unknown} never answered`,
    `watchers: ${report.streams} streams, ${report.resets} resets, ${report.told} events told`,
    `longest write beside a stopped instance or a locked head: ${Math.round(report.longestDelayMs)} ms`,
  ];
}

/** What was wrong, a line each. */
export function complaintsOf(report: Report): string[] {
  const { shortcomings, violations } = report;
  const lines = violations.slice(0, SHOWN).map((violation) => describe(violation, report));
  if (violations.length > SHOWN) lines.push(`and ${violations.length - SHOWN} more`);
  return [...lines, ...shortcomings];
}

export function lastLine({ events, faults, histories, violations }: Report): string {
  return `${histories} histories checked, ${events} events, ${total(faults)} faults: ${counted(violations)}`;
}

/** The last line of a run that threw: nobody may take it for one that was checked. */
export function lastLineAfter(error: unknown): string {
  if (!(error instanceof BrokenOff)) return "failed: the run never began, 0 histories checked";
  return `failed: broken off after ${total(error.faults)} faults, 0 histories checked: ${counted(error.violations)} so far`;
}

function total(faults: ReadonlyMap<string, number>): number {
  return [...faults.values()].reduce((sum, count) => sum + count, 0);
}

function counted({ length }: readonly unknown[]): string {
  return `${length} violation${length === 1 ? "" : "s"}`;
}
