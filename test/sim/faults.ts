import { encodeHint } from "../../src/bus/hint-codec.ts";
import { Seal } from "../../src/bus/seal.ts";
import type { Extension, StoredEvent } from "../../src/domain/stored-event.ts";
import type { World } from "./world.ts";

/** Does something to the world. What lasts is taken back after a while, or when the world heals. */
type Fault = (world: World) => void;

/** How often each of what a hint may meet happens while it is on. */
const OFTEN = 0.5;

function hints(fate: keyof World["wire"]["fates"]): Fault {
  return ({ wire, scheduler }) => {
    wire.fates[fate] = scheduler.between(0.05, OFTEN);
    scheduler.after(scheduler.between(500, 10_000), () => {
      wire.fates[fate] = 0;
    });
  };
}

const faults = {
  "hints are dropped": hints("dropped"),
  "hints are repeated": hints("repeated"),
  "hints are delayed": hints("delayed"),
  "hints are garbled": hints("garbled"),

  "hints are forged": (world) => {
    const { scheduler, wire, coverage } = world;
    const tenant = scheduler.pick(world.plan.tenants);
    const times = scheduler.whole(1, 4);
    for (let i = 0; i < times; i += 1) {
      const hint = forged(world, tenant);
      if (!hint) return;
      coverage.count("fault", "hint forged");
      wire.carry(undefined, tenant, hint);
    }
  },

  "the bus is away": ({ scheduler, coverage, instances }) => {
    const some = instances.filter(() => scheduler.chance(0.6));
    if (some.length > 0) coverage.count("fault", "bus away", some.length);
    for (const instance of some) {
      instance.leaveBus();
      scheduler.after(scheduler.between(200, 8_000), () => instance.joinBus());
    }
  },

  "an instance stalls": ({ scheduler, coverage, instances }) => {
    const { clock } = scheduler.pick(instances);
    coverage.count("fault", "instance stalled");
    clock.stall();
    scheduler.after(scheduler.between(50, 15_000), () => clock.resume());
  },

  "an instance is killed": (world) => {
    const instance = world.scheduler.pick(world.instances);
    world.coverage.count("fault", "instance killed");
    instance.kill();
    world.replaceInstance(instance, world.scheduler.between(10, 5_000));
  },

  "an instance is drained": (world) => {
    const instance = world.scheduler.pick(world.instances);
    if (instance.draining) return;
    world.coverage.count("fault", "instance drained");
    instance.drain(() => world.replaceInstance(instance, world.scheduler.between(10, 2_000)));
  },

  "a reader stalls": ({ scheduler, coverage, watchers }) => {
    const watcher = scheduler.pick(watchers);
    coverage.count("fault", "reader stalled");
    watcher.stalledUntilMs = scheduler.nowMs + scheduler.between(100, 15_000);
  },

  "streams are cut": ({ scheduler, coverage, watchers }) => {
    for (const { stream } of watchers) {
      if (!stream || scheduler.chance(0.5)) continue;
      coverage.count("fault", "stream cut");
      stream.cut();
    }
  },

  "a stream falls silent": ({ scheduler, coverage, watchers }) => {
    coverage.count("fault", "stream silent");
    scheduler.pick(watchers).stream?.silence();
  },

  "a client is restarted": ({ scheduler, coverage, watchers }) => {
    const watcher = scheduler.pick(watchers);
    coverage.count("fault", "client restarted");
    watcher.restart();
    for (const other of watchers) if (scheduler.chance(0.5)) other.keep();
  },

  "the database is slow": ({ scheduler, coverage, database }) => {
    const { weather } = database;
    coverage.count("fault", "database slow");
    weather.toMs = scheduler.between(20, 1_500);
    scheduler.after(scheduler.between(500, 8_000), () => {
      weather.toMs = 3;
    });
  },

  "the database is away": ({ scheduler, coverage, database }) => {
    const { weather } = database;
    coverage.count("fault", "database away");
    weather.away = true;
    scheduler.after(scheduler.between(100, 20_000), () => {
      weather.away = false;
    });
  },

  "answers are lost": ({ scheduler, database }) => {
    const { weather } = database;
    weather.lost = scheduler.between(0.05, 0.5);
    scheduler.after(scheduler.between(500, 8_000), () => {
      weather.lost = 0;
    });
  },

  "history is pruned": ({ scheduler, database, plan }) => {
    for (const tenant of plan.tenants) if (scheduler.chance(0.6)) database.prune(tenant);
  },

  "a failover loses a tail": (world) => {
    const { scheduler, database, plan } = world;
    database.weather.away = true;
    scheduler.after(scheduler.between(50, 3_000), () => {
      database.weather.away = false;
      if (world.healed) return;
      database.failOver(plan.tenants, scheduler.pick([1, 3, 10, 40]));
      // It grows past what was lost, soon or late.
      if (scheduler.chance(0.5)) for (const tenant of plan.tenants) world.write(tenant, scheduler.whole(1, 15));
    });
  },

  "another journal comes": ({ scheduler, database, plan }) => database.replace(scheduler.pick(plan.tenants)),

  "a key is revoked": ({ scheduler, coverage, instances, watchers }) => {
    coverage.count("fault", "key revoked");
    const watcher = scheduler.pick(watchers);
    const { key } = watcher;
    scheduler.pick(instances).revoke(key);
  },
} as const satisfies Record<string, Fault>;

export type FaultName = keyof typeof faults;

export const FAULTS = Object.keys(faults) as FaultName[];

export function strike(name: FaultName, world: World): void {
  faults[name](world);
}

/** Whoever forges knows everything but the secret. */
const OTHER_SEAL = new Seal(Buffer.alloc(32, 8));

/** A hint that somebody made up: of what is not there, of what is there and was different, or of what comes next. */
function forged({ scheduler, database }: World, tenant: string): Uint8Array | undefined {
  const all = database.journal.all(tenant);
  const model = all.at(-1);
  if (!model) return undefined;
  const at = BigInt(scheduler.whole(0, all.length + 5));
  const there = all[Number(at) - 1];
  const previous = {
    revision: at,
    eventId: there && scheduler.chance(0.7) ? there.eventId : "forgedforged0",
  };
  const events: StoredEvent[] = Array.from({ length: scheduler.whole(1, 3) }, (_, i) => ({
    ...model,
    revision: at + BigInt(i + 1),
    eventId: `forged${String(scheduler.whole(0, 9_999_999)).padStart(7, "0")}`,
  }));
  const extension: Extension = { tenant, previous, events };
  const hint = encodeHint(extension, scheduler.pick([10, 65_536]));
  return scheduler.chance(0.5) ? OTHER_SEAL.close(tenant, hint) : hint;
}
