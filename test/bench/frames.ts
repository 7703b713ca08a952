import { connect, type Socket } from "node:net";

/*
 * HTTP/2 for load that costs next to nothing to make: frames encoded beforehand, written to a socket, and answers read
 * without decoding. A general client would be the limit (grpc-js tops out near 11,000 calls a second on one core), and
 * what is to be measured is the server. Only what a bench needs is here: no TLS, no padding, no CONTINUATION.
 *
 * The server is told to use no dynamic header table (SETTINGS_HEADER_TABLE_SIZE = 0), so equal headers are equal bytes.
 * Our own headers use its dynamic table, as every client's do: from the second request on they are an index each.
 */

const DATA = 0;
const HEADERS = 1;
const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const HEAD = 9;
/** The length and flag before every message of gRPC, gRPC-Web and Connect's streams. */
export const ENVELOPE = 5;
/** The largest frame that a peer takes if it says nothing else. */
const FRAME_MAX = 16_384;
const WINDOW_MAX = 0x7fff_ffff;
/** The first index of the dynamic table (RFC 7541, section 2.3.3). */
const DYNAMIC = 62;

/** What is read, of whichever connection: each piece is done with before the next is read. */
const pieces = Buffer.allocUnsafeSlow(1 << 18);

export type Fields = readonly (readonly [name: string, value: string])[];

/** What a connection tells of what it reads. `bytes` is valid during the call only, from `start` up to `end`. */
export interface FrameReader {
  headers(stream: number, bytes: Buffer, start: number, end: number, last: boolean): void;
  /** A frame's content, in as many pieces as it comes. */
  data(stream: number, bytes: Buffer, start: number, end: number, last: boolean): void;
  /** The server reset the stream. */
  reset(stream: number): void;
  /** The connection has ended, or the server is about to end it. */
  closed(): void;
  /** What one piece of the socket held has been told. */
  read?(): void;
}

/** One HTTP/2 connection without TLS, as a client. */
export class FrameConnection {
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  readonly #fields: Fields;
  readonly #indexed: Buffer;
  #sentFields = false;
  /** The head of the frame that is being read. */
  readonly #head = Buffer.alloc(HEAD);
  #headBytes = 0;
  /** Bytes of its content that are to come. */
  #left = 0;
  /** What has come of a content that is told of as a whole. */
  #content: Buffer[] = [];
  #next = 1;
  #owed = 0;
  #out: Buffer[] = [];

  private constructor(socket: Socket, fields: Fields, reader: FrameReader, streamWindow: number) {
    this.#socket = socket;
    this.#reader = reader;
    this.#fields = fields;
    this.#indexed = Buffer.from(fields.map((_, i) => 0x80 | (DYNAMIC + fields.length - 1 - i)));
    socket.once("close", () => reader.closed());
    socket.on("error", () => undefined); // "close" follows
    socket.write(preface(streamWindow));
  }

  /**
   * Connects to 127.0.0.1.
   * @param fields sent with every request, pseudo-header fields first
   * @param streamWindow bytes that the server may send on one stream; they are never given back. Default 2 GiB.
   */
  static async open(port: number, fields: Fields, reader: FrameReader, streamWindow = WINDOW_MAX) {
    const read = { to: (_bytes: Buffer): void => undefined };
    const callback = (length: number) => {
      read.to(pieces.subarray(0, length));
      return true;
    };
    const socket = connect({ host: "127.0.0.1", port, noDelay: true, onread: { buffer: pieces, callback } });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    const connection = new FrameConnection(socket, fields, reader, streamWindow);
    read.to = (bytes) => connection.#read(bytes);
    return connection;
  }

  /**
   * Starts a stream with one message in an envelope. What is written in one turn goes out together.
   * @param more a header block of fields that only this request has; see `literals`
   * @param last whether the request ends with it
   */
  request(message: Uint8Array, more: Uint8Array, last = true): number {
    const stream = this.#next;
    this.#next += 2;
    const block = this.#sentFields ? this.#indexed : indexing(this.#fields);
    this.#sentFields = true;
    const head = HEAD + block.length + more.length;
    const frames = Math.max(1, Math.ceil((ENVELOPE + message.length) / FRAME_MAX));
    const bytes = Buffer.allocUnsafe(head + frames * HEAD + ENVELOPE + message.length);
    writeHead(bytes, 0, block.length + more.length, HEADERS, END_HEADERS, stream);
    bytes.set(block, HEAD);
    bytes.set(more, HEAD + block.length);
    writeMessage(bytes, head, stream, message, last);
    this.#write(bytes);
    return stream;
  }

  /** Stops reading the socket: the server's writes fill the kernel's buffers, then its own. */
  stall(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.destroy();
  }

  #write(bytes: Buffer): void {
    if (this.#out.push(bytes) > 1) return;
    setImmediate(() => {
      const out = this.#out;
      this.#out = [];
      this.#socket.write(out.length === 1 && out[0] ? out[0] : Buffer.concat(out));
    });
  }

