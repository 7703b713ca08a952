import type { DescService } from "@bufbuild/protobuf";
import { type ChannelOptions, Client, credentials } from "@grpc/grpc-js";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { ImportService } from "../../gen/leadline/v1/import_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { serverStream, type UnaryMethods, unaryMethods } from "./grpc-calls.ts";
import { LeadlineError } from "./leadline-error.ts";
import type { ResumeOptions } from "./resumable-watch.ts";
import { Status } from "./status.ts";
import {
  type AuditWatch,
  type BookingsWatch,
  type OrdersWatch,
  type WatchBookingsOptions,
  type WatchOrdersOptions,
  watchAudit,
  watchBookings,
  watchOrders,
} from "./watch.ts";

export interface LeadlineClientOptions {
  /** `host:port`, or `https://host:port` for TLS. */
  readonly address: string;
  /**
   * The key or link token, or a function that gives the one to use now; blanks and line ends around it are no part of it. A
   * watch whose key is refused asks the function again, and goes on with another one.
   */
  readonly key?: string | (() => string) | undefined;
  /** TLS: the certificates of the authorities to trust, PEM. Default: Node's. */
  readonly ca?: string | undefined;
  /** TLS: the client's own certificate chain and its key, PEM, for servers that ask for one. */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined;
}

/** A client over gRPC: every unary method as a function, and the watches. */
export interface LeadlineClient {
  readonly orders: UnaryMethods<typeof OrderService>;
  readonly bookings: UnaryMethods<typeof BookingService>;
  readonly imports: UnaryMethods<typeof ImportService>;
  readonly flows: UnaryMethods<typeof StatusFlowService>;
  readonly tenants: UnaryMethods<typeof TenantService>;
  /** The unary methods of another service of the same server. */
  service<S extends DescService>(service: S): UnaryMethods<S>;
  watchOrders(options?: WatchOrdersOptions): OrdersWatch;
  watchBookings(options?: WatchBookingsOptions): BookingsWatch;
  /** What is administered in the tenant; for its owner. */
  watchAudit(options?: Omit<ResumeOptions, "includeSnapshot">): AuditWatch;
  /** Closes the connections; calls and watches that run end with CANCELLED or UNAVAILABLE. */
  close(): void;
}

const channelOptions: ChannelOptions = {
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.initial_reconnect_backoff_ms": 200,
  "grpc.max_reconnect_backoff_ms": 2_000,
  "grpc.max_receive_message_length": 64 * 1024 * 1024,
};

/** Watches resume by themselves; a transparent retry below them would only hide what happened. */
const watchChannelOptions: ChannelOptions = { ...channelOptions, "grpc.enable_retries": 0 };

/**
 * Makes a client. Nothing is connected before the first call. Unary calls and watches have a connection each, so that a
 * watch that catches up does not hold up calls.
 */
export function createLeadlineClient(options: LeadlineClientOptions): LeadlineClient {
  const calls = lazily(() => connect(options, channelOptions));
  const watches = lazily(() => connect(options, watchChannelOptions));
  const { key } = options;
  return {
    orders: unaryMethods(OrderService, calls.get, key),
    bookings: unaryMethods(BookingService, calls.get, key),
    imports: unaryMethods(ImportService, calls.get, key),
    flows: unaryMethods(StatusFlowService, calls.get, key),
    tenants: unaryMethods(TenantService, calls.get, key),
    service: (service) => unaryMethods(service, calls.get, key),
    watchOrders: (watch) =>
      watchOrders(
        (request, { signal }) => serverStream(watches.get, key, OrderService.method.watchOrders, request, signal),
        watch,
      ),
    watchBookings: (watch) =>
      watchBookings(
        (request, { signal }) => serverStream(watches.get, key, BookingService.method.watchBookings, request, signal),
        watch,
      ),
    watchAudit: (watch) =>
      watchAudit(
        (request, { signal }) => serverStream(watches.get, key, TenantService.method.watchAudit, request, signal),
        watch,
      ),
    close() {
      calls.made()?.close();
      watches.made()?.close();
    },
  };
}

function connect(options: LeadlineClientOptions, channel: ChannelOptions): Client {
  const secure = options.address.startsWith("https://");
  const address = options.address.replace(/^https?:\/\//, "").replace(/\/$/, "");
  const pem = (text: string | undefined) => (text === undefined ? null : Buffer.from(text));
  const { ca, certificate } = options;
  const ssl = () => credentials.createSsl(pem(ca), pem(certificate?.key), pem(certificate?.cert));
  try {
    return new Client(address, secure ? ssl() : credentials.createInsecure(), channel);
  } catch (error) {
    // Trying again cannot help.
    const why = error instanceof Error ? error.message : String(error);
    throw new LeadlineError(Status.INVALID_ARGUMENT, `the address or a certificate cannot be used: ${why}`, {
      cause: error,
    });
  }
}

function lazily<T>(make: () => T): { get: () => T; made: () => T | undefined } {
  let value: T | undefined;
  return {
    get: () => {
      value ??= make();
      return value;
    },
    made: () => value,
  };
}

export type { CallOptions, UnaryMethods } from "./grpc-calls.ts";
export { LeadlineError } from "./leadline-error.ts";
export { Status, statusName } from "./status.ts";
export type { AuditWatch, BookingsWatch, OrdersWatch, WatchBookingsOptions, WatchOrdersOptions } from "./watch.ts";
export type { ConnectionState, WatchItem } from "./watch-item.ts";
