import { type Claims, DeficitRoundRobin } from "../domain/deficit-round-robin.ts";

/** A read of the journal for a tenant's watches, or for its change feed. */
export interface Turn {
  readonly tenant: string;
  /** Rows or events that it reads, at most. */
  readonly items: number;
  /** Asked when there is room: a task that nobody wants any more is not run, and answers undefined. */
  wanted(): boolean;
}

interface Waiting {
  readonly items: number;
  start(): void;
}

/**
 * Bounds how many reads run at a time. The others wait, one for each watcher or call at most, and have their turns by deficit round
 * robin over tenants: a read costs what it may read, and what it has not read is given back.
 */
export class Permits {
  readonly #max: number;
  readonly #waiting: DeficitRoundRobin<Waiting>;
  #used = 0;

  /** @param quantum rows or events that a weight of 1 gets of a round: what a read takes at most */
  constructor(max: number, quantum: number, claims: Claims) {
    this.#max = max;
    this.#waiting = new DeficitRoundRobin(claims, quantum, ({ items }) => items);
  }

  /**
   * Runs the task when there is room and it is the tenant's turn.
   * @param sizeOf how many rows or events were read
   */
  async use<T>(turn: Turn, task: () => Promise<T>, sizeOf: (result: T) => number): Promise<T | undefined> {
    const { tenant, items } = turn;
    let charged = 0;
    if (this.#used >= this.#max) {
      await new Promise<void>((start) => this.#waiting.push(tenant, { items, start }));
      charged = items;
    } else this.#used += 1;
    let read = 1; // what was not found was looked for
    try {
      if (!turn.wanted()) return undefined;
      const result = await task();
      read = Math.max(read, sizeOf(result));
      return result;
    } finally {
      this.#waiting.charge(tenant, read - charged);
      this.#next();
    }
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Hands the place on to whose turn it is. */
  #next(): void {
    const next = this.#waiting.take(() => true);
    if (next) next.start();
    else this.#used -= 1;
  }
}
