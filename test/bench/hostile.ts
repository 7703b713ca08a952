import { readFileSync } from "node:fs";
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { startChild } from "./child.ts";
import { type Door, kinds } from "./hostile-kinds.ts";
import type { Met, PeerQuestions } from "./hostile-peers.ts";
import {
  type BenchOptions,
  type BenchResult,
  CpuMeter,
  cpuSeconds,
  type Figure,
  median,
  quantile,
  round,
  rounded,
} from "./measure.ts";
import type { CallerQuestions } from "./ordinary-callers.ts";
import { profiled } from "./profile.ts";
import { createOrders, portOf, type Service, startLoad, startService } from "./service.ts";

const CALLERS = 100;
const CALLS_PER_SECOND = 10;
const PEERS = 200;
const ORDERS = 1_000;
/** Of the strangers' tenant: what a client that reads nothing asks for has to be worth something. */
const STRANGERS_ORDERS = 200;
const BEAT_MS = 1_000;
/** So long the peers are at it before a round: what they do at first is in it, what they must wait for is not yet. */
const SETTLING_SECONDS = 1;
const WARMING_SECONDS = 8;
/** How many kinds have their rounds between two quiet ones. */
const KINDS_BESIDE_A_QUIET_ROUND = 3;
/** More would be memory that a peer can take for nothing. */
const GROWTH_MAX_MB = 512;
const MIB = 1024 * 1024;

/** What the rounds of one kind, or the quiet ones, gave. */
interface Rounds {
  readonly p99: number[];
  readonly p50: number[];
  readonly cpu: CpuMeter;
  met: Met | undefined;
}

/** Ordinary callers beside each hostile kind, and alone. */
export async function hostile(options: BenchOptions): Promise<BenchResult> {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await startService({ probe: true }));
  const { instance, probe } = service;
  if (!probe) throw new Error("the service was started without a probe");
  const load = stack.use(startLoad());
  await createOrders(load, service, [service.key], ORDERS);
  const key = await strangersKey(service, load);
  const ports = { grpc: portOf(instance.grpc), http: portOf(instance.http) };
  const ordinary = stack.use(startChild<CallerQuestions>("ordinary-callers.ts"));
  const peers = stack.use(startChild<PeerQuestions>("hostile-peers.ts"));
  const callers = Math.max(10, Math.ceil(CALLERS / options.scale));
  await ordinary.ask("open", { ports: [ports.grpc, ports.http], key: service.key, callers, orders: ORDERS });
  const each = Math.ceil(Math.max(5, Math.ceil(PEERS / options.scale)) / 2);

  const names = namesOf(process.env.BENCH_HOSTILE_KINDS);
  const seconds = options.seconds / options.pairs / 2;
  // Also in the shortest of rounds every peer has its beats.
  const beatMs = Math.min(BEAT_MS, seconds * 500);
  const rounds = new Map<string, Rounds>();
  const failed: string[] = [];
  let calls = 0;
  const measure = async (name: string) => {
    const cpu = new CpuMeter({
      ...service.cpu(),
      callers: () => cpuSeconds(ordinary.pid),
      peers: () => cpuSeconds(peers.pid),
      machine: cpuOfMachine,
    });
    const of = rounds.get(name) ?? { p99: [], p50: [], cpu, met: undefined };
    rounds.set(name, of);
    const { latencies, failed: lost } = await of.cpu.during(() =>
      ordinary.ask("call", { seconds, perSecond: CALLS_PER_SECOND }),
    );
    of.p99.push(quantile(latencies, 0.99));
    of.p50.push(median(latencies));
    calls += latencies.length;
    if (lost > 0) failed.push(`${lost} beside ${name}`);
    return of;
  };
  const beside = async (kind: string) => {
    await peers.ask("start", { kind, ports, each, beatMs, key });
    await new Promise((resolve) => setTimeout(resolve, Math.min(SETTLING_SECONDS, seconds) * 1_000));
    const of = await measure(kind);
    of.met = await peers.ask("stop", null);
    const missed = neverCame(kind, of.met);
    if (missed.length > 0) throw new Error(missed.join(", "));
    // What they leave behind is not the next round's: closed connections, lines that are still worked off.
    await new Promise((resolve) => setTimeout(resolve, Math.min(SETTLING_SECONDS, seconds) * 1_000));
  };
  await ordinary.ask("call", { seconds: Math.min(WARMING_SECONDS, seconds * 3), perSecond: CALLS_PER_SECOND });
  const before = await probe.memory();
  const growth: number[] = [];
  for (let pair = 0; pair < options.pairs; pair++) {
    for (const [i, kind] of names.entries()) {
      if (i % KINDS_BESIDE_A_QUIET_ROUND === 0) await measure("quiet");
      if (pair === 0) await profiled(service, options, `hostile-${kind.replace(/\W+/g, "-")}`, () => beside(kind));
      else await beside(kind);
    }
    growth.push(((await probe.memory()).rss - before.rss) / MIB);
  }
  const grown = growth.at(-1) ?? 0;
  if (grown > GROWTH_MAX_MB) throw new Error(`memory grew by ${Math.round(grown)} MB`);
  if (failed.length > 0) throw new Error(`ordinary calls failed: ${failed.join(", ")}`);
  const quiet = median(rounds.get("quiet")?.p99 ?? []);
  const ratios = names.map((name) => ({ name, ratio: median(rounds.get(name)?.p99 ?? []) / quiet }));
  const worst = ratios.reduce((a, b) => (b.ratio > a.ratio ? b : a));
  const ofEach = (figure: (of: Rounds) => Figure) =>
    Object.fromEntries([...rounds].map(([name, of]) => [name, figure(of)]));
  return {
    bench: "hostile",
    ratios: { p99_vs_quiet: round(worst.ratio) },
    figures: {
      worst_kind: worst.name,
      ordinary_calls_per_second: callers * CALLS_PER_SECOND,
      ordinary_calls: calls,
      round_seconds: seconds,
      peers_of_each_kind: 2 * each,
      p99_vs_quiet_of_each: Object.fromEntries(ratios.map(({ name, ratio }) => [name, round(ratio, 2)])),
      p99_rounds_ms: ofEach(({ p99 }) => rounded(p99, 2)),
      p50_rounds_ms: ofEach(({ p50 }) => rounded(p50, 2)),
      cpu_percent_of_a_core: ofEach(({ cpu, p99 }) => percent(cpu, p99.length * seconds)),
      closed_by_the_server: ofEach(({ met }) => met?.closed ?? 0),
      open_at_the_end: ofEach(({ met }) => met?.open ?? 0),
      sent_mb: ofEach(({ met }) => Math.round(((met?.sentBytes.grpc ?? 0) + (met?.sentBytes.http ?? 0)) / MIB)),
      rss_growth_mb: rounded(growth),
    },
  };
}

