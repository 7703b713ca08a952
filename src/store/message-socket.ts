import { Socket } from "node:net";

/** A message of Postgres' protocol begins with its type and the length of what follows the type. */
const HEAD_BYTES = 5;
/** Shorter pieces are copied: the one thing that pg keeps of a message, a password's salt, comes in such a piece. */
const COPIED_BELOW = 4 * 1024;
/** What all of them are read into: a piece is done with before the next one is read, of whichever socket. */
const memory = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * A socket for pg that hands on whole messages and has no memory of its own: pg copies what it needs of them at once. V8 counts
 * memory outside its heap against the next whole collection, so what 100,000 events came in cost three collections, and they
 * more than everything else; and fresh memory is to be had from the system page by page. Only for connections without TLS,
 * which begin with something else than messages.
 */
export class MessageSocket extends Socket {
  /** The beginning of a message. */
  #pieces: Buffer[] = [];
  #have = 0;
  /** The length of the message that has begun; undefined: its head is not whole. */
  #total: number | undefined;

  constructor() {
    let read = (_length: number): boolean => true;
    super({ onread: { buffer: memory, callback: (length) => read(length) } });
    read = (length) => this.#read(memory.subarray(0, length));
  }

  /** What cannot be read ends this connection and no other: the memory belongs to the next read. @returns whether more may come */
  #read(chunk: Buffer): boolean {
    try {
      const start = this.#have > 0 ? this.#fill(chunk) : 0;
      const end = wholeUpTo(chunk, start);
      if (end < chunk.length) this.#keep(Buffer.from(chunk.subarray(end)));
      if (end > start) this.#handOn(chunk.subarray(start, end));
    } catch (error) {
      this.destroy(error instanceof Error ? error : new Error(String(error)));
    }
    return !this.destroyed && this.readableLength < this.readableHighWaterMark;
  }

  /** Without a copy only to whoever reads it now. */
  #handOn(messages: Buffer): void {
    const isReadNow = this.readableFlowing === true && this.readableLength === 0;
    if (!isReadNow || messages.length < COPIED_BELOW) this.push(Buffer.from(messages));
    else if (!this.destroyed) this.emit("data", messages);
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
    this.push(message);
    this.#release(message);
    return end;
  }

  #keep(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#have += piece.length;
    if (this.#total !== undefined || this.#have < HEAD_BYTES) return;
    if (piece.length < HEAD_BYTES) this.#pieces = [Buffer.concat(this.#pieces)];
    this.#total = 1 + lengthAt(this.#pieces[0] ?? piece, 0);
  }

  /**
   * Gives memory back at once: whoever should use it all the same would find nothing. What was handed on is read by then, unless
   * it waits because somebody has paused.
   */
  #release(bytes: Buffer): void {
    const { buffer } = bytes;
    const isAlone = bytes.byteLength >= COPIED_BELOW && bytes.byteLength === buffer.byteLength;
    if (isAlone && this.readableLength === 0 && buffer instanceof ArrayBuffer) buffer.transfer(0);
  }
}

/** Up to where whole messages reach. */
function wholeUpTo(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes.length - at >= HEAD_BYTES) {
    const next = at + 1 + lengthAt(bytes, at);
    if (next > bytes.length) break;
    at = next;
  }
  return at;
}

/** The length that a message's head says, which counts itself. Throws when it cannot be one. */
function lengthAt(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32BE(at + 1);
  if (length < HEAD_BYTES - 1) throw new Error("what answers does not speak Postgres' protocol");
  return length;
}
