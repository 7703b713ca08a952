import type { Cohort } from "./cohort.ts";
import { type Delivery, deliveryOf } from "./delivery.ts";
import type { Encoder } from "./encoder.ts";
import type { Slot } from "./slot.ts";
import type { Budget } from "./turns.ts";
import type { Watcher } from "./watcher.ts";
import type { WatcherIndex } from "./watcher-index.ts";

/** Event checks that one fan-out may take to plan, in times of a turn's work. */
const PLAN_TURNS = 8;

/** To look at the clock costs as much as a tenth of a write. */
const WRITES_BETWEEN_LOOKS = 32;

/**
 * Brings live watchers over the next events. All that a fan-out will write is planned at once; then each concerned watcher
 * is owed its delivery, and is served when its turn comes. From the plan on, live watchers stand behind the events planned:
 * whoever wants to write anything else to one settles first what it is owed. So its position needs no place of its own,
 * and those whom the events do not concern cost nothing.
 */
export class FanOut {
  readonly #index: WatcherIndex;
  readonly #encoder: Encoder;
  readonly #messageBytes: number;
  readonly #planWork: number;
  #queue: Watcher[] = [];
  #next = 0;

  constructor(index: WatcherIndex, encoder: Encoder, options: { messageBytes: number; turnWork: number }) {
    this.#index = index;
    this.#encoder = encoder;
    this.#messageBytes = options.messageBytes;
    this.#planWork = options.turnWork * PLAN_TURNS;
  }

  /** Whether watchers are still owed something. */
  get busy(): boolean {
    return this.#next < this.#queue.length;
  }

  /**
   * Plans as many of the events as one fan-out takes. Answers those, and the cohorts for which they cannot be encoded, or
   * whose they are not (a WallBreach): their live watchers are where they were and have to be ended.
   */
  plan(slots: readonly Slot[]): { planned: readonly Slot[]; failed: { cohort: Cohort; error: unknown }[] } {
    const { planned, touched } = this.#concerned(slots);
    const upTo = planned.at(-1)?.place;
    const failed: { cohort: Cohort; error: unknown }[] = [];
    this.#queue = [];
    this.#next = 0;
    if (!upTo) return { planned, failed };
    for (const [cohort, concerning] of touched) {
      try {
        this.#owe(deliveryOf(cohort, concerning, upTo, this.#encoder, this.#messageBytes));
      } catch (error) {
        failed.push({ cohort, error });
      }
    }
    return { planned, failed };
  }

  /** Serves watchers until the budget is spent, which is looked at once in some writes. */
  serve(budget: Budget): void {
    while (this.busy && !budget.spent) {
      budget.spend(this.#serveSome(Math.min(budget.left, WRITES_BETWEEN_LOOKS), budget.nowMs));
    }
    if (!this.busy) this.#queue = [];
  }

  /** Writes about so many messages; answers how many. */
  #serveSome(writes: number, nowMs: number): number {
    let work = 0;
    while (work < writes && this.busy) {
      const watcher = this.#queue[this.#next];
      this.#next += 1;
      if (!watcher?.owed) continue; // settled, or gone
      work += watcher.owed.runs.length;
      watcher.deliver(watcher.owed, nowMs);
    }
    return work;
  }

  /** Forgets what is planned. */
  clear(): void {
    this.#queue = [];
    this.#next = 0;
  }

  #concerned(slots: readonly Slot[]): { planned: Slot[]; touched: Map<Cohort, Slot[]> } {
    const planned: Slot[] = [];
    const touched = new Map<Cohort, Slot[]>();
    let work = 0;
    for (const slot of slots) {
      if (work >= this.#planWork) break;
      planned.push(slot);
      for (const cohort of this.#index.candidates(slot.event)) {
        work += 1;
        if (cohort.live.size === 0) continue;
        const concerning = touched.get(cohort);
        if (concerning) concerning.push(slot);
        else touched.set(cohort, [slot]);
      }
    }
    return { planned, touched };
  }

  #owe(delivery: Delivery): void {
    if (delivery.runs.length === 0) return;
    for (const watcher of delivery.cohort.live) {
      watcher.owed = delivery;
      this.#queue.push(watcher);
    }
  }
}
