import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { fromConnectError } from "./connect-error.ts";
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
  /** The key or link token, or a function that gives the one to use now. */
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
  const transport = transportOf(options);
  const orders = createClient(OrderService, transport);
  const bookings = createClient(BookingService, transport);
  return {
    orders,
    bookings,
    service: (service) => createClient(service, transport),
    watchOrders: (watch) => watchOrders((request, call) => typed(orders.watchOrders(request, call)), watch),
    watchBookings: (watch) => watchBookings((request, call) => typed(bookings.watchBookings(request, call)), watch),
  };
}

function transportOf(options: LeadlineWebClientOptions): Transport {
  const authorize: Interceptor = (next) => (request) => {
    const key = typeof options.key === "function" ? options.key() : options.key;
    if (key !== undefined && key !== "") request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
  const common = {
    baseUrl: options.baseUrl,
    interceptors: [authorize],
    useBinaryFormat: options.json !== true,
  };
  return options.protocol === "grpc-web" ? createGrpcWebTransport(common) : createConnectTransport(common);
}

async function* typed<T>(messages: AsyncIterable<T>): AsyncGenerator<T, void> {
  try {
    yield* messages;
  } catch (error) {
    throw fromConnectError(error);
  }
}

export { LeadlineError } from "./leadline-error.ts";
export { Status, statusName } from "./status.ts";
export type { BookingsWatch, OrdersWatch, WatchBookingsOptions, WatchOrdersOptions } from "./watch.ts";
export type { ConnectionState, WatchItem } from "./watch-item.ts";
