import type { Clock } from "../../src/watch/clock.ts";

/** Time that stands still until it is advanced, turns that run when they are told to, and chance from a seed. */
export class FakeClock implements Clock {
  #nowMs = 1_000;
  /** What the wall shows beyond the time elapsed. */
  wallOffsetMs = Date.UTC(2026, 0, 1);
  #state: number;
  #timers: { atMs: number; run: () => void }[] = [];
  #turns: (() => void)[] = [];

  constructor(seed = 1) {
    this.#state = seed;
  }

  wallMs(): number {
    return this.wallOffsetMs + this.#nowMs;
  }

  elapsedMs(): number {
    return this.#nowMs;
  }

  /** Mulberry32. */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  soon(run: () => void): void {
    this.#turns.push(run);
  }

  /** Timers and turns that have not run. */
  get pending(): number {
    return this.#timers.length + this.#turns.length;
  }

  /** Runs one turn, and what follows from it without a turn. */
  async turn(): Promise<void> {
    for (const run of this.#turns.splice(0)) run();
    await promises();
  }

  /** Runs turns until there are none. */
  async settle(): Promise<void> {
    await promises();
    while (this.#turns.length > 0) await this.turn();
  }

  /** Lets time pass, timer by timer, each with what follows from it. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.settle();
    for (let next = this.#next(untilMs); next; next = this.#next(untilMs)) {
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#timers = this.#timers.filter((other) => other !== next);
      next.run();
      await this.settle();
    }
    this.#nowMs = untilMs;
  }

  /** Time passes, and nothing runs meanwhile: as if the process had been stopped. */
  freeze(ms: number): void {
    this.#nowMs += ms;
  }

  #next(untilMs: number): { atMs: number; run: () => void } | undefined {
    let next: { atMs: number; run: () => void } | undefined;
    for (const timer of this.#timers) {
      if (timer.atMs <= untilMs && (!next || timer.atMs < next.atMs)) next = timer;
    }
    return next;
  }
}

/** Resolves when every promise that can go on without time or turns has done so. */
function promises(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
