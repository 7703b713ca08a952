import { create, toBinary } from "@bufbuild/protobuf";
import { GetOrderRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { CallConnection, credential } from "./calls.ts";
import type { Child } from "./child.ts";
import { startChild } from "./child.ts";
import type { Load, LoadQuestions, LoadResult } from "./load.ts";
import {
  alternate,
  type BenchOptions,
  type BenchResult,
  CpuMeter,
  cpuSeconds,
  median,
  pairRatio,
  round,
  rounded,
} from "./measure.ts";
import { type CallKind, orderId, PATHS } from "./messages.ts";
import { type Pgbench, preparePgbench } from "./pgbench.ts";
import { profiled } from "./profile.ts";
import type { RawQuestions } from "./raw-server.ts";
import { createOrders, portOf, type Service, startLoad, startService, TENANT } from "./service.ts";

const ORDERS = 100_000;
const TENANTS = 200;
const CALLERS = 256;
const CONNECTIONS = 16;
const READERS = 64;
/** Calls of BatchReportStatus in flight. */
const BATCHES = 8;

/** The service with its orders, and callers. */
interface Stage extends AsyncDisposable {
  readonly service: Service;
  readonly load: Child<LoadQuestions>;
  readonly orders: number;
  round(part: Partial<Load> & Pick<Load, "kind">): Promise<LoadResult>;
}

async function prepare(options: BenchOptions): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await startService({ probe: options.profile !== undefined }));
  const load = stack.use(startLoad());
  const orders = Math.ceil(ORDERS / options.scale);
  options.say(`creating ${orders} orders`);
  await createOrders(load, service, [service.key], orders);
  const base = { port: portOf(service.instance.grpc), keys: [service.key], connections: CONNECTIONS, orders };
  const owned = stack.move();
  return {
    ...{ service, load, orders },
    round: async (part) => {
      const result = await load.ask("run", { ...base, inFlight: CALLERS, ...part });
      if (result.failed > 0) throw new Error(`${result.failed} calls failed: ${await codes(service)}`);
      return result;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** How many calls have ended with which code, as the service itself counts them. */
async function codes(service: Service): Promise<string> {
  const answer = await fetch(new URL("/metrics", service.instance.http));
  const counts = (await answer.text()).matchAll(/^leadline_call_seconds_count\{(.*)\} (\d+)$/gm);
  return [...counts].map(([, labels, count]) => `${labels} ${count}`).join("; ");
}

function meter({ service, load }: Stage): CpuMeter {
  return new CpuMeter({ ...service.cpu(), load: () => cpuSeconds(load.pid) });
}

/** Every call that was answered must have made one event. */
async function revision(service: Service): Promise<number> {
  const rows = await service.sql<{ sum: string }>("select sum(revision) from journal_head");
  return Number(rows[0]?.sum);
}

async function againstPgbench(bench: "write" | "batch", options: BenchOptions): Promise<BenchResult> {
  await using stage = await prepare(options);
  const pgbench = await preparePgbench(stage.service.postgres.url());
  const seconds = roundSeconds(options, 2);
  const kind: CallKind = bench === "write" ? "report" : "batch";
  const inFlight = bench === "write" ? CALLERS : BATCHES;
  options.say("warming up");
  await stage.round({ kind, inFlight, seconds: Math.min(3, seconds) });
  await profiled(stage.service, options, bench, () => stage.round({ kind, inFlight, seconds }));
  const [cpu, reference] = [meter(stage), referenceMeter(stage, pgbench)];
  const before = await revision(stage.service);
  let answered = 0;
  const results = await alternate(
    options.pairs,
    () =>
      cpu.during(async () => {
        const result = await stage.round({ kind, inFlight, seconds });
        answered += result.answered;
        return result;
      }),
    () => reference.during(() => pgbench.round(seconds)),
  );
  const written = (await revision(stage.service)) - before;
  if (written < answered) throw new Error(`${answered} calls were answered, and ${written} events written`);
  const ours = results.ours.map((r) => r.perSecond);
  const theirs = results.reference.map((r) => r.perSecond);
  const unit = bench === "write" ? "calls" : "items";
  return {
    bench,
    ratios: { vs_pgbench: pairRatio(ours, theirs) },
    figures: {
      [`leadline_${unit}_per_second`]: round(median(ours), 0),
      pgbench_transactions_per_second: round(median(theirs), 0),
      leadline_latency_p50_ms: round(median(results.ours.map((r) => r.latency.p50)), 2),
      leadline_latency_p99_ms: round(median(results.ours.map((r) => r.latency.p99)), 2),
      leadline_rounds: rounded(ours, 0),
      pgbench_rounds: rounded(theirs, 0),
      leadline_cpu_seconds: cpu.figures,
      pgbench_cpu_seconds: reference.figures,
      leadline_cpu_us_each: cpu.each(answered),
      pgbench_cpu_us_each: reference.each(sum(theirs) * seconds),
    },
  };
}

function referenceMeter({ service }: Stage, pgbench: Pgbench): CpuMeter {
  return new CpuMeter({ pgbench: () => pgbench.cpu(), postgres: service.cpu().postgres });
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

/** What one round of one side measures for; pgbench takes whole seconds only. */
function roundSeconds(options: BenchOptions, sides: number): number {
  return Math.max(1, Math.round(options.seconds / options.pairs / sides));
}

export const write = (options: BenchOptions): Promise<BenchResult> => againstPgbench("write", options);
export const batch = (options: BenchOptions): Promise<BenchResult> => againstPgbench("batch", options);

/** The same number of orders, once in one tenant and once spread over many. */
export async function tenants(options: BenchOptions): Promise<BenchResult> {
  await using stage = await prepare(options);
  const count = Math.max(2, Math.ceil(TENANTS / options.scale));
  options.say(`making ${count} tenants with their orders`);
  const keys = await stage.service.tenants(Array.from({ length: count }, (_, i) => `${TENANT}-${i}`));
  await createOrders(stage.load, stage.service, keys, stage.orders);
  const seconds = roundSeconds(options, 2);
  const [spread, one] = [meter(stage), meter(stage)];
  await stage.round({ kind: "report", keys, seconds: Math.min(3, seconds) });
  await stage.round({ kind: "report", seconds: Math.min(3, seconds) });
  await profiled(stage.service, options, "tenants", () => stage.round({ kind: "report", keys, seconds }));
  const results = await alternate(
    options.pairs,
    () => spread.during(() => stage.round({ kind: "report", keys, seconds })),
    () => one.during(() => stage.round({ kind: "report", seconds })),
  );
  const ours = results.ours.map((r) => r.perSecond);
  const theirs = results.reference.map((r) => r.perSecond);
  return {
    bench: "tenants",
    ratios: { vs_one_tenant: pairRatio(ours, theirs) },
    figures: {
      tenants: count,
      spread_calls_per_second: round(median(ours), 0),
      one_tenant_calls_per_second: round(median(theirs), 0),
      spread_rounds: rounded(ours, 0),
      one_tenant_rounds: rounded(theirs, 0),
      spread_cpu_seconds: spread.figures,
      one_tenant_cpu_seconds: one.figures,
      spread_cpu_us_each: spread.each(sum(ours) * seconds),
      one_tenant_cpu_us_each: one.each(sum(theirs) * seconds),
    },
  };
}

/** One caller waits for each answer before it asks again; so does pgbench's one client. */
export async function one(options: BenchOptions): Promise<BenchResult> {
  await using stage = await prepare(options);
  const pgbench = await preparePgbench(stage.service.postgres.url());
  const seconds = roundSeconds(options, 2);
  const [cpu, reference] = [meter(stage), referenceMeter(stage, pgbench)];
  const call = () => stage.round({ kind: "report", inFlight: 1, connections: 1, seconds });
  await stage.round({ kind: "report", seconds: Math.min(3, seconds) });
  await profiled(stage.service, options, "one", call);
  const results = await alternate(
    options.pairs,
    () => cpu.during(call),
    () => reference.during(() => pgbench.round(seconds, 1)),
  );
  const ours = results.ours.map((r) => r.latency.p50);
  const theirs = results.reference.map((r) => r.latencyP50 ?? Number.NaN);
  return {
    bench: "one",
    ratios: { latency_vs_pgbench: pairRatio(ours, theirs) },
    figures: {
      leadline_latency_p50_ms: round(median(ours)),
      pgbench_latency_p50_ms: round(median(theirs)),
      leadline_latency_p99_ms: round(median(results.ours.map((r) => r.latency.p99))),
      leadline_rounds: rounded(ours, 3),
      pgbench_rounds: rounded(theirs, 3),
      leadline_cpu_seconds: cpu.figures,
      pgbench_cpu_seconds: reference.figures,
    },
  };
}

/** GetOrder, which asks the database every time, beside a grpc-js that has its answer ready. */
export async function read(options: BenchOptions): Promise<BenchResult> {
  await using stage = await prepare(options);
  await using raw = startChild<RawQuestions>("raw-server.ts");
  const messageBytes = await sizeOfOrder(stage.service);
  const port = await raw.ask("grpc", { messageBytes });
  const seconds = roundSeconds(options, 2);
  const ask = () => stage.round({ kind: "get", inFlight: READERS, seconds });
  const askRaw = () => stage.round({ kind: "ready", port, keys: [""], inFlight: READERS, seconds });
  await stage.round({ kind: "get", inFlight: READERS, seconds: Math.min(3, seconds) });
  await stage.round({ kind: "ready", port, keys: [""], inFlight: READERS, seconds: Math.min(3, seconds) });
  await profiled(stage.service, options, "read", ask);
  const cpu = meter(stage);
  const reference = new CpuMeter({ grpc_js: () => cpuSeconds(raw.pid), load: () => cpuSeconds(stage.load.pid) });
  const results = await alternate(
    options.pairs,
    () => cpu.during(ask),
    () => reference.during(askRaw),
  );
  const ours = results.ours.map((r) => r.perSecond);
  const theirs = results.reference.map((r) => r.perSecond);
  return {
    bench: "read",
    ratios: { vs_grpc_js: pairRatio(ours, theirs) },
    figures: {
      leadline_calls_per_second: round(median(ours), 0),
      grpc_js_calls_per_second: round(median(theirs), 0),
      answer_bytes: messageBytes,
      leadline_latency_p99_ms: round(median(results.ours.map((r) => r.latency.p99)), 2),
      leadline_rounds: rounded(ours, 0),
      grpc_js_rounds: rounded(theirs, 0),
      leadline_cpu_seconds: cpu.figures,
      grpc_js_cpu_seconds: reference.figures,
      leadline_cpu_us_each: cpu.each(sum(ours) * seconds),
      grpc_js_cpu_us_each: reference.each(sum(theirs) * seconds),
    },
  };
}

async function sizeOfOrder(service: Service): Promise<number> {
  const calls = await CallConnection.open(portOf(service.instance.grpc), PATHS.get);
  const message = toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: orderId(0) }));
  const answer = await calls.call(message, credential(service.key));
  calls.close();
  return answer.length;
}
