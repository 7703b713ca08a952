/**
 * Counts in the present second of the clock, by id. Everything is forgotten when the next second begins, so it holds no more
 * than who came in one second, and needs no timer.
 */
export class PerSecond {
  #second = 0;
  readonly #counts = new Map<string, number>();

  /**
   * Counts one more, unless there are as many as may be. Answers how many there are with this one: above `most` it was not
   * counted.
   */
  take(id: string, most: number, nowMs: number): number {
    this.#turn(nowMs);
    const count = (this.#counts.get(id) ?? 0) + 1;
    if (count <= most) this.#counts.set(id, count);
    return count;
  }

  /** How many were counted. */
  count(id: string, nowMs: number): number {
    this.#turn(nowMs);
    return this.#counts.get(id) ?? 0;
  }

  #turn(nowMs: number): void {
    const second = Math.floor(nowMs / 1_000);
    if (second === this.#second) return;
    this.#second = second;
    this.#counts.clear();
  }
}