  #read(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      at = this.#headBytes < HEAD ? this.#readHead(bytes, at) : this.#readContent(bytes, at);
    }
    this.#reader.read?.();
  }

  /** @returns up to where it was read */
  #readHead(bytes: Buffer, start: number): number {
    const end = Math.min(bytes.length, start + HEAD - this.#headBytes);
    this.#headBytes += bytes.copy(this.#head, this.#headBytes, start, end);
    if (this.#headBytes < HEAD) return end;
    this.#left = this.#head.readUIntBE(0, 3);
    return this.#left === 0 ? this.#readContent(bytes, end) : end;
  }

  /** @returns up to where it was read */
  #readContent(bytes: Buffer, start: number): number {
    const end = Math.min(bytes.length, start + this.#left);
    const isWhole = end - start === this.#left;
    const [type, flags, stream] = [this.#head[3] ?? 0, this.#head[4] ?? 0, this.#head.readUInt32BE(5)];
    this.#left -= end - start;
    if (isWhole) this.#headBytes = 0;
    if (type === DATA) {
      this.#reader.data(stream, bytes, start, end, isWhole && (flags & END_STREAM) !== 0);
      this.#consumed(end - start);
    } else if (!isWhole) this.#content.push(Buffer.from(bytes.subarray(start, end)));
    else if (this.#content.length === 0) this.#take(type, flags, stream, bytes.subarray(start, end));
    else {
      const content = Buffer.concat([...this.#content, bytes.subarray(start, end)]);
      this.#content = [];
      this.#take(type, flags, stream, content);
    }
    return end;
  }

  #take(type: number, flags: number, stream: number, content: Buffer): void {
    if (type === HEADERS) this.#reader.headers(stream, content, 0, content.length, (flags & END_STREAM) !== 0);
    else if (type === RST_STREAM) this.#reader.reset(stream);
    else if (type === GOAWAY) this.#reader.closed();
    else if (type === SETTINGS && (flags & ACK) === 0) this.#write(frame(SETTINGS, ACK, 0, NOTHING));
    else if (type === PING && (flags & ACK) === 0) this.#write(frame(PING, ACK, 0, content));
  }

  /** Gives the connection's window back, now and then. */
  #consumed(bytes: number): void {
    this.#owed += bytes;
    if (this.#owed < 1 << 20) return;
    this.#write(frame(WINDOW_UPDATE, 0, 0, uint32(this.#owed)));
    this.#owed = 0;
  }
}

const NOTHING = Buffer.alloc(0);

export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEAD + payload.length);
  writeHead(bytes, 0, payload.length, type, flags, stream);
  bytes.set(payload, HEAD);
  return bytes;
}

/** A header block whose fields the server does not remember (RFC 7541, section 6.2.2), without Huffman coding. */
export function literals(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
}

/** A header block whose fields the server adds to its dynamic table (RFC 7541, section 6.2.1). */
function indexing(fields: Fields): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0x40), text(name), text(value)]));
}

function text(value: string): Buffer {
  const length: number[] = [];
  if (value.length < 127) length.push(value.length);
  else {
    length.push(127);
    let left = value.length - 127;
    for (; left >= 128; left >>= 7) length.push((left & 127) | 128);
    length.push(left);
  }
  return Buffer.concat([Buffer.from(length), Buffer.from(value, "latin1")]);
}

function preface(streamWindow: number): Buffer {
  const settings = Buffer.alloc(18);
  settings.writeUInt16BE(1, 0); // HEADER_TABLE_SIZE = 0
  settings.writeUInt16BE(2, 6); // ENABLE_PUSH = 0
  settings.writeUInt16BE(4, 12); // INITIAL_WINDOW_SIZE
  settings.writeUInt32BE(streamWindow, 14);
  return Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(SETTINGS, 0, 0, settings),
    frame(WINDOW_UPDATE, 0, 0, uint32(0x3fff_ffff)),
  ]);
}

function writeHead(bytes: Buffer, at: number, length: number, type: number, flags: number, stream: number): void {
  bytes.writeUIntBE(length, at, 3);
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  bytes.writeUInt32BE(stream, at + 5);
}

/** Writes a message in its envelope as as many DATA frames as it needs. */
function writeMessage(bytes: Buffer, start: number, stream: number, message: Uint8Array, last: boolean): void {
  const total = ENVELOPE + message.length;
  for (let at = start, sent = 0; sent < total; ) {
    const length = Math.min(FRAME_MAX, total - sent);
    writeHead(bytes, at, length, DATA, last && sent + length === total ? END_STREAM : 0, stream);
    at += HEAD;
    if (sent === 0) {
      bytes[at] = 0;
      bytes.writeUInt32BE(message.length, at + 1);
      bytes.set(message.subarray(0, length - ENVELOPE), at + ENVELOPE);
    } else bytes.set(message.subarray(sent - ENVELOPE, sent - ENVELOPE + length), at);
    at += length;
    sent += length;
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}
