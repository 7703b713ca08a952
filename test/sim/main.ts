import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { createLogUpdate } from "log-update";
import { BROKEN, seamsOf } from "./broken.ts";
import { ENOUGH_SEEDS, report } from "./report.ts";
import { Totals } from "./totals.ts";
import { type Outcome, play } from "./world.ts";

interface Options {
  readonly seeds: number;
  readonly from: number;
  readonly seed?: number;
  readonly broken?: string;
  readonly json?: boolean;
  readonly workers: number;
}

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
  .addOption(
    new Option("--broken <variant>", "play a variant that is broken on purpose").choices(
      BROKEN.map(({ name }) => name),
    ),
  )
  .option("--workers <n>", "processes that play at a time", whole(1), availableParallelism())
  .option("--json", "print one JSON object")
  .addHelpText(
    "after",
    `\nExits 1 when a promise was broken, or when over ${ENOUGH_SEEDS.toLocaleString("en")} seeds or more something never happened.`,
  )
  .parse()
  .opts<Options>();

process.exitCode = options.seed === undefined ? await playMany(options) : await replay(options.seed, options);

async function replay(seed: number, { broken, json }: Options): Promise<number> {
  const outcome = await play(seed, seamsOf(broken));
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
  const { text, code } = report(totals, seconds(), asked);
  console.log(text);
  return code;
}

/** Sends each process the next seed when it has played the one before. */
async function spread({ seeds, from, workers, broken }: Options, each: (outcome: Outcome) => void): Promise<void> {
  let next = from;
  const end = from + seeds;
  const work = () =>
    new Promise<void>((resolve, reject) => {
      const child = fork(new URL("worker.ts", import.meta.url), broken === undefined ? [] : [broken]);
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
