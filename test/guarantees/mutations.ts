import { gzipSync } from "node:zlib";
import type { Draw } from "./random-requests.ts";

/*
 * What becomes of good bytes on a bad day: flipped bits, cut off, pieces of another message, lengths that lie, and bytes that
 * never were a message.
 */

type Mutate = (bytes: Buffer, draw: Draw, other: Buffer) => Buffer;

const at = (draw: Draw, length: number) => Math.floor(draw() * Math.max(1, length));
const noise = (draw: Draw, length: number) => Buffer.from(Array.from({ length }, () => at(draw, 256)));

/** By name, so that a run can say how often each happened. */
const mutations: Readonly<Record<string, Mutate>> = {
  none: (bytes) => bytes,
  flipped(bytes, draw) {
    const flipped = Buffer.from(bytes);
    for (let left = 1 + at(draw, 4); left > 0 && flipped.length > 0; left -= 1) {
      const place = at(draw, flipped.length);
      flipped[place] = (flipped[place] ?? 0) ^ (1 << at(draw, 8));
    }
    return flipped;
  },
  truncated: (bytes, draw) => bytes.subarray(0, at(draw, bytes.length)),
  spliced(bytes, draw, other) {
    const place = at(draw, bytes.length);
    const from = at(draw, other.length);
    return Buffer.concat([bytes.subarray(0, place), other.subarray(from, from + at(draw, 64)), bytes.subarray(place)]);
  },
  /** One byte, which may be the length of a field, becomes one of those where numbers end. */
  "wrong length"(bytes, draw) {
    const wrong = Buffer.from(bytes);
    if (wrong.length > 0) wrong[at(draw, wrong.length)] = [0, 1, 0x7f, 0x80, 0xff][at(draw, 5)] ?? 0;
    return wrong;
  },
  repeated: (bytes, draw) => Buffer.concat(Array.from({ length: 2 + at(draw, 3) }, () => bytes)),
  random: (_bytes, draw) => noise(draw, at(draw, 300)),
  "JSON out of shape"(bytes, draw) {
    const words = [
      "null",
      "[]",
      "{}",
      "1e999",
      '"\\ud800"',
      "-0",
      "9007199254740993",
      '{"a":',
      "true",
      '"NaN"',
      "[[[[",
    ];
    const text = bytes.toString("latin1");
    const values = [...text.matchAll(/"[^"]*"|\d+|true|false/g)];
    const one = values[at(draw, values.length)];
    if (!one) return Buffer.from(words[at(draw, words.length)] ?? "", "latin1");
    const word = words[at(draw, words.length)] ?? "";
    return Buffer.from(text.slice(0, one.index) + word + text.slice(one.index + one[0].length), "latin1");
  },
};

export const mutationNames = Object.keys(mutations);

export interface Mutated {
  readonly how: string;
  readonly bytes: Buffer;
}

/** @param other another good message, to be spliced in */
export function mutate(bytes: Buffer, draw: Draw, other: Buffer): Mutated {
  const how = mutationNames[at(draw, mutationNames.length)] ?? "none";
  return { how, bytes: mutations[how]?.(bytes, draw, other) ?? bytes };
}

/** Puts a message into an envelope, which now and then lies: of the flags, of the length, of what follows. */
export function framed(message: Buffer, draw: Draw): Buffer {
  const kind = draw();
  const body = kind < 0.04 ? gzipSync(message) : message;
  const head = Buffer.alloc(5);
  head[0] = kind < 0.06 ? 1 : kind < 0.09 ? at(draw, 256) : 0;
  const lie = draw() < 0.06;
  head.writeUInt32BE(lie ? (draw() < 0.5 ? at(draw, 2 ** 32) : at(draw, 2 * body.length + 2)) : body.length, 1);
  const frame = Buffer.concat([head, body]);
  if (draw() < 0.03) return frame.subarray(0, at(draw, frame.length));
  return draw() < 0.03 ? Buffer.concat([frame, frame]) : frame;
}
