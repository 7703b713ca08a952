import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Order, type OrderDetails, Phase } from "../../gen/leadline/v1/order_pb.ts";
import { type LocalTime, LocalTimeSchema } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, type RecordedReport, type Report } from "../../gen/leadline/v1/report_pb.ts";
import { progressOf } from "./order-progress.ts";
import { walk } from "./order-walk.ts";
import { compareIdentities, counts, saidAt } from "./reports.ts";
import type { StatusFlow } from "./status-flow.ts";
import type { OrderSubject } from "./subject.ts";
import { compareTimestamps } from "./times.ts";

/** Whether an order's journey has ended: its status ends the journey, or it was cancelled. */
export function hasEnded(order: Order): boolean {
  if (order.ended || isCancelled(order)) return true;
  return order.flowId === "" && order.phase === Phase.DELIVERED; // rows of the release that did not say it
}

export function isCancelled(order: Order): boolean {
  return order.phase === Phase.CANCELLED;
}

/**
 * The order with everything that follows from its kept reports, lines, units and bookings: status, phase, flags, progress,
 * expected delivery. A cancelled order keeps the status of its cancellation.
 */
export function withStatus(order: Order, details: OrderDetails, flow: StatusFlow): Omit<OrderSubject, "kind" | "flow"> {
  const walked = walk(details, details.reports, flow);
  const { shipping, delivery, lines, unitProgress } = progressOf(details, walked, flow);
  const derived: Order = {
    ...order,
    exception: walked.last?.exception ?? false,
    estimatedDelivery: expectedDelivery(details.reports, flow),
    shipping,
    delivery,
  };
  if (!isCancelled(order)) {
    derived.status = walked.status.code;
    derived.phase = walked.status.phase;
    derived.ended = walked.status.endsJourney;
    derived.statusSince = walked.since ?? recordedTime(order.createdAt);
  }
  return { order: derived, details: { ...details, lines, unitProgress } };
}

/** A time of recording as a local time: UTC. */
export function recordedTime(at: Timestamp | undefined): LocalTime {
  return create(LocalTimeSchema, at === undefined ? {} : { instant: at });
}

/** The newest estimate of the delivery, else of the arrival; undefined: there is none. */
function expectedDelivery(reports: readonly RecordedReport[], flow: StatusFlow): LocalTime | undefined {
  let delivery: Estimate | undefined;
  let arrival: Estimate | undefined;
  for (const recorded of reports) {
    const report = recorded.report;
    if (report?.classifier !== Classifier.ESTIMATED || !counts(recorded)) continue;
    const estimate = { report, saidAt: saidAt(recorded) };
    const phase = estimatedPhase(report, flow);
    if (phase === Phase.DELIVERED) delivery = newerOf(delivery, estimate);
    if (phase === Phase.ARRIVED) arrival = newerOf(arrival, estimate);
  }
  return (delivery ?? arrival)?.report.occurredAt;
}

interface Estimate {
  readonly report: Report;
  readonly saidAt: Timestamp;
}

function newerOf(best: Estimate | undefined, other: Estimate): Estimate {
  if (best === undefined) return other;
  const newer = compareTimestamps(other.saidAt, best.saidAt) || compareIdentities(other.report, best.report);
  return newer > 0 ? other : best;
}

/** The phase that an estimate is of. An arrival without a status may be one on the way, so it says nothing of the order. */
function estimatedPhase(report: Report, flow: StatusFlow): Phase | undefined {
  const phase = flow.byCode.get(report.status || report.milestone)?.phase;
  return report.status === "" && phase !== Phase.DELIVERED ? undefined : phase;
}
