import { parseArgs } from "node:util";
import { createLogUpdate } from "log-update";
import { campaign, describe, type Report } from "./campaign.ts";
import { endOnSignals } from "./interrupt.ts";
import { allFaults } from "./schedule.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    minutes: { type: "string" },
    instances: { type: "string" },
    only: { type: "string" },
    json: { type: "boolean" },
    help: { type: "boolean" },
  },
});

const HELP = `npm run faults -- [--seed S] [--minutes M] [--instances N] [--only FAULT,...] [--json]

Runs instances, Postgres and NATS as processes of its own, with writers and over a hundred watchers on every door, and
crosses them with faults in an order that the seed draws. Then it holds what everybody was told against the journals.

  --seed S        what is drawn: the order of the faults, their moments, the load (default: drawn, and printed)
  --minutes M     how long faults go on (3); each happens at least once, so it may take longer
  --instances N   2 or 3 (2)
  --only F,...    only faults whose name contains one of these words
  --json          the report as one JSON object, in place of the table

The last line: \`H histories checked, E events, F faults: V violations\`. Exit code 1: there was a violation, a listed fault
never happened, or a run of three minutes saw fewer than 20,000 events. Every violation names the seed, the validator, the
watcher, and the folder where the traces are kept.

Faults:
${allFaults()
  .map(({ name }) => `  ${name}`)
  .join("\n")}`;

if (values.help) console.log(HELP);
else {
  const code = await main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  });
  // A fault that was under way when the run was ended may wait for something that will not come any more.
  process.exit(code);
}

async function main(): Promise<number> {
  const seed = whole("seed", values.seed, Math.floor(Math.random() * 1_000_000), 0, 2 ** 31 - 1);
  const minutes = Number(values.minutes ?? 3);
  const instances = whole("instances", values.instances, 2, 2, 3);
  if (seed === undefined || instances === undefined || !(minutes > 0 && minutes <= 120)) {
    console.error("--seed and --instances are whole numbers, --minutes is above 0 and at most 120; see --help");
    return 2;
  }
  const only = (values.only ?? "").split(",").filter((word) => word !== "");
  const unknown = only.filter((word) => !allFaults().some(({ name }) => name.includes(word)));
  if (unknown.length > 0) {
    console.error(`no fault is called ${unknown.join(", ")}; see --help`);
    return 2;
  }
  const progress = progressOf(seed, minutes);
  const report = await campaign({
    ...{
      seed,
      minutes,
      instances,
      only,
      tenants: 4,
      singles: 10,
      rate: 600,
      stopMs: [5_000, minutes < 3 ? 6_000 : 30_000],
    },
    stop: endOnSignals(),
    say: progress.say,
    onFault: progress.onFault,
  });
  progress.done();
  print(report);
  return report.violations.length + report.shortcomings.length > 0 ? 1 : 0;
}

function print(report: Report): void {
  const { commands, faults, violations } = report;
  if (values.json) {
    console.log(JSON.stringify({ ...report, faults: Object.fromEntries(faults) }));
  } else {
    for (const [name, count] of faults) console.log(`${String(count).padStart(5)}  ${name}`);
    console.log(
      `commands: ${commands.acked} answered, ${report.lostByFailover} of them lost by failovers and nothing else`,
    );
    console.log(`          ${commands.refused} refused, ${commands.unknown} never answered`);
    console.log(`watchers: ${report.streams} streams, ${report.resets} resets, ${report.told} events told`);
    console.log(`longest write beside a stopped instance or a locked head: ${Math.round(report.longestDelayMs)} ms`);
  }
  for (const violation of violations.slice(0, 50)) console.error(describe(violation, report));
  if (violations.length > 50) console.error(`and ${violations.length - 50} more`);
  for (const text of report.shortcomings) console.error(text);
  const happened = [...faults.values()].reduce((sum, count) => sum + count, 0);
  const found = `${violations.length} violation${violations.length === 1 ? "" : "s"}`;
  console.log(`${report.histories} histories checked, ${report.events} events, ${happened} faults: ${found}`);
}

/** What goes on, on a terminal; elsewhere a line for each fault, on standard error. */
function progressOf(seed: number, minutes: number) {
  const begun = Date.now();
  const underWay = new Set<string>();
  const update = process.stderr.isTTY ? createLogUpdate(process.stderr) : undefined;
  const seconds = () => `${Math.round((Date.now() - begun) / 1_000)} s`;
  const show = () => update?.(`seed ${seed}, ${seconds()} of about ${minutes * 60}: ${[...underWay].join("; ")}`);
  const timer = setInterval(show, 500);
  const line = (text: string) => {
    update?.clear();
    console.error(`${seconds().padStart(6)}  ${text}`);
    show();
  };
  console.error(`seed ${seed}`);
  return {
    say: line,
    onFault(name: string, state: "begins" | "mended" | "missed") {
      if (state === "begins") underWay.add(name);
      else underWay.delete(name);
      if (!update || state === "missed") line(`${name}: ${state}`);
    },
    done() {
      clearInterval(timer);
      update?.done();
    },
  };
}

function whole(
  name: string,
  text: string | undefined,
  otherwise: number,
  low: number,
  high: number,
): number | undefined {
  const value = text === undefined ? otherwise : Number(text);
  return Number.isInteger(value) && value >= low && value <= high && name !== "" ? value : undefined;
}
