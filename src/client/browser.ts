import type { DescService } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { fromConnectError } from "./connect-error.ts";
import { judgedBy, type KeySource, keyNow } from "./key.ts";
import {
  type BookingsWatch,
  type OrdersWatch,
  type WatchBookingsOptions,
  type WatchOrdersOptions,
  watchBookings,
  watchOrders,
} from "./watch.ts";

export interface LeadlineWebClientOptions {
  /** The HTTP door: `https://host:8080`. */
  readonly baseUrl: string;
  /**
   * The key or link token, or a function that gives the one to use now; blanks and line ends around it are no part of it. A
   * watch whose key is refused asks the function again, and goes on with another one.
   */
  readonly key?: string | (() => string) | undefined;
  /** Default `connect`. `grpc-web` for proxies that know no other. */
  readonly protocol?: "connect" | "grpc-web" | undefined;
  /** JSON on the wire in place of protobuf: larger, readable in the browser's tools. Default false. */
  readonly json?: boolean | undefined;
}

/** A client over fetch, for browsers and everything that has one. Unary calls reject with a ConnectError. */
export interface LeadlineWebClient {
  readonly orders: Client<typeof OrderService>;
  readonly bookings: Client<typeof BookingService>;
  /** A client of another service over the same transport. */
  service<S extends DescService>(service: S): Client<S>;
  watchOrders(options?: WatchOrdersOptions): OrdersWatch;
  watchBookings(options?: WatchBookingsOptions): BookingsWatch;
}

/** Makes a client. Over cleartext HTTP a browser opens six connections to one origin: open few watches with wide filters. */
export function createLeadlineWebClient(options: LeadlineWebClientOptions): LeadlineWebClient {
  const { key } = options;
  const transport = transportOf(options, [authorizing(key)]);
  // Watches bring their own headers: they have to know which key was refused.
  const watches = transportOf(options, []);
  const { watchOrders: openOrders } = createClient(OrderService, watches);
  const { watchBookings: openBookings } = createClient(BookingService, watches);
  return {
    orders: createClient(OrderService, transport),
    bookings: createClient(BookingService, transport),
    service: (service) => createClient(service, transport),
    watchOrders: (watch) =>
      watchOrders((request, { signal }) => keyed(key, (headers) => openOrders(request, { signal, headers })), watch),
    watchBookings: (watch) =>
      watchBookings(
        (request, { signal }) => keyed(key, (headers) => openBookings(request, { signal, headers })),
        watch,
      ),
  };
}

/** Gives each call the key of now. Calls reject where there is none that can be used. */
function authorizing(source: KeySource): Interceptor {
  return (next) => async (request) => {
    for (const [name, value] of Object.entries(bearer(usableKey(source)))) request.header.set(name, value);
    return await next(request);
  };
}

function transportOf(options: LeadlineWebClientOptions, interceptors: Interceptor[]): Transport {
  const common = {
    baseUrl: options.baseUrl,
    interceptors,
    useBinaryFormat: options.json !== true,
  };
  return options.protocol === "grpc-web" ? createGrpcWebTransport(common) : createConnectTransport(common);
}

/** The messages of one stream, which is opened with the key of now. */
async function* keyed<T>(
  source: KeySource,
  open: (headers: Record<string, string>) => AsyncIterable<T>,
): AsyncGenerator<T, void> {
  const key = keyNow(source);
  try {
    yield* open(bearer(key));
  } catch (error) {
    throw judgedBy(source, key, fromConnectError(error));
  }
}

/** The headers of a call: `authorization: Bearer <key>`, or none. */
function bearer(key: string): Record<string, string> {
  return key === "" ? {} : { authorization: `Bearer ${key}` };
}

/** The key to use now. Where there is none that can be used, Connect has its own kind of error. */
function usableKey(source: KeySource): string {
  try {
    return keyNow(source);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ConnectError(message, Code.Unauthenticated, undefined, undefined, error);
  }
}

export { LeadlineError } from "./leadline-error.ts";
export { Status, statusName } from "./status.ts";
export type { BookingsWatch, OrdersWatch, WatchBookingsOptions, WatchOrdersOptions } from "./watch.ts";
export type { ConnectionState, WatchItem } from "./watch-item.ts";
