import { grpcFields } from "./calls.ts";
import { ENVELOPE, type Fields, FrameConnection, type FrameReader } from "./frames.ts";

/** How a door is asked for a stream. Data envelopes are the same bytes in all of them. */
export type StreamProtocol = "grpc" | "grpc-web" | "connect";

/** What watches have had. Several connections may share one. */
export class WatchCounts {
  events = 0;
  /** Messages with events and without. */
  messages = 0;
  /** Streams that have had their first message. */
  started = 0;
  /** Streams that have ended. */
  ended = 0;
  /** Told of every event. @param revision the event's first field if it is a number; else 0 */
  onEvent: ((revision: number) => void) | undefined;
  /** Told after each piece of a socket was read, or a stream has ended. */
  onRead: () => void = () => undefined;
}

export interface WatchTarget {
  readonly port: number;
  readonly path: string;
  readonly protocol: StreamProtocol;
  /** The number of the field of a message that holds its events. Leadline: 1. etcd: 11. */
  readonly eventsField: number;
  /** Whether the request stays open, as etcd's does. */
  readonly open: boolean;
}

/** The beginning of a message. Each byte is copied once, however many pieces the message comes in. */
class Rest {
  #bytes: Buffer;
  #have: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = Buffer.allocUnsafe(Math.max(ENVELOPE, end - start));
    this.#have = bytes.copy(this.#bytes, 0, start, end);
    this.#grow();
  }

  /** The message, once it is there. */
  get whole(): Buffer | undefined {
    return this.#have >= ENVELOPE && this.#have === this.#bytes.length ? this.#bytes : undefined;
  }

  /** @returns up to where the bytes belonged to the message */
  fill(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && !this.whole) {
      const to = Math.min(end, at + this.#bytes.length - this.#have);
      this.#have += bytes.copy(this.#bytes, this.#have, at, to);
      at = to;
      this.#grow();
    }
    return at;
  }

  #grow(): void {
    if (this.#have < ENVELOPE) return;
    const size = ENVELOPE + this.#bytes.readUInt32BE(1);
    if (size <= this.#bytes.length) return;
    const bytes = Buffer.allocUnsafe(size);
    this.#bytes.copy(bytes, 0, 0, this.#have);
    this.#bytes = bytes;
  }
}

/** Many watches on one connection. It counts events by the frames of the messages' fields and decodes nothing. */
export class WatchConnection implements FrameReader {
  readonly #counts: WatchCounts;
  readonly #tag: number;
  readonly #target: WatchTarget;
  readonly #watchers = new Map<number, { started: boolean; rest: Rest | undefined }>();
  #connection: FrameConnection | undefined;

  private constructor(target: WatchTarget, counts: WatchCounts) {
    this.#target = target;
    this.#counts = counts;
    this.#tag = (target.eventsField << 3) | 2; // below 16, so one byte
  }

  /** @param streamWindow see `FrameConnection.open` */
  static async open(target: WatchTarget, counts: WatchCounts, streamWindow?: number): Promise<WatchConnection> {
    const watches = new WatchConnection(target, counts);
    watches.#connection = await FrameConnection.open(target.port, fieldsOf(target), watches, streamWindow);
    return watches;
  }

  /** @param message an encoded request @param authorization see `credential` */
  watch(message: Uint8Array, authorization: Uint8Array): void {
    const stream = this.#connection?.request(message, authorization, !this.#target.open) ?? -1;
    this.#watchers.set(stream, { started: false, rest: undefined });
  }

  stall(): void {
    this.#connection?.stall();
  }

  close(): void {
    this.#connection?.close();
  }

  headers(stream: number, _bytes: Buffer, _start: number, _end: number, last: boolean): void {
    if (last) this.reset(stream);
  }

  data(stream: number, bytes: Buffer, start: number, end: number, last: boolean): void {
    const watcher = this.#watchers.get(stream);
    if (!watcher) return;
    let at = start;
    if (watcher.rest) {
      at = watcher.rest.fill(bytes, start, end);
      const { whole } = watcher.rest;
      if (whole) {
        watcher.rest = undefined;
        this.#messages(watcher, whole, 0, whole.length);
      }
    }
    if (!watcher.rest) watcher.rest = this.#messages(watcher, bytes, at, end);
    if (last) this.reset(stream);
  }

  reset(stream: number): void {
    if (this.#watchers.delete(stream)) this.#counts.ended += 1;
  }

  closed(): void {
    this.#counts.ended += this.#watchers.size;
    this.#watchers.clear();
    this.#counts.onRead();
  }

  read(): void {
    this.#counts.onRead();
  }

  /** Reads whole messages. @returns a copy of what is left */
  #messages(of: { started: boolean }, bytes: Buffer, start: number, end: number) {
    let at = start;
    while (end - at >= ENVELOPE) {
      const next = at + ENVELOPE + bytes.readUInt32BE(at + 1);
      if (next > end) break;
      this.#counts.messages += 1;
      if (!of.started) {
        of.started = true;
        this.#counts.started += 1;
      }
      if (bytes[at] === 0) this.#fields(bytes, at + ENVELOPE, next);
      at = next;
    }
    return at < end ? new Rest(bytes, at, end) : undefined;
  }

  /** Walks a message's fields, all of which are numbers or have a length. */
  #fields(bytes: Buffer, start: number, end: number): void {
    const reader = new VarintReader(bytes, start);
    while (reader.at < end) {
      const tag = reader.read();
      if ((tag & 7) !== 2) {
        reader.read();
        continue;
      }
      const length = reader.read();
      if (tag === this.#tag) {
        this.#counts.events += 1;
        this.#counts.onEvent?.(bytes[reader.at] === 8 ? new VarintReader(bytes, reader.at + 1).read() : 0);
      }
      reader.at += length;
    }
  }
}

/** Reads protobuf's numbers, as far as a double holds them. */
export class VarintReader {
  at: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  read(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }
}

function fieldsOf({ path, protocol }: WatchTarget): Fields {
  if (protocol === "grpc") return grpcFields(path);
  if (protocol === "grpc-web") return grpcFields(path, "application/grpc-web+proto");
  const fields = grpcFields(path, "application/connect+proto").filter(([name]) => name !== "te");
  return [...fields, ["connect-protocol-version", "1"]];
}
