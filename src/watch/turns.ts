import { type Claims, DeficitRoundRobin } from "../domain/deficit-round-robin.ts";
import type { Clock } from "./clock.ts";

/** Something that works in turns. */
export interface Worker {
  readonly tenant: string;
  /** Works until the budget is spent or nothing is left to do. True: there is more to do. */
  work(budget: Budget): boolean;
}

/** How much a worker may do in its turn: so much work, and not beyond a time. */
export class Budget {
  readonly #clock: Clock;
  readonly #untilMs: number;
  readonly #work: number;
  #left: number;
  #nowMs: number;

  constructor(clock: Clock, work: number, untilMs: number) {
    this.#clock = clock;
    this.#work = work;
    this.#left = work;
    this.#untilMs = untilMs;
    this.#nowMs = clock.elapsedMs();
  }

  /** Work that was done. */
  get done(): number {
    return this.#work - this.#left;
  }

  /** Work that may still be done, time permitting. */
  get left(): number {
    return this.#left;
  }

  /** The time when `spent` was last asked. */
  get nowMs(): number {
    return this.#nowMs;
  }

  spend(work: number): void {
    this.#left -= work;
  }

  get spent(): boolean {
    if (this.#left <= 0) return true;
    this.#nowMs = this.#clock.elapsedMs();
    return this.#nowMs >= this.#untilMs;
  }
}

/** What a turn costs at least, in work. */
const TURN = 1;

/**
 * Shares the event loop among the workers of tenants: by deficit round robin, and after some milliseconds of work the loop goes
 * on to sockets and timers. So a tenant with ten thousand watchers delays neither another tenant nor a call.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #work: number;
  readonly #ms: number;
  readonly #waiting: DeficitRoundRobin<Worker>;
  readonly #known = new Set<Worker>();
  #scheduled = false;

  /**
   * @param work the budget of one turn, and what a weight of 1 gets of a round
   * @param ms how long the workers together may hold the event loop
   */
  constructor(clock: Clock, work: number, ms: number, claims: Claims) {
    this.#clock = clock;
    this.#work = work;
    this.#ms = ms;
    this.#waiting = new DeficitRoundRobin(claims, work, () => TURN);
  }

  /** Gives the worker a turn soon. */
  request(worker: Worker): void {
    this.#add(worker);
    this.#schedule();
  }

  #add(worker: Worker): void {
    if (this.#known.has(worker)) return;
    this.#known.add(worker);
    this.#waiting.push(worker.tenant, worker);
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.size === 0) return;
    this.#scheduled = true;
    this.#clock.soon(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    const until = this.#clock.elapsedMs() + this.#ms;
    try {
      do {
        const worker = this.#waiting.take(() => true);
        if (worker === undefined) break;
        this.#known.delete(worker);
        const budget = new Budget(this.#clock, this.#work, until);
        const more = worker.work(budget);
        if (more) this.#add(worker);
        this.#waiting.charge(worker.tenant, budget.done - TURN);
      } while (this.#clock.elapsedMs() < until);
    } finally {
      this.#schedule();
    }
  }
}
