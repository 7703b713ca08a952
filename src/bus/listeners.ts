/** A set of callbacks. One that is added or removed while the set is called is not called in that round. */
export class Listeners<T extends unknown[]> {
  readonly #entries = new Set<{ readonly call: (...args: T) => void }>();

  /** The returned function removes it; calling it again does nothing. */
  add(call: (...args: T) => void): () => void {
    const entry = { call };
    this.#entries.add(entry);
    return () => void this.#entries.delete(entry);
  }

  call(...args: T): void {
    for (const entry of [...this.#entries]) if (this.#entries.has(entry)) entry.call(...args);
  }

  get size(): number {
    return this.#entries.size;
  }

  clear(): void {
    this.#entries.clear();
  }
}
