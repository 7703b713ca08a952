import { type Child, startChild } from "./child.ts";
import { ETCD_EVENTS_FIELD, ETCD_PUT_PATH, ETCD_WATCH_PATH, encodeEtcdWatch, encodePut, startEtcd } from "./etcd.ts";
import {
  alternate,
  type BenchOptions,
  type BenchResult,
  cpuSeconds,
  median,
  pairRatio,
  round,
  rounded,
} from "./measure.ts";
import { BURST_ITEMS, encodeWatch, WATCH_PATH } from "./messages.ts";
import { profiled } from "./profile.ts";
import { RAW_EMIT_PATH, RAW_WATCH_PATH, type RawQuestions } from "./raw-server.ts";
import { createOrders, portOf, type Service, startLoad, startService, TENANT } from "./service.ts";
import type { StreamProtocol } from "./streams.ts";
import type { FanoutResult, OpenWatches, Source, WatcherQuestions } from "./watchers.ts";

const WATCHERS = 10_000;
const CONNECTIONS = 100;
const ORDERS = 1_000;
/** At saturation: events that some watcher has not had yet, and callers that make them. The same on both sides. */
const WINDOW = 64;
const CALLERS = 32;

type Watchers = Child<WatcherQuestions>;

/** A server with watchers, of which the CPU is known. */
interface Side {
  readonly name: string;
  readonly watchers: Watchers;
  readonly source: Source;
  readonly cpu: () => number;
}

interface Round extends FanoutResult {
  /** Microseconds of the server's CPU for each event at each watcher. */
  readonly cpuUs: number;
  /** The same of the watchers' process. */
  readonly readerUs: number;
}

async function runRound(side: Side, seconds: number, window = side.source.perCall, callers = 1): Promise<Round> {
  const [before, readers] = [side.cpu(), cpuSeconds(side.watchers.pid)];
  const { name: group, source } = side;
  const result = await side.watchers.ask("fanout", { group, source, seconds, window, callers });
  const each = (used: number) => (used * 1_000_000) / Math.max(1, result.deliveries);
  return { ...result, cpuUs: each(side.cpu() - before), readerUs: each(cpuSeconds(side.watchers.pid) - readers) };
}

/** The watchers of one side live in a process of their own. */
async function watch(
  stack: AsyncDisposableStack,
  options: BenchOptions,
  target: Omit<OpenWatches, "connections" | "perConnection">,
) {
  const watchers = stack.use(startChild<WatcherQuestions>("watchers.ts"));
  const connections = Math.max(2, Math.ceil(CONNECTIONS / options.scale));
  const perConnection = WATCHERS / CONNECTIONS;
  options.say(`${target.group}: opening ${connections * perConnection} watches`);
  await watchers.ask("open", { ...target, connections, perConnection });
  return watchers;
}

async function ours(
  stack: AsyncDisposableStack,
  options: BenchOptions,
  service: Service,
  protocol: StreamProtocol,
): Promise<{ single: Side; burst: Side }> {
  const { key } = service;
  const port = portOf(protocol === "grpc" ? service.instance.grpc : service.instance.http);
  const message = encodeWatch({});
  const target = { port, path: WATCH_PATH, protocol, eventsField: 1, open: false, message, key, group: protocol };
  const watchers = await watch(stack, options, target);
  const source = { port: portOf(service.instance.grpc), key, orders: ORDERS };
  const cpu = () => cpuSeconds(service.instance.pid);
  return {
    single: { name: protocol, watchers, source: { ...source, perCall: 1 }, cpu },
    burst: { name: protocol, watchers, source: { ...source, kind: "burst", perCall: BURST_ITEMS }, cpu },
  };
}

