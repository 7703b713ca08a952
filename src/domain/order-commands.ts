import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import {
  OrderCancelledSchema,
  OrderCreatedSchema,
  OrderHeldSchema,
  OrderReleasedSchema,
} from "../../gen/leadline/v1/event_pb.ts";
import { type Order, OrderLineSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  type CancelOrderRequest,
  type CancelOrderResponse,
  CancelOrderResponseSchema,
  type CreateOrderRequest,
  type CreateOrderResponse,
  CreateOrderResponseSchema,
  type HoldOrderRequest,
  type HoldOrderResponse,
  HoldOrderResponseSchema,
  type ReleaseOrderRequest,
  type ReleaseOrderResponse,
  ReleaseOrderResponseSchema,
  type ReportStatusResponse,
  ReportStatusResponseSchema,
  type RetractReportResponse,
  RetractReportResponseSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import type { Report } from "../../gen/leadline/v1/report_pb.ts";
import { type ReportTaking, reportOnOrder, retractOnOrder } from "./order-reports.ts";
import { checkCreateOrder } from "./order-request-rules.ts";
import { hasEnded } from "./order-status.ts";
import { Refusal } from "./refusal.ts";
import type { Retraction } from "./reports.ts";
import type { FlowRef } from "./status-flow.ts";
import {
  type After,
  type Change,
  type Decide,
  type Load,
  type OrderSubject,
  orderRef,
  SubjectKind,
} from "./subject.ts";

/** The verbs of an order. */
export type OrderVerb = "HOLD" | "RELEASE" | "CANCEL";

/** The verbs that an order allows as it stands. */
function legalOrderVerbs(order: Order): OrderVerb[] {
  const verbs: OrderVerb[] = [];
  if (!order.onHold && !hasEnded(order)) verbs.push("HOLD");
  if (order.onHold) verbs.push("RELEASE");
  if (!hasEnded(order)) verbs.push("CANCEL");
  return verbs;
}

/** Creates an order under an id, in a published version of a flow. Refuses ORDER_EXISTS and what `checkCreateOrder` refuses. */
export function decideCreateOrder(
  orderId: string,
  request: CreateOrderRequest,
  flow: FlowRef,
): Decide<CreateOrderResponse> {
  return (load) => {
    const ref = orderRef(orderId);
    if (load(ref) !== undefined) {
      throw new Refusal(ErrorReason.ORDER_EXISTS, `order "${orderId}" exists`, { metadata: { order_id: orderId } });
    }
    checkCreateOrder(request);
    const change: Change = { case: "orderCreated", value: orderCreated(request, flow) };
    return {
      drafts: [{ ref, change }],
      answer: (after) => create(CreateOrderResponseSchema, { order: orderAfter(after, orderId) }),
    };
  };
}

function orderCreated(request: CreateOrderRequest, flow: FlowRef) {
  const { references, units, parties, origin, destination, promisedAt, requestedAt } = request;
  return create(OrderCreatedSchema, {
    references,
    units,
    parties,
    flowId: flow.id,
    flowVersion: flow.version,
    // What has left and what is delivered is for reports to say.
    lines: request.lines.map((line) => create(OrderLineSchema, { ...line, shipped: 0n, delivered: 0n })),
    ...(origin && { origin }),
    ...(destination && { destination }),
    ...(promisedAt && { promisedAt }),
    ...(requestedAt && { requestedAt }),
  });
}

/** Records a report of an order; its source and source_id are set. Refusals: see `reportOnOrder`, and ORDER_UNKNOWN. */
export function decideReportStatus(
  orderId: string,
  report: Report,
  taking: ReportTaking,
): Decide<ReportStatusResponse> {
  return (load, now) => {
    const { outcome, flags, drafts } = reportOnOrder(loadOrder(load, orderId), report, now, taking);
    return {
      drafts,
      answer: (after) => {
        const { status, version } = orderAfter(after, orderId);
        const position = after.position(orderRef(orderId));
        const { sourceId } = report;
        return create(ReportStatusResponseSchema, { outcome, flags: [...flags], status, version, position, sourceId });
      },
    };
  };
}

/** Takes a report of an order back. Refuses ORDER_UNKNOWN and SUBJECT_FULL. */
export function decideRetractReport(orderId: string, retraction: Retraction): Decide<RetractReportResponse> {
  return (load, now) => {
    const { outcome, drafts } = retractOnOrder(loadOrder(load, orderId), retraction, now);
    return {
      drafts,
      answer: (after) => create(RetractReportResponseSchema, { outcome, order: orderAfter(after, orderId) }),
    };
  };
}

/** Puts an order on hold. Refuses ORDER_UNKNOWN, ETAG_MISMATCH and VERB_ILLEGAL. */
export function decideHoldOrder({ orderId, etag, reason }: HoldOrderRequest): Decide<HoldOrderResponse> {
  const change: Change = { case: "orderHeld", value: create(OrderHeldSchema, { reason }) };
  return decideVerb(orderId, etag, "HOLD", change, (order) => create(HoldOrderResponseSchema, { order }));
}

/** Ends a hold. Refuses ORDER_UNKNOWN, ETAG_MISMATCH and VERB_ILLEGAL. */
export function decideReleaseOrder({ orderId, etag, remark }: ReleaseOrderRequest): Decide<ReleaseOrderResponse> {
  const change: Change = { case: "orderReleased", value: create(OrderReleasedSchema, { remark }) };
  return decideVerb(orderId, etag, "RELEASE", change, (order) => create(ReleaseOrderResponseSchema, { order }));
}

/** Cancels an order. Refuses ORDER_UNKNOWN, ETAG_MISMATCH and VERB_ILLEGAL. */
export function decideCancelOrder({ orderId, etag, reason }: CancelOrderRequest): Decide<CancelOrderResponse> {
  const change: Change = { case: "orderCancelled", value: create(OrderCancelledSchema, { reason }) };
  return decideVerb(orderId, etag, "CANCEL", change, (order) => create(CancelOrderResponseSchema, { order }));
}

function decideVerb<A>(
  orderId: string,
  etag: string,
  verb: OrderVerb,
  change: Change,
  answer: (order: Order) => A,
): Decide<A> {
  return (load) => {
    const { order } = loadOrder(load, orderId);
    checkEtag(order, etag);
    checkOrderVerb(order, verb);
    return {
      drafts: [{ ref: orderRef(orderId), change }],
      answer: (after) => answer(orderAfter(after, orderId)),
    };
  };
}

/** The order of a command. Refuses with ORDER_UNKNOWN. */
export function loadOrder(load: Load, orderId: string): OrderSubject {
  const subject = load(orderRef(orderId));
  if (subject?.kind !== SubjectKind.ORDER) throw orderUnknown(orderId);
  return subject;
}

/** The refusal of an order that is not there, or not for this caller: the two are not told apart. */
export function orderUnknown(orderId: string): Refusal {
  return new Refusal(ErrorReason.ORDER_UNKNOWN, `order "${orderId}" is unknown`, { metadata: { order_id: orderId } });
}

function orderAfter(after: After, orderId: string): Order {
  const subject = after.subject(orderRef(orderId));
  if (subject.kind !== SubjectKind.ORDER) throw new Error(`${orderId} is not an order`);
  return subject.order;
}

/** Refuses with ETAG_MISMATCH when the caller has seen another version; an empty etag passes. */
function checkEtag(order: Order, etag: string): void {
  const current = String(order.version);
  if (etag === "" || etag === current) return;
  throw new Refusal(
    ErrorReason.ETAG_MISMATCH,
    `etag "${etag}" is not the version of order "${order.id}", which is ${current}; read it again`,
    { metadata: { order_id: order.id, etag: current } },
  );
}

function checkOrderVerb(order: Order, verb: OrderVerb): void {
  const legal = legalOrderVerbs(order);
  if (legal.includes(verb)) return;
  const state = order.onHold ? `${order.status} and on hold` : order.status;
  throw new Refusal(
    ErrorReason.VERB_ILLEGAL,
    `${verb} is not allowed: order "${order.id}" is ${state}; legal: ${legal.join(", ") || "none"}`,
    {
      metadata: {
        order_id: order.id,
        state: order.status,
        on_hold: String(order.onHold),
        verb,
        legal_verbs: legal.join(","),
      },
    },
  );
}
