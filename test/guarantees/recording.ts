import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { BookingService, type WatchBookingsRequestSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService, type WatchOrdersRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import type { Caller } from "../doors/callers.ts";
import type { Reader, Trace, Truth, WatchMessage } from "./trace.ts";

/** What a watch asks for, by what is watched. */
export type Asked =
  | { readonly of: "orders"; readonly request: MessageInitShape<typeof WatchOrdersRequestSchema> }
  | { readonly of: "bookings"; readonly request: MessageInitShape<typeof WatchBookingsRequestSchema> };

const PATIENCE_MS = 20_000;

/** A watch whose messages are written down as they come. */
export class Recording implements AsyncDisposable {
  readonly messages: WatchMessage[] = [];
  readonly #asked: Asked;
  readonly #leaving = new AbortController();
  readonly #ended: Promise<ConnectError | undefined>;
  #over = false;
  #waiting: (() => void)[] = [];

  constructor(caller: Caller, bearer: string, asked: Asked) {
    this.#asked = asked;
    const options = { bearer, signal: this.#leaving.signal };
    const stream: AsyncIterable<WatchMessage> =
      asked.of === "orders"
        ? caller.stream(OrderService.method.watchOrders, asked.request, options)
        : caller.stream(BookingService.method.watchBookings, asked.request, options);
    this.#ended = this.#record(stream);
  }

  /** Resolves once the messages so far fit. Rejects when the stream ends before, or after 20 s. */
  async until(what: string, fits: (messages: readonly WatchMessage[]) => boolean): Promise<this> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    late.addEventListener("abort", () => this.#tell());
    while (!fits(this.messages)) {
      if (this.#over) throw new Error(`the stream ended before ${what}`, { cause: await this.#ended });
      if (late.aborted) throw new Error(`${what} did not come; ${this.messages.length} messages did`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    return this;
  }

  /** The server has answered. */
  started(): Promise<this> {
    return this.until("started", (messages) => messages.some(({ started }) => started !== undefined));
  }

  synced(): Promise<this> {
    return this.until("synced", (messages) => messages.some(({ synced }) => synced !== undefined));
  }

  /** A bookmark says that everything up to the revision has been told. */
  bookmarked(reader: Reader, truth: Pick<Truth, "positions">, upTo: bigint): Promise<this> {
    const at = (position: string) => truth.positions.decode(reader.tenant, position, reader.visibility).revision;
    return this.until(`a bookmark at ${upTo}`, (messages) =>
      messages.some(({ bookmark }) => bookmark !== undefined && at(bookmark.position) >= upTo),
    );
  }

  /** How the stream ended: with the error, or without one. Waits for it. */
  async end(): Promise<ConnectError | undefined> {
    await this.until("the end", () => this.#over);
    return this.#ended;
  }

  trace(reader: Reader, upTo: bigint): Trace {
    const { position = "", includeSnapshot = false, mode = WatchMode.ALL } = this.#asked.request;
    const start = position === "" ? (includeSnapshot ? "snapshot" : "now") : { position };
    return { reader, start, mode: mode === WatchMode.LATEST ? "LATEST" : "ALL", messages: this.messages, upTo };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaving.abort();
    await this.#ended;
  }

  async #record(stream: AsyncIterable<WatchMessage>): Promise<ConnectError | undefined> {
    try {
      for await (const message of stream) {
        this.messages.push(message);
        this.#tell();
      }
      return undefined;
    } catch (error) {
      return ConnectError.from(error);
    } finally {
      this.#over = true;
      this.#tell();
    }
  }

  #tell(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** The newest position that the messages name: where a resuming client continues. */
export function lastPosition(messages: readonly WatchMessage[]): string {
  for (const message of messages.toReversed()) {
    const { events, left, bookmark, end, synced, started } = message;
    const position = end?.position || bookmark?.position || left.at(-1)?.position || events.at(-1)?.position;
    const found = position || synced?.position || started?.head;
    if (found) return found;
  }
  throw new Error("no message names a position");
}
