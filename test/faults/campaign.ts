import { once } from "node:events";
import { createWriteStream, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, type Verdict } from "./check.ts";
import { Run, type RunOptions, type Violation } from "./run.ts";
import { bringAbout, type ScheduleOptions } from "./schedule.ts";

/** A run of this many minutes sees so many events, a shorter one in proportion. */
const FULL_MINUTES = 3;
const FULL_EVENTS = 20_000;

export interface CampaignOptions extends RunOptions, ScheduleOptions {}

/** What a run came to. */
export interface Report extends Verdict {
  readonly seed: number;
  readonly seconds: number;
  /** How often each fault happened. */
  readonly faults: ReadonlyMap<string, number>;
  /** What the run promises of itself and has not done. */
  readonly shortcomings: readonly string[];
  readonly commands: { readonly acked: number; readonly refused: number; readonly unknown: number };
  readonly streams: number;
  readonly resets: number;
  /** The longest write while another instance was stopped or a head was locked, in milliseconds. */
  readonly longestDelayMs: number;
  /** Where the traces are kept; undefined: nothing was wrong, and nothing is kept. */
  readonly kept: string | undefined;
}

/** Starts a cluster, its writers and watchers, brings faults about, and checks everything that was promised. */
export async function campaign(options: CampaignOptions): Promise<Report> {
  const begun = Date.now();
  await using run = await Run.start(options);
  const faults = await unlessStopped(bringAbout(run, options), options.stop).catch(async (error: unknown) => {
    if (!options.stop?.aborted) options.say(`traces in ${await keepTraces(run, run.violations)}`);
    throw error;
  });
  options.say("all faults are mended: checking");
  const verdict = await check(run);
  const seconds = (Date.now() - begun) / 1_000;
  const report = {
    ...verdict,
    ...{ seed: options.seed, seconds, faults },
    shortcomings: shortcomingsOf(options, faults, verdict),
    commands: {
      acked: run.ledger.count("acked"),
      refused: run.ledger.count("refused"),
      unknown: run.ledger.count("unknown"),
    },
    streams: run.everybody.reduce((sum, { counts }) => sum + counts.streams, 0),
    resets: run.everybody.reduce((sum, { counts }) => sum + counts.resets, 0),
    longestDelayMs: Math.max(0, ...run.delays),
  };
  const kept = verdict.violations.length > 0 ? await keepTraces(run, verdict.violations) : undefined;
  return { ...report, kept };
}

/** Rejects with the signal's reason when it aborts first. */
function unlessStopped<T>(work: Promise<T>, stop: AbortSignal | undefined): Promise<T> {
  if (!stop) return work;
  return new Promise((resolve, reject) => {
    stop.addEventListener("abort", () => reject(stop.reason));
    work.then(resolve, reject);
  });
}

/** What a violation says of itself. */
export function describe(
  { validator, watcher, what }: Violation,
  { seed, kept }: Pick<Report, "seed" | "kept">,
): string {
  return `seed ${seed}: ${validator}: ${watcher}: ${what} (traces in ${kept})`;
}

function shortcomingsOf(
  { minutes, only }: CampaignOptions,
  faults: ReadonlyMap<string, number>,
  { events }: Verdict,
): string[] {
  const never = [...faults].filter(([, count]) => count === 0).map(([name]) => `"${name}" never happened`);
  const least = Math.round((FULL_EVENTS * Math.min(minutes, FULL_MINUTES)) / FULL_MINUTES);
  if (only.length > 0 || events >= least) return never;
  return [...never, `${events} events are too few to show anything: ${least} are expected`];
}

/** Writes what everybody was told, a file each, and the instances' last words. */
async function keepTraces(run: Run, violations: readonly Violation[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), `leadline-faults-seed-${run.options.seed}-`));
  const file = (name: string) => join(folder, name.replaceAll(/[^A-Za-z0-9-]+/g, "_"));
  for (const { plan, steps } of run.everybody) {
    const stream = createWriteStream(`${file(plan.name)}.jsonl`);
    for (const step of steps) stream.write(`${JSON.stringify(step)}\n`);
    stream.end();
    await once(stream, "finish");
  }
  for (const member of run.cluster.members) writeFileSync(`${file(`instance ${member.name}`)}.log`, member.log);
  writeFileSync(join(folder, "commands.jsonl"), run.ledger.entries.map((entry) => JSON.stringify(entry)).join("\n"));
  writeFileSync(join(folder, "violations.json"), JSON.stringify(violations, undefined, 2));
  return folder;
}
