import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { Command, InvalidArgumentError } from "commander";
import { createLogUpdate } from "log-update";
import { Totals } from "./totals.ts";
import { type Outcome, play } from "./world.ts";

interface Options {
  readonly seeds: number;
  readonly from: number;
  readonly seed?: number;
  readonly json?: boolean;
  readonly workers: number;
}

/** From here on, what never happened is a fault of the run. */
const ENOUGH_SEEDS = 1_000;
const FAILED_MAX = 10;
const line = createLogUpdate(process.stderr);

function whole(min: number) {
  return (text: string): number => {
    const number = Number(text);
    if (!Number.isSafeInteger(number) || number < min)
      throw new InvalidArgumentError(`give a whole number from ${min}`);
    return number;
  };
}

const options = new Command("npm run sim --")
  .description(
    "Plays simulated deployments, one per seed: the real hubs, clients and hints on simulated time, database and bus, in a storm " +
      "of faults; and holds what every watcher was told against the journal.",
  )
  .option("--seeds <n>", "how many seeds to play", whole(1), 1_000)
  .option("--from <s>", "the first of them", whole(0), 1)
  .option("--seed <s>", "play this one again, and say all that is wrong with it", whole(0))
  .option("--workers <n>", "processes that play at a time", whole(1), availableParallelism())
  .option("--json", "print one JSON object")
  .addHelpText(
    "after",
    "\nExits 1 when a promise was broken, or when over 1,000 seeds or more something never happened.",
  )
  .parse()
  .opts<Options>();

process.exitCode = options.seed === undefined ? await playMany(options) : await replay(options.seed, options);

async function replay(seed: number, { json }: Options): Promise<number> {
  const outcome = await play(seed);
  if (json) console.log(JSON.stringify(outcome));
  else {
    console.log(`seed ${seed}: ${outcome.events} events, ${outcome.deliveries} deliveries, digest ${outcome.digest}`);
    for (const fault of outcome.faults) console.log(`  ${fault}`);
    console.log(outcome.faults.length === 0 ? "every promise was kept" : `${outcome.faults.length} faults`);
  }
  return outcome.faults.length === 0 ? 0 : 1;
}

async function playMany(asked: Options): Promise<number> {
  const totals = new Totals();
  const startedMs = performance.now();
  const seconds = () => (performance.now() - startedMs) / 1000;
  const isWatched = process.stderr.isTTY && !asked.json;
  const show = () => {
    const perMinute = Math.round((totals.seeds / seconds()) * 60);
    line(`${totals.seeds} of ${asked.seeds} seeds, ${perMinute} a minute, ${totals.failed.length} failed`);
  };
  const shown = isWatched ? setInterval(show, 250) : undefined;
  await spread(asked, (outcome) => totals.add(outcome));
  clearInterval(shown);
  if (isWatched) line.clear();
  return report(totals, seconds(), asked);
}

/** Sends each process the next seed when it has played the one before. */
async function spread({ seeds, from, workers }: Options, each: (outcome: Outcome) => void): Promise<void> {
  let next = from;
  const end = from + seeds;
  const work = () =>
    new Promise<void>((resolve, reject) => {
      const child = fork(new URL("worker.ts", import.meta.url));
      let isDone = false;
      const feed = (): void => {
        if (next < end) {
          child.send(next);
          next += 1;
        } else {
          isDone = true;
          child.disconnect();
        }
      };
      child.on("message", (outcome: Outcome) => {
        each(outcome);
        feed();
      });
      child.on("exit", (code) => (isDone ? resolve() : reject(new Error(`a worker ended with ${code}`))));
      feed();
    });
  await Promise.all(Array.from({ length: Math.min(workers, seeds) }, work));
}

function report({ seeds, events, deliveries, coverage, failed }: Totals, seconds: number, asked: Options): number {
  const { never, unknown } = coverage.gaps();
  const isThin = seeds >= ENOUGH_SEEDS && never.length > 0;
  const ok = failed.length === 0 && !isThin && unknown.length === 0;
  const perMinute = Math.round((seeds / seconds) * 60);
  failed.sort((a, b) => a.seed - b.seed);
  if (asked.json) {
    const found = failed.map(({ seed, faults }) => ({ seed, faults }));
    console.log(
      JSON.stringify({ ok, seeds, perMinute, events, deliveries, coverage: coverage.counts, never, failed: found }),
    );
    return ok ? 0 : 1;
  }
  for (const [kind, name, times] of coverage.rows())
    console.log(`${kind.padEnd(11)}${name.padEnd(28)}${String(times).padStart(10)}`);
  for (const { seed, faults } of failed.slice(0, FAILED_MAX)) {
    console.log(`\nseed ${seed} (again with: npm run sim -- --seed ${seed})`);
    for (const fault of faults.slice(0, FAILED_MAX)) console.log(`  ${fault.split("\n")[0]}`);
  }
  if (isThin) console.log(`\nnever happened: ${never.join(", ")}`);
  if (unknown.length > 0) console.log(`\nhappened, and is in no table: ${unknown.join(", ")}`);
  console.log(
    `\n${seeds} seeds, ${perMinute} a minute: ${events} simulated events, ${deliveries} deliveries, ${failed.length} seeds failed`,
  );
  return ok ? 0 : 1;
}
