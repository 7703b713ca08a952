import { BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import { historyIn } from "../guarantees/faithful.ts";
import type { History } from "../guarantees/history.ts";
import { Validation } from "../guarantees/validators.ts";
import { journalFaultsOf } from "../guarantees/writes.ts";
import type { Change } from "../watch/memory-journal.ts";
import { Wire } from "./bus.ts";
import { Coverage } from "./coverage.ts";
import { Database } from "./database.ts";
import { strike } from "./faults.ts";
import { Instance, type InstanceParts, type Seams } from "./instance.ts";
import { CARRIERS, drawPlan, type Plan } from "./plan.ts";
import { Scheduler } from "./scheduler.ts";
import { sharedDecoder } from "./stream.ts";
import { SimulatedWatcher, type Surroundings } from "./watcher.ts";

/** What one seed came to. */
export interface Outcome {
  readonly seed: number;
  /** Empty: every promise was kept. */
  readonly faults: readonly string[];
  /** Of everything that every watcher did and was told. */
  readonly digest: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly events: number;
  readonly deliveries: number;
}

const STATUSES = ["RECEIVED", "BOOKED", "READY"];
const STATES = [BookingState.RECEIVED, BookingState.CONFIRMED, BookingState.CANCELLED];

/** After the healing everything comes within this time. */
const LIVE_MS = 10_000;
/** Writes go on for this long after the healing. */
const AFTER_MS = 4_000;

/** Clocks of instances differ by so much at most. */
const SKEW_MS = 25;

/** Plays one seed. */
export async function play(seed: number, seams: Seams = {}): Promise<Outcome> {
  const world = new World(seed, seams);
  return world.play();
}

/** A simulated deployment: instances, a database, a bus between them, writers and watchers. */
export class World {
  readonly seed: number;
  readonly scheduler: Scheduler;
  readonly coverage = new Coverage();
  readonly plan: Plan;
  readonly wire: Wire;
  readonly database: Database;
  readonly instances: Instance[];
  readonly watchers: SimulatedWatcher[];
  readonly #parts: InstanceParts;
  /** Nothing is done to it any more. */
  healed = false;
  #calm = false;
  #keys = 0;

  constructor(seed: number, seams: Seams) {
    this.seed = seed;
    this.scheduler = new Scheduler(seed);
    const { scheduler, coverage } = this;
    this.plan = drawPlan(scheduler);
    this.wire = new Wire(scheduler, coverage, this.plan.hintMaxBytes);
    this.database = new Database(scheduler, coverage);
    this.#parts = { scheduler, coverage, database: this.database, wire: this.wire, options: this.plan.options, seams };
    this.instances = Array.from({ length: this.plan.instances }, () => new Instance(this.#parts));
    // Journals have begun before anybody watches.
    for (const tenant of this.plan.tenants) {
      for (let i = scheduler.whole(0, 12); i > 0; i -= 1) this.database.journal.commit(tenant, ...this.#changes());
      this.database.journal.head(tenant);
    }
    const around: Surroundings = {
      scheduler,
      coverage,
      decode: sharedDecoder(),
      steps: new WeakMap(),
      places: new Map(),
      route: () => this.#route(),
      newKey: () => {
        this.#keys += 1;
        return `key_${this.#keys}`;
      },
    };
    const contents = new WeakMap();
    this.watchers = this.plan.watchers.map((plan) => new SimulatedWatcher(plan, around, contents));
  }

  async play(): Promise<Outcome> {
    const { scheduler, plan } = this;
    const rejected = (error: unknown) => void scheduler.thrown.push(error);
    process.on("unhandledRejection", rejected);
    try {
      for (const tenant of plan.tenants) this.#writeOn(tenant);
      this.#storm();
      this.#look();
      await scheduler.run(scheduler.nowMs + plan.stormMs);
      this.#heal();
      await scheduler.run(scheduler.nowMs + AFTER_MS);
      this.#calm = true;
      await scheduler.run(scheduler.nowMs + LIVE_MS + 100);
      return await this.#conclude();
    } finally {
      process.off("unhandledRejection", rejected);
    }
  }

  /** Commits through any instance that is there. */
  write(tenant: string, commands: number): void {
    for (let i = 0; i < commands; i += 1) {
      const instance = this.scheduler.pick(this.instances);
      instance.commit(tenant, this.#changes());
    }
  }

  /** Another instance comes in place of one that ended. */
  replaceInstance(instance: Instance, afterMs: number): void {
    this.scheduler.after(afterMs, () => {
      const at = this.instances.indexOf(instance);
      if (at >= 0 && instance.clock.ended) this.instances[at] = new Instance(this.#parts);
    });
  }

  #changes(): Change[] {
    const { scheduler } = this;
    const count = scheduler.chance(0.3) ? scheduler.whole(2, 4) : 1;
    return Array.from({ length: count }, (): Change => {
      if (scheduler.chance(0.6)) {
        const padding = scheduler.chance(0.1) ? scheduler.whole(100, 900) : 0;
        return { order: `o${scheduler.whole(1, 6)}`, status: scheduler.pick(STATUSES), padding };
      }
      const n = scheduler.whole(0, 5);
      return { booking: `b${n}`, carrier: CARRIERS[n % 2] ?? "", state: scheduler.pick(STATES) };
    });
  }

  #route(): Instance {
    const there = this.instances.filter(({ clock, draining }) => !clock.ended && !draining);
    // Balancers take a while to know, and send some to where nobody is.
    return this.scheduler.pick(there.length > 0 && this.scheduler.chance(0.9) ? there : this.instances);
  }

  #writeOn(tenant: string): void {
    const { scheduler, plan } = this;
    if (this.#calm) return;
    scheduler.after(scheduler.between(0, 2 * plan.writeEveryMs), () => {
      if (this.#calm) return;
      this.write(tenant, scheduler.chance(0.2) ? scheduler.whole(1, plan.burst) : 1);
      this.#writeOn(tenant);
    });
  }

  #storm(): void {
    const { scheduler, plan } = this;
    if (plan.faults.length === 0) return;
    const endsMs = scheduler.nowMs + plan.stormMs;
    const next = (): void => {
      const atMs = scheduler.nowMs + scheduler.between(0, 2 * plan.faultEveryMs);
      if (atMs >= endsMs) return;
      scheduler.at(atMs, () => {
        const fault = scheduler.pick(plan.faults);
        scheduler.note(fault);
        strike(fault, this);
        next();
      });
    };
    next();
  }

  /** Looks at what is bounded, now and then. */
  #look(): void {
    const { scheduler, plan } = this;
    scheduler.after(1_000, () => {
      if (!this.#calm) this.#look();
      for (const { hubs } of this.instances) {
        const { ringBytes, tenants } = hubs.stats();
        const limit = tenants * ((plan.options.ringBytes ?? 0) + EVENT_MAX_BYTES);
        const step = { what: "gauge", name: "ring bytes", value: ringBytes, limit, atMs: scheduler.nowMs } as const;
        this.watchers[0]?.note(step);
      }
    });
  }

  #heal(): void {
    const { scheduler } = this;
    scheduler.note("healed");
    this.healed = true;
    this.database.heal();
    this.wire.heal();
    for (const instance of [...this.instances]) {
      instance.clock.resume();
      if (instance.clock.ended) this.replaceInstance(instance, 0);
    }
    for (const watcher of this.watchers) {
      watcher.stalledUntilMs = 0;
      watcher.note({ what: "healed", atMs: scheduler.nowMs });
    }
  }

  async #conclude(): Promise<Outcome> {
    const { scheduler, coverage, seed, watchers } = this;
    const histories = new Map(this.plan.tenants.map((tenant) => [tenant, this.#history(tenant)]));
    const faults = [...histories].flatMap(([tenant, history]) =>
      journalFaultsOf(history).map((text) => `${tenant}: ${text}`),
    );
    let deliveries = 0;
    for (const watcher of watchers) {
      const history = histories.get(watcher.plan.reader.tenant) as History;
      watcher.note({ what: "done", upTo: history.now.head.revision, atMs: scheduler.nowMs });
      if (watcher.failure !== undefined) faults.push(`${watcher.plan.name}: failed with ${text(watcher.failure)}`);
      for (const trace of ["wire", "given"] as const) {
        const { reader, mode, name } = watcher.plan;
        const validation = new Validation({ reader, mode }, history, this.#expected());
        for (const step of watcher[trace]) validation.take(step);
        faults.push(...validation.faults.map((fault) => `${name} ${trace}: ${fault}`));
      }
      deliveries += watcher.wire.filter(({ what }) => what === "event" || what === "left").length;
      watcher.stop();
    }
    await scheduler.run(scheduler.nowMs + 3_000);
    for (const [i, instance] of this.instances.entries()) {
      const silent = [...instance.streams].filter((stream) => stream.isSilent).length;
      const held = instance.close();
      if (held > silent) faults.push(`instance ${i} still holds ${held - silent} watches that nobody reads`);
    }
    for (const error of scheduler.thrown) faults.push(`thrown: ${text(error)}`);
    const { counts } = coverage;
    return { seed, faults, digest: scheduler.digest(), counts, events: scheduler.events, deliveries };
  }

  #expected() {
    const { options } = this.plan;
    // A comparison may be as old as a stall of its process, and as what it waits for on its way.
    const staleMs = (options.unverifiedMs ?? 0) + LONGEST_STALL_MS + 5_000;
    return { skewMs: SKEW_MS, staleMs, noticeMs: 40_000, liveMs: LIVE_MS };
  }

  #history(tenant: string): History {
    return historyIn(this.database.journal, tenant, this.database.floors.get(tenant));
  }
}

const EVENT_MAX_BYTES = 1_500;
const LONGEST_STALL_MS = 30_000;

function text(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
