import { parseArgs } from "node:util";
import { createLogUpdate } from "log-update";
import { campaign } from "./campaign.ts";
import { endOnSignals } from "./interrupt.ts";
import { codeOf, complaintsOf, lastLine, lastLineAfter, type Report, tableOf } from "./report.ts";
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
never happened, a run of three minutes saw fewer than 20,000 events, or it broke off, which the last line says. Every violation names the seed, the validator, the
watcher, and the folder where the traces are kept.

Faults:
${allFaults()
  .map(({ name }) => `  ${name}`)
  .join("\n")}`;

if (values.help) console.log(HELP);
else {
  const code = await main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    console.log(lastLineAfter(error));
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
  return codeOf(report);
}

function print(report: Report): void {
  if (values.json) console.log(JSON.stringify({ ...report, faults: Object.fromEntries(report.faults) }));
  else for (const line of tableOf(report)) console.log(line);
  for (const line of complaintsOf(report)) console.error(line);
  console.log(lastLine(report));
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
