import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Load, LoadResult } from "./load.ts";
import {
  alternate,
  type BenchOptions,
  type BenchResult,
  CpuMeter,
  cpuSeconds,
  median,
  pairRatio,
  quantile,
  round,
  rounded,
} from "./measure.ts";
import { profiled } from "./profile.ts";
import { createOrders, portOf, type Service, startLoad, startService, TENANT } from "./service.ts";

/** What the tiers promise. */
const WEIGHTS = [
  { tier: Tier.QUICK_DEPLOY, name: "quick", weight: 1 },
  { tier: Tier.ASSISTED, name: "assisted", weight: 2 },
  { tier: Tier.ADAPTIVE, name: "adaptive", weight: 4 },
] as const;
const TENANTS_PER_TIER = 4;
/**
 * Calls of BatchReportStatus that each backlogged tenant keeps waiting, 200 items in each. A batch counts as one call, so the
 * tenant of the lowest tier stays within its 100 calls a second, and what limits it is its weight.
 */
const CALLERS = 6;
const ORDERS = 2_000;
/** Single reports of the tenant that stays inside its share, and its connections. */
const INSIDE_PER_SECOND = 200;
const INSIDE_CONNECTIONS = 4;

interface Backlogged {
  readonly tenant: string;
  readonly key: string;
  readonly tier: string;
  readonly weight: number;
}

/**
 * Four tenants of each tier who ask for all they can get, and one of the highest tier that asks for a small part of what is
 * its; the reference is that tenant by itself.
 */
export async function fairness(options: BenchOptions): Promise<BenchResult> {
  await using stack = new AsyncDisposableStack();
  const service = stack.use(await startService({ probe: options.profile !== undefined }));
  const crowd = stack.use(startLoad());
  const inside = stack.use(startLoad());
  // Thousands of reports of one order would make a bench of large orders.
  const orders = Math.max(500, Math.ceil(ORDERS / options.scale));
  options.say("making tenants with their orders");
  const tenants = await backlogged(service, crowd, orders);
  const port = portOf(service.instance.grpc);
  const seconds = options.seconds / options.pairs / 2;

  const press = (tenant: Backlogged, time: number): Promise<LoadResult> => {
    const base: Load = { kind: "batch", port, keys: [tenant.key], orders, connections: CALLERS, inFlight: CALLERS };
    return crowd.ask("run", { ...base, name: tenant.tenant, seconds: time });
  };
  const alone = async (time: number): Promise<LoadResult> => {
    const base: Load = {
      kind: "report",
      port,
      keys: [service.key],
      orders,
      connections: INSIDE_CONNECTIONS,
      inFlight: 0,
    };
    const result = await inside.ask("run", { ...base, perSecond: INSIDE_PER_SECOND, seconds: time });
    if (result.failed > 0) throw new Error(`${result.failed} calls of the tenant inside its share failed`);
    return result;
  };
  const cpu = new CpuMeter({ ...service.cpu(), load: () => cpuSeconds(crowd.pid) + cpuSeconds(inside.pid) });
  /** The backlog begins before what is measured and ends after it. */
  const crowded = async (time: number) => {
    const pressing = Promise.all(tenants.map((tenant) => press(tenant, time + 1)));
    await alone(0.5);
    const before = await revisions(service);
    const began = performance.now();
    const { answered: calls, latency } = await cpu.during(() => alone(time));
    const queued = await gauge(service, "leadline_queued_commands");
    const after = await revisions(service);
    const took = (performance.now() - began) / 1_000;
    const failed = (await pressing).reduce((sum, result) => sum + result.failed, 0);
    if (failed > 0) throw new Error(`${failed} items of backlogged tenants failed`);
    const written = tenants.map(({ tenant }) => (after.get(tenant) ?? 0) - (before.get(tenant) ?? 0));
    return { calls, latency, written, queued, perSecond: sum(written) / took };
  };
  options.say("warming up");
  await crowded(Math.min(2, seconds));
  await alone(Math.min(2, seconds));
  await profiled(service, options, "fairness", () => crowded(seconds));
  const results = await alternate(
    options.pairs,
    () => crowded(seconds),
    () => alone(seconds),
  );
  const shares = results.ours.map(({ written }) => relativeShares(tenants, written));
  const p99 = results.ours.map(({ latency }) => latency.p99);
  const quiet = results.reference.map(({ latency }) => latency.p99);
  const ofTier = (name: string) => shares.flatMap((round) => round.filter((_, i) => tenants[i]?.tier === name));
  return {
    bench: "fairness",
    ratios: {
      share_error: round(median(shares.map((all) => Math.max(...all.map((share) => Math.abs(share - 1)))))),
      adaptive_p99_vs_quiet: pairRatio(p99, quiet),
    },
    figures: {
      backlogged_tenants: tenants.length,
      share_over_weight: Object.fromEntries(
        WEIGHTS.map(({ name }) => [
          name,
          { least: round(quantile(ofTier(name), 0)), most: round(quantile(ofTier(name), 1)) },
        ]),
      ),
      share_error_rounds: rounded(
        shares.map((all) => Math.max(...all.map((share) => Math.abs(share - 1)))),
        3,
      ),
      backlogged_items_per_second: rounded(
        results.ours.map((r) => r.perSecond),
        0,
      ),
      queued_commands: results.ours.map((r) => r.queued),
      inside_calls_per_second: INSIDE_PER_SECOND,
      inside_calls_rounds: {
        beside_backlog: results.ours.map((r) => r.calls),
        alone: results.reference.map((r) => r.answered),
      },
      inside_p50_ms: {
        beside_backlog: round(median(results.ours.map((r) => r.latency.p50)), 2),
        alone: round(median(results.reference.map((r) => r.latency.p50)), 2),
      },
      inside_p99_ms: { beside_backlog: round(median(p99), 2), alone: round(median(quiet), 2) },
      inside_p99_rounds_ms: { beside_backlog: rounded(p99, 2), alone: rounded(quiet, 2) },
      cpu_seconds: cpu.figures,
    },
  };
}