async function rawSide(stack: AsyncDisposableStack, options: BenchOptions, messageBytes: number, count: number) {
  const server = stack.use(startChild<RawQuestions>("raw-server.ts"));
  const port = await server.ask("http2", { messageBytes, count });
  const group = `raw node:http2${count > 1 ? ` ${count}` : ""}`;
  const target = { port, path: RAW_WATCH_PATH, protocol: "grpc" as const, eventsField: 1, open: false };
  const watchers = await watch(stack, options, { ...target, group, key: "", message: new Uint8Array() });
  const source = { port, key: "", orders: 1, path: RAW_EMIT_PATH, message: new Uint8Array(), perCall: count };
  return { name: group, watchers, source, cpu: () => cpuSeconds(server.pid) } satisfies Side;
}

async function etcdSide(stack: AsyncDisposableStack, options: BenchOptions, messageBytes: number): Promise<Side> {
  const etcd = stack.use(await startEtcd());
  const target = { port: etcd.port, path: ETCD_WATCH_PATH, protocol: "grpc" as const, eventsField: ETCD_EVENTS_FIELD };
  const message = encodeEtcdWatch();
  const watchers = await watch(stack, options, { ...target, open: true, group: "etcd", key: "", message });
  // What etcd adds to a value: the key, three revisions and the message's own header.
  const put = encodePut(Math.max(1, messageBytes - 50));
  const source = { port: etcd.port, key: "", orders: 1, path: ETCD_PUT_PATH, message: put, perCall: 1 };
  return { name: "etcd", watchers, source, cpu: () => cpuSeconds(etcd.pid) };
}

async function startWithOrders(stack: AsyncDisposableStack, options: BenchOptions): Promise<Service> {
  const service = stack.use(await startService({ probe: options.profile !== undefined }));
  await using load = startLoad();
  await createOrders(load, service, [service.key], ORDERS);
  return service;
}

/** The size of the newest event as a watcher gets it. */
async function eventBytes(service: Service): Promise<number> {
  const rows = await service.sql<{ size: number }>(
    "select length(payload) as size from event where tenant_id = $1 order by revision desc limit 1",
    [TENANT],
  );
  return rows[0]?.size ?? 0;
}

const us = (rounds: readonly Round[]) => rounds.map((r) => r.cpuUs);

