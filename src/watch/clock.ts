/**
 * Time, chance and turns as watches use them. Nothing in this folder asks the runtime directly, so a whole instance can be
 * simulated, and one seed gives one run.
 */
export interface Clock {
  /** The time of day, milliseconds since the epoch. It may jump; only for what others read. */
  wallMs(): number;
  /** Milliseconds since some start. It never goes back. */
  elapsedMs(): number;
  /** From 0 to below 1. */
  random(): number;
  /** Runs once after `ms`; the returned function prevents it. */
  after(ms: number, run: () => void): () => void;
  /** Runs once, after what waits to be read and written has had its turn. */
  soon(run: () => void): void;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  elapsedMs: () => performance.now(),
  random: () => Math.random(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref(); // the doors keep the process alive
    return () => clearTimeout(timer);
  },
  soon: (run) => void setImmediate(run),
};
