import { createHash } from "node:crypto";
import { randomFrom } from "../guarantees/random-requests.ts";

interface Entry {
  readonly atMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** Where simulated time starts, milliseconds since the epoch. */
const START_MS = Date.UTC(2026, 0, 1);

/**
 * Simulated time: what is to happen happens in its order, one after the other, and between two events everything that can go
 * on without time goes on. Chance is drawn from a seed, so a seed gives one run, and the digest of what was noted tells two
 * runs apart.
 */
export class Scheduler {
  nowMs = START_MS;
  readonly random: () => number;
  /** What threw while it ran; nothing may. */
  readonly thrown: unknown[] = [];
  #heap: Entry[] = [];
  #orders = 0;
  #events = 0;
  readonly #digest = createHash("sha1");

  constructor(seed: number) {
    this.random = randomFrom(seed);
  }

  /** Events that happened. */
  get events(): number {
    return this.#events;
  }

  at(atMs: number, run: () => void): () => void {
    const entry: Entry = { atMs: Math.max(atMs, this.nowMs), order: this.#orders, run };
    this.#orders += 1;
    this.#push(entry);
    return () => {
      entry.run = undefined;
    };
  }

  after(ms: number, run: () => void): () => void {
    return this.at(this.nowMs + ms, run);
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Runs what is to happen up to a time. */
  async run(untilMs: number): Promise<void> {
    for (let next = this.#heap[0]; next && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      if (!next.run) continue;
      this.nowMs = next.atMs;
      this.#events += 1;
      try {
        next.run();
      } catch (error) {
        this.thrown.push(error);
      }
      await promises();
    }
    this.nowMs = untilMs;
  }

  /** Something that tells this run from another. */
  note(text: string): void {
    this.#digest.update(`${this.nowMs} ${text}\n`);
  }

  /** The digest of all that was noted. Ends the notes. */
  digest(): string {
    return this.#digest.digest("hex");
  }

  /** From one number up to below another. */
  between(from: number, to: number): number {
    return from + this.random() * (to - from);
  }

  /** A whole number from one up to another, that one included. */
  whole(from: number, to: number): number {
    return Math.floor(this.between(from, to + 1));
  }

  chance(part: number): boolean {
    return this.random() < part;
  }

  pick<T>(list: readonly T[]): T {
    const found = list[Math.floor(this.random() * list.length)];
    if (found === undefined) throw new Error("there is nothing to pick");
    return found;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const up = (at - 1) >>> 1;
      const parent = heap[up] as Entry;
      if (!isBefore(entry, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && isBefore(heap[down + 1] as Entry, heap[down] as Entry)) down += 1;
      if (!isBefore(heap[down] as Entry, last)) break;
      heap[at] = heap[down] as Entry;
      at = down;
    }
    heap[at] = last;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/**
 * Resolves when every promise that can go on without time has done so: Node runs what is to be done in the next tick once no
 * microtask is left. A turn of the event loop would do the same, and takes as long as everything else that is simulated.
 */
function promises(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}
