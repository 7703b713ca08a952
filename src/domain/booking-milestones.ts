import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Leg, LegSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { ReportedSchema, ReportRetractedSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Flag, type Report, ReportOutcome } from "../../gen/leadline/v1/report_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { type BookingCall, bookingDraft, calledBooking, type Effects } from "./booking-effects.ts";
import { loadOrders, type PartOfPieces, partOf, reportForOrder, tellOrder } from "./booking-orders.ts";
import { fieldInvalid } from "./field-invalid.ts";
import { statusFor } from "./milestone-kinds.ts";
import { comesAfterActual } from "./milestones.ts";
import { type ReportDecision, type ReportTaking, retractOnOrder } from "./order-reports.ts";
import { checkReport, ownFlags } from "./report-rules.ts";
import {
  BOOKING_REPORTS_MAX,
  counts,
  findReport,
  type Retraction,
  saidAt,
  takeReport,
  takeRetraction,
} from "./reports.ts";
import type { StatusFlow } from "./status-flow.ts";
import type { BookingSubject, Draft, Load, OrderSubject } from "./subject.ts";
import { compareTimestamps } from "./times.ts";

/** A carrier's observation. The report has its source and source_id. */
export interface MilestoneCall extends BookingCall {
  readonly report: Report;
  /** A status that is not of the orders' flow is refused, instead of kept and flagged. */
  readonly strict: boolean;
  /** Flags that the report comes with, found where it was translated. */
  readonly flags: readonly Flag[];
  /** It speaks of some of the pieces that travel; undefined: as the report says. */
  readonly part?: PartOfPieces | undefined;

  /** The role of who reports; a carrier's own call needs none. */
  readonly role?: Role | undefined;
}

/** What became of a milestone report. */
export interface MilestoneResult {
  readonly outcome: ReportOutcome;
  readonly flags: readonly Flag[];
  /** The orders that it was reported to. One that has no room for another report is not among them. */
  readonly orderIds: readonly string[];
}

/**
 * Records an observation of a booking, and reports it under the same identity to the attached orders whose units it
 * touches, with the status that follows from it. One that corrects an earlier one is taken back from the orders that it
 * touches no longer. What is known or superseded at the booking is not passed on.
 */
export function decideMilestone(load: Load, now: Timestamp, call: MilestoneCall): Effects<MilestoneResult> {
  const subject = calledBooking(load, call);
  const { report } = call;
  if (report.milestone === "") throw fieldInvalid("report.milestone", "must be set: what happened");
  checkReport(report);
  const { details } = subject;
  const { outcome, recorded } = takeReport(details.reports, report, now, BOOKING_REPORTS_MAX, () => [
    ...call.flags,
    ...ownFlags(report, now),
    ...bookingFlags(subject, report),
  ]);
  if (recorded === undefined) {
    const known = outcome === ReportOutcome.ALREADY_KNOWN ? findReport(details.reports, report) : undefined;
    return { drafts: [], outcome, flags: known?.flags ?? [], orderIds: [] };
  }
  const passedOn = passOn(load, now, subject, call);
  if ("needs" in passedOn) return passedOn;
  const own = bookingDraft(call.bookingId, {
    case: "reported",
    value: create(ReportedSchema, { report: recorded }),
  });
  return { drafts: [own, ...passedOn.drafts], outcome, flags: recorded.flags, orderIds: passedOn.orderIds };
}

/**
 * Takes a milestone report back, from the booking and from the attached orders that have it. One that has not arrived is
 * awaited by the booking, which then keeps it from the orders too.
 */
export function decideMilestoneRetraction(
  load: Load,
  now: Timestamp,
  call: BookingCall & { readonly retraction: Retraction },
): Effects<{ readonly outcome: ReportOutcome }> {
  const { details } = calledBooking(load, call);
  const { outcome, retracted } = takeRetraction(details.reports, call.retraction, now, BOOKING_REPORTS_MAX);
  if (retracted === undefined) return { drafts: [], outcome };
  const own = bookingDraft(call.bookingId, {
    case: "reportRetracted",
    value: create(ReportRetractedSchema, retracted),
  });
  // What did not come by way of the booking is not taken back by way of it.
  if (retracted.waiting) return { drafts: [own], outcome };
  const attached = loadOrders(load, details.orders);
  if ("needs" in attached) return attached;
  const taken = attached.orders
    .filter(({ order }) => findReport(order.details.reports, call.retraction) !== undefined)
    .flatMap(({ order }) => retractOnOrder(order, call.retraction, now).drafts);
  return { drafts: [own, ...taken], outcome };
}

