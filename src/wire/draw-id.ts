import { randomFillSync } from "node:crypto";

// Crockford's base 32 in lower case: no i, l, o, u.
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const pool = new Uint8Array(4096);
let used = pool.length;

/** Draws an id of `length` characters of five random bits each. 13 characters are 65 bits. */
export function drawCharacters(length: number): string {
  if (used + length > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  let id = "";
  for (let i = 0; i < length; i += 1) id += ALPHABET[(pool[used + i] ?? 0) & 31];
  used += length;
  return id;
}

/** `drawId("ord")` -> `ord_` and 16 characters. */
export function drawId(prefix: string): string {
  return `${prefix}_${drawCharacters(16)}`;
}
