import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { expect } from "vitest";
import { Completeness, Phase } from "../../gen/leadline/v1/order_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { UnitKind } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, ReportOutcome } from "../../gen/leadline/v1/report_pb.ts";
import { at, CONTAINER } from "./parts.ts";
import { type Row, row } from "./rows.ts";

const orders = OrderService.method;

/** The order that the journey is about; links of the test lead to it. */
export const ORDER = "PO-1";

export function orderRows(): Row[] {
  return [...creating(), ...reporting(), ...commanding(), ...reading(), ...redacting()];
}

function creating(): Row[] {
  return [
    row(
      orders.createOrder,
      "operator",
      {
        requestId: "create",
        orderId: ORDER,
        references: [{ type: "PO", value: "4711" }],
        origin: { unlocode: "CNSHA" },
        destination: { unlocode: "NLRTM", name: "Rotterdam – Maasvlakte" },
        promisedAt: timestampFromDate(new Date(Date.UTC(2026, 3, 10))),
        lines: [{ id: "1", sku: "LAMP-9", quantity: 25n }],
        units: [{ id: CONTAINER, kind: UnitKind.CONTAINER, isoEquipmentCode: "45G1" }],
        parties: [{ role: "CONSIGNEE", name: "Łódź Lampy" }],
      },
      { order: { id: ORDER, version: 1n, status: "RECEIVED", phase: Phase.RECEIVED } },
    ),
    row(
      orders.createOrder,
      "owner",
      { orderId: "PO-2", lines: [{ id: "1", quantity: 8n }] },
      { order: { version: 1n } },
    ),
    row(orders.createOrder, "operator", {}, { order: { id: expect.stringMatching(/^ord_/) } }),
  ];
}

function reporting(): Row[] {
  const report = (status: string, sourceId: string) => ({
    classifier: Classifier.ACTUAL,
    status,
    sourceId,
    occurredAt: at(1),
  });
  return [
    row(
      orders.reportStatus,
      "operator",
      { requestId: "report", orderId: ORDER, report: report("PROCESSING", "s1") },
      { outcome: ReportOutcome.APPLIED, status: "PROCESSING", version: 2n, sourceId: "s1" },
    ),
    row(
      orders.batchReportStatus,
      "operator",
      {
        items: [
          { orderId: ORDER, report: report("READY", "s2") },
          { orderId: "PO-unknown", report: report("READY", "s3") },
        ],
      },
      {
        results: [
          { result: { case: "response", value: { status: "READY" } } },
          { result: { case: "error", value: { code: 5, reason: "ORDER_UNKNOWN" } } },
        ],
      },
    ),
    row(
      orders.retractReport,
      "operator",
      { orderId: ORDER, sourceId: "s2", reason: "too early" },
      { outcome: ReportOutcome.APPLIED, order: { status: "PROCESSING", version: 4n } },
    ),
  ];
}

function commanding(): Row[] {
  return [
    row(
      orders.holdOrder,
      "operator",
      { orderId: ORDER, etag: "4", reason: "credit check" },
      { order: { onHold: true, holdReason: "credit check" } },
    ),
    row(orders.releaseOrder, "operator", { orderId: ORDER, remark: "paid" }, { order: { onHold: false, version: 6n } }),
    row(orders.createOrder, "operator", { orderId: "PO-9" }, { order: { id: "PO-9" } }),
    row(
      orders.cancelOrder,
      "operator",
      { orderId: "PO-9", reason: "bought elsewhere" },
      { order: { phase: Phase.CANCELLED } },
    ),
  ];
}

function reading(): Row[] {
  return [
    row(
      orders.getOrder,
      "viewer",
      { orderId: ORDER },
      {
        order: { version: 6n, shipping: { completeness: Completeness.NONE, quantityTotal: 25n } },
        details: { units: [{ id: CONTAINER }], parties: [{ name: "Łódź Lampy" }] },
      },
    ),
    row(
      orders.getOrder,
      "viewer",
      { orderId: ORDER, asOf: { case: "asOfRevision", value: 1n } },
      { order: { version: 1n, status: "RECEIVED" } },
    ),
    row(
      orders.getOrder,
      "link",
      { orderId: ORDER, asOf: { case: "asOfTime", value: timestampFromDate(new Date("2999-01-01")) } },
      { order: { version: 6n } },
    ),
    row(
      orders.batchGetOrders,
      "viewer",
      { orderIds: ["PO-2", "PO-unknown", ORDER] },
      { orders: [{ id: "PO-2" }, { id: ORDER }], unknownIds: ["PO-unknown"] },
    ),
    row(
      orders.listOrders,
      "viewer",
      { pageSize: 1, filter: { phases: [Phase.PROCESSING, Phase.RECEIVED] } },
      { orders: [{ id: expect.stringMatching(/^ord_/) }], nextPageToken: expect.stringMatching(/./) },
    ),
    row(
      orders.listOrders,
      "viewer",
      (answers) => ({
        filter: { phases: [Phase.PROCESSING, Phase.RECEIVED] },
        pageToken: answers.of(orders.listOrders).nextPageToken,
      }),
      { orders: [{ id: "PO-2" }, { id: ORDER }], nextPageToken: "" },
    ),
    row(
      orders.listOrderEvents,
      "link",
      { orderId: ORDER, pageSize: 2 },
      { events: [{ version: 1n }, { version: 2n }], nextPageToken: expect.stringMatching(/./) },
    ),
  ];
}

function redacting(): Row[] {
  return [
    row(
      orders.redactParty,
      "owner",
      { partyName: "Łódź Lampy", reason: "asked to be forgotten" },
      { orderIds: [ORDER], examined: expect.any(Number), nextPageToken: expect.stringMatching(/./) },
    ),
    row(
      orders.redactOrder,
      "owner",
      { requestId: "redact", orderId: ORDER, reason: "asked to be forgotten" },
      { order: { id: ORDER }, eventsRewritten: expect.any(Number) },
    ),
  ];
}