/** The status in an order's flow that follows from a milestone of its booking; empty: none. */
function statusOfMilestone({ booking, details }: BookingSubject, report: Report, flow: StatusFlow): string {
  const { origin: from, destination: to } = booking;
  const whole = create(LegSchema, { sequence: 1, ...(from && { from }), ...(to && { to }) });
  const legs: readonly Leg[] = details.legs.length > 0 ? details.legs : [whole];
  return statusFor({ kind: report.milestone, leg: report.leg, place: report.place }, legs, flow);
}

/** The drafts of the orders. */
function passOn(
  load: Load,
  now: Timestamp,
  subject: BookingSubject,
  call: MilestoneCall,
): Effects<{ readonly orderIds: readonly string[] }> {
  const attached = loadOrders(load, subject.details.orders);
  if ("needs" in attached) return attached;
  const role = call.role ?? (call.visibility.class === "carrier" ? Role.CARRIER : undefined);
  const taking: ReportTaking = { strict: call.strict, refuseIfUnfit: false, flags: call.flags, role };
  const drafts: Draft[] = [];
  const orderIds: string[] = [];
  for (const one of attached.orders) {
    const status = call.report.status || statusOfMilestone(subject, call.report, one.order.flow);
    const report = reportForOrder(subject, one, { ...call.report, status });
    if (report === undefined) {
      drafts.push(...takenBack(one.order, call.report, now));
      continue;
    }
    const decision = followBooking(one.order, partOf(report, one.order, call.part), now, taking);
    if (decision === undefined) continue;
    drafts.push(...decision.drafts);
    if (decision.outcome === ReportOutcome.APPLIED) orderIds.push(one.entry.orderId);
  }
  return { drafts, orderIds };
}

/**
 * Reports to an order what its booking took. Of several things that are said under one identity at one time the booking
 * keeps one by its own rule; the order follows, though its reports read differently and some were not for it. Undefined: it
 * has no room.
 */
function followBooking(
  order: OrderSubject,
  report: Report,
  now: Timestamp,
  taking: ReportTaking,
): ReportDecision | undefined {
  const decision = tellOrder(order, report, now, taking);
  if (decision === undefined) return undefined;
  const known = findReport(order.details.reports, report);
  const passedOver = decision.outcome === ReportOutcome.SUPERSEDED || decision.outcome === ReportOutcome.RETRACTED;
  if (!passedOver || known === undefined) return decision;
  if (compareTimestamps(saidAt(known), report.sourceUpdatedAt ?? now) !== 0) return decision;
  const reports = order.details.reports.filter((one) => one !== known);
  return tellOrder({ ...order, details: { ...order.details, reports } }, report, now, taking);
}

/** A correction no longer speaks of this order: what it said of it before is taken back. */
function takenBack(order: OrderSubject, report: Report, now: Timestamp): Draft[] {
  const known = findReport(order.details.reports, report);
  if (known === undefined || !counts(known)) return [];
  const { source, sourceId, sourceUpdatedAt } = report;
  const reason = "corrected: it does not concern this order";
  return [...retractOnOrder(order, { source, sourceId, sourceUpdatedAt, reason }, now).drafts];
}

/** The flags that a report bears in its booking as it stands. */
function bookingFlags({ details }: BookingSubject, report: Report): Flag[] {
  const known = new Set(details.units.map((unit) => unit.id));
  const flags: Flag[] = [];
  if (report.unitIds.some((id) => !known.has(id))) flags.push(Flag.UNIT_UNKNOWN);
  if (comesAfterActual(details.milestones, report)) flags.push(Flag.AFTER_ACTUAL);
  return flags;
}
