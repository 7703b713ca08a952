import { create } from "@bufbuild/protobuf";
import type { OrderCreated } from "../../gen/leadline/v1/event_pb.ts";
import {
  type Order,
  type OrderBooking,
  type OrderDetails,
  OrderDetailsSchema,
  OrderSchema,
  Phase,
} from "../../gen/leadline/v1/order_pb.ts";
import { moveMilestones, type ReportMove } from "./milestones.ts";
import { recordedTime, withStatus } from "./order-status.ts";
import { findReport, type ReportIdentity, withReport, withRetraction } from "./reports.ts";
import { STANDARD_FLOW } from "./standard-flow.ts";
import { type Change, type OrderSubject, type Recorded, SubjectKind } from "./subject.ts";

/** An order and its details while a change is worked in. */
type State = Omit<OrderSubject, "kind">;

/**
 * The order after a change. Pure: `before` is not touched, and what the change does not concern is shared with it. Throws
 * when the change is not one of an existing order, or creates one that exists.
 */
export function evolveOrder(
  before: OrderSubject | undefined,
  change: Change,
  recorded: Recorded,
  id: string,
): OrderSubject {
  const { order, details } = before === undefined ? created(change, recorded, id) : changed(before, change, recorded);
  order.version = recorded.version; // every change makes an order of its own, which nobody else has yet
  order.updatedAt = recorded.recordedAt;
  return { kind: SubjectKind.ORDER, order, details };
}

function created(change: Change, recorded: Recorded, id: string): State {
  if (change.case !== "orderCreated") throw new Error(`${change.case} of order ${id}, which does not exist`);
  return withStatus(newOrder(change.value, recorded, id), newDetails(change.value), STANDARD_FLOW);
}

function newOrder(of: OrderCreated, recorded: Recorded, id: string): Order {
  const order = create(OrderSchema, { id, references: of.references, createdAt: recorded.recordedAt });
  if (of.origin) order.origin = of.origin;
  if (of.destination) order.destination = of.destination;
  if (of.promisedAt) order.promisedAt = of.promisedAt;
  if (of.requestedAt) order.requestedAt = of.requestedAt;
  return order;
}

function newDetails({ lines, units, parties }: OrderCreated): OrderDetails {
  return create(OrderDetailsSchema, { lines, units, parties });
}

function changed(before: State, change: Change, recorded: Recorded): State {
  const { order, details } = before;
  switch (change.case) {
    case "reported": {
      const report = change.value.report;
      if (report?.report === undefined) throw new Error("a reported event has no report");
      return withReports(before, withReport(details.reports, report), report.report);
    }
    case "reportRetracted":
      return withReports(before, withRetraction(details.reports, change.value, recorded.recordedAt), change.value);
    case "orderHeld":
      return { order: { ...order, onHold: true, holdReason: change.value.reason }, details };
    case "orderReleased":
      return { order: { ...order, onHold: false, holdReason: "" }, details };
    case "orderCancelled":
      return {
        order: { ...order, ...cancelledStatus(recorded) },
        details: { ...details, cancelReason: change.value.reason },
      };
    case "bookingAttached": {
      const booking = change.value.booking;
      if (booking === undefined) throw new Error("an attachment has no booking");
      return withBookings(before, attached(details.bookings, booking));
    }
    case "bookingDetached": {
      const { bookingId } = change.value;
      return withBookings(
        before,
        details.bookings.filter((one) => one.bookingId !== bookingId),
      );
    }
    default:
      throw new Error(`${change.case} is not a change of an existing order`);
  }
}

/** The order with other reports; `moved` names the one that differs. */
function withReports({ order, details }: State, reports: State["details"]["reports"], moved: ReportIdentity): State {
  const move: ReportMove = { was: findReport(details.reports, moved), is: findReport(reports, moved) };
  const milestones = moveMilestones(details.milestones, reports, move);
  return withStatus(order, { ...details, reports, milestones }, STANDARD_FLOW);
}

function cancelledStatus(recorded: Recorded): Pick<Order, "status" | "phase" | "statusSince"> {
  return {
    status: STANDARD_FLOW.cancelled,
    phase: Phase.CANCELLED,
    statusSince: recordedTime(recorded.recordedAt),
  };
}

/** The bookings with one more, or with its units replaced where it stands. */
function attached(bookings: readonly OrderBooking[], booking: OrderBooking): OrderBooking[] {
  const known = bookings.some((one) => one.bookingId === booking.bookingId);
  return known ? bookings.map((one) => (one.bookingId === booking.bookingId ? booking : one)) : [...bookings, booking];
}

function withBookings({ order, details }: State, bookings: OrderBooking[]): State {
  const bookingIds = bookings.map((one) => one.bookingId);
  const carriers = [...new Set(bookings.map((one) => one.carrier).filter((carrier) => carrier !== ""))].sort();
  return withStatus({ ...order, bookingIds, carriers }, { ...details, bookings }, STANDARD_FLOW);
}
