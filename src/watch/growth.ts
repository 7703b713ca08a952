interface Waiter {
  readonly after: bigint;
  readonly wake: () => void;
}

/** Those who wait for one journal to grow without watching it: they are told that there is something, and read it themselves. */
export class Growth {
  readonly #waiting = new Set<Waiter>();
  /** How far the journal is known to have come; undefined: nobody knows at present. */
  #head: bigint | undefined;

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Calls back once when there is an event after a revision. The returned function stops it. */
  add(after: bigint, wake: () => void): () => void {
    const waiter = { after, wake };
    this.#waiting.add(waiter);
    if (this.#head !== undefined && this.#head > after) this.#wake(waiter);
    return () => void this.#waiting.delete(waiter);
  }

  /** The journal is known to have come to this revision. */
  grown(head: bigint): void {
    if (head === this.#head) return;
    this.#head = head;
    for (const waiter of this.#waiting) if (waiter.after < head) this.#wake(waiter);
  }

  /** What was known does not hold any more, or nothing will be known: they have to look themselves. */
  wakeAll(): void {
    this.#head = undefined;
    for (const waiter of this.#waiting) this.#wake(waiter);
  }

  #wake(waiter: Waiter): void {
    if (this.#waiting.delete(waiter)) waiter.wake();
  }
}
