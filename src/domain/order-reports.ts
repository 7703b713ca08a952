import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ReportedSchema, ReportRetractedSchema } from "../../gen/leadline/v1/event_pb.ts";
import type { Order, OrderDetails } from "../../gen/leadline/v1/order_pb.ts";
import {
  Classifier,
  Flag,
  FlagSchema,
  RecordedReportSchema,
  type Report,
  ReportOutcome,
} from "../../gen/leadline/v1/report_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { fieldInvalid } from "./field-invalid.ts";
import { comesAfterActual } from "./milestones.ts";
import { isExceeded } from "./order-coverage.ts";
import { unitsOf } from "./order-extent.ts";
import { isCancelled } from "./order-status.ts";
import { type Walk, walk } from "./order-walk.ts";
import { Refusal } from "./refusal.ts";
import { checkReport, ownFlags } from "./report-rules.ts";
import { findReport, ORDER_REPORTS_MAX, type Retraction, takeReport, takeRetraction, withReport } from "./reports.ts";
import { CANCELLED, type FlowStatus, type StatusFlow } from "./status-flow.ts";
import { type Draft, type OrderSubject, orderRef } from "./subject.ts";

/** How a report of an order is taken. */
export interface ReportTaking {
  /** A status that is not of the flow is refused (typed callers), instead of kept and flagged (feeds). */
  readonly strict: boolean;
  /** A report that does not fit the flow is refused, instead of kept and flagged. */
  readonly refuseIfUnfit: boolean;
  /** Flags that the report comes with, found where it was translated. */
  readonly flags: readonly Flag[];
  /** The role of who reports; undefined: nobody's, it follows from something else. */
  readonly role?: Role | undefined;
}

/** What becomes of a report, and what is to be recorded of it. */
export interface ReportDecision {
  readonly outcome: ReportOutcome;
  /** As recorded, or as recorded before when the report is known already. */
  readonly flags: readonly Flag[];
  readonly drafts: readonly Draft[];
}

/** What becomes of a retraction, and what is to be recorded of it. */
export interface RetractionDecision {
  readonly outcome: ReportOutcome;
  readonly drafts: readonly Draft[];
}

/** The flags with which a report does not fit the flow (`refuse_if_unfit`). */
const UNFIT: ReadonlySet<Flag> = new Set([
  Flag.OUT_OF_FLOW,
  Flag.LATE,
  Flag.AFTER_CANCELLATION,
  Flag.STATUS_UNKNOWN,
  Flag.STATUS_RETIRED,
  Flag.REPORTER_UNEXPECTED,
]);

/**
 * Decides on a report of an order. `report` has its source and source_id. Refuses what `checkReport` refuses,
 * STATUS_UNKNOWN when strict, REPORT_UNFIT when asked to, and SUBJECT_FULL.
 */
export function reportOnOrder(
  subject: OrderSubject,
  report: Report,
  now: Timestamp,
  taking: ReportTaking,
): ReportDecision {
  checkReport(report);
  const { details, order, flow } = subject;
  if (taking.strict) checkStatus(report, flow, taking.role);
  const { outcome, recorded } = takeReport(details.reports, report, now, ORDER_REPORTS_MAX, () => [
    ...taking.flags,
    ...ownFlags(report, now),
    ...orderFlags(subject, report, now, taking.role),
  ]);
  if (recorded === undefined) {
    const known = outcome === ReportOutcome.ALREADY_KNOWN ? findReport(details.reports, report) : undefined;
    return { outcome, flags: known?.flags ?? [], drafts: [] };
  }
  if (taking.refuseIfUnfit) refuseUnfit(order, report, recorded.flags);
  const change = { case: "reported", value: create(ReportedSchema, { report: recorded }) } as const;
  return { outcome, flags: recorded.flags, drafts: [{ ref: orderRef(order.id), change }] };
}

/** Decides on a retraction of a report of an order. Refuses with SUBJECT_FULL one that cannot be kept waiting. */
export function retractOnOrder(subject: OrderSubject, retraction: Retraction, now: Timestamp): RetractionDecision {
  const { outcome, retracted } = takeRetraction(subject.details.reports, retraction, now, ORDER_REPORTS_MAX);
  if (retracted === undefined) return { outcome, drafts: [] };
  const change = { case: "reportRetracted", value: create(ReportRetractedSchema, retracted) } as const;
  return { outcome, drafts: [{ ref: orderRef(subject.order.id), change }] };
}

function checkStatus({ status }: Report, flow: StatusFlow, role: Role | undefined): void {
  if (status === "" || flow.byCode.has(status)) return;
  if (status === CANCELLED) {
    throw fieldInvalid("report.status", `"${status}" is not reported; an order is cancelled by CancelOrder`);
  }
  const unknown = `report.status "${status}" is not in the order's flow`;
  // A tenant's flows are not shown to carriers.
  if (role === Role.CARRIER) throw new Refusal(ErrorReason.STATUS_UNKNOWN, unknown, { metadata: { status } });
  const statuses = flow.statuses.filter((one) => !one.retired).map((one) => one.code);
  throw new Refusal(ErrorReason.STATUS_UNKNOWN, `${unknown}; its statuses are ${statuses.join(", ")}`, {
    metadata: { status, statuses: statuses.join(",") },
  });
}

