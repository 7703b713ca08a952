/**
 * API keys as text: `lead_operator_<id>_<secret and checksum>`.
 *
 * The prefix tells people and secret scanners what it is, and with `_` as the only separator a double click selects all of
 * it. The id is public: it finds the key's record. The secret is 30 characters of base62 (178 bits, so a fast hash is
 * enough), followed by the CRC-32 of everything before it in 6 characters: what was mistyped, cut or made up is refused
 * without asking the database. Only the SHA-256 of the whole text is kept.
 */
import { createHash, randomInt, timingSafeEqual } from "node:crypto";
import { crc32 } from "node:zlib";

/** What the holder of a key is; part of its text for people only, never trusted. */
export const keyKinds = ["owner", "operator", "carrier", "viewer", "service"] as const;
export type KeyKind = (typeof keyKinds)[number];

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const secretLength = 30;
/** 62^6 is more than 2^32. */
const checksumLength = 6;
const shape = new RegExp(
  `^(lead_(?:${keyKinds.join("|")})_([a-z0-9]{1,36})_[0-9A-Za-z]{${secretLength}})([0-9A-Za-z]{${checksumLength}})$`,
);

/** A new key: its text, to be shown once, and the hash, to be kept. */
export interface DrawnKey {
  readonly text: string;
  /** SHA-256 of the text: 32 bytes. */
  readonly hash: Uint8Array;
}

/** Draws the secret of the key with this id (`key_...`, as `drawId` makes it). Throws a RangeError for another id. */
export function drawKey(kind: KeyKind, keyId: string): DrawnKey {
  const secret = Array.from({ length: secretLength }, () => alphabet[randomInt(alphabet.length)]).join("");
  const body = `lead_${kind}_${keyId.replace(/^key_/, "")}_${secret}`;
  const text = body + checksum(body);
  if (keyIdOf(text) !== keyId) throw new RangeError(`key id "${keyId}" is not like key_0a1b2c`);
  return { text, hash: hashOf(text) };
}

/** The id (`key_...`) of a key that is well-formed and whose checksum is right; undefined for anything else. */
export function keyIdOf(text: string): string | undefined {
  const [, body, id, sum] = shape.exec(text) ?? [];
  if (body === undefined || sum !== checksum(body)) return undefined;
  return `key_${id}`;
}

/** What is kept of a credential: the SHA-256 of its text. */
export function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Whether two hashes are the same, in a time that does not depend on where they differ. */
export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function checksum(body: string): string {
  let rest = crc32(body);
  let digits = "";
  for (let i = 0; i < checksumLength; i++) {
    digits = alphabet.charAt(rest % alphabet.length) + digits;
    rest = Math.floor(rest / alphabet.length);
  }
  return digits;
}