/** What is missing of an attack: calls beside one that never came are as fast as alone, and would show nothing. */
export function neverCame(kind: string, { connected, sentBytes }: Pick<Met, "connected" | "sentBytes">): string[] {
  return (["grpc", "http"] as const satisfies readonly Door[]).flatMap((door) => {
    const attack = kinds[kind]?.(door, "");
    if (!attack) throw new Error(`no hostile kind ${kind}`);
    if (connected[door] === 0) return [`no peer of ${kind} reached the ${door} door`];
    const sendsAny = attack.opening.length + attack.beat(0).length > 0;
    return sendsAny && sentBytes[door] === 0 ? [`peers of ${kind} sent nothing to the ${door} door`] : [];
  });
}

/** The kinds named in a text, separated by commas; all when there is none. */
function namesOf(text: string | undefined): readonly string[] {
  const names = text === undefined ? Object.keys(kinds) : text.split(",");
  for (const name of names) if (!(name in kinds)) throw new Error(`no hostile kind ${name}`);
  return names;
}

/** Strangers have a credential too, of the smallest tier: without one they get less far. */
async function strangersKey(service: Service, load: ReturnType<typeof startLoad>): Promise<string> {
  const id = "strangers";
  const keys = await service.tenants([id]);
  const port = portOf(service.instance.grpc);
  const orders = { orders: STRANGERS_ORDERS, calls: STRANGERS_ORDERS };
  await load.ask("run", { kind: "create", port, keys, name: id, connections: 1, inFlight: 32, ...orders });
  await service.retier([id], Tier.QUICK_DEPLOY);
  return keys[0] ?? "";
}

/** What each process used of one core: peers that use as much as the service would be the measure, and not the service. */
function percent(cpu: CpuMeter, seconds: number): Record<string, number> {
  return Object.fromEntries(
    Object.entries(cpu.figures).map(([name, used]) => [name, round((used / seconds) * 100, 1)]),
  );
}

/** CPU seconds of everything that runs on the machine: user, nice, system, interrupts (proc(5), stat). */
function cpuOfMachine(): number {
  const [line = ""] = readFileSync("/proc/stat", "latin1").split("\n");
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) / 100;
}
