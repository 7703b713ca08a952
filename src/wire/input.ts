import { Buffer } from "node:buffer";

/** What `Input` and the readers throw, caught where the reading began: the library is to read it. */
export const NOT_PLAIN = Symbol("not plain");

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Texts up to this length are looked for among those read before. */
const REMEMBERED_LENGTH = 24;
const REMEMBERED = 1024;

/**
 * Texts that were read lately, by a hash of their bytes: statuses, sources and places come again and again, and a text that
 * is there already costs no memory. Holds at most 1,024 texts of at most 24 characters.
 */
const remembered: string[] = new Array<string>(REMEMBERED).fill("");

/** Bytes and how far they were read. Takes nothing that a writer of today would not have written. */
export class Input {
  readonly bytes: Buffer;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** A varint below 2^53. */
  varint(): number {
    const { bytes } = this;
    let at = this.at;
    let byte = bytes[at++] as number; // undefined past the end: seen by `end`, as `at` has passed it
    if (byte < 0x80) {
      this.at = at;
      return byte;
    }
    let value = byte & 0x7f;
    for (let scale = 0x80; scale < 0x2000000000000; scale *= 0x80) {
      byte = bytes[at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.at = at;
        return value;
      }
    }
    throw NOT_PLAIN;
  }

  /** A varint that is the same in 32 bits, signed or not. */
  int(): number {
    const value = this.varint();
    if (value > 0x7fffffff) throw NOT_PLAIN;
    return value;
  }

  uint32(): number {
    const value = this.varint();
    if (value > 0xffffffff) throw NOT_PLAIN;
    return value;
  }

  sint32(): number {
    const value = this.uint32();
    return (value >>> 1) ^ -(value & 1);
  }

  bool(): boolean {
    const value = this.varint();
    if (value > 1) throw NOT_PLAIN;
    return value === 1;
  }

  /** Reads a length; where that much ends, at most `within`. */
  end(within: number): number {
    const size = this.varint();
    const end = this.at + size;
    if (!(end <= within)) throw NOT_PLAIN;
    return end;
  }

  /** A text in UTF-8 after its length. */
  text(within: number): string {
    const end = this.end(within);
    const { bytes, at } = this;
    this.at = end;
    if (end - at > REMEMBERED_LENGTH) return utf8(bytes.subarray(at, end));
    let hash = 0;
    for (let i = at; i < end; i += 1) {
      const byte = bytes[i] as number;
      if (byte > 0x7f) return utf8(bytes.subarray(at, end));
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    const place = (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (REMEMBERED - 1);
    const known = remembered[place] as string;
    if (known.length === end - at && isAt(known, bytes, at)) return known;
    const text = bytes.toString("latin1", at, end);
    remembered[place] = text;
    return text;
  }
}

/** Whether a text of ASCII stands at a place. */
function isAt(text: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < text.length; i += 1) if (text.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}

function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw NOT_PLAIN; // the library says what is wrong with it
  }
}
