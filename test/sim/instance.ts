import { pino } from "pino";
import type { Bus } from "../../src/bus/bus.ts";
import type { WatchReader } from "../../src/watch/bounded-reader.ts";
import { Hubs } from "../../src/watch/hubs.ts";
import type { WatchOptions } from "../../src/watch/options.ts";
import type { Sink, Subscription, WatchSpec } from "../../src/watch/spec.ts";
import type { Watcher, WatcherState } from "../../src/watch/watcher.ts";
import { Positions } from "../../src/wire/position.ts";
import type { Change } from "../watch/memory-journal.ts";
import { SimulatedBus, type Wire } from "./bus.ts";
import type { Coverage } from "./coverage.ts";
import type { Database } from "./database.ts";
import { ProcessClock } from "./process-clock.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimulatedStream } from "./stream.ts";

export const positions = new Positions(Buffer.alloc(32, 7));

/** What instances are made of; the seams, where broken variants come in. */
export interface Seams {
  readonly reader?: (reader: WatchReader) => WatchReader;
  readonly bus?: (bus: Bus) => Bus;
  readonly sink?: (sink: Sink) => Sink;
  readonly options?: Partial<WatchOptions>;
}

export interface InstanceParts {
  readonly scheduler: Scheduler;
  readonly coverage: Coverage;
  readonly database: Database;
  readonly wire: Wire;
  readonly options: Partial<WatchOptions>;
  readonly seams: Seams;
}

const silent = pino({ level: "silent" });

/** One instance: the real hubs on simulated time, database and bus. */
export class Instance {
  readonly clock: ProcessClock;
  readonly hubs: Hubs;
  /** The streams that it serves. */
  readonly streams = new Set<SimulatedStream>();
  draining = false;
  readonly #bus: SimulatedBus;
  readonly #shown: Bus;
  readonly #parts: InstanceParts;

  constructor(parts: InstanceParts) {
    const { scheduler, database, wire, seams } = parts;
    this.#parts = parts;
    this.clock = new ProcessClock(scheduler, scheduler.between(-20, 20));
    this.#bus = new SimulatedBus(wire, this.clock);
    this.#shown = seams.bus?.(this.#bus) ?? this.#bus;
    const reader = database.readerFor(this.clock);
    this.hubs = new Hubs({
      reader: seams.reader?.(reader) ?? reader,
      bus: this.#shown,
      positions,
      log: silent,
      clock: this.clock,
      options: { ...parts.options, ...seams.options },
    });
    this.#shown.onRevocation((credential) => this.hubs.endCredential(credential));
  }

  open(spec: WatchSpec, sink: Sink, deadlineMs: number | undefined): Subscription {
    const { coverage, seams } = this.#parts;
    const watcher = this.hubs.open(spec, seams.sink?.(sink) ?? sink, deadlineMs);
    observe(watcher as Watcher, coverage);
    return watcher;
  }

  /** As `app.ts` does it: its own watchers first, then the others. */
  commit(tenant: string, changes: readonly Change[]): void {
    const { database } = this.#parts;
    database.commit(this.clock, tenant, changes, (extension) => {
      this.hubs.extend(extension);
      this.#shown.publish(extension);
    });
  }

  /** A key is revoked here, and the others are told. */
  revoke(credential: string): void {
    this.clock.enter(() => {
      this.hubs.endCredential(credential);
      this.#shown.announceRevocation(credential);
    });
  }

  leaveBus(): void {
    this.#bus.disconnect();
  }

  joinBus(): void {
    this.#bus.connect();
  }

  /** Stops as a deployment stops it; calls back once it is gone. */
  drain(gone: () => void): void {
    this.draining = true;
    this.clock.enter(() => {
      void this.hubs.drain(500).then(() =>
        this.#parts.scheduler.after(5, () =>
          this.clock.enter(() => {
            this.hubs.close();
            this.#end();
            gone();
          }),
        ),
      );
    });
  }

  /** Is gone at once. What it had told its streams and is on its way still arrives, or not. */
  kill(): void {
    this.#end();
    for (const stream of [...this.streams]) {
      if (this.#parts.scheduler.chance(0.8)) stream.cut();
      else stream.silence();
    }
  }

  /** Lets go of everything at the end of a run; answers the watches that are still held. */
  close(): number {
    const { watchers } = this.hubs.stats();
    this.hubs.close();
    return watchers;
  }

  #end(): void {
    this.clock.end();
    this.#bus.cut();
  }
}

/** Counts the states of a watcher and how it came from one to the next, and what it was ended for. */
function observe(watcher: Watcher, coverage: Coverage): void {
  let state: WatcherState = watcher.state;
  coverage.count("state", state);
  Object.defineProperty(watcher, "state", {
    get: () => state,
    set: (next: WatcherState) => {
      if (next === state) return;
      coverage.count("state", next);
      coverage.count("transition", `${state} -> ${next}`);
      state = next;
    },
  });
}
