import type { Phase } from "../../gen/leadline/v1/order_pb.ts";

/** One status of a flow. */
export interface FlowStatus {
  readonly code: string;
  /** The canonical stage it maps to. */
  readonly phase: Phase;
  /** Its place in the flow, from 0. What has come to a status has come to all of lower rank. */
  readonly rank: number;
  /** The codes that may follow it. */
  readonly next: ReadonlySet<string>;
}

/** The statuses that an order may be reported in, and how they follow each other. */
export interface StatusFlow {
  readonly name: string;
  /** By rank; the first one is what a new order has. At least one. */
  readonly statuses: readonly FlowStatus[];
  readonly byCode: ReadonlyMap<string, FlowStatus>;
  /** The status of a cancelled order. It is reached by command only and never reported. */
  readonly cancelled: string;
}

/** A status as a flow is written down: its `next` is every later status when none is given. */
export interface StatusEntry {
  readonly code: string;
  readonly phase: Phase;
  readonly next?: readonly string[];
}

/** Builds a flow from its statuses in their order. */
export function statusFlow(name: string, entries: readonly StatusEntry[], cancelled: string): StatusFlow {
  const statuses = entries.map(({ code, phase, next }, rank): FlowStatus => {
    const later = next ?? entries.slice(rank + 1).map((entry) => entry.code);
    return { code, phase, rank, next: new Set(later) };
  });
  return { name, statuses, byCode: new Map(statuses.map((status) => [status.code, status])), cancelled };
}

/** The status of a new order. */
export function initialStatus(flow: StatusFlow): FlowStatus {
  const [first] = flow.statuses;
  if (first === undefined) throw new Error(`flow ${flow.name} has no status`);
  return first;
}

/** The rank of the first status that maps to a phase or a later one; undefined: no status does. */
export function rankOfPhase(flow: StatusFlow, phase: Phase): number | undefined {
  return flow.statuses.find((status) => status.phase >= phase)?.rank;
}
