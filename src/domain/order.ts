import { create } from "@bufbuild/protobuf";
import type { OrderCreated, OrderMoved } from "../../gen/leadline/v1/event_pb.ts";
import {
  type Order,
  type OrderBooking,
  type OrderDetails,
  OrderDetailsSchema,
  OrderSchema,
  Phase,
} from "../../gen/leadline/v1/order_pb.ts";
import { moveMilestones, type ReportMove, renameMilestones } from "./milestones.ts";
import { recordedTime, withStatus } from "./order-status.ts";
import { chosenIn, redactOrder } from "./redaction.ts";
import { findReport, type ReportIdentity, withReport, withRetraction } from "./reports.ts";
import { CANCELLED, type StatusFlow } from "./status-flow.ts";
import { type Change, type Flows, type OrderSubject, type Recorded, SubjectKind } from "./subject.ts";

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
  flows: Flows,
): OrderSubject {
  const state = before === undefined ? created(change, recorded, id, flows) : changed(before, change, recorded, flows);
  const { order, details, flow } = state;
  order.version = recorded.version; // every change makes an order of its own, which nobody else has yet
  order.updatedAt = recorded.recordedAt;
  return { kind: SubjectKind.ORDER, order, details, flow };
}

function created(change: Change, recorded: Recorded, id: string, flows: Flows): State {
  if (change.case !== "orderCreated") throw new Error(`${change.case} of order ${id}, which does not exist`);
  const flow = flows({ id: change.value.flowId, version: change.value.flowVersion });
  return following(newOrder(change.value, recorded, id), newDetails(change.value), flow);
}

/** The order with what follows from its reports in a flow. */
function following(order: Order, details: OrderDetails, flow: StatusFlow): State {
  return { ...withStatus(order, details, flow), flow };
}

function newOrder(of: OrderCreated, recorded: Recorded, id: string): Order {
  const { references, flowId, flowVersion } = of;
  const order = create(OrderSchema, { id, references, flowId, flowVersion, createdAt: recorded.recordedAt });
  if (of.origin) order.origin = of.origin;
  if (of.destination) order.destination = of.destination;
  if (of.promisedAt) order.promisedAt = of.promisedAt;
  if (of.requestedAt) order.requestedAt = of.requestedAt;
  return order;
}

function newDetails({ lines, units, parties }: OrderCreated): OrderDetails {
  return create(OrderDetailsSchema, { lines, units, parties });
}

function changed(before: State, change: Change, recorded: Recorded, flows: Flows): State {
  const { order, details, flow } = before;
  switch (change.case) {
    case "reported": {
      const report = change.value.report;
      if (report?.report === undefined) throw new Error("a reported event has no report");
      return withReports(before, withReport(details.reports, report), report.report);
    }
    case "reportRetracted":
      return withReports(before, withRetraction(details.reports, change.value, recorded.recordedAt), change.value);
    case "orderHeld":
      return { order: { ...order, onHold: true, holdReason: change.value.reason }, details, flow };
    case "orderReleased":
      return { order: { ...order, onHold: false, holdReason: "" }, details, flow };
    case "orderCancelled":
      return {
        order: { ...order, ...cancelledStatus(recorded) },
        details: { ...details, cancelReason: change.value.reason },
        flow,
      };
    case "personalDataRedacted":
      // A copy in any case: the version is written into it.
      return { ...redactOrder({ order: { ...order }, details, flow }, chosenIn(change.value)) };
    case "orderMoved":
      return movedOrder(before, change.value, flows);
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
function withReports(
  { order, details, flow }: State,
  reports: State["details"]["reports"],
  moved: ReportIdentity,
): State {
  const move: ReportMove = { was: findReport(details.reports, moved), is: findReport(reports, moved) };
  const milestones = moveMilestones(details.milestones, reports, move);
  return following(order, { ...details, reports, milestones }, flow);
}

/**
 * The order in another flow. Reports whose status was mapped bear the new code from now on, so that they count; the events
 * keep what was reported. Milestones that are statuses go with them; those that a report named itself are of no flow.
 */
function movedOrder({ order, details }: State, moved: OrderMoved, flows: Flows): State {
  const flow = flows({ id: moved.toFlowId, version: moved.toVersion });
  const codes = new Map(moved.mappings.map(({ from, to }) => [from, to]));
  const reports = details.reports.map((recorded) => {
    const { report } = recorded;
    const status = report && codes.get(report.status);
    return report === undefined || status === undefined ? recorded : { ...recorded, report: { ...report, status } };
  });
  const milestones = renameMilestones(details.milestones, reports, codes);
  const inFlow = { ...order, flowId: moved.toFlowId, flowVersion: moved.toVersion };
  return following(inFlow, { ...details, reports, milestones }, flow);
}

function cancelledStatus(recorded: Recorded): Pick<Order, "status" | "phase" | "statusSince" | "ended"> {
  return {
    status: CANCELLED,
    phase: Phase.CANCELLED,
    ended: true,
    statusSince: recordedTime(recorded.recordedAt),
  };
}

/** The bookings with one more, or with its units replaced where it stands. */
function attached(bookings: readonly OrderBooking[], booking: OrderBooking): OrderBooking[] {
  const known = bookings.some((one) => one.bookingId === booking.bookingId);
  return known ? bookings.map((one) => (one.bookingId === booking.bookingId ? booking : one)) : [...bookings, booking];
}

function withBookings({ order, details, flow }: State, bookings: OrderBooking[]): State {
  const bookingIds = bookings.map((one) => one.bookingId);
  const carriers = [...new Set(bookings.map((one) => one.carrier).filter((carrier) => carrier !== ""))].sort();
  return following({ ...order, bookingIds, carriers }, { ...details, bookings }, flow);
}