export async function fanout(options: BenchOptions): Promise<BenchResult> {
  await using stack = new AsyncDisposableStack();
  const service = await startWithOrders(stack, options);
  const { single, burst } = await ours(stack, options, service, "grpc");
  await runRound(single, Math.min(2, options.seconds / 10));
  const bytes = await eventBytes(service);
  const raw = await rawSide(stack, options, bytes, 1);
  const rawBurst = await rawSide(stack, options, bytes, BURST_ITEMS);
  const etcd = await etcdSide(stack, options, bytes);
  // Three comparisons share the time.
  const seconds = options.seconds / options.pairs / 6;
  for (const side of [burst, raw, rawBurst]) await runRound(side, Math.min(2, seconds));
  await profiled(service, options, "fanout-single", () => runRound(single, seconds));
  await profiled(service, options, "fanout-burst", () => runRound(burst, seconds));
  await profiled(service, options, "fanout-saturated", () => runRound(single, seconds, WINDOW, CALLERS));

  const singles = await alternate(
    options.pairs,
    () => runRound(single, seconds),
    () => runRound(raw, seconds),
  );
  const bursts = await alternate(
    options.pairs,
    () => runRound(burst, seconds),
    () => runRound(rawBurst, seconds),
  );
  const rates = await alternate(
    options.pairs,
    () => runRound(single, seconds, WINDOW, CALLERS),
    () => runRound(etcd, seconds, WINDOW, CALLERS),
  );
  const perSecond = (rounds: readonly Round[]) => rounds.map((r) => r.deliveries / r.seconds);
  const eventsEach = (rounds: readonly Round[]) => round(median(rounds.map((r) => r.deliveries / r.messages)), 1);
  return {
    bench: "fanout",
    ratios: {
      cpu_vs_raw: pairRatio(us(singles.ours), us(singles.reference)),
      burst_cpu_vs_raw: pairRatio(us(bursts.ours), us(bursts.reference)),
      rate_vs_etcd: pairRatio(perSecond(rates.ours), perSecond(rates.reference)),
    },
    figures: {
      watchers: (Math.max(2, Math.ceil(CONNECTIONS / options.scale)) * WATCHERS) / CONNECTIONS,
      event_bytes: bytes,
      single_cpu_us: { leadline: round(median(us(singles.ours)), 2), raw: round(median(us(singles.reference)), 2) },
      single_reader_cpu_us: {
        leadline: round(median(singles.ours.map((r) => r.readerUs)), 2),
        raw: round(median(singles.reference.map((r) => r.readerUs)), 2),
      },
      single_to_all_p50_ms: {
        leadline: round(median(singles.ours.map((r) => r.toAll.p50)), 1),
        raw: round(median(singles.reference.map((r) => r.toAll.p50)), 1),
      },
      burst_cpu_us: { leadline: round(median(us(bursts.ours)), 2), raw: round(median(us(bursts.reference)), 2) },
      deliveries_per_second: {
        leadline: round(median(perSecond(rates.ours)), 0),
        etcd: round(median(perSecond(rates.reference)), 0),
      },
      saturated_cpu_us: { leadline: round(median(us(rates.ours)), 2), etcd: round(median(us(rates.reference)), 2) },
      burst_events_each_message: { leadline: eventsEach(bursts.ours), raw: eventsEach(bursts.reference) },
      saturated_events_each_message: { leadline: eventsEach(rates.ours), etcd: eventsEach(rates.reference) },
      single_rounds_us: { leadline: rounded(us(singles.ours), 2), raw: rounded(us(singles.reference), 2) },
      burst_rounds_us: { leadline: rounded(us(bursts.ours), 2), raw: rounded(us(bursts.reference), 2) },
      rate_rounds: { leadline: rounded(perSecond(rates.ours), 0), etcd: rounded(perSecond(rates.reference), 0) },
    },
  };
}

export async function fanoutHttp(options: BenchOptions): Promise<BenchResult> {
  await using stack = new AsyncDisposableStack();
  const service = await startWithOrders(stack, options);
  const seconds = options.seconds / options.pairs / 4;
  const results: Record<string, { ours: Round[]; reference: Round[] }> = {};
  for (const protocol of ["connect", "grpc-web"] as const) {
    await using watching = new AsyncDisposableStack();
    const { single } = await ours(watching, options, service, protocol);
    await runRound(single, Math.min(2, seconds));
    const raw = await rawSide(watching, options, await eventBytes(service), 1);
    await runRound(raw, Math.min(2, seconds));
    await profiled(service, options, `fanout-${protocol}`, () => runRound(single, seconds));
    results[protocol] = await alternate(
      options.pairs,
      () => runRound(single, seconds),
      () => runRound(raw, seconds),
    );
  }
  const of = (protocol: string) => results[protocol] ?? { ours: [], reference: [] };
  const ratio = (protocol: string) => pairRatio(us(of(protocol).ours), us(of(protocol).reference));
  const pair = (protocol: string) => ({
    leadline: round(median(us(of(protocol).ours)), 2),
    raw: round(median(us(of(protocol).reference)), 2),
  });
  return {
    bench: "fanout-http",
    ratios: { connect_cpu_vs_raw: ratio("connect"), grpc_web_cpu_vs_raw: ratio("grpc-web") },
    figures: {
      connect_cpu_us: pair("connect"),
      grpc_web_cpu_us: pair("grpc-web"),
      connect_rounds_us: { leadline: rounded(us(of("connect").ours), 2), raw: rounded(us(of("connect").reference), 2) },
      grpc_web_rounds_us: {
        leadline: rounded(us(of("grpc-web").ours), 2),
        raw: rounded(us(of("grpc-web").reference), 2),
      },
    },
  };
}
