/**
 * What was said of ids since they were read: that they may have changed. What is said is not proof, and anyone on the bus may
 * repeat it as often as they like; so it touches reads of that very id and no others, and a read is sent again so many times
 * at most.
 */

/**
 * How many reads one look is worth, when each of them is doubted before it is back. Nobody joins a look whose last read was
 * sent, so that read was sent after everyone came who waits for it: it shows them whatever had been changed before they came.
 */
export const READS_MOST = 3;

/** Ids whose last doubt is kept; past them all are let go, and every read that is under way counts as doubted. */
const keptMost = 10_000;

export class Doubts {
  #age = 0;
  /** Up to this age any id may have been doubted: what was kept of it was let go. */
  #lostUpTo = 0;
  readonly #lastOf = new Map<string, number>();

  /** A clock that counts the doubts. A read keeps what it said before it was sent. */
  get age(): number {
    return this.#age;
  }

  cast(id: string): void {
    this.#age += 1;
    this.#lastOf.set(id, this.#age);
    if (this.#lastOf.size <= keptMost) return;
    this.#lastOf.clear();
    this.#lostUpTo = this.#age;
  }

  /** Whether the id was doubted since a read that was sent at this age. */
  since(id: string, age: number): boolean {
    return (this.#lastOf.get(id) ?? this.#lostUpTo) > age;
  }
}
