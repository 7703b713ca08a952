import { fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { BookingService, type WatchBookingsRequestSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import {
  OrderService,
  type WatchOrdersRequestSchema,
  WatchOrdersResponseSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import {
  TenantService,
  type WatchAuditResponse,
  WatchAuditResponseSchema,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import { WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import type { Caller, CallerOptions } from "../doors/callers.ts";
import type { MessageTrace, WatchMessage } from "./messages.ts";
import type { Reader } from "./trace.ts";
import { revisionOf, type Truth } from "./truth.ts";

/** What a watch asks for, by what is watched. */
export type Asked =
  | { readonly of: "orders"; readonly request: MessageInitShape<typeof WatchOrdersRequestSchema> }
  | { readonly of: "bookings"; readonly request: MessageInitShape<typeof WatchBookingsRequestSchema> }
  | { readonly of: "audit"; readonly request: { readonly position?: string } };

const PATIENCE_MS = 20_000;

/** A watch whose messages are written down as they come. */
export class Recording implements AsyncDisposable {
  readonly messages: WatchMessage[] = [];
  readonly #openedAtMs = Date.now();
  readonly #asked: Asked;
  readonly #leaving = new AbortController();
  readonly #ended: Promise<ConnectError | undefined>;
  #over = false;
  #waiting: (() => void)[] = [];

  constructor(caller: Caller, bearer: string, asked: Asked) {
    this.#asked = asked;
    const options = { bearer, signal: this.#leaving.signal };
    this.#ended = this.#record(streamOf(caller, asked, options));
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
    const at = (position: string) => revisionOf(truth, reader, position);
    return this.until(`a bookmark at ${upTo}`, (messages) =>
      messages.some(({ bookmark }) => bookmark !== undefined && at(bookmark.position) >= upTo),
    );
  }

  /** How the stream ended: with the error, or without one. Waits for it. */
  async end(): Promise<ConnectError | undefined> {
    await this.until("the end", () => this.#over);
    return this.#ended;
  }

  trace(reader: Reader, upTo: bigint): MessageTrace {
    const { position = "" } = this.#asked.request;
    const { includeSnapshot = false, mode = WatchMode.ALL } = this.#asked.of === "audit" ? {} : this.#asked.request;
    const start = position === "" ? (includeSnapshot ? "snapshot" : "now") : { position };
    return {
      ...{ reader, start, openedAtMs: this.#openedAtMs, messages: this.messages, upTo },
      mode: mode === WatchMode.LATEST ? "LATEST" : "ALL",
    };
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

function streamOf(caller: Caller, asked: Asked, options: CallerOptions): AsyncIterable<WatchMessage> {
  switch (asked.of) {
    case "orders":
      return caller.stream(OrderService.method.watchOrders, asked.request, options);
    case "bookings":
      return caller.stream(BookingService.method.watchBookings, asked.request, options);
    case "audit":
      return asOrders(caller.stream(TenantService.method.watchAudit, asked.request, options));
  }
}

/** Messages of an audit watch have those of other watches' fields that they need, under the same numbers. */
async function* asOrders(messages: AsyncIterable<WatchAuditResponse>): AsyncGenerator<WatchMessage> {
  for await (const message of messages) {
    yield fromBinary(WatchOrdersResponseSchema, toBinary(WatchAuditResponseSchema, message));
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
