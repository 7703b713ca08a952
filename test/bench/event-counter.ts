import { ENVELOPE } from "./frames.ts";
import type { WatchCounts } from "./streams.ts";

/** What the next byte belongs to. */
const [TAG, LENGTH, NUMBER, FIRST, REVISION, CONTENT] = [0, 1, 2, 3, 4, 5];
/** The tag of an event's first field when it is a number. */
const FIRST_NUMBER = 8;

/**
 * Counts the events of one stream by the lengths in its messages, as they come and wherever they are cut: what is counted is not
 * looked into, copied or kept. Messages have fields that are numbers or have a length, and no others.
 */
export class EventCounter {
  readonly #counts: WatchCounts;
  readonly #tag: number;
  /** Bytes of the envelope that are there. */
  #head = 0;
  #flags = 0;
  /** Bytes of the message that are to come. */
  #message = 0;
  #part = TAG;
  /** The number that is being read. */
  #number = 0;
  #factor = 1;
  #isEvent = false;
  /** Bytes of the field that are to come. */
  #field = 0;
  #revision = 0;
  #started = false;

  /** @param eventsField the number of the field of a message that holds its events, below 16 */
  constructor(counts: WatchCounts, eventsField: number) {
    this.#counts = counts;
    this.#tag = (eventsField << 3) | 2;
  }

  take(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; ) {
      if (this.#head < ENVELOPE) this.#envelope(bytes[at++] ?? 0);
      else if (this.#flags !== 0) at += this.#pass(Math.min(end - at, this.#message));
      else if (this.#part === CONTENT) at += this.#content(Math.min(end - at, this.#field));
      else this.#byte(bytes[at++] ?? 0);
    }
  }

  #envelope(byte: number): void {
    if (this.#head === 0) this.#flags = byte;
    else this.#message = this.#message * 256 + byte;
    this.#head += 1;
    if (this.#head === ENVELOPE) this.#pass(0);
  }

  /** So many bytes of the message have come. */
  #pass(length: number): number {
    this.#message -= length;
    if (this.#message > 0) return length;
    this.#head = 0;
    this.#counts.messages += 1;
    if (!this.#started) this.#counts.started += 1;
    this.#started = true;
    return length;
  }

  #content(length: number): number {
    this.#field -= length;
    if (this.#field === 0) this.#fieldEnds();
    return this.#pass(length);
  }

  #fieldEnds(): void {
    this.#part = TAG;
    if (!this.#isEvent) return;
    this.#isEvent = false;
    this.#counts.events += 1;
    this.#counts.onEvent?.(this.#revision);
  }

  #byte(byte: number): void {
    if (this.#part === FIRST) {
      this.#part = byte === FIRST_NUMBER ? REVISION : CONTENT;
      this.#content(1);
      return;
    }
    const isInField = this.#part === REVISION;
    this.#number += (byte & 127) * this.#factor;
    this.#factor *= 128;
    if (byte < 128) this.#numberEnds();
    if (isInField) this.#content(1);
    else this.#pass(1);
  }

  #numberEnds(): void {
    const number = this.#number;
    this.#number = 0;
    this.#factor = 1;
    if (this.#part === TAG) {
      this.#isEvent = number === this.#tag;
      this.#part = (number & 7) === 2 ? LENGTH : NUMBER;
    } else if (this.#part === NUMBER) this.#part = TAG;
    else if (this.#part === LENGTH) this.#fieldBegins(number);
    else {
      this.#revision = number;
      this.#part = CONTENT;
    }
  }

  #fieldBegins(length: number): void {
    this.#field = length;
    this.#revision = 0;
    if (length === 0) this.#fieldEnds();
    else this.#part = this.#isEvent && this.#counts.onEvent ? FIRST : CONTENT;
  }
}
