import type { Place } from "../domain/stored-event.ts";
import type { Slot } from "./slot.ts";

/**
 * The last events of one journal: dense, bounded in number and bytes, oldest out first. It also knows the place before its
 * oldest event, so that whoever stands there can be told that nothing is missing.
 */
export class Ring {
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  /** Used from `#start` on; what lies before has left and is cut off now and then. */
  #slots: (Slot | undefined)[] = [];
  #start = 0;
  #base: Place;
  #bytes = 0;

  /** @param base the place that the first event will follow */
  constructor(base: Place, maxEvents: number, maxBytes: number) {
    this.#base = base;
    this.#maxEvents = maxEvents;
    this.#maxBytes = maxBytes;
  }

  /** The place before the oldest event that is held. */
  get base(): Place {
    return this.#base;
  }

  get head(): Place {
    return this.#slots.at(-1)?.place ?? this.#base;
  }

  get size(): number {
    return this.#slots.length - this.#start;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Appends the event after the head. Those that the bounds push out leave, but none after `keepAfter`. */
  append(slot: Slot, keepAfter: bigint): void {
    if (slot.place.revision !== this.head.revision + 1n) {
      throw new Error(`revision ${slot.place.revision} does not follow ${this.head.revision}`);
    }
    this.#slots.push(slot);
    this.#bytes += slot.bytes;
    while (this.size > this.#maxEvents || this.#bytes > this.#maxBytes) {
      if (!this.#dropOldest(keepAfter)) break;
    }
  }

  /** The place at a revision, if it is known here. */
  placeAt(revision: bigint): Place | undefined {
    if (revision === this.#base.revision) return this.#base;
    return this.#at(revision)?.place;
  }

  /**
   * The events after one revision and up to another, oldest first, until `maxBytes` is reached: at least one if there is
   * one. Undefined when the first of them has left.
   */
  between(after: bigint, upTo: bigint, maxBytes: number): Slot[] | undefined {
    if (after < this.#base.revision) return undefined;
    const slots: Slot[] = [];
    let bytes = 0;
    for (let i = this.#indexOf(after + 1n); i < this.#slots.length; i += 1) {
      const slot = this.#slots[i];
      if (!slot || slot.place.revision > upTo) break;
      bytes += slot.bytes;
      if (slots.length > 0 && bytes > maxBytes) break;
      slots.push(slot);
    }
    return slots;
  }

  /** The events that it holds, oldest first. */
  *slots(): Generator<Slot, void> {
    for (let i = this.#start; i < this.#slots.length; i += 1) {
      const slot = this.#slots[i];
      if (slot) yield slot;
    }
  }

  #at(revision: bigint): Slot | undefined {
    if (revision <= this.#base.revision || revision > this.head.revision) return undefined;
    return this.#slots[this.#indexOf(revision)];
  }

  #indexOf(revision: bigint): number {
    return this.#start + Number(revision - this.#base.revision) - 1;
  }

  #dropOldest(keepAfter: bigint): boolean {
    const oldest = this.#slots[this.#start];
    if (!oldest || oldest.place.revision > keepAfter) return false;
    this.#slots[this.#start] = undefined;
    this.#start += 1;
    this.#base = oldest.place;
    this.#bytes -= oldest.bytes;
    if (this.#start > this.#maxEvents) {
      this.#slots = this.#slots.slice(this.#start);
      this.#start = 0;
    }
    return true;
  }
}
