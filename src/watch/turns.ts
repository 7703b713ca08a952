import type { Clock } from "./clock.ts";

/** Something that works in turns. */
export interface Worker {
  /** Works until the budget is spent or nothing is left to do. True: there is more to do. */
  work(budget: Budget): boolean;
}

/** How much a worker may do in its turn: so much work, and not beyond a time. */
export class Budget {
  readonly #clock: Clock;
  readonly #untilMs: number;
  #left: number;
  #nowMs: number;

  constructor(clock: Clock, work: number, untilMs: number) {
    this.#clock = clock;
    this.#left = work;
    this.#untilMs = untilMs;
    this.#nowMs = clock.elapsedMs();
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

/**
 * Shares the event loop among workers: each in its turn, first come first served, and after some milliseconds of work the
 * loop goes on to sockets and timers. So a tenant with ten thousand watchers delays neither another tenant nor a call.
 */
export class Turns {
  readonly #clock: Clock;
  readonly #work: number;
  readonly #ms: number;
  readonly #queue = new Set<Worker>();
  #scheduled = false;

  /**
   * @param work the budget of one worker's turn
   * @param ms how long the workers together may hold the event loop
   */
  constructor(clock: Clock, work: number, ms: number) {
    this.#clock = clock;
    this.#work = work;
    this.#ms = ms;
  }

  /** Gives the worker a turn soon. */
  request(worker: Worker): void {
    this.#queue.add(worker);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#queue.size === 0) return;
    this.#scheduled = true;
    this.#clock.soon(() => this.#run());
  }

  #run(): void {
    this.#scheduled = false;
    const until = this.#clock.elapsedMs() + this.#ms;
    try {
      // A set is iterated in the order of adding, and what is added meanwhile is reached too: one loop is fair.
      for (const worker of this.#queue) {
        this.#queue.delete(worker);
        if (worker.work(new Budget(this.#clock, this.#work, until))) this.#queue.add(worker);
        if (this.#clock.elapsedMs() >= until) break;
      }
    } finally {
      this.#schedule();
    }
  }
}
