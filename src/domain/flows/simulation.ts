import { clone, create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { OrderCreatedSchema } from "../../../gen/leadline/v1/event_pb.ts";
import { LocalTimeSchema } from "../../../gen/leadline/v1/place_pb.ts";
import { Classifier, type Flag, type Report, ReportSchema } from "../../../gen/leadline/v1/report_pb.ts";
import { type SimulatedStep, SimulatedStepSchema } from "../../../gen/leadline/v1/status_flow_service_pb.ts";
import { Role } from "../../../gen/leadline/v1/tenant_pb.ts";
import { statusFor } from "../milestone-kinds.ts";
import { evolveOrder } from "../order.ts";
import { reportOnOrder } from "../order-reports.ts";
import { hasEnded } from "../order-status.ts";
import { Refusal } from "../refusal.ts";
import type { StatusFlow } from "../status-flow.ts";
import type { OrderSubject } from "../subject.ts";

const STEP_SECONDS = 60n;
const ID = "simulated";

/**
 * Takes reports one after another into an order that does not exist, as ReportStatus would, and tells what each does. A report
 * without a time happens a minute after the one before, one without a classifier happened, one without an id is its own, one
 * with a milestone alone has the status that the flow gives it. The first step is the order as it was created.
 *
 * @param reporter the role of who reports; unspecified: whoever may
 */
export function simulateFlow(
  flow: StatusFlow,
  reports: readonly Report[],
  reporter: Role,
  start: Timestamp,
): SimulatedStep[] {
  const role = reporter === Role.UNSPECIFIED ? undefined : reporter;
  const flows = () => flow;
  const created = create(OrderCreatedSchema, { flowId: flow.ref.id, flowVersion: flow.ref.version });
  const recorded = (minute: number, version: bigint) => ({ version, recordedAt: later(start, minute) });
  let subject = evolveOrder(undefined, { case: "orderCreated", value: created }, recorded(0, 1n), ID, flows);
  const steps = [step(subject, {})];
  for (const [i, given] of reports.entries()) {
    const now = later(start, i + 1);
    try {
      const taking = { strict: true, refuseIfUnfit: false, flags: [], role };
      const { flags, drafts } = reportOnOrder(subject, filledIn(given, i, now, flow), now, taking);
      for (const { change } of drafts) {
        subject = evolveOrder(subject, change, recorded(i + 1, subject.order.version + 1n), ID, flows);
      }
      steps.push(step(subject, { flags: [...flags] }));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      steps.push(step(subject, { refusal: error.message }));
    }
  }
  return steps;
}

function filledIn(given: Report, index: number, now: Timestamp, flow: StatusFlow): Report {
  const report = clone(ReportSchema, given);
  const { milestone: kind, leg, place } = report;
  if (kind !== "") report.status ||= statusFor({ kind, leg, place }, [], flow);
  report.classifier ||= Classifier.ACTUAL;
  report.source ||= "simulation";
  report.sourceId ||= `step-${index + 1}`;
  report.occurredAt ??= create(LocalTimeSchema, { instant: now });
  return report;
}

function step(
  { order, flow }: OrderSubject,
  said: { readonly flags?: Flag[]; readonly refusal?: string },
): SimulatedStep {
  const next = [...(flow.byCode.get(order.status)?.next ?? [])];
  const { status, phase } = order;
  return create(SimulatedStepSchema, { status, phase, next, ended: hasEnded(order), ...said });
}

function later(start: Timestamp, minutes: number): Timestamp {
  return create(TimestampSchema, { seconds: start.seconds + BigInt(minutes) * STEP_SECONDS, nanos: start.nanos });
}
