import type { Writable } from "node:stream";
import { givePageMemory } from "../wire/page-memory.ts";
import { malformed } from "./codec.ts";

/** An envelope's head: one byte of flags and the length of what follows, in network order. */
export const ENVELOPE_HEAD_BYTES = 5;

/** The flag of a compressed message, in all protocols. */
export const COMPRESSED_FLAG = 1;

/** Puts bytes into an envelope. */
export function envelope(flags: number, data: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(ENVELOPE_HEAD_BYTES + data.length);
  framed.writeUInt8(flags, 0);
  framed.writeUInt32BE(data.length, 1);
  framed.set(data, ENVELOPE_HEAD_BYTES);
  return framed;
}

const shared = new WeakMap<Uint8Array, Buffer>();
/** The last one: a fan-out asks for the same ten thousand times in a row. */
let recent: { readonly message: Uint8Array; readonly framed: Buffer } | undefined;

/**
 * The message in its envelope, which is the same in gRPC, gRPC-Web and Connect. Made once for all watchers of a message,
 * whatever they speak: messages are told apart by identity, and nobody changes their bytes.
 */
export function sharedEnvelope(message: Uint8Array): Buffer {
  if (recent?.message === message) return recent.framed;
  let framed = shared.get(message);
  if (framed === undefined) {
    framed = envelope(0, message);
    shared.set(message, framed);
  }
  recent = { message, framed };
  return framed;
}

/** From so many bytes on a message is not copied into its envelope: the envelope's head goes out before it. */
const LARGE_BYTES = 32 * 1024;

/**
 * Writes a message in its envelope. Node counts memory outside its heap against the next whole collection, and a page of
 * history that waits for one costs more than everything else that is done with it (measured: four collections for 100,000
 * events). So a large message that nobody uses afterwards gives its memory back as soon as it is sent, for the next page.
 *
 * @param isLast see `Sink.write`
 * @param sent called when the message has been handed to the network, or never will be
 * @returns false: the stream wants no more for the time being
 */
export function writeMessage(stream: Writable, message: Uint8Array, isLast: boolean, sent?: () => void): boolean {
  if (message.length < LARGE_BYTES) {
    const framed = sharedEnvelope(message);
    return sent ? stream.write(framed, sent) : stream.write(framed);
  }
  stream.cork();
  stream.write(headOf(message));
  const wantsMore = stream.write(message, (error) => {
    // After an error something below may still hold it.
    if (isLast && !error) givePageMemory(message);
    sent?.();
  });
  stream.uncork();
  return wantsMore;
}

function headOf(message: Uint8Array): Buffer {
  const head = Buffer.allocUnsafe(ENVELOPE_HEAD_BYTES);
  head.writeUInt8(0, 0);
  head.writeUInt32BE(message.length, 1);
  return head;
}

/** Takes the one message of a request body out of its envelope. Throws a Refusal MESSAGE_MALFORMED. */
export function openEnvelope(body: Buffer): { readonly compressed: boolean; readonly data: Buffer } {
  if (body.length < ENVELOPE_HEAD_BYTES)
    throw malformed("the request has no message: its envelope is missing or cut off");
  const flags = body.readUInt8(0);
  const end = ENVELOPE_HEAD_BYTES + body.readUInt32BE(1);
  if (flags > COMPRESSED_FLAG) throw malformed(`the request's envelope has unknown flags ${flags}`);
  if (body.length < end) throw malformed("the request's message is cut off");
  if (body.length > end) throw malformed("the request has more than one message, and the method takes one");
  return { compressed: flags === COMPRESSED_FLAG, data: body.subarray(ENVELOPE_HEAD_BYTES, end) };
}
