import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Phase } from "../../gen/leadline/v1/order_pb.ts";
import {
  type FlowStatus as DefinedStatus,
  type FlowDefinition,
  MilestoneScope,
} from "../../gen/leadline/v1/status_flow_pb.ts";
import type { Role } from "../../gen/leadline/v1/tenant_pb.ts";

/** The status of a cancelled order, in every flow. It is reached by command only and never reported. */
export const CANCELLED = "CANCELLED";

/** Which flow an order goes through. */
export interface FlowRef {
  /** Empty: the standard flow. */
  readonly id: string;
  /** 0 with the standard flow, which has one version only. */
  readonly version: number;
}

/** One status of a flow. */
export interface FlowStatus {
  readonly code: string;
  /** The canonical stage it maps to. */
  readonly phase: Phase;
  /** Its place in the flow, from 0. What has come to a status has come to all of lower rank. */
  readonly rank: number;
  /** The codes that may follow it. */
  readonly next: ReadonlySet<string>;
  readonly endsJourney: boolean;
  readonly retired: boolean;
  /** The roles that may report it; empty: all that may report. */
  readonly reporters: ReadonlySet<Role>;
  /** How long an order is expected to stay in it; undefined: nothing is expected. */
  readonly expectedMs: number | undefined;
}

/** At which end of the transport plan a milestone tells something of the order's status. */
export type MilestoneWhere = "anywhere" | "first departure" | "last arrival";

/** What a milestone tells of the order's status. */
export interface MilestoneRule {
  /** The status; empty: none, only the milestone moves. */
  readonly status: string;
  readonly where: MilestoneWhere;
}

/** The statuses that an order may be reported in, and how they follow each other. It never changes. */
export interface StatusFlow {
  readonly ref: FlowRef;
  /** By rank; the first one is what a new order has. At least one. */
  readonly statuses: readonly FlowStatus[];
  /** By their codes and their former codes. */
  readonly byCode: ReadonlyMap<string, FlowStatus>;
  /**
   * What milestones say in this flow in place of what they say in the standard flow: the rules of one end of the plan first,
   * the one of anywhere last.
   */
  readonly milestones: ReadonlyMap<string, readonly MilestoneRule[]>;
}

/** Builds a flow from a definition without findings of severity ERROR. */
export function statusFlow(ref: FlowRef, definition: FlowDefinition): StatusFlow {
  const statuses = definition.statuses.map((status, rank) => flowStatus(status, rank, definition.statuses));
  const byCode = new Map(statuses.map((status) => [status.code, status]));
  for (const [rank, { formerCodes }] of definition.statuses.entries()) {
    const status = statuses[rank];
    for (const code of formerCodes) if (status !== undefined && !byCode.has(code)) byCode.set(code, status);
  }
  const rules = definition.milestones.map((one) => ({ ...one, where: WHERE[one.scope] ?? "anywhere" }));
  rules.sort((a, b) => Number(a.where === "anywhere") - Number(b.where === "anywhere"));
  const milestones: ReadonlyMap<string, readonly MilestoneRule[]> = Map.groupBy(rules, (rule) => rule.milestone);
  return { ref, statuses, byCode, milestones };
}

function flowStatus(status: DefinedStatus, rank: number, all: readonly DefinedStatus[]): FlowStatus {
  const next = status.nextAnyLater ? all.slice(rank + 1).map((later) => later.code) : status.next;
  return {
    code: status.code,
    phase: status.phase,
    rank,
    next: new Set(next),
    endsJourney: status.endsJourney,
    retired: status.retired,
    reporters: new Set(status.reporters),
    expectedMs: status.expectedTime && durationMs(status.expectedTime),
  };
}

const WHERE: Readonly<Record<MilestoneScope, MilestoneWhere>> = {
  [MilestoneScope.UNSPECIFIED]: "anywhere",
  [MilestoneScope.ANYWHERE]: "anywhere",
  [MilestoneScope.FIRST_DEPARTURE]: "first departure",
  [MilestoneScope.LAST_ARRIVAL]: "last arrival",
};

/** The status of a new order. */
export function initialStatus(flow: StatusFlow): FlowStatus {
  const [first] = flow.statuses;
  if (first === undefined) throw new Error(`flow ${flow.ref.id} has no status`);
  return first;
}

/** The first status that maps to a phase and may be reported; undefined: there is none. */
export function statusOfPhase(flow: StatusFlow, phase: Phase | undefined): FlowStatus | undefined {
  return flow.statuses.find((status) => status.phase === phase && !status.retired);
}

/** The rank of the first status that maps to a phase or a later one; undefined: no status does. */
export function rankOfPhase(flow: StatusFlow, phase: Phase): number | undefined {
  return flow.statuses.find((status) => status.phase >= phase)?.rank;
}
