import { Socket } from "node:net";

/** A message of Postgres' protocol begins with its type and the length of what follows the type. */
const HEAD_BYTES = 5;
/** Less is not worth it; and the one thing that pg keeps of a message, a password's salt, comes in no such piece. */
const RELEASE_FROM_BYTES = 4 * 1024;

/**
 * A socket for pg that hands on whole messages, and gives the memory of what it has read back at once: pg has copied what
 * it needs of them. V8 counts memory outside its heap against the next whole collection, so what 100,000 events came in
 * cost three collections, and they more than everything else. The memory is detached: whoever should use it all the same
 * would find nothing. Only for connections without TLS, which begin with something else than messages.
 */
export class MessageSocket extends Socket {
  /** The beginning of a message. */
  #pieces: Buffer[] = [];
  #have = 0;
  /** The length of the message that has begun; undefined: its head is not whole. */
  #total: number | undefined;

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (!Buffer.isBuffer(chunk)) return super.push(chunk, encoding);
    const start = this.#have > 0 ? this.#fill(chunk) : 0;
    const end = wholeUpTo(chunk, start);
    const whole = chunk.subarray(start, end);
    if (end < chunk.length) this.#keep(Buffer.from(chunk.subarray(end)));
    const wantsMore = whole.length > 0 ? super.push(whole) : true;
    this.#release(chunk);
    return wantsMore;
  }

  /** Adds to the message that has begun, and hands it on when it is whole. @returns up to where the chunk belongs to it */
  #fill(chunk: Buffer): number {
    let at = 0;
    if (this.#total === undefined) {
      at = Math.min(chunk.length, HEAD_BYTES - this.#have);
      this.#keep(Buffer.from(chunk.subarray(0, at)));
      if (this.#total === undefined) return at;
    }
    const end = Math.min(chunk.length, at + this.#total - this.#have);
    this.#keep(Buffer.from(chunk.subarray(at, end)));
    if (this.#have < this.#total) return end;
    const message = Buffer.concat(this.#pieces);
    for (const piece of this.#pieces) this.#release(piece);
    this.#pieces = [];
    this.#have = 0;
    this.#total = undefined;
    super.push(message);
    this.#release(message);
    return end;
  }

  #keep(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#have += piece.length;
    if (this.#total !== undefined || this.#have < HEAD_BYTES) return;
    if (piece.length < HEAD_BYTES) this.#pieces = [Buffer.concat(this.#pieces)];
    this.#total = 1 + (this.#pieces[0]?.readUInt32BE(1) ?? 0);
  }

  /** What was handed on is read by then, unless it waits because somebody has paused. */
  #release(bytes: Buffer): void {
    const { buffer } = bytes;
    const isAlone = bytes.byteLength >= RELEASE_FROM_BYTES && bytes.byteLength === buffer.byteLength;
    if (isAlone && this.readableLength === 0 && buffer instanceof ArrayBuffer) buffer.transfer(0);
  }
}

/** Up to where whole messages reach. */
function wholeUpTo(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes.length - at >= HEAD_BYTES) {
    const next = at + 1 + bytes.readUInt32BE(at + 1);
    if (next > bytes.length) break;
    at = next;
  }
  return at;
}
