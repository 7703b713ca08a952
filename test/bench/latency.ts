import { connect } from "nats";
import { useNats } from "../support/nats.ts";
import { type Child, startChild } from "./child.ts";
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
import { createOrders, portOf, type Service, startLoad, startService, TENANT } from "./service.ts";
import type { Source, WatcherQuestions } from "./watchers.ts";

/*
 * "Commit" is what Postgres itself calls it: the time in the transaction's commit record (track_commit_timestamp), taken
 * before the record is written out. So what is measured begins a little before the commit is safe, on both sides alike.
 */

const WATCHERS = 10_000;
const FEW = 100;
const CONNECTIONS = 100;
const UPDATES_PER_SECOND = 500;
const HOPS_PER_SECOND = 100;
const SETTINGS = { track_commit_timestamp: true };

type Watchers = Child<WatcherQuestions>;

/** Milliseconds from the commit to the watcher, of every event from a revision on. */
export async function latencies(service: Service, watchers: Watchers, group: string, after: number): Promise<number[]> {
  const { pairs } = await watchers.ask("arrivals", group);
  const rows = await service.sql<{ revision: string; at: string }>(
    `select revision, extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000 as at from event
     where tenant_id = $1 and revision > $2`,
    [TENANT, after],
  );
  const commits = new Map(rows.map((row) => [Number(row.revision), Number(row.at)]));
  const found: number[] = [];
  for (let i = 0; i < pairs.length; i += 2) {
    const commit = commits.get(pairs[i] ?? 0);
    if (commit !== undefined) found.push((pairs[i + 1] ?? 0) - commit);
  }
  return found;
}

export async function headRevision(service: Service): Promise<number> {
  const [row] = await service.sql<{ revision: string }>("select revision from journal_head where tenant_id = $1", [
    TENANT,
  ]);
  return Number(row?.revision ?? 0);
}

async function open(watchers: Watchers, port: number, key: string, group: string, connections: number, orders: number) {
  const target = { port, path: WATCH_PATH, protocol: "grpc" as const, eventsField: 1, open: false, key, timed: true };
  const perConnection = Math.ceil(orders / connections);
  await watchers.ask("open", { ...target, group, connections, perConnection });
  return perConnection * connections;
}

/** Updates at a pace; @returns the latencies of those that watchers wait for */
async function paced(service: Service, watchers: Watchers, group: string, source: Source, seconds: number) {
  const after = await headRevision(service);
  await watchers.ask("arrivals", group);
  const { failed } = await watchers.ask("paced", { source, seconds, perSecond: UPDATES_PER_SECOND });
  if (failed > 0) throw new Error(`${failed} updates failed`);
  await new Promise((resolve) => setTimeout(resolve, 200)); // the last ones are on their way
  const found = await latencies(service, watchers, group, after);
  const expected = Math.round(seconds * UPDATES_PER_SECOND);
  if (found.length !== expected) throw new Error(`${found.length} of ${expected} updates reached their watcher`);
  return { p50: quantile(found, 0.5), p99: quantile(found, 0.99) };
}

/** Every watcher watches an order of its own; each update concerns one of them. */
export async function selective(options: BenchOptions): Promise<BenchResult> {
  await using service = await startService({ settings: SETTINGS });
  const orders = Math.ceil(WATCHERS / options.scale);
  await using load = startLoad();
  await createOrders(load, service, [service.key], orders);
  await using many = startChild<WatcherQuestions>("watchers.ts");
  await using few = startChild<WatcherQuestions>("watchers.ts");
  const port = portOf(service.instance.grpc);
  options.say(`opening ${orders} watches, each of its own order`);
  const connections = Math.max(1, Math.ceil(CONNECTIONS / options.scale));
  const seconds = options.seconds / options.pairs / 2;
  const source = { port, key: service.key, perCall: 1 };
  // The reference has no other watchers beside it, so each side's watchers live for its round only.
  const side = async (watchers: Watchers, group: string, count: number, over: number) => {
    const all = await open(watchers, port, service.key, group, over, count);
    try {
      await watchers.ask("paced", { source: { ...source, orders: all }, seconds: 1, perSecond: UPDATES_PER_SECOND });
      return await paced(service, watchers, group, { ...source, orders: all }, seconds);
    } finally {
      await watchers.ask("close", group);
    }
  };
  const results = await alternate(
    options.pairs,
    () => side(many, "many", orders, connections),
    () => side(few, "few", Math.min(FEW, orders), 1),
  );
  const p99 = (rounds: readonly { p99: number }[]) => rounds.map((r) => r.p99);
  const p50 = (rounds: readonly { p50: number }[]) => rounds.map((r) => r.p50);
  return {
    bench: "selective",
    ratios: { p99_vs_100: pairRatio(p99(results.ours), p99(results.reference)) },
    figures: {
      watchers: orders,
      updates_per_second: UPDATES_PER_SECOND,
      p99_ms: { many: round(median(p99(results.ours)), 2), few: round(median(p99(results.reference)), 2) },
      p50_ms: { many: round(median(p50(results.ours)), 2), few: round(median(p50(results.reference)), 2) },
      p99_rounds_ms: { many: rounded(p99(results.ours), 2), few: rounded(p99(results.reference), 2) },
    },
  };
}

