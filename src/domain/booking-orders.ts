import { create, equals } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { BookingOrder, Leg } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingAttachedSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { LineQuantitySchema, LocalTimeSchema } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, type Report, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { inOrder, samePlace } from "./milestone-kinds.ts";
import { unitsOf } from "./order-extent.ts";
import { type ReportDecision, type ReportTaking, reportOnOrder, retractOnOrder } from "./order-reports.ts";
import { hasEnded } from "./order-status.ts";
import { Refusal } from "./refusal.ts";
import { counts, findReport } from "./reports.ts";
import { statusOfPhase } from "./status-flow.ts";
import {
  type BookingSubject,
  type Draft,
  type Load,
  type OrderSubject,
  orderRef,
  SubjectKind,
  type SubjectRef,
} from "./subject.ts";

/** An order with its side of a booking. */
export interface AttachedOrder {
  readonly entry: BookingOrder;
  readonly order: OrderSubject;
}

/** What a booking says of its orders by itself is no caller's report: it is kept, and flagged where it does not fit. */
const OWN_REPORT: ReportTaking = { strict: false, refuseIfUnfit: false, flags: [] };

/** The orders of a booking; or those that have to be loaded first. Throws ORDER_UNKNOWN for one that does not exist. */
export function loadOrders(
  load: Load,
  entries: readonly BookingOrder[],
): { readonly orders: readonly AttachedOrder[] } | { readonly needs: readonly SubjectRef[] } {
  const orders: AttachedOrder[] = [];
  const unknown: string[] = [];
  for (const entry of entries) {
    const ref = orderRef(entry.orderId);
    // Which orders a booking carries is known only once it is loaded.
    if (!load.has(ref)) return { needs: entries.map(({ orderId }) => orderRef(orderId)) };
    const order = load(ref);
    if (order?.kind === SubjectKind.ORDER) orders.push({ entry, order });
    else unknown.push(entry.orderId);
  }
  const [first] = unknown;
  if (first === undefined) return { orders };
  throw new Refusal(ErrorReason.ORDER_UNKNOWN, `order "${first}" does not exist`, {
    metadata: { order_id: first, order_ids: unknown.join(",") },
  });
}

/**
 * The orders' reports that the carrier has confirmed their space: ACTUAL, the status of the phase BOOKED, when it was first
 * confirmed. Orders that stand there or further, those whose flow has no such status, and those whose journey has ended, are
 * left alone.
 */
export function bookedDrafts(booking: BookingSubject, orders: readonly AttachedOrder[], now: Timestamp): Draft[] {
  const instant = booking.details.confirmations[0]?.confirmedAt ?? now;
  return orders.flatMap((attached) => {
    const { order, flow } = attached.order;
    const booked = statusOfPhase(flow, Phase.BOOKED);
    const rank = flow.byCode.get(order.status)?.rank ?? 0;
    if (booked === undefined || hasEnded(order) || rank >= booked.rank) return [];
    const report = create(ReportSchema, {
      ...identityOf(booking, "confirmed"),
      classifier: Classifier.ACTUAL,
      status: booked.code,
      occurredAt: create(LocalTimeSchema, { instant }),
      unitIds: unitsTouched(booking, attached, []) ?? [],
    });
    return tellOrder(attached.order, report, now, OWN_REPORT)?.drafts ?? [];
  });
}

/**
 * Takes back from the orders what the booking said of them by itself: that their space is confirmed, and when they are
 * expected to arrive. They are no longer in it, or it carries nothing any more.
 */
export function withdrawnDrafts(
  booking: BookingSubject,
  orders: readonly AttachedOrder[],
  now: Timestamp,
  reason: string,
): Draft[] {
  return orders.flatMap(({ order }) =>
    (["confirmed", "arrival"] as const).flatMap((what) => {
      const identity = identityOf(booking, what);
      const known = findReport(order.details.reports, identity);
      if (known === undefined || !counts(known)) return [];
      return retractOnOrder(order, { ...identity, sourceUpdatedAt: now, reason }, now).drafts;
    }),
  );
}

/**
 * The drafts by which attached orders come to know the booking's units, where they name none themselves: all of the
 * booking's, so that what happens to one of three containers is known to be one of three.
 */
export function namingDrafts({ booking, details }: BookingSubject, orders: readonly AttachedOrder[]): Draft[] {
  const unitIds = details.units.map((unit) => unit.id);
  return orders.flatMap(({ entry, order }) => {
    const known = order.details.bookings.find((one) => one.bookingId === booking.id);
    if (!isNamedByBooking(entry, order) || equalLists(known?.unitIds ?? [], unitIds)) return [];
    const value = create(BookingAttachedSchema, {
      booking: { bookingId: booking.id, carrier: booking.carrier, unitIds },
    });
    return [{ ref: orderRef(entry.orderId), change: { case: "bookingAttached", value } } satisfies Draft];
  });
}

/** Whether an order leaves it to the booking which units carry it: it has none of its own, and all of the booking's are its. */
export function isNamedByBooking(entry: BookingOrder, order: OrderSubject): boolean {
  return entry.unitIds.length === 0 && order.details.units.length === 0;
}

