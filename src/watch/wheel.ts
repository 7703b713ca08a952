/** Something with a next time at which it has something to do. Only its wheel writes `slot`. */
export interface Timed {
  /** Where the wheel keeps it; undefined: nowhere. */
  slot: number | undefined;
  /** It is due. Answers when it is due next; undefined: never again. */
  due(nowMs: number): number | undefined;
}

/**
 * The timers of all watchers in one: each stands in the slot of its next time, and one timer turns the wheel. Fifty
 * thousand watchers cost no timer of the runtime, and one that is written to all the time is not moved at every write: it
 * looks when it is due and says when to come again.
 */
export class Wheel {
  readonly #tickMs: number;
  readonly #slots = new Map<number, Set<Timed>>();

  constructor(tickMs: number) {
    this.#tickMs = tickMs;
  }

  /** Puts it where it is due at `atMs` or up to a tick later; it is due once. */
  place(timed: Timed, atMs: number): void {
    this.remove(timed);
    const slot = Math.ceil(atMs / this.#tickMs);
    const slotted = this.#slots.get(slot) ?? new Set();
    this.#slots.set(slot, slotted.add(timed));
    timed.slot = slot;
  }

  remove(timed: Timed): void {
    if (timed.slot === undefined) return;
    const slotted = this.#slots.get(timed.slot);
    slotted?.delete(timed);
    if (slotted?.size === 0) this.#slots.delete(timed.slot);
    timed.slot = undefined;
  }

  /** Calls everything that is due by now. */
  turn(nowMs: number): void {
    const current = Math.floor(nowMs / this.#tickMs);
    const past = [...this.#slots.keys()].filter((slot) => slot <= current);
    for (const slot of past.sort((a, b) => a - b)) {
      for (const timed of [...(this.#slots.get(slot) ?? [])]) {
        if (timed.slot !== slot) continue; // removed or moved by one before it
        this.remove(timed);
        const next = timed.due(nowMs);
        // Not into a slot that has passed: it would wait for the next turn anyway.
        if (next !== undefined) this.place(timed, Math.max(next, nowMs + this.#tickMs));
      }
    }
  }
}
