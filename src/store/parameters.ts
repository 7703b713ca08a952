import type { Value } from "./question.ts";

/*
 * Parameters as pg sends them: text, or a Buffer for Postgres' binary form. Arrays of text and of bytes take the binary form,
 * which needs no quoting and half the bytes; arrays of numbers are shorter and as quick as text.
 */

const TEXT_OID = 25;
const BYTEA_OID = 17;
/** Dimensions, whether there are nulls, the elements' type, the length and the lower bound of the only dimension. */
const HEADER_BYTES = 20;

export function encodeParameter(value: Value): string | Buffer {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (typeof value !== "object") return String(value);
  const [first] = value;
  if (typeof first === "string") return encodeTexts(value as readonly string[]);
  if (first instanceof Uint8Array) return encodeBytes(value as readonly Uint8Array[]);
  return `{${value.join()}}`;
}

function encodeBytes(values: readonly Uint8Array[]): Buffer {
  const size = values.reduce((sum, value) => sum + 4 + value.length, HEADER_BYTES);
  const buffer = Buffer.allocUnsafe(size);
  let at = writeHeader(buffer, BYTEA_OID, values.length);
  for (const value of values) {
    at = buffer.writeInt32BE(value.length, at);
    buffer.set(value, at);
    at += value.length;
  }
  return buffer;
}

function encodeTexts(values: readonly string[]): Buffer {
  const most = values.reduce((sum, value) => sum + 4 + value.length * 3, HEADER_BYTES); // UTF-8 takes 3 for a UTF-16 unit
  const buffer = Buffer.allocUnsafe(most);
  let at = writeHeader(buffer, TEXT_OID, values.length);
  for (const value of values) {
    const length = writeText(buffer, value, at + 4);
    buffer.writeInt32BE(length, at);
    at += 4 + length;
  }
  return buffer.subarray(0, at);
}

/** Mostly short ASCII, for which a call into the runtime costs more than the loop. */
function writeText(buffer: Buffer, value: string, at: number): number {
  for (let i = 0; i < value.length; i += 1) {
    const unit = value.charCodeAt(i);
    if (unit > 0x7f) return buffer.write(value, at, "utf8");
    buffer[at + i] = unit;
  }
  return value.length;
}

function writeHeader(buffer: Buffer, elementType: number, length: number): number {
  let at = 0;
  for (const field of [1, 0, elementType, length, 1]) at = buffer.writeInt32BE(field, at);
  return at;
}
