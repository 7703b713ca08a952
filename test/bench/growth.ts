import { catchUpPosition } from "./catchup.ts";
import type { Child } from "./child.ts";
import { startChild } from "./child.ts";
import type { Load, LoadQuestions } from "./load.ts";
import { type BenchOptions, type BenchResult, median, pairRatio, round, rounded } from "./measure.ts";
import { BATCH_ITEMS, type CallKind, encodeWatch, WATCH_PATH } from "./messages.ts";
import { createOrders, portOf, type Service, startLoad, startService } from "./service.ts";
import type { WatcherQuestions } from "./watchers.ts";

const LARGE = { orders: 1_000_000, events: 5_000_000 };
const SMALL = { orders: 10_000, events: 50_000 };
/** Events that a watch is behind when it resumes. */
const BEHIND = 1_000;
/** At most: how many bulk reports are made by before the events are complete. */
const REPORTERS = 8;
const KINDS = { write: "report", read: "get", list: "list" } as const satisfies Record<string, CallKind>;

interface World extends AsyncDisposable {
  readonly service: Service;
  readonly orders: number;
  readonly load: Child<LoadQuestions>;
  readonly watcher: Child<WatcherQuestions>;
}

/** A database of its own with so many orders and events, all made through the gRPC door. */
async function build(options: BenchOptions, size: { orders: number; events: number }): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await startService());
  const load = stack.use(startLoad());
  const watcher = stack.use(startChild<WatcherQuestions>("watchers.ts"));
  const orders = Math.ceil(size.orders / options.scale);
  const reports = Math.ceil(size.events / options.scale) - orders;
  options.say(`making ${orders} orders and ${reports} reports of them`);
  await createOrders(load, service, [service.key], orders);
  const base: Load = {
    kind: "batch",
    port: portOf(service.instance.grpc),
    keys: [service.key],
    connections: 4,
    inFlight: REPORTERS,
    orders,
  };
  const { failed } = await load.ask("run", { ...base, calls: Math.ceil(reports / BATCH_ITEMS) });
  if (failed > 0) throw new Error(`${failed} reports failed`);
  await service.sql("vacuum analyze");
  await service.sql("checkpoint");
  const owned = stack.move();
  return { service, orders, load, watcher, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The median latency of one caller who asks for so long, in milliseconds. */
async function latency(world: World, kind: CallKind, seconds: number): Promise<number> {
  const { service, orders, load } = world;
  const base = { port: portOf(service.instance.grpc), keys: [service.key], connections: 1, inFlight: 1, orders };
  const { latency, failed } = await load.ask("run", { ...base, kind, seconds });
  if (failed > 0) throw new Error(`${failed} calls of ${kind} failed`);
  return latency.p50;
}

/** The median time in milliseconds in which a watch that is behind has got everything. */
async function resume(world: World, seconds: number): Promise<number> {
  const { service, watcher } = world;
  const message = encodeWatch({ position: await catchUpPosition(service, BEHIND) });
  const port = portOf(service.instance.grpc);
  const target = { port, path: WATCH_PATH, protocol: "grpc" as const, eventsField: 1, open: false, key: service.key };
  const times: number[] = [];
  for (const end = performance.now() + seconds * 1_000; performance.now() < end; ) {
    const begin = performance.now();
    await watcher.ask("open", { ...target, message, group: "behind", connections: 1, perConnection: 1 });
    const { events } = await watcher.ask("received", { group: "behind", events: BEHIND, patienceMs: 20_000 });
    times.push(performance.now() - begin);
    await watcher.ask("close", "behind");
    if (events !== BEHIND) throw new Error(`${events} of ${BEHIND} events came`);
  }
  return median(times);
}

export async function growth(options: BenchOptions): Promise<BenchResult> {
  await using large = await build(options, LARGE);
  await using small = await build(options, SMALL);
  const seconds = options.seconds / options.pairs / 2 / 4;
  const figures: Record<string, { large: number[]; small: number[] }> = {};
  const measure = async (name: string, world: World) =>
    name === "resume" ? resume(world, seconds) : latency(world, KINDS[name as keyof typeof KINDS], seconds);
  for (const name of [...Object.keys(KINDS), "resume"]) {
    const rounds = { large: [] as number[], small: [] as number[] };
    for (const world of [large, small]) await measure(name, world);
    for (let i = 0; i < options.pairs; i++) {
      rounds.large.push(await measure(name, large));
      rounds.small.push(await measure(name, small));
    }
    figures[name] = rounds;
  }
  const ratios = Object.entries(figures).map(([name, r]) => [name, pairRatio(r.large, r.small)]);
  const shown = Object.entries(figures).map(([name, r]) => [
    `${name}_ms`,
    { large: round(median(r.large)), small: round(median(r.small)), rounds: rounded([...r.large, ...r.small], 3) },
  ]);
  return {
    bench: "growth",
    ratios: Object.fromEntries(ratios),
    figures: { large_orders: large.orders, small_orders: small.orders, ...Object.fromEntries(shown) },
  };
}
