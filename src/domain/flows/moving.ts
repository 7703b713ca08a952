import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { OrderMovedSchema } from "../../../gen/leadline/v1/event_pb.ts";
import {
  type DryRunOrder,
  DryRunOrderSchema,
  type StatusMapping,
} from "../../../gen/leadline/v1/status_flow_service_pb.ts";
import { fieldInvalid } from "../field-invalid.ts";
import { evolveOrder } from "../order.ts";
import { loadOrder } from "../order-commands.ts";
import { hasEnded, isCancelled } from "../order-status.ts";
import { counts } from "../reports.ts";
import { type FlowStatus, initialStatus, type StatusFlow } from "../status-flow.ts";
import { type Change, type Decide, type OrderSubject, orderRef } from "../subject.ts";

/*
 * Orders keep the flow and version that they started with until they are moved. A move maps the statuses that an order has
 * been reported in; what the new flow has under the same code, or under a former code, needs no mapping.
 */

/** What statuses become: the new code by the one before. */
export type StatusMappings = ReadonlyMap<string, string>;

/**
 * The mappings of a call as they are looked up. Refuses FIELD_INVALID for a code that is mapped twice, from a status that orders
 * cannot have, or to one that the flow does not have. The first status cannot become another than the new flow's first: what
 * nobody has reported is in no report that a move could map, so such an order would start anew whatever was asked.
 *
 * @param from the flow that orders are in, its newest version unless one is named: no code is lost from one to the next;
 *   undefined: none is published
 */
export function statusMappings(
  mappings: readonly StatusMapping[],
  from: StatusFlow | undefined,
  to: StatusFlow,
): StatusMappings {
  const byCode = new Map<string, string>();
  const first = initialStatus(to);
  for (const [i, mapping] of mappings.entries()) {
    const [was, becomes] = [from?.byCode.get(mapping.from), to.byCode.get(mapping.to)];
    if (byCode.has(mapping.from)) throw fieldInvalid(`mappings[${i}].from`, `"${mapping.from}" stands twice`);
    if (from === undefined || was === undefined) {
      const has = from === undefined ? "no published version" : codesOf(from);
      const message = `"${mapping.from}" is not a status of the flow that orders are in, which has ${has}`;
      throw fieldInvalid(`mappings[${i}].from`, message);
    }
    if (becomes === undefined) {
      const message = `"${mapping.to}" is not a status of the flow, which has ${codesOf(to)}`;
      throw fieldInvalid(`mappings[${i}].to`, message);
    }
    if (mapping.from === initialStatus(from).code && becomes !== first) {
      const message =
        `"${mapping.to}" cannot be what ${mapping.from} becomes: an order that nobody has reported has ${mapping.from} and ` +
        `gets ${first.code}, the first of the new flow; map ${mapping.from} to ${first.code}, and report ${mapping.to} afterwards`;
      throw fieldInvalid(`mappings[${i}].to`, message);
    }
    byCode.set(mapping.from, mapping.to);
  }
  return byCode;
}

function codesOf({ statuses }: StatusFlow): string {
  return statuses.map((status) => status.code).join(", ");
}

/** Codes of one order that are told: an order may have been reported in hundreds that its flow does not know. */
const UNKNOWN_CODES_MAX = 20;

/** What would become of an order in another flow. */
export interface Move {
  readonly change: Change;
  /** Codes of its reports that become nothing in the new flow. */
  readonly unmapped: readonly string[];
}

/** Plans a move. The event names the mappings that the order needs and no others. */
export function planMove({ order, details }: OrderSubject, to: StatusFlow, mappings: StatusMappings): Move {
  const reported = new Set(details.reports.filter(counts).map((one) => one.report?.status ?? ""));
  reported.delete("");
  const needed: { from: string; to: string }[] = [];
  const unmapped: string[] = [];
  for (const code of reported) {
    const becomes = to.byCode.get(mappings.get(code) ?? code)?.code;
    if (becomes === undefined) unmapped.push(code);
    else if (becomes !== code) needed.push({ from: code, to: becomes });
  }
  const moved = create(OrderMovedSchema, {
    fromFlowId: order.flowId,
    fromVersion: order.flowVersion,
    toFlowId: to.ref.id,
    toVersion: to.ref.version,
    mappings: needed,
  });
  return { change: { case: "orderMoved", value: moved }, unmapped };
}

/** Which orders are moved, and what becomes of them. */
export interface Moving {
  readonly from: { readonly id: string; readonly version?: number | undefined };
  readonly to: StatusFlow;
  readonly mappings: StatusMappings;
  readonly includeEnded: boolean;
}

/**
 * Moves an order, and answers where it stands then. One that is not to be moved any more, because it is in another flow by
 * now or has ended, stays and is answered without a status. One that has a status that becomes nothing stays too, and the
 * answer names the status. Refuses ORDER_UNKNOWN.
 */
export function decideMoveOrder(orderId: string, moving: Moving): Decide<DryRunOrder> {
  const { from, to, mappings, includeEnded } = moving;
  return (load, now) => {
    const subject = loadOrder(load, orderId);
    const { order } = subject;
    const isThere = order.flowId === to.ref.id && order.flowVersion === to.ref.version;
    const isFrom = order.flowId === from.id && (from.version === undefined || order.flowVersion === from.version);
    if (isThere || !isFrom || (hasEnded(order) && !includeEnded)) {
      return { drafts: [], answer: () => create(DryRunOrderSchema, { orderId }) };
    }
    const { change, unmapped } = planMove(subject, to, mappings);
    const tried = tryMove(subject, to, mappings, now);
    return { drafts: unmapped.length > 0 ? [] : [{ ref: orderRef(orderId), change }], answer: () => tried };
  };
}

/**
 * Tries a move and tells where the order would stand, and whether it would be stranded: left behind by the move, as
 * `decideMoveOrder` leaves it, or without a way on from where it would stand. Nothing is changed.
 */
export function tryMove(subject: OrderSubject, to: StatusFlow, mappings: StatusMappings, now: Timestamp): DryRunOrder {
  const { change, unmapped } = planMove(subject, to, mappings);
  const recorded = { version: subject.order.version + 1n, recordedAt: now };
  const { order, flow } = evolveOrder(subject, change, recorded, subject.order.id, () => to);
  const standing = flow.byCode.get(order.status);
  const isDeadEnd = standing !== undefined && !isCancelled(order) && !leadsToEnd(standing, flow);
  // A status that becomes nothing leaves the order where the reports before it had brought it: that is not where it stands.
  const lost = unmapped.includes(subject.order.status);
  return create(DryRunOrderSchema, {
    orderId: order.id,
    status: subject.order.status,
    newStatus: lost ? "" : order.status,
    stranded: unmapped.length > 0 || isDeadEnd,
    unknownCodes: unmapped.slice(0, UNKNOWN_CODES_MAX),
  });
}

/** Whether a way leads from a status to one that ends the journey; none leads through what is retired. */
function leadsToEnd(from: FlowStatus, { statuses }: StatusFlow): boolean {
  const open = new Map(statuses.filter((one) => !one.retired).map((one) => [one.code, one]));
  const reached = new Set([from]);
  for (const status of reached) {
    if (status.endsJourney) return true;
    for (const code of status.next) {
      const next = open.get(code);
      if (next !== undefined) reached.add(next); // a Set visits what is added
    }
  }
  return false;
}