/** Orders are made while all tenants have the highest tier, whose limits allow it. */
async function backlogged(service: Service, load: ReturnType<typeof startLoad>, orders: number): Promise<Backlogged[]> {
  await createOrders(load, service, [service.key], orders);
  const tenants: Backlogged[] = [];
  for (const { tier, name, weight } of WEIGHTS) {
    const ids = Array.from({ length: TENANTS_PER_TIER }, (_, i) => `${TENANT}-${name}-${i}`);
    const keys = await service.tenants(ids);
    for (const key of keys) {
      await load.ask("run", {
        kind: "create",
        port: portOf(service.instance.grpc),
        keys: [key],
        name: key,
        connections: 8,
        inFlight: 512,
        orders,
        calls: orders,
      });
    }
    await service.retier(ids, tier);
    tenants.push(...ids.map((tenant, i) => ({ tenant, key: keys[i] ?? "", tier: name, weight })));
  }
  await service.sql("vacuum analyze");
  return tenants;
}

async function revisions(service: Service): Promise<Map<string, number>> {
  const rows = await service.sql<{ tenant_id: string; revision: string }>(
    "select tenant_id, revision from journal_head",
  );
  return new Map(rows.map((row) => [row.tenant_id, Number(row.revision)]));
}

async function gauge(service: Service, name: string): Promise<number> {
  const answer = await (await fetch(new URL("/metrics", service.instance.http))).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(answer)?.[1]);
}

/** What each tenant got over what its weight says: 1 is exact. */
function relativeShares(tenants: readonly Backlogged[], written: readonly number[]): number[] {
  const weights = sum(tenants.map(({ weight }) => weight));
  const all = sum(written);
  return tenants.map(({ weight }, i) => ((written[i] ?? 0) / all) * (weights / weight));
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
