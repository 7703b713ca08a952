import { once } from "node:events";
import { createWriteStream, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, type Verdict } from "./check.ts";
import { BrokenOff, type Report, shortcomingsOf } from "./report.ts";
import { Run, type RunOptions, type Violation } from "./run.ts";
import { bringAbout, type ScheduleOptions } from "./schedule.ts";

export interface CampaignOptions extends RunOptions, ScheduleOptions {}

/**
 * Starts a cluster, its writers and watchers, brings faults about, and checks everything that was promised. Throws a
 * `BrokenOff` when something keeps it from its end.
 */
export async function campaign(options: CampaignOptions): Promise<Report> {
  const begun = Date.now();
  await using run = await Run.start(options);
  const faults = new Map<string, number>();
  const verdict = await unlessStopped(bringAboutAndCheck(run, options, faults), options.stop).catch(
    async (error: unknown) => {
      if (!options.stop?.aborted) options.say(`traces in ${await keepTraces(run, run.violations)}`);
      throw new BrokenOff(error, run.violations, faults);
    },
  );
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
    watchers: run.regulars.length,
    streams: run.everybody.reduce((sum, { counts }) => sum + counts.streams, 0),
    resets: run.everybody.reduce((sum, { counts }) => sum + counts.resets, 0),
    longestDelayMs: Math.max(0, ...run.delays),
  };
  const kept = verdict.violations.length > 0 ? await keepTraces(run, verdict.violations) : undefined;
  return { ...report, kept };
}

async function bringAboutAndCheck(run: Run, options: CampaignOptions, faults: Map<string, number>): Promise<Verdict> {
  await bringAbout(run, options, faults);
  options.say("all faults are mended: checking");
  return check(run);
}

/** Rejects with the signal's reason when it aborts first. */
function unlessStopped<T>(work: Promise<T>, stop: AbortSignal | undefined): Promise<T> {
  if (!stop) return work;
  return new Promise((resolve, reject) => {
    stop.addEventListener("abort", () => reject(stop.reason));
    work.then(resolve, reject);
  });
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
