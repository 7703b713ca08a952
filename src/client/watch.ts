import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Booking, BookingFilterSchema } from "../../gen/leadline/v1/booking_pb.ts";
import {
  type WatchBookingsRequest,
  WatchBookingsRequestSchema,
  type WatchBookingsResponse,
} from "../../gen/leadline/v1/booking_service_pb.ts";
import type { Order, OrderFilterSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  type WatchOrdersRequest,
  WatchOrdersRequestSchema,
  type WatchOrdersResponse,
} from "../../gen/leadline/v1/order_service_pb.ts";
import {
  type WatchAuditRequest,
  WatchAuditRequestSchema,
  type WatchAuditResponse,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import { WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import { ResumableWatch, type ResumeOptions } from "./resumable-watch.ts";

/** Opens one server stream over some transport. It must end, or fail, when the signal aborts. */
export type Opener<Q, M> = (request: Q, options: { readonly signal: AbortSignal }) => AsyncIterable<M>;

/** One order of the snapshot. */
export interface OrderSnapshot {
  readonly type: "snapshot";
  readonly order: Order;
}

/** One booking of the snapshot. */
export interface BookingSnapshot {
  readonly type: "snapshot";
  readonly booking: Booking;
}

interface Mode {
  /** ALL (default): every event. LATEST: only the newest state when there is much to catch up with. */
  readonly mode?: WatchMode | undefined;
}

export interface WatchOrdersOptions extends ResumeOptions, Mode {
  /** Which orders; absent: all that the credential may see. */
  readonly filter?: MessageInitShape<typeof OrderFilterSchema> | undefined;
}

export interface WatchBookingsOptions extends ResumeOptions, Mode {
  /** Which bookings; absent: all that the credential may see. */
  readonly filter?: MessageInitShape<typeof BookingFilterSchema> | undefined;
}

export type OrdersWatch = ResumableWatch<WatchOrdersResponse, OrderSnapshot>;
export type BookingsWatch = ResumableWatch<WatchBookingsResponse, BookingSnapshot>;

/** Watches orders over streams that `open` opens. */
export function watchOrders(
  open: Opener<WatchOrdersRequest, WatchOrdersResponse>,
  options: WatchOrdersOptions = {},
): OrdersWatch {
  const asked = create(WatchOrdersRequestSchema, { mode: options.mode ?? WatchMode.ALL });
  if (options.filter) asked.filter = create(WatchOrdersRequestSchema, { filter: options.filter }).filter;
  return new ResumableWatch(
    {
      open: (start, signal) => open({ ...asked, ...start }, { signal }),
      rows: (message) => message.orders.map((order) => ({ type: "snapshot", order })),
    },
    options,
  );
}

/** An audit watch sends no rows, and nothing leaves it. */
type AuditMessage = WatchAuditResponse & { readonly left: readonly never[] };
export type AuditWatch = ResumableWatch<AuditMessage, never>;

/** Watches the audit journal over streams that `open` opens. There is no snapshot: without a position it starts now. */
export function watchAudit(
  open: Opener<WatchAuditRequest, WatchAuditResponse>,
  options: Omit<ResumeOptions, "includeSnapshot"> = {},
): AuditWatch {
  async function* messages(position: string, signal: AbortSignal): AsyncGenerator<AuditMessage, void> {
    const request = create(WatchAuditRequestSchema, { position });
    for await (const message of open(request, { signal })) yield { ...message, left: [] };
  }
  return new ResumableWatch({ open: ({ position }, signal) => messages(position, signal), rows: () => [] }, options);
}

/** Watches bookings over streams that `open` opens. */
export function watchBookings(
  open: Opener<WatchBookingsRequest, WatchBookingsResponse>,
  options: WatchBookingsOptions = {},
): BookingsWatch {
  const asked = create(WatchBookingsRequestSchema, { mode: options.mode ?? WatchMode.ALL });
  if (options.filter) asked.filter = create(WatchBookingsRequestSchema, { filter: options.filter }).filter;
  return new ResumableWatch(
    {
      open: (start, signal) => open({ ...asked, ...start }, { signal }),
      rows: (message) => message.bookings.map((booking) => ({ type: "snapshot", booking })),
    },
    options,
  );
}
