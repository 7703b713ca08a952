/** What waits in line: in at the end, out at the front, a constant amount of work for each. */
export class Line<T> {
  #items: (T | undefined)[] = [];
  /** The place of the first in `#items`; nothing is before it. */
  #at = 0;

  get size(): number {
    return this.#items.length - this.#at;
  }

  get first(): T | undefined {
    return this.#items[this.#at];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Puts items before all others, in the order given. */
  unshift(items: readonly T[]): void {
    this.#items = [...items, ...this.all()];
    this.#at = 0;
  }

  /** Takes the first away. */
  shift(): void {
    this.#items[this.#at] = undefined; // it is not to be held in memory
    this.#at += 1;
    if (this.#at * 2 <= this.#items.length) return;
    this.#items.splice(0, this.#at);
    this.#at = 0;
  }

  all(): T[] {
    return this.#items.slice(this.#at) as T[];
  }
}
