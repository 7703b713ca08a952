import { promisify } from "node:util";
import { gunzip, gunzipSync } from "node:zlib";
import type { DescMessage, Message } from "@bufbuild/protobuf";
import type { Refusal } from "../domain/refusal.ts";
import type { Permits } from "../watch/permits.ts";
import type { Codec } from "../watch/spec.ts";
import type { ActiveCall } from "./active-call.ts";
import { decodeRequest, malformed, tooLarge } from "./codec.ts";
import { type HttpRequest, ignoreError } from "./http-messages.ts";
import type { Limits } from "./pipeline.ts";

/** Bounds of a request body. */
export interface BodyBounds {
  readonly maxBytes: number;
  /** The bytes of the message's envelope, which come on top. Default 0. */
  readonly headBytes?: number;
  /** The body must have arrived whole in this time. */
  readonly timeoutMs: number;
  /** Told of what has come, before it is held; the result says why it may not be. Default: it may. */
  hold?(bytes: number): Refusal | undefined;
}

/**
 * Reads a whole request body. Rejects with a Refusal MESSAGE_TOO_LARGE or the one of `hold` without reading further, and with
 * MESSAGE_MALFORMED when the body is cut off or does not end in time.
 */
export function readBody(req: HttpRequest, { maxBytes, headBytes = 0, timeoutMs, hold }: BodyBounds): Promise<Buffer> {
  if (Number(req.headers["content-length"]) > maxBytes + headBytes) return Promise.reject(tooLarge(maxBytes));
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let length = 0;
  const onData = (chunk: Buffer): void => {
    length += chunk.length;
    const refusal = length > maxBytes + headBytes ? tooLarge(maxBytes) : hold?.(chunk.length);
    if (refusal) reject(refusal);
    else chunks.push(chunk);
  };
  const onEnd = (): void => resolve(Buffer.concat(chunks, length));
  const onCut = (): void => reject(malformed("the request was cut off"));
  const timer = setTimeout(() => {
    reject(malformed(`the request did not end within ${timeoutMs} ms: was it left open for more messages?`));
  }, timeoutMs);
  req.on("data", onData).once("end", onEnd).once("error", onCut).once("close", onCut);
  return promise.finally(() => {
    clearTimeout(timer);
    req.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onCut);
    // An error that comes later has nobody to tell.
    req.on("error", ignoreError);
    req.pause();
  });
}

/** What unpacks for all calls of a door: at most so many at a time, for that is work of the processor alone. */
export type Unpacking = Permits;

/** What a tenant has unpacked in its turn, bytes. */
export const UNPACKING_QUANTUM = 64 * 1024;

/** How a request may be unpacked. */
export interface UnpackBounds {
  readonly maxBytes: number;
  readonly unpacking: Unpacking;
  /** In whose turn large ones are unpacked. */
  readonly tenant: string;
  /** Whether the caller still waits: nothing is unpacked for one that has left. */
  wanted(): boolean;
  /** Counts what is about to be unpacked. Throws a Refusal RATE_LIMITED. */
  charge(bytes: number): void;
}

/** As much as this, unpacked, counts as one call, for that is what it costs. */
const CALL_BYTES = 256 * 1024;
/** A message up to this size is unpacked where it stands: that costs less than handing it to another thread. */
const SMALL_BYTES = 16 * 1024;
/** What gzip has at least: its head, an empty block, and its end (RFC 1952, 2.2). */
const GZIP_MIN_BYTES = 20;
/** The last four bytes of gzip say how much it holds. */
const SIZE_BYTES = 4;
/** Deflate's best: 258 bytes from two bits. */
const MAX_EXPANSION = 1_032;

/**
 * Undoes a request's compression. Throws a Refusal MESSAGE_MALFORMED for one that is unknown or broken, and
 * MESSAGE_TOO_LARGE for a message of more than `maxBytes`.
 *
 * What gzip says of its size at its end decides before anything is unpacked: one that says too much is refused, and no more
 * is unpacked than it says. So a bomb costs nothing, or what it owns up to. (A file of several parts, as some tools make
 * them, says the size of the last one only and is refused; no client of ours makes one.)
 */
export async function decompress(
  data: Buffer,
  encoding: string | undefined,
  bounds: UnpackBounds,
): Promise<Uint8Array> {
  if (encoding === undefined || encoding === "identity") return data;
  if (encoding !== "gzip") throw unknownEncoding(encoding);
  if (data.length === 0) return data;
  const { charge, maxBytes, tenant, unpacking, wanted } = bounds;
  if (data.length < GZIP_MIN_BYTES || !isGzip(data)) throw notGzip();
  const says = data.readUInt32LE(data.length - SIZE_BYTES);
  if (says > data.length * MAX_EXPANSION) throw notGzip();
  if (says > maxBytes) throw tooLarge(maxBytes);
  charge(says);
  // With room for one more byte, all that it says is one piece, and what is more shows at once.
  const options = { maxOutputLength: Math.max(1, says), chunkSize: Math.max(64, says + 1) };
  try {
    if (says <= SMALL_BYTES) return gunzipSync(data, options);
    const turn = { tenant, items: says, wanted };
    const bytes = await unpacking.use(
      turn,
      () => promisify(gunzip)(data, options),
      () => says,
    );
    return bytes ?? data;
  } catch (error) {
    const more = error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    throw more ? malformed("the request holds more than its gzip says") : notGzip();
  }
}

/** Memory that is surely no part of one that Node shares among buffers. */
const OWN_MEMORY_BYTES = 128 * 1024;

/**
 * Decodes what was unpacked. What cannot be decoded gives its memory back at once: Node counts it against the next whole
 * collection, and bombs are little else.
 */
export function decodeUnpacked(schema: DescMessage, bytes: Uint8Array, codec: Codec): Message {
  try {
    return decodeRequest(schema, bytes, codec);
  } catch (error) {
    const { buffer } = bytes;
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= OWN_MEMORY_BYTES) buffer.transfer(0);
    throw error;
  }
}

/** The bounds for a call whose caller is known. */
export function unpackBounds(call: ActiveCall, limits: Limits, maxBytes: number, unpacking: Unpacking): UnpackBounds {
  const { principal } = call;
  const tenant = principal.kind === "service-owner" ? "" : principal.tenant;
  const charge = (bytes: number): void => {
    // The first is the call itself.
    for (let more = bytes - CALL_BYTES; more > 0; more -= CALL_BYTES) limits.call(principal, call.address);
  };
  return { maxBytes, unpacking, tenant, charge, wanted: () => !call.aborted };
}

function notGzip(): Refusal {
  return malformed("the request is not valid gzip");
}

/** The refusal of a request that is compressed in a way that is not taken. */
export function unknownEncoding(encoding: string): Refusal {
  return malformed(`requests compressed with "${encoding}" are not taken: send gzip or identity`, {
    accepted: "gzip, identity",
  });
}

/** How gzip begins (RFC 1952, 2.3.1). No protobuf message does: its first byte would be a field of wire type 7. */
export function isGzip(data: Uint8Array): boolean {
  return data[0] === 0x1f && data[1] === 0x8b;
}