/** Milliseconds of a raw NATS message from one connection to another, at the pace of the other side's events. */
async function natsRound(url: string, seconds: number): Promise<number[]> {
  const [from, to] = await Promise.all([connect({ servers: url }), connect({ servers: url })]);
  const found: number[] = [];
  const payload = new Uint8Array(400);
  const sent = new Map<number, number>();
  to.subscribe("bench", {
    callback: (_error, message) => {
      const at = sent.get(new DataView(message.data.buffer, message.data.byteOffset).getUint32(0));
      if (at !== undefined) found.push(performance.now() - at);
    },
  });
  await to.flush();
  const count = Math.round(seconds * HOPS_PER_SECOND);
  for (let i = 0; i < count; i++) {
    new DataView(payload.buffer).setUint32(0, i);
    sent.set(i, performance.now());
    from.publish("bench", payload.slice());
    await new Promise((resolve) => setTimeout(resolve, 1_000 / HOPS_PER_SECOND));
  }
  await Promise.all([from.close(), to.close()]);
  return found;
}

/** From the commit on one instance to a watcher on another, beside a watcher on the first and NATS alone. */
export async function hop(options: BenchOptions): Promise<BenchResult> {
  await using stack = new AsyncDisposableStack();
  const nats = await useNats();
  stack.defer(() => nats.stop());
  const service = stack.use(await startService({ instances: 2, natsUrl: nats.url, settings: SETTINGS }));
  const load = stack.use(startLoad());
  const orders = 100;
  await createOrders(load, service, [service.key], orders);
  const watchers = stack.use(startChild<WatcherQuestions>("watchers.ts"));
  const [first, second] = service.instances;
  const message = encodeWatch({});
  const target = { path: WATCH_PATH, protocol: "grpc" as const, eventsField: 1, open: false, key: service.key };
  const open = { ...target, message, connections: 1, perConnection: 1, timed: true };
  await watchers.ask("open", { ...open, port: portOf(first?.grpc ?? ""), group: "local" });
  await watchers.ask("open", { ...open, port: portOf(second?.grpc ?? ""), group: "remote" });
  const source = { port: portOf(first?.grpc ?? ""), key: service.key, orders, perCall: 1 };
  const seconds = options.seconds / options.pairs / 2;
  const events = async (time: number) => {
    const after = await headRevision(service);
    await watchers.ask("paced", { source, seconds: time, perSecond: HOPS_PER_SECOND });
    await new Promise((resolve) => setTimeout(resolve, 200));
    const of = async (group: string) => median(await latencies(service, watchers, group, after));
    return { remote: await of("remote"), local: await of("local") };
  };
  await events(Math.min(2, seconds));
  const results = await alternate(
    options.pairs,
    () => events(seconds),
    () => natsRound(nats.url, seconds),
  );
  const remote = results.ours.map((r) => r.remote);
  const local = results.ours.map((r) => r.local);
  const raw = results.reference.map((values) => median(values));
  return {
    bench: "hop",
    ratios: {
      p50_vs_local_plus_nats: pairRatio(
        remote,
        local.map((value, i) => value + (raw[i] ?? Number.NaN)),
      ),
    },
    figures: {
      remote_p50_ms: round(median(remote)),
      local_p50_ms: round(median(local)),
      nats_p50_ms: round(median(raw)),
      remote_rounds_ms: rounded(remote, 3),
      local_rounds_ms: rounded(local, 3),
      nats_rounds_ms: rounded(raw, 3),
    },
  };
}
