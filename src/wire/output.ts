import { Buffer } from "node:buffer";

const INITIAL_BYTES = 16 * 1024;
/** A buffer that grew past this is let go after use. */
const KEPT_BYTES = 1024 * 1024;
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);
/** Texts up to this length are written character by character while they are ASCII: a call into the runtime costs more. */
const SHORT_TEXT = 40;

/**
 * Bytes in the making, in a buffer that is used again for the next message: making one for each costs more than filling it.
 * What was begun and not finished is overwritten by the next `start`.
 */
export class Output {
  #buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  #at = 0;

  start(): void {
    this.#at = 0;
  }

  /** What was written since the start, in memory of its own. */
  finish(): Uint8Array {
    return this.#into(new Uint8Array(this.#at));
  }

  /** The same in memory that it may share with its like: cheaper to make, but what is kept of it keeps its neighbours. */
  finishShared(): Uint8Array {
    return this.#into(Buffer.allocUnsafe(this.#at));
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A whole number from 0 to 2^53 - 1 as a varint. */
  varint(value: number): void {
    this.#reserve(10);
    let left = value;
    while (left > 0x7f) {
      this.#buffer[this.#at++] = (left % 0x80) | 0x80;
      left = left > 0x7fffffff ? Math.floor(left / 0x80) : left >>> 7;
    }
    this.#buffer[this.#at++] = left;
  }

  /** A whole number of 64 bits as a varint; negative ones take ten bytes. */
  varint64(value: number | bigint): void {
    // One after the other: comparing what may be either costs more than writing it.
    if (typeof value === "number" ? value >= 0 : value >= 0n && value <= MAX_SAFE) {
      this.varint(Number(value));
      return;
    }
    this.#reserve(10);
    let left = BigInt.asUintN(64, BigInt(value));
    while (left > 0x7fn) {
      this.#buffer[this.#at++] = Number(left & 0x7fn) | 0x80;
      left >>= 7n;
    }
    this.#buffer[this.#at++] = Number(left);
  }

  /** A text in UTF-8 after its length. */
  text(value: string): void {
    const guess = value.length;
    this.#reserve(guess * 3 + 5);
    if (guess <= SHORT_TEXT && this.#ascii(value)) return;
    const place = this.#at + sizeOfVarint(guess);
    const size = this.#buffer.write(value, place);
    const start = this.#at + sizeOfVarint(size);
    if (start !== place) this.#buffer.copyWithin(start, place, place + size);
    this.varint(size);
    this.#at += size;
  }

  /** Begins something whose length stands before it. Answers what `close` needs. */
  open(): number {
    this.#reserve(1);
    this.#at += 1; // room for a length below 128
    return this.#at;
  }

  close(start: number): void {
    const size = this.#at - start;
    if (size < 0x80) {
      this.#buffer[start - 1] = size;
      return;
    }
    const more = sizeOfVarint(size) - 1;
    this.#reserve(more);
    this.#buffer.copyWithin(start + more, start, this.#at);
    this.#at = start - 1;
    this.varint(size);
    this.#at += size;
  }

  /** Answers false, with nothing written, when the text is not ASCII. */
  #ascii(value: string): boolean {
    const buffer = this.#buffer;
    let at = this.#at;
    buffer[at++] = value.length;
    for (let i = 0; i < value.length; i += 1) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) return false;
      buffer[at++] = code;
    }
    this.#at = at;
    return true;
  }

  #into(bytes: Uint8Array): Uint8Array {
    bytes.set(this.#buffer.subarray(0, this.#at));
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = Buffer.allocUnsafeSlow(INITIAL_BYTES);
    return bytes;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = larger;
  }
}

function sizeOfVarint(value: number): number {
  let size = 1;
  for (let left = value; left > 0x7f; left = Math.floor(left / 0x80)) size += 1;
  return size;
}
