import type { Extension, Place, StoredEvent } from "../domain/stored-event.ts";
import { SubjectKind } from "../domain/subject.ts";

/*
 * A hint's encoding, version 1. Integers are big-endian; a text is a length byte and UTF-8.
 *
 *   version u8 | saying u8 | tenant text | place | events
 *   place:  revision u64 | id text
 *   events: count u16 | event ...                                  saying 1: they follow the place; saying 2: none
 *   event:  id text | kind u8 | subject text | version u64 | carrier text | payload length u32 | payload
 *
 * Revisions of events are not sent: they follow the place without a hole, by construction.
 * Whoever can publish on the bus can send anything, so the decoder believes nothing: every length is checked, nothing may
 * be left over, and a payload must be one element of field 1. What an instance of another version says is malformed here.
 */

export const HINT_VERSION = 1;
const EVENTS = 1;
const HEAD = 2;
const PAYLOAD_TAG = 0x0a;
const MAX_REVISION = 2n ** 63n - 1n;
const MAX_EVENTS = 0xffff;

/** What a hint says once it is decoded. */
export type DecodedHint =
  | { readonly say: "events"; readonly extension: Extension }
  | { readonly say: "head"; readonly head: Place };

/** Encodes an extension with its events, or only the place it leads to if that would take more than `maxBytes`. */
export function encodeHint(extension: Extension, maxBytes: number): Uint8Array {
  const { tenant, previous, events } = extension;
  const size = events.reduce((sum, e) => sum + e.payload.length + textBound(e) + 16, 0);
  if (size <= maxBytes && events.length <= MAX_EVENTS) {
    const writer = new Writer(size + 64 + 3 * tenant.length).u8(HINT_VERSION).u8(EVENTS).text(tenant).place(previous);
    writer.u16(events.length);
    for (const event of events) writer.event(event);
    return writer.finish();
  }
  const head = events.at(-1) ?? previous;
  return new Writer(64 + 3 * tenant.length).u8(HINT_VERSION).u8(HEAD).text(tenant).place(head).finish();
}

/** Throws a MalformedHint for anything that `encodeHint` did not make for this tenant. The result shares no memory with `bytes`. */
export function decodeHint(bytes: Uint8Array, tenant: string): DecodedHint {
  // A copy: a message's bytes are a window on the socket's buffer, which a kept payload would keep whole.
  const reader = new Reader(Buffer.from(bytes));
  if (reader.u8() !== HINT_VERSION) throw new MalformedHint("unknown version");
  const saying = reader.u8();
  if (reader.text() !== tenant) throw new MalformedHint("another tenant's");
  const place = reader.place();
  if (saying === HEAD) {
    reader.end();
    return { say: "head", head: place };
  }
  if (saying !== EVENTS) throw new MalformedHint("unknown saying");
  const count = reader.u16();
  if (count === 0) throw new MalformedHint("no events");
  const events: StoredEvent[] = [];
  for (let i = 1; i <= count; i += 1) events.push(reader.event(place.revision + BigInt(i)));
  reader.end();
  return { say: "events", extension: { tenant, previous: place, events } };
}

/** A hint that cannot be read. The message says what is wrong with it, and nothing of its content. */
export class MalformedHint extends Error {
  override readonly name = "MalformedHint";
}

function textBound(event: StoredEvent): number {
  return 3 * (event.eventId.length + event.subjectId.length + event.carrier.length) + 3;
}

class Writer {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(size: number) {
    this.#bytes = Buffer.allocUnsafe(size);
  }

  u8(value: number): this {
    this.#at = this.#bytes.writeUInt8(value, this.#at);
    return this;
  }

  u16(value: number): this {
    this.#at = this.#bytes.writeUInt16BE(value, this.#at);
    return this;
  }

  text(value: string): this {
    const length = Buffer.byteLength(value);
    this.u8(length); // throws above 255: no id is nearly as long
    this.#at += this.#bytes.write(value, this.#at);
    return this;
  }

  place(place: Place): this {
    this.#at = this.#bytes.writeBigUInt64BE(place.revision, this.#at);
    return this.text(place.eventId);
  }

  event(event: StoredEvent): void {
    this.text(event.eventId).u8(event.kind).text(event.subjectId);
    this.#at = this.#bytes.writeBigUInt64BE(event.version, this.#at);
    this.text(event.carrier);
    this.#at = this.#bytes.writeUInt32BE(event.payload.length, this.#at);
    this.#bytes.set(event.payload, this.#at);
    this.#at += event.payload.length;
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  u64(): bigint {
    const value = this.#bytes.readBigUInt64BE(this.#take(8));
    if (value > MAX_REVISION) throw new MalformedHint("number too large");
    return value;
  }

  text(): string {
    const length = this.u8();
    const start = this.#take(length);
    return this.#bytes.toString("utf8", start, start + length);
  }

  place(): Place {
    const place = { revision: this.u64(), eventId: this.text() };
    if (place.eventId === "") throw new MalformedHint("no id");
    return place;
  }

  event(revision: bigint): StoredEvent {
    const eventId = this.text();
    const kind = this.u8();
    const subjectId = this.text();
    const version = this.u64();
    const carrier = this.text();
    const length = this.#bytes.readUInt32BE(this.#take(4));
    const start = this.#take(length);
    const payload = this.#bytes.subarray(start, start + length);
    if (eventId === "" || subjectId === "") throw new MalformedHint("no id");
    if (!isKind(kind)) throw new MalformedHint("unknown kind");
    if (!isOneElement(payload)) throw new MalformedHint("payload is not one event");
    return { revision, eventId, kind, subjectId, version, carrier, payload };
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new MalformedHint("bytes left over");
  }

  #take(length: number): number {
    const start = this.#at;
    if (length > this.#bytes.length - start) throw new MalformedHint("too short");
    this.#at = start + length;
    return start;
  }
}

function isKind(kind: number): kind is SubjectKind {
  return kind === SubjectKind.ORDER || kind === SubjectKind.BOOKING || kind === SubjectKind.ADMINISTRATION;
}

/** Tag of field 1, a length, and exactly so many bytes. */
function isOneElement(payload: Uint8Array): boolean {
  if (payload[0] !== PAYLOAD_TAG) return false;
  let length = 0;
  for (let i = 1; i < Math.min(payload.length, 6); i += 1) {
    const byte = payload[i] ?? 0;
    length += (byte & 0x7f) * 2 ** (7 * (i - 1));
    if (byte < 0x80) return payload.length === i + 1 + length;
  }
  return false;
}