function refuseUnfit(order: Order, report: Report, flags: readonly Flag[]): void {
  const unfit = flags.filter((flag) => UNFIT.has(flag)).map((flag) => FlagSchema.value[flag]?.localName ?? "");
  if (unfit.length === 0) return;
  throw new Refusal(
    ErrorReason.REPORT_UNFIT,
    `report of ${report.status || report.milestone} does not fit order ${order.id}, which is ${order.status}: ${unfit.join(", ")}`,
    { metadata: { state: order.status, flags: unfit.join(",") } },
  );
}

/** The flags that a report bears in its order as it stands. */
function orderFlags(subject: OrderSubject, report: Report, now: Timestamp, role: Role | undefined): Flag[] {
  const { order, details, flow } = subject;
  const flags: Flag[] = [];
  const status = flow.byCode.get(report.status);
  if (isCancelled(order)) flags.push(Flag.AFTER_CANCELLATION);
  if (report.status !== "" && status === undefined) flags.push(Flag.STATUS_UNKNOWN);
  if (status?.retired) flags.push(Flag.STATUS_RETIRED);
  if (role !== undefined && status !== undefined && status.reporters.size > 0 && !status.reporters.has(role)) {
    flags.push(Flag.REPORTER_UNEXPECTED);
  }
  if (namesUnknown(report.unitIds, unitsOf(details))) flags.push(Flag.UNIT_UNKNOWN);
  const lineIds = report.lines.map((line) => line.lineId);
  if (namesUnknown(lineIds, details.lines)) flags.push(Flag.LINE_UNKNOWN);
  if (comesAfterActual(details.milestones, report)) flags.push(Flag.AFTER_ACTUAL);
  if (status !== undefined && report.classifier === Classifier.ACTUAL) {
    flags.push(...flowFlags(subject, report, status, now));
  } else if (exceedsOrdered(details, report)) flags.push(Flag.QUANTITY_EXCEEDED);
  return flags;
}

function namesUnknown(ids: readonly string[], known: readonly { readonly id: string }[]): boolean {
  if (ids.length === 0) return false;
  const knownIds = new Set(known.map((one) => one.id));
  return ids.some((id) => !knownIds.has(id));
}

/** Whether a report by itself names more of a line than was ordered. */
function exceedsOrdered(details: OrderDetails, report: Report): boolean {
  return report.lines.some(({ lineId, quantity }) => {
    const line = details.lines.find((one) => one.id === lineId);
    return line !== undefined && quantity > line.quantity;
  });
}

/** The flags that an ACTUAL report bears among the reports of what happened before and after. */
function flowFlags(subject: OrderSubject, report: Report, status: FlowStatus, now: Timestamp): Flag[] {
  const { details, flow } = subject;
  const recorded = create(RecordedReportSchema, { report, recordedAt: now });
  const walked = walk(details, withReport(details.reports, recorded), flow);
  const flags: Flag[] = [];
  if (walked.outOfFlow.has(recorded)) flags.push(Flag.OUT_OF_FLOW);
  else if (!isGoneBackTo(walked, report, status) && isLate(subject, report, status)) flags.push(Flag.LATE);
  const held = new Set(report.unitIds);
  const inUnits = details.units.filter((unit) => held.has(unit.id)).flatMap((unit) => unit.contents);
  const exceeded = [...report.lines, ...inUnits].some(({ lineId }) => isExceeded(walked.coverage, lineId, status.rank));
  if (exceeded) flags.push(Flag.QUANTITY_EXCEEDED);
  return flags;
}

/** Whether the order stands where the report says, though it stood further on: the flow lets it go back. */
function isGoneBackTo(walked: Walk, report: Report, status: FlowStatus): boolean {
  return report.unitIds.length === 0 && walked.status === status;
}

/** Whether the order, or every unit that the report names, already stood further on, without what the report corrects. */
function isLate(subject: OrderSubject, report: Report, status: FlowStatus): boolean {
  const stood = standingWithout(subject, report);
  if (stood.rank > status.rank) return true;
  if (report.unitIds.length === 0) return false;
  return report.unitIds.every((id) => (stood.unitRank(id) ?? -1) > status.rank);
}

/** How far an order and its units stand. */
interface Standing {
  readonly rank: number;
  unitRank(id: string): number | undefined;
}

/** Where the order stands without what was recorded under a report's identity. */
function standingWithout({ order, details, flow }: OrderSubject, report: Report): Standing {
  const corrected = findReport(details.reports, report);
  const stood = flow.byCode.get(order.status);
  if (corrected === undefined && stood !== undefined) {
    const statusOf = (id: string) => details.unitProgress.find((unit) => unit.unitId === id)?.status ?? "";
    return { rank: stood.rank, unitRank: (id) => flow.byCode.get(statusOf(id))?.rank };
  }
  const others = details.reports.filter((one) => one !== corrected);
  const { status, units } = walk(details, others, flow);
  return { rank: status.rank, unitRank: (id) => units.get(id)?.status.rank };
}
