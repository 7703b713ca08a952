import { grpcFields } from "./calls.ts";
import { EventCounter } from "./event-counter.ts";
import { type Fields, FrameConnection, type FrameReader } from "./frames.ts";

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

/** Many watches on one connection. */
export class WatchConnection implements FrameReader {
  readonly #counts: WatchCounts;
  readonly #target: WatchTarget;
  readonly #watchers = new Map<number, EventCounter>();
  #connection: FrameConnection | undefined;

  private constructor(target: WatchTarget, counts: WatchCounts) {
    this.#target = target;
    this.#counts = counts;
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
    this.#watchers.set(stream, new EventCounter(this.#counts, this.#target.eventsField));
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
    this.#watchers.get(stream)?.take(bytes, start, end);
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