function equalLists(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/**
 * The orders' reports of when their arrival at the end of the plan is expected, where that differs from the plan before
 * (absent: there was none). One identity for all of them, so each replaces the one before and the slip stays readable.
 */
export function arrivalDrafts(
  before: BookingSubject | undefined,
  after: BookingSubject,
  orders: readonly AttachedOrder[],
  now: Timestamp,
  reasonCode = "",
): Draft[] {
  const last = lastLeg(after);
  if (last?.arrival === undefined || (before !== undefined && sameArrival(lastLeg(before), last))) return [];
  const report = create(ReportSchema, {
    ...identityOf(after, "arrival"),
    classifier: Classifier.ESTIMATED,
    milestone: "ARRIVED",
    occurredAt: last.arrival,
    ...(last.to && { place: last.to }),
    leg: last.sequence,
    reasonCode,
  });
  return orders.flatMap((attached) => {
    const { order, flow } = attached.order;
    if (hasEnded(order)) return [];
    const unitIds = unitsTouched(after, attached, []) ?? [];
    const status = statusOfPhase(flow, Phase.ARRIVED)?.code ?? "";
    return tellOrder(attached.order, { ...report, unitIds, status }, now, OWN_REPORT)?.drafts ?? [];
  });
}

/**
 * Reports to an attached order. Undefined: it has no room for another report, and is not told. What happens to a booking is
 * on record and reaches its other orders all the same: one order that is full must not refuse it for all of them.
 */
export function tellOrder(
  order: OrderSubject,
  report: Report,
  now: Timestamp,
  taking: ReportTaking,
): ReportDecision | undefined {
  try {
    return reportOnOrder(order, report, now, taking);
  } catch (error) {
    if (error instanceof Refusal && error.reason === ErrorReason.SUBJECT_FULL) return undefined;
    throw error;
  }
}

/**
 * The units that an order's report names when a booking's report names `reported` (none: everything). Empty: all of the
 * order. Undefined: the order is not touched.
 */
function unitsTouched(
  { details }: BookingSubject,
  { entry, order }: AttachedOrder,
  reported: readonly string[],
): string[] | undefined {
  const ofOrder = unitsOf(order.details).map((unit) => unit.id);
  const ofBooking = details.units.map((unit) => unit.id);
  if (reported.length === 0 && entry.unitIds.length === 0) {
    // All that travels here; where the order knows that it is not all of the order, its units here.
    const here = ofOrder.filter((id) => ofBooking.includes(id));
    return here.length < ofOrder.length ? here : [];
  }
  const touched = touchedUnits(entry.unitIds, reported);
  if (touched.length === 0) return undefined;
  const all = ofOrder.length > 0 ? ofOrder : ofBooking;
  const isAll = all.length > 0 && all.every((id) => touched.includes(id));
  return isAll ? [] : touched;
}

function touchedUnits(own: readonly string[], reported: readonly string[]): string[] {
  if (own.length === 0) return [...reported];
  return reported.length === 0 ? [...own] : own.filter((id) => reported.includes(id));
}

/** A report of an order as the booking gives it; undefined: the order is not touched. */
export function reportForOrder(booking: BookingSubject, attached: AttachedOrder, report: Report): Report | undefined {
  const unitIds = unitsTouched(booking, attached, report.unitIds);
  if (unitIds === undefined) return undefined;
  const known = new Set(attached.order.details.lines.map((line) => line.id));
  // Lines are the orders' own: with several orders each hears of those that it has.
  const lines =
    booking.details.orders.length > 1 ? report.lines.filter((line) => known.has(line.lineId)) : report.lines;
  if (report.lines.length > 0 && lines.length === 0) return undefined;
  return { ...report, unitIds, lines };
}

/** Some of the pieces of a shipment. */
export interface PartOfPieces {
  /** At least 1, and fewer than all. */
  readonly pieces: number;
  readonly total: number;
}

/**
 * A report of some of the pieces, as an order takes it: by the quantity of its line when it has one alone, of as many pieces as
 * there are in all; else its milestone moves and its status does not, for what has moved cannot be told.
 */
export function partOf(report: Report, { details }: OrderSubject, part: PartOfPieces | undefined): Report {
  if (part === undefined || report.lines.length > 0) return report;
  const [line, ...others] = details.lines;
  if (line === undefined || others.length > 0 || line.quantity !== BigInt(part.total)) return { ...report, status: "" };
  return { ...report, lines: [create(LineQuantitySchema, { lineId: line.id, quantity: BigInt(part.pieces) })] };
}

function identityOf({ booking }: BookingSubject, what: "confirmed" | "arrival") {
  return { source: booking.carrier, sourceId: `booking/${booking.id}/${what}` };
}

function lastLeg({ details }: BookingSubject): Leg | undefined {
  return inOrder(details.legs).at(-1);
}

function sameArrival(was: Leg | undefined, is: Leg): boolean {
  if (was?.arrival === undefined || is.arrival === undefined) return false;
  return was.sequence === is.sequence && samePlace(was.to, is.to) && equals(LocalTimeSchema, was.arrival, is.arrival);
}
