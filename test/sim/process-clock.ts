import type { Clock } from "../../src/watch/clock.ts";
import type { Scheduler } from "./scheduler.ts";

/**
 * The clock and the event loop of one process: everything that happens in it enters here. While it is stalled nothing does,
 * and what came meanwhile enters in order afterwards; once it has ended nothing ever does.
 */
export class ProcessClock implements Clock {
  readonly #scheduler: Scheduler;
  /** What its wall clock shows beyond the true time. */
  readonly #wallOffsetMs: number;
  #stalled = false;
  #ended = false;
  #waiting: (() => void)[] = [];

  constructor(scheduler: Scheduler, wallOffsetMs: number) {
    this.#scheduler = scheduler;
    this.#wallOffsetMs = wallOffsetMs;
  }

  get ended(): boolean {
    return this.#ended;
  }

  wallMs(): number {
    return Math.floor(this.#scheduler.nowMs + this.#wallOffsetMs);
  }

  elapsedMs(): number {
    return this.#scheduler.nowMs;
  }

  random(): number {
    return this.#scheduler.random();
  }

  after(ms: number, run: () => void): () => void {
    let wanted = true;
    const cancel = this.#scheduler.after(ms, () => this.enter(() => wanted && run()));
    return () => {
      wanted = false;
      cancel();
    };
  }

  /** Turns come at once, or when the process has done something else. */
  soon(run: () => void): void {
    const { random, between } = this.#scheduler;
    const ms = random() < 0.7 ? 0 : between.call(this.#scheduler, 0, 3);
    this.#scheduler.after(ms, () => this.enter(run));
  }

  enter(run: () => void): void {
    if (this.#ended) return;
    if (this.#stalled) this.#waiting.push(run);
    else run();
  }

  stall(): void {
    this.#stalled = true;
  }

  /** What waited enters, an event each. */
  resume(): void {
    this.#stalled = false;
    for (const run of this.#waiting.splice(0)) this.#scheduler.after(0, () => this.enter(run));
  }

  end(): void {
    this.#ended = true;
    this.#waiting = [];
  }
}
