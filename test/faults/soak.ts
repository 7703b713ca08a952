import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { CallFailed } from "./callers.ts";
import { judge, RULE } from "./flat.ts";
import { Inspector, type Sample } from "./inspector.ts";
import { endOnSignals } from "./interrupt.ts";
import { type Load, missingLoad } from "./load.ts";
import { Run } from "./run.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string" },
    seed: { type: "string" },
    json: { type: "boolean" },
    help: { type: "boolean" },
  },
});

const HELP = `npm run soak -- [--minutes 10] [--seed S] [--json]

Mixed load on two instances as they ship: writers, reads and lists, over a hundred watchers on every door of whom some
leave and come back all the time; in the first half, the warm-up, three times all of them at once, beside a very large
batch of every writer: what memory a peak takes is not given back by the C library's allocator. Heap (after garbage collection), buffers, RSS (of which: what the heap takes, and native
memory), handles, files and connections of each instance are looked at thirty times and printed as a table.

${RULE}. Exit code 1: something is not flat, an instance
ended or logged what it must not, or there was too little load to show anything.`;

const LOOKS = 30;
/** Times in the warm-up that everything happens at once. */
const PEAKS = 3;
const MiB = 1024 * 1024;

if (values.help) console.log(HELP);
else process.exitCode = await soak(Number(values.minutes ?? 10), Number(values.seed ?? 1));

async function soak(minutes: number, seed: number): Promise<number> {
  if (!(minutes >= 1 && minutes <= 1_440) || !Number.isInteger(seed)) {
    console.error("--minutes is from 1 to 1440, --seed a whole number");
    return 2;
  }
  const stop = endOnSignals();
  const env = { NODE_OPTIONS: "--inspect=127.0.0.1:0" };
  const say = (text: string) => console.error(text);
  await using run = await Run.start({
    seed,
    instances: 2,
    tenants: 4,
    singles: 10,
    rate: 200,
    record: false,
    env,
    say,
    stop,
  });
  await using stack = new AsyncDisposableStack();
  const looks: { name: string; inspector: Inspector; samples: Sample[] }[] = [];
  for (const member of run.cluster.members) {
    const inspector = await Inspector.open(member.pid ?? -1, member.log);
    stack.defer(() => inspector.close());
    looks.push({ name: member.name, inspector, samples: [] });
  }
  const ending = new AbortController();
  const peaks = { count: PEAKS, everyMs: (minutes * 60_000) / 2 / (PEAKS + 1) };
  const others = [
    peak(run, peaks, ending.signal),
    comeAndGo(run, ending.signal),
    ...run.tenants.map((_, i) => read(run, i, ending.signal)),
  ];
  console.log(
    row([
      "s",
      "instance",
      "heap MiB",
      "buffers MiB",
      "RSS MiB",
      "of V8 MiB",
      "native MiB",
      "handles",
      "files",
      "connections",
    ]),
  );
  const begun = Date.now();
  for (let i = 1; i <= LOOKS && !stop.aborted; i += 1) {
    await sleep(begun + (i * minutes * 60_000) / LOOKS - Date.now(), undefined, { signal: stop }).catch(
      () => undefined,
    );
    for (const { name, inspector, samples } of looks) {
      const sample = await inspector.sample();
      samples.push(sample);
      console.log(row([String(Math.round((Date.now() - begun) / 1_000)), name, ...shown(sample)]));
    }
  }
  ending.abort();
  await Promise.all(others);
  const verdicts = judge(new Map(looks.map(({ name, samples }) => [name, samples])));
  for (const member of run.cluster.members) await member.expectSound();
  const load = loadOf(run, minutes);
  const { commands, events, reconnects } = load;
  if (values.json) console.log(JSON.stringify({ seed, minutes, verdicts, told: events, commands, reconnects }));
  console.log(`${commands} commands answered, ${events} events told, ${reconnects} reconnects. ${RULE}`);
  console.log(row(["instance", "what", "level", "rise", "allowed", "verdict"]));
  for (const { instance, what, level, rise, allowed, isFlat } of verdicts) {
    const unit = allowed > MiB ? MiB : 1;
    const numbers = [level, rise, allowed].map((value) => (value / unit).toFixed(1));
    console.log(row([instance, what, ...numbers, isFlat ? "flat" : "NOT FLAT"]));
  }
  for (const { validator, watcher, what } of run.violations) console.error(`${validator}: ${watcher}: ${what}`);
  const missing = missingLoad(load);
  for (const text of missing) console.error(text);
  const isSound = run.violations.length === 0 && missing.length === 0;
  return verdicts.every(({ isFlat }) => isFlat) && isSound && !stop.aborted ? 0 : 1;
}

/** What was done in the time, the writers' first orders included. */
function loadOf({ everybody, ledger }: Run, minutes: number): Load {
  const sum = (what: "streams" | "events") => everybody.reduce((all, { counts }) => all + counts[what], 0);
  return {
    ...{ minutes, commands: ledger.count("acked"), events: sum("events") },
    reconnects: Math.max(0, sum("streams") - everybody.length),
  };
}

/**
 * Everything at once, a few times: whoever watches comes back, and whoever writes sends a very large batch. The C library's
 * allocator keeps what memory it has needed at most; so it is to need it early, and what grows later grows for another reason.
 */
async function peak(
  run: Run,
  { count, everyMs }: { count: number; everyMs: number },
  signal: AbortSignal,
): Promise<void> {
  for (let i = 0; i < count && !signal.aborted; i += 1) {
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    for (const watcher of run.watchers) watcher.drop();
    await Promise.all(run.writers.map((writer) => writer.tellMuch()));
  }
}

/** Every second a few watchers lose their connections. */
async function comeAndGo(run: Run, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (let i = 0; i < 5; i += 1) run.draw(run.watchers).drop();
    await sleep(1_000, undefined, { signal }).catch(() => undefined);
  }
}

/** Reads what there is, now and as of earlier, one call after the other. */
async function read(run: Run, i: number, signal: AbortSignal): Promise<void> {
  const tenant = run.tenants[i];
  const writers = run.writers.filter((writer) => writer.tenant === tenant);
  const key = tenant?.keys.viewer ?? "";
  while (!signal.aborted) {
    const orderId = writers[run.between(0, writers.length)]?.orders.at(-1);
    const { getOrder, listOrders, listOrderEvents } = OrderService.method;
    try {
      await run.calls.retrying(listOrders, { pageSize: 50 }, key);
      if (orderId !== undefined) {
        await run.calls.retrying(getOrder, { orderId }, key);
        await run.calls.retrying(listOrderEvents, { orderId, pageSize: 50 }, key);
      }
    } catch (error) {
      if (!(error instanceof CallFailed)) throw error;
      run.wrong("answers", tenant?.id ?? "", error.message);
    }
    await sleep(50);
  }
}

function shown({ heap, external, rss, heapTotal, native, handles, files, connections }: Sample): string[] {
  const sizes = [heap, external, rss, heapTotal, native].map((bytes) => (bytes / MiB).toFixed(1));
  return [...sizes, ...[handles, files, connections].map(String)];
}

function row(cells: readonly string[]): string {
  return cells.map((cell) => cell.padStart(11)).join(" ");
}
