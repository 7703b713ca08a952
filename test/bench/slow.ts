import { type Child, startChild } from "./child.ts";
import { headRevision, latencies } from "./latency.ts";
import {
  alternate,
  type BenchOptions,
  type BenchResult,
  median,
  pairRatio,
  quantile,
  round,
  rounded,
} from "./measure.ts";
import { encodeWatch, WATCH_PATH } from "./messages.ts";
import { createOrders, portOf, type Service, startLoad, startService } from "./service.ts";
import type { Source, WatcherQuestions } from "./watchers.ts";

const WATCHERS = 1_000;
const CONNECTIONS = 10;
const EVENTS_PER_SECOND = 50;
const FILLING_PER_SECOND = 200;
const ORDERS = 1_000;
const MIB = 1024 * 1024;

/** Readers beside others that read nothing any more, and without them. */
export async function slow(options: BenchOptions): Promise<BenchResult> {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await startService({ probe: true, settings: { track_commit_timestamp: true } }));
  const { probe } = service;
  if (!probe) throw new Error("the service was started without a probe");
  await createOrders(stack.use(startLoad()), service, [service.key], ORDERS);
  const reading = stack.use(startChild<WatcherQuestions>("watchers.ts"));
  const stalled = stack.use(startChild<WatcherQuestions>("watchers.ts"));
  const port = portOf(service.instance.grpc);
  const target = { port, path: WATCH_PATH, protocol: "grpc" as const, eventsField: 1, open: false, key: service.key };
  const connections = Math.max(1, Math.ceil(CONNECTIONS / options.scale));
  const size = { connections, perConnection: WATCHERS / CONNECTIONS };
  const watch = { ...target, ...size, message: encodeWatch({}) };
  await reading.ask("open", { ...watch, group: "reading", timed: true });
  const seconds = options.seconds / options.pairs / 2;
  const source = { port, key: service.key, orders: ORDERS, perCall: 1 };

  const events = async (time: number) => {
    const after = await headRevision(service);
    await reading.ask("arrivals", "reading");
    const { answered } = await reading.ask("paced", { source, seconds: time, perSecond: EVENTS_PER_SECOND });
    await settled(reading);
    const found = await latencies(service, reading, "reading", after);
    const expected = answered * connections * size.perConnection;
    if (found.length !== expected) throw new Error(`${found.length} of ${expected} deliveries arrived`);
    return quantile(found, 0.99);
  };
  const used = async () => {
    const { heapUsed, external, rss } = await probe.memory();
    return { held: (heapUsed + external) / MIB, rss: rss / MIB };
  };
  /** Half of them have a full stream and a reader that is alive; half a connection that takes nothing any more. */
  const beside = async () => {
    const before = await used();
    const half = { ...size, connections: Math.max(1, Math.floor(connections / 2)) };
    await stalled.ask("open", { ...watch, ...half, group: "full", streamWindow: 4_096 });
    await stalled.ask("open", { ...watch, ...half, group: "deaf", stalled: true });
    await untilBlocked(service, reading, source, 2 * half.connections * half.perConnection);
    const p99 = await events(seconds);
    const after = await used();
    await stalled.ask("close", "full");
    await stalled.ask("close", "deaf");
    return { p99, held: after.held - before.held, rss: after.rss - before.rss };
  };
  await events(Math.min(3, seconds));
  await beside();
  const results = await alternate(options.pairs, beside, () => events(seconds));
  const p99 = results.ours.map((r) => r.p99);
  return {
    bench: "slow",
    ratios: {
      p99_vs_unstalled: pairRatio(p99, results.reference),
      growth_mb: round(median(results.ours.map((r) => r.rss)), 1),
    },
    figures: {
      stalled_watchers: 2 * Math.max(1, Math.floor(connections / 2)) * size.perConnection,
      reading_watchers: connections * size.perConnection,
      events_per_second: EVENTS_PER_SECOND,
      p99_ms: { beside_stalled: round(median(p99), 2), alone: round(median(results.reference), 2) },
      p99_rounds_ms: { beside_stalled: rounded(p99, 2), alone: rounded(results.reference, 2) },
      rss_growth_mb: rounded(results.ours.map((r) => r.rss)),
      heap_and_buffers_growth_mb: rounded(results.ours.map((r) => r.held)),
    },
  };
}

/**
 * Makes events until so many watchers are blocked. Before that their windows and the kernel's buffers still take what comes,
 * for longer than a round: the readers would be compared with twice as many readers.
 */
async function untilBlocked(service: Service, reading: Child<WatcherQuestions>, source: Source, watchers: number) {
  for (let tries = 0; tries < 60; tries++) {
    await reading.ask("paced", { source, seconds: 0.5, perSecond: FILLING_PER_SECOND });
    const answer = await (await fetch(`${service.instance.http}/metrics`)).text();
    const blocked = Number(/^\w*watchers_blocked (\d+)$/m.exec(answer)?.[1] ?? 0);
    if (blocked < watchers) continue;
    await settled(reading);
    return;
  }
  throw new Error(`fewer than ${watchers} watchers have stalled`);
}

/** Waits until nothing has arrived for a moment. */
async function settled(reading: Child<WatcherQuestions>): Promise<void> {
  for (let last = -1; ; ) {
    const { events } = await reading.ask("received", {
      group: "reading",
      events: Number.POSITIVE_INFINITY,
      patienceMs: 200,
    });
    if (events === last) return;
    last = events;
  }
}
