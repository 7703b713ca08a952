import type { WatchOptions } from "../../src/watch/options.ts";
import type { Reader } from "../guarantees/trace.ts";
import type { FaultName } from "./faults.ts";
import { FAULTS } from "./faults.ts";
import type { Scheduler } from "./scheduler.ts";
import { type WatcherPlan, WISHES } from "./watcher.ts";

export const CARRIERS = ["MAEU", "HLCU"] as const;

/** What one seed plays. */
export interface Plan {
  readonly instances: number;
  readonly tenants: readonly string[];
  readonly watchers: readonly WatcherPlan[];
  readonly options: Partial<WatchOptions>;
  readonly hintMaxBytes: number;
  /** The faults of this seed, and how long one of them follows another on average. */
  readonly faults: readonly FaultName[];
  readonly faultEveryMs: number;
  readonly stormMs: number;
  /** The pause between commits of one tenant, on average, and the most commands of a burst. */
  readonly writeEveryMs: number;
  readonly burst: number;
}

/** Draws a plan. Few faults of many kinds in each seed: what never meets its opposite is seen for what it does alone. */
export function drawPlan(scheduler: Scheduler): Plan {
  const tenants = ["t1", "t2", "t3"].slice(0, scheduler.whole(1, 3));
  const faults = FAULTS.filter(() => scheduler.chance(0.4));
  return {
    instances: scheduler.whole(1, 3),
    tenants,
    watchers: Array.from({ length: scheduler.whole(3, 9) }, (_, i) => drawWatcher(scheduler, tenants, `w${i}`)),
    options: drawOptions(scheduler),
    hintMaxBytes: scheduler.pick([150, 400, 2_000, 65_536]),
    faults,
    faultEveryMs: scheduler.between(500, 6_000),
    stormMs: scheduler.between(10_000, 60_000),
    writeEveryMs: scheduler.between(200, 3_000),
    burst: scheduler.pick([1, 2, 5, 20]),
  };
}

/** Small bounds, so that each of them is met. */
function drawOptions(scheduler: Scheduler): Partial<WatchOptions> {
  const s = scheduler;
  return {
    ringEvents: s.whole(2, 40),
    ringBytes: s.whole(500, 8_000),
    messageBytes: s.whole(200, 4_000),
    pageEvents: s.whole(1, 20),
    snapshotRows: s.whole(1, 10),
    catchUpReads: s.whole(1, 4),
    fillReads: s.whole(1, 2),
    headCheckMs: s.whole(500, 3_000),
    headCheckTenants: s.whole(1, 3),
    readTimeoutMs: s.whole(800, 2_000),
    retryMs: s.whole(50, 500),
    unverifiedMs: s.whole(6_000, 12_000),
    stallMs: s.whole(500, 2_000),
    heartbeatMs: s.whole(600, 1_200),
    maxAgeMs: s.whole(8_000, 60_000),
    slowReaderMs: s.whole(2_000, 6_000),
    slowReaderBytes: s.whole(1_000, 100_000),
    keyBufferedBytes: s.pick([800, 1e9]),
    tenantBufferedBytes: s.pick([2_500, 1e9]),
    instanceBufferedBytes: s.pick([5_000, 1e9]),
    retrySpreadMs: s.whole(0, 1_000),
    lingerMs: s.whole(500, 5_000),
    tickMs: s.whole(50, 250),
    turnWork: s.whole(1, 64),
  };
}

function drawWatcher(scheduler: Scheduler, tenants: readonly string[], name: string): WatcherPlan {
  const tenant = scheduler.pick(tenants);
  const wish = scheduler.pick(WISHES);
  const isLink = wish.reader.of === "orders" && scheduler.chance(0.1);
  const isCarrier = wish.reader.of === "bookings" && scheduler.chance(0.5);
  const visibility: Reader["visibility"] = isLink
    ? { class: "link", orderId: "o1" }
    : isCarrier
      ? { class: "carrier", carrier: scheduler.pick(CARRIERS) }
      : { class: "staff" };
  return {
    name,
    wish,
    reader: { ...wish.reader, tenant, visibility } as Reader,
    mode: scheduler.chance(0.25) ? "LATEST" : "ALL",
    snapshot: scheduler.chance(0.5),
    codec: scheduler.chance(0.2) ? "json" : "proto",
    window: scheduler.pick([1, 2, 5, 1_000]),
    deadlineMs: scheduler.chance(0.15) ? scheduler.whole(1_000, 15_000) : undefined,
    keyLifeMs: scheduler.chance(0.15) ? scheduler.whole(4_000, 20_000) : undefined,
  };
}
