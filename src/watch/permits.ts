/** Bounds how many run at a time; the others wait in line. What waits is one entry for each watcher at most. */
export class Permits {
  readonly #max: number;
  readonly #waiting = new Set<() => void>();
  #used = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Runs the task when there is room. `wanted` is asked then: a task that nobody wants any more is not run, and answers undefined. */
  async use<T>(wanted: () => boolean, task: () => Promise<T>): Promise<T | undefined> {
    if (this.#used >= this.#max) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    else this.#used += 1;
    try {
      return wanted() ? await task() : undefined;
    } finally {
      this.#next();
    }
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Hands the place on to the first in line. */
  #next(): void {
    for (const resolve of this.#waiting) {
      this.#waiting.delete(resolve);
      resolve();
      return;
    }
    this.#used -= 1;
  }
}
