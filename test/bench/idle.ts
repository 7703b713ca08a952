import { startChild } from "./child.ts";
import { type BenchOptions, type BenchResult, median, round, rounded } from "./measure.ts";
import { encodeWatch, WATCH_PATH } from "./messages.ts";
import { RAW_WATCH_PATH, type RawQuestions } from "./raw-server.ts";
import { portOf, startService } from "./service.ts";
import type { StreamProtocol } from "./streams.ts";
import type { OpenWatches, WatcherQuestions } from "./watchers.ts";

const WATCHERS = 10_000;
const CONNECTIONS = 100;
/** Fresh processes on each side; the issue asks for the median of three. */
const TIMES = 3;

/** KiB for each watcher. */
interface PerWatcher {
  readonly heap: number;
  readonly rss: number;
}

/** Opens the watches and tells how much a server has grown by them, after garbage collections. */
async function grown(options: BenchOptions, target: Target, memory: () => Promise<Memory>): Promise<PerWatcher> {
  await using watchers = startChild<WatcherQuestions>("watchers.ts");
  const connections = Math.max(2, Math.ceil(CONNECTIONS / options.scale));
  const perConnection = WATCHERS / CONNECTIONS;
  // A few first, so that what is made once is not counted.
  await watchers.ask("open", { ...target, group: "first", connections: 1, perConnection });
  const before = await memory();
  await watchers.ask("open", { ...target, group: "all", connections, perConnection });
  const after = await memory();
  const each = (bytes: number) => bytes / 1024 / (connections * perConnection);
  return { heap: each(after.heapUsed - before.heapUsed), rss: each(after.rss - before.rss) };
}

type Target = Omit<OpenWatches, "group" | "connections" | "perConnection">;
type Memory = Pick<NodeJS.MemoryUsage, "heapUsed" | "rss">;

async function ours(options: BenchOptions, protocol: StreamProtocol): Promise<PerWatcher> {
  await using service = await startService({ probe: true });
  const port = portOf(protocol === "grpc" ? service.instance.grpc : service.instance.http);
  const target = { port, path: WATCH_PATH, protocol, eventsField: 1, open: false, key: service.key };
  const { probe } = service;
  if (!probe) throw new Error("the service was started without a probe");
  return await grown(options, { ...target, message: encodeWatch({}) }, () => probe.memory());
}

async function grpcJs(options: BenchOptions): Promise<PerWatcher> {
  await using server = startChild<RawQuestions>("raw-server.ts");
  const port = await server.ask("grpc", { messageBytes: 40 });
  const target = { port, path: RAW_WATCH_PATH, protocol: "grpc" as const, eventsField: 1, open: false, key: "" };
  return await grown(options, { ...target, message: new Uint8Array() }, () => server.ask("memory", undefined));
}

export async function idle(options: BenchOptions): Promise<BenchResult> {
  const sides = {
    grpc: () => ours(options, "grpc"),
    connect: () => ours(options, "connect"),
    "grpc-web": () => ours(options, "grpc-web"),
    grpc_js: () => grpcJs(options),
  };
  const heap: Record<string, number[]> = {};
  const rss: Record<string, number[]> = {};
  for (let i = 0; i < TIMES; i++) {
    for (const [name, measure] of Object.entries(sides)) {
      options.say(`${name}, ${i + 1} of ${TIMES}`);
      const each = await measure();
      heap[name] = [...(heap[name] ?? []), each.heap];
      rss[name] = [...(rss[name] ?? []), each.rss];
    }
  }
  const of = (figures: Record<string, number[]>, name: string) => median(figures[name] ?? []);
  const all = (figures: Record<string, number[]>) =>
    Object.fromEntries(Object.entries(figures).map(([name, values]) => [name, rounded(values, 2)]));
  return {
    bench: "idle",
    ratios: {
      grpc_heap_vs_grpc_js: round(of(heap, "grpc") / of(heap, "grpc_js")),
      grpc_rss_vs_grpc_js: round(of(rss, "grpc") / of(rss, "grpc_js")),
      connect_heap_vs_grpc_js: round(of(heap, "connect") / of(heap, "grpc_js")),
    },
    figures: { heap_kib_per_watcher: all(heap), rss_kib_per_watcher: all(rss) },
  };
}
