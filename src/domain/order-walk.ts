import type { OrderDetails } from "../../gen/leadline/v1/order_pb.ts";
import type { LocalTime } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, Flag, type RecordedReport, type Report } from "../../gen/leadline/v1/report_pb.ts";
import { type Coverage, countPart, emptyCoverage, isCovered, moveUnit } from "./order-coverage.ts";
import { speaksOfAll, unitsOf } from "./order-extent.ts";
import { compareIdentities, counts, saidAt } from "./reports.ts";
import { type FlowStatus, initialStatus, type StatusFlow } from "./status-flow.ts";
import { compareLocalTimes, compareTimestamps } from "./times.ts";

/*
 * An order's status is found by walking through its unretracted ACTUAL reports in the order in which the things happened,
 * whatever order they arrived in. A report of everything advances the status when the flow allows it after the one before.
 * A report of a part is counted, and the status advances to what everything has come to. A report that does not follow
 * counts for nothing here, nor does one of a status that its reporter may not report; both are kept all the same.
 */

/** One ACTUAL report on the walk. */
interface Step {
  readonly recorded: RecordedReport;
  readonly report: Report;
  /** Undefined: it reports no status, one that is not of the flow, or one that its reporter may not report. */
  readonly status: FlowStatus | undefined;
}

/** What gave a unit the status that it has. */
export interface UnitStanding {
  readonly status: FlowStatus;
  readonly since: LocalTime | undefined;
}

/** Where the walk ends. */
export interface Walk {
  readonly status: FlowStatus;
  /** When what gave the order its status happened; undefined: no report gave it, it is the flow's first. */
  readonly since: LocalTime | undefined;
  /** Reports that do not follow. */
  readonly outOfFlow: ReadonlySet<RecordedReport>;
  readonly units: ReadonlyMap<string, UnitStanding>;
  readonly coverage: Coverage;
  /** The report of what happened last; undefined: nothing has. */
  readonly last: Report | undefined;
}

const NONE: ReadonlySet<RecordedReport> = new Set();

/** The walk while it goes on. */
interface Going {
  readonly flow: StatusFlow;
  readonly coverage: Coverage;
  /** Made with the first report that does not follow: mostly there is none. */
  outOfFlow: Set<RecordedReport> | undefined;
  readonly units: Map<string, UnitStanding>;
  status: FlowStatus;
  since: LocalTime | undefined;
}

/** Walks through the kept reports of an order. `reports` may hold some that the details do not have yet. */
export function walk(details: OrderDetails, reports: readonly RecordedReport[], flow: StatusFlow): Walk {
  const steps = stepsOf(reports, flow);
  const going: Going = {
    flow,
    coverage: emptyCoverage(details.lines, unitsOf(details), flow.statuses.length),
    outOfFlow: undefined,
    units: new Map(),
    status: initialStatus(flow),
    since: undefined,
  };
  for (const { recorded, report, status } of steps) {
    if (status === undefined) continue;
    const follows = speaksOfAll(report) ? takeWhole(going, report, status) : takePart(going, report, status);
    if (follows) continue;
    going.outOfFlow ??= new Set();
    going.outOfFlow.add(recorded);
  }
  const { status, since, outOfFlow = NONE, units, coverage } = going;
  return { status, since, outOfFlow, units, coverage, last: steps.at(-1)?.report };
}

/** Takes a report of everything: it brings the order and every unit to its status. Answers whether it follows. */
function takeWhole(going: Going, report: Report, status: FlowStatus): boolean {
  if (!mayFollow(going.status, status)) return false;
  if (going.status !== status || going.since === undefined) arrive(going, status, report.occurredAt);
  for (const unitId of going.coverage.units.keys()) standUnit(going, unitId, status, report.occurredAt);
  return true;
}

/** Takes a report of a part: it follows when it does so for one of the units it names, or for the order as a whole. */
function takePart(going: Going, report: Report, status: FlowStatus): boolean {
  const units = report.unitIds.filter((id) => going.coverage.units.has(id));
  const follows =
    units.length > 0
      ? units.some((id) => mayFollow(furtherOf(going.status, going.units.get(id)?.status), status))
      : mayFollow(going.status, status);
  if (!follows) return false;
  countPart(going.coverage, report, status.rank);
  for (const id of units) {
    if (going.coverage.unitRanks.get(id) === status.rank) standUnit(going, id, status, report.occurredAt);
  }
  advanceToCovered(going, status, report.occurredAt);
  return true;
}

/** Advances to the furthest status that everything has come to, up to the one that was reported last. */
function advanceToCovered(going: Going, upTo: FlowStatus, at: LocalTime | undefined): void {
  for (let rank = upTo.rank; rank >= going.status.rank; rank -= 1) {
    const status = going.flow.statuses[rank];
    if (status === undefined || !isCovered(going.coverage, rank)) continue;
    if (status !== going.status || going.since === undefined) arrive(going, status, at);
    return;
  }
}

function arrive(going: Going, status: FlowStatus, at: LocalTime | undefined): void {
  going.status = status;
  going.since = at;
}

function standUnit(going: Going, unitId: string, status: FlowStatus, since: LocalTime | undefined): void {
  const standing = going.units.get(unitId);
  if (standing !== undefined && standing.status.rank >= status.rank) return;
  moveUnit(going.coverage, unitId, status.rank);
  going.units.set(unitId, { status, since });
}

/** Whether a status may be reported after another: the same again, or one that the flow lets follow. */
function mayFollow(before: FlowStatus, status: FlowStatus): boolean {
  return before === status || before.next.has(status.code);
}

function furtherOf(a: FlowStatus, b: FlowStatus | undefined): FlowStatus {
  return b !== undefined && b.rank > a.rank ? b : a;
}

/** The unretracted ACTUAL reports by (what happened first, rank, what was said first, source, source_id). */
function stepsOf(reports: readonly RecordedReport[], flow: StatusFlow): Step[] {
  const steps: Step[] = [];
  for (const recorded of reports) {
    const report = recorded.report;
    if (report === undefined || !counts(recorded) || report.classifier !== Classifier.ACTUAL) continue;
    const isExpected = !recorded.flags.includes(Flag.REPORTER_UNEXPECTED);
    steps.push({ recorded, report, status: isExpected ? flow.byCode.get(report.status) : undefined });
  }
  return isInOrder(steps) ? steps : steps.sort(compareSteps);
}

/** Mostly things are reported in the order in which they happen, and sorting makes copies. */
function isInOrder(steps: readonly Step[]): boolean {
  return steps.every((step, i) => {
    const before = steps[i - 1];
    return before === undefined || compareSteps(before, step) <= 0;
  });
}

function compareSteps(a: Step, b: Step): number {
  return (
    compareLocalTimes(a.report.occurredAt, b.report.occurredAt) ||
    (a.status?.rank ?? -1) - (b.status?.rank ?? -1) ||
    compareTimestamps(saidAt(a.recorded), saidAt(b.recorded)) ||
    compareIdentities(a.report, b.report)
  );
}
