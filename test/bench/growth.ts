import { databaseUrl, TEMPLATE } from "../support/prepare-server.ts";
import { CallConnection, credential } from "./calls.ts";
import { catchUpPosition } from "./catchup.ts";
import type { Child } from "./child.ts";
import { startChild } from "./child.ts";
import { grow } from "./grow.ts";
import type { LoadQuestions } from "./load.ts";
import {
  alternate,
  type BenchOptions,
  type BenchResult,
  type Figure,
  median,
  pairRatio,
  round,
  rounded,
} from "./measure.ts";
import { type CallKind, encodeWatch, PATHS, type Prepared, requests, WATCH_PATH } from "./messages.ts";
import { portOf, runSql, type Service, startLoad, startService, TENANT } from "./service.ts";
import type { WatcherQuestions } from "./watchers.ts";

const LARGE = 1_000_000;
const SMALL = 10_000;
/** Events that a watch is behind when it resumes. */
const BEHIND = 1_000;
/** Reports of the orders that the others are copies of: with its creation an order has five events on the average. */
const REPORTS = [2, 3, 4, 5, 6];
/** What is reported while it is measured moves most orders on: to what follows the fourth report. */
const ROUND = 4;
/** Callers that a service warms up for. They read only: what is written changes what is measured. */
const WARMING = 64;
const KINDS = { write: "report", read: "get", list: "list" } as const satisfies Record<string, CallKind>;

interface World extends AsyncDisposable {
  readonly service: Service;
  readonly orders: number;
  readonly events: number;
  readonly gib: number;
  readonly load: Child<LoadQuestions>;
  readonly watcher: Child<WatcherQuestions>;
}

/** A database of its own with so many orders and five times as many events. */
async function build(options: BenchOptions, size: number): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await startService());
  const load = stack.use(startLoad());
  const watcher = stack.use(startChild<WatcherQuestions>("watchers.ts"));
  const orders = Math.ceil(size / options.scale);
  options.say(`laying ${orders} orders`);
  await makePatterns(portOf(service.instance.grpc), service.key);
  const url = databaseUrl(service.postgres.url(), TEMPLATE);
  const events = await grow({ url, tenant: TENANT, orders, say: options.say });
  await service.sql("vacuum analyze");
  await service.sql("checkpoint");
  const [sized] = await service.sql<{ gib: number }>(
    "select round(pg_database_size(current_database()) / 2.0 ^ 30, 2)::float as gib",
  );
  const owned = stack.move();
  return {
    ...{ service, orders, events, load, watcher, gib: sized?.gib ?? 0 },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * Reads every order's row once, in the order of the ids. COPY lays rows past Postgres' shared buffers, through which they would
 * have come had they been written through the door: what is measured is the size, not a database that nobody has used yet.
 */
async function touchRows(service: Service): Promise<void> {
  const url = new URL(databaseUrl(service.postgres.url(), TEMPLATE));
  url.searchParams.set("options", "-c enable_seqscan=off -c enable_bitmapscan=off");
  await runSql(url.href, "select count(version) from subject where tenant_id = $1", [TENANT]);
}

/** Makes the first orders, which `grow` copies, and reports on them, through the gRPC door. */
export async function makePatterns(port: number, key: string): Promise<void> {
  const call = async (kind: CallKind, times: number, next: () => Prepared) => {
    const calls = await CallConnection.open(port, PATHS[kind]);
    for (let i = 0; i < times; i++) await calls.call(next().message, credential(key));
    calls.close();
  };
  await call(
    "create",
    REPORTS.length,
    requests("create", REPORTS.length, "", () => 0),
  );
  for (const [order, reports] of REPORTS.entries()) {
    await call(
      "report",
      reports,
      requests("report", 1, `made${order}`, () => order),
    );
  }
}

/**
 * The median latency in milliseconds of so many callers, by default one, who ask for so long. Many of them make a service in
 * a second what one makes it in minutes: warm.
 */
async function latency(world: World, kind: CallKind, seconds: number, callers = 1): Promise<number> {
  const { service, orders, load } = world;
  const base = { port: portOf(service.instance.grpc), keys: [service.key], connections: 1, inFlight: callers, orders };
  const { latency, failed } = await load.ask("run", { ...base, kind, seconds, round: ROUND });
  if (failed > 0) throw new Error(`${failed} calls of ${kind} failed`);
  return latency.p50;
}

/** The median time in milliseconds in which a watch that is behind has got everything. */
async function resume(world: World, behind: number, seconds: number): Promise<number> {
  const { service, watcher } = world;
  const message = encodeWatch({ position: await catchUpPosition(service, behind) });
  const port = portOf(service.instance.grpc);
  const target = { port, path: WATCH_PATH, protocol: "grpc" as const, eventsField: 1, open: false, key: service.key };
  const times: number[] = [];
  for (const end = performance.now() + seconds * 1_000; performance.now() < end; ) {
    const begin = performance.now();
    await watcher.ask("open", { ...target, message, group: "behind", connections: 1, perConnection: 1 });
    const { events } = await watcher.ask("received", { group: "behind", events: behind, patienceMs: 20_000 });
    times.push(performance.now() - begin);
    await watcher.ask("close", "behind");
    if (events !== behind) throw new Error(`${events} of ${behind} events came`);
  }
  return median(times);
}

export async function growth(options: BenchOptions): Promise<BenchResult> {
  await using large = await build(options, LARGE);
  await using small = await build(options, SMALL);
  const seconds = options.seconds / options.pairs / 2 / 4;
  const [ratios, figures]: [Record<string, number>, Record<string, Figure>] = [{}, {}];
  const measure = (name: string, world: World) =>
    name === "resume"
      ? resume(world, Math.min(BEHIND, small.events), seconds)
      : latency(world, KINDS[name as keyof typeof KINDS], seconds);
  const firstReads = async (world: World) => round(await measure("read", world));
  figures.first_reads_ms = { large: await firstReads(large), small: await firstReads(small) };
  for (const world of [large, small]) {
    await touchRows(world.service);
    for (const kind of [KINDS.read, KINDS.list]) await latency(world, kind, seconds * 2, WARMING);
  }
  for (const name of [...Object.keys(KINDS), "resume"]) {
    for (const world of [large, small]) await measure(name, world);
    const rounds = await alternate(
      options.pairs,
      () => measure(name, large),
      () => measure(name, small),
    );
    ratios[name] = pairRatio(rounds.ours, rounds.reference);
    figures[`${name}_ms`] = {
      ...{ large: round(median(rounds.ours)), small: round(median(rounds.reference)) },
      rounds: rounded([...rounds.ours, ...rounds.reference], 3),
    };
  }
  const sizes = ([name, { orders, events, gib }]: [string, World]) => [name, { orders, events, gib }];
  return {
    bench: "growth",
    ratios,
    figures: { ...Object.fromEntries(Object.entries({ large, small }).map(sizes)), ...figures },
  };
}
