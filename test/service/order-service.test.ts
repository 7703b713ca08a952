import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import {
  BatchGetOrdersRequestSchema,
  BatchGetOrdersResponseSchema,
  BatchReportStatusRequestSchema,
  CreateOrderRequestSchema,
  GetOrderRequestSchema,
  GetOrderResponseSchema,
  ListOrderEventsRequestSchema,
  ListOrderEventsResponseSchema,
  ListOrdersRequestSchema,
  ListOrdersResponseSchema,
  ReportStatusRequestSchema,
  RetractReportRequestSchema,
  WatchOrdersRequestSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { type Call, EncodedReply } from "../../src/service/call.ts";
import { createOrderService } from "../../src/service/order-service.ts";
import { PageTokens } from "../../src/wire/page-token.ts";
import { line, pieces, report } from "../domain/order-desk.ts";
import { openTestJournal } from "../support/journal.ts";
import { shared } from "../support/shared.ts";
import { noRedactions } from "./support.ts";

const { journal } = await shared(openTestJournal("t1", "t2"));
const pageTokens = new PageTokens(new Uint8Array(32));
const orders = createOrderService({ journal, pageTokens, elsewhere: noRedactions });

function call(principal: Principal): Call {
  return { principal, signal: new AbortController().signal, deadlineMs: undefined, callId: "c" };
}
const keyOf = (tenant: string): Principal => ({
  kind: "key",
  id: `key_${tenant}`,
  name: `desk ${tenant}`,
  tenant,
  role: Role.OPERATOR,
  carrier: "",
  expiresAtMs: undefined,
});
const link = (orderId: string): Principal => ({ kind: "link", id: "lnk", tenant: "t1", orderId, expiresAtMs: 9e15 });
const t1 = call(keyOf("t1"));
const t2 = call(keyOf("t2"));
const bytes = (reply: unknown) => {
  if (!(reply instanceof EncodedReply)) throw new Error("not encoded");
  return reply.bytes;
};
const make = (orderId: string, more: MessageInitShape<typeof CreateOrderRequestSchema> = {}) =>
  orders.createOrder(create(CreateOrderRequestSchema, { orderId, ...(more as object) }), t1);
const get = async (init: MessageInitShape<typeof GetOrderRequestSchema>, by = t1) =>
  fromBinary(GetOrderResponseSchema, bytes(await orders.getOrder(create(GetOrderRequestSchema, init), by)));
const unknown = { reason: ErrorReason.ORDER_UNKNOWN };

describe("order service", () => {
  test("create, report, read, as of", async () => {
    const made = await make("o1", { lines: [line("L1", 25)] });
    expect(made).toMatchObject({ order: { id: "o1", version: 1n } });
    const r = create(ReportStatusRequestSchema, {
      requestId: "q1",
      orderId: "o1",
      report: { ...report("", "IN_TRANSIT", 10), source: "" },
    });
    const first = await orders.reportStatus(r, t1);
    const again = await orders.reportStatus(r, t1);
    expect(again).toEqual(first);
    expect(first).toMatchObject({ status: "IN_TRANSIT", version: 2n, sourceId: expect.stringMatching(/^rpt_/) });
    await orders.reportStatus(
      create(ReportStatusRequestSchema, {
        orderId: "o1",
        report: report("d", "DELIVERED", 20, { lines: [pieces("L1", 3)] }),
      }),
      t1,
    );
    const now = await get({ orderId: "o1" });
    expect(now.order).toMatchObject({ status: "IN_TRANSIT", version: 3n, delivery: { quantityDone: 3n } });
    expect(now.details?.reports[0]?.report?.source).toBe("desk t1");
    for (const version of [1n, 2n, 3n]) {
      const then = await get({ orderId: "o1", asOf: { case: "asOfRevision", value: version } });
      expect(then.order?.version).toBe(version);
    }
    expect(await get({ orderId: "o1", asOf: { case: "asOfRevision", value: 99n } })).toEqual(now);
    const updatedAt = now.order?.updatedAt;
    if (!updatedAt) throw new Error("x");
    expect(await get({ orderId: "o1", asOf: { case: "asOfTime", value: updatedAt } })).toEqual(now);
    await expect(
      get({ orderId: "o1", asOf: { case: "asOfTime", value: { ...updatedAt, seconds: updatedAt.seconds - 3600n } } }),
    ).rejects.toMatchObject(unknown);
    await expect(get({ orderId: "o1", asOf: { case: "asOfRevision", value: 0n } })).rejects.toMatchObject(unknown);
    await expect(get({ orderId: "o1" }, t2)).rejects.toMatchObject(unknown);
    expect((await get({ orderId: "o1" }, call(link("o1")))).order?.id).toBe("o1");
    await expect(get({ orderId: "o1" }, call(link("o2")))).rejects.toMatchObject(unknown);
  });

  test("batch keeps order per order and fails per item", async () => {
    await make("b1");
    const items = [
      { orderId: "b1", report: report("1", "READY", 1) },
      { orderId: "nope", report: report("1", "READY", 1) },
      { orderId: "b1", report: report("2", "NOPE", 2) },
      { orderId: "not an id", report: report("1", "READY", 1) },
      { orderId: "b1" },
      { orderId: "b1", report: { ...report("2", "READY", 2), remark: "a\0b" } },
      { orderId: "b1", report: report("3", "ARRIVED", 3) },
      { orderId: "b1", report: report("3", "ARRIVED", 3) },
    ];
    const { results } = (await orders.batchReportStatus(
      create(BatchReportStatusRequestSchema, { items }),
      t1,
    )) as never as {
      results: { result: { case: string; value: { reason?: string; version?: bigint; outcome?: number } } }[];
    };
    expect(results.map(({ result }) => [result.case, result.value.reason ?? result.value.version])).toEqual([
      ["response", 2n],
      ["error", "ORDER_UNKNOWN"],
      ["error", "STATUS_UNKNOWN"],
      ["error", "FIELD_INVALID"],
      ["error", "FIELD_INVALID"],
      ["error", "FIELD_INVALID"],
      ["response", 3n],
      ["response", 3n],
    ]);
    const rr = await orders.retractReport(
      create(RetractReportRequestSchema, { orderId: "b1", source: "TMS", sourceId: "3" }),
      t1,
    );
    expect(rr).toMatchObject({ outcome: 1, order: { status: "READY" } });
    const list = fromBinary(
      ListOrderEventsResponseSchema,
      bytes(await orders.listOrderEvents(create(ListOrderEventsRequestSchema, { orderId: "b1", pageSize: 3 }), t1)),
    );
    expect(list.events.map((e) => [e.version, e.change.case, e.after.value?.version])).toEqual([
      [1n, "orderCreated", 1n],
      [2n, "reported", 2n],
      [3n, "reported", 3n],
    ]);
    const rest = fromBinary(
      ListOrderEventsResponseSchema,
      bytes(
        await orders.listOrderEvents(
          create(ListOrderEventsRequestSchema, { orderId: "b1", pageSize: 3, pageToken: list.nextPageToken }),
          t1,
        ),
      ),
    );
    expect(rest.events.map((e) => e.change.case)).toEqual(["reportRetracted"]);
    expect(rest.nextPageToken).toBe("");
    await expect(
      orders.listOrderEvents(
        create(ListOrderEventsRequestSchema, { orderId: "o1", pageToken: list.nextPageToken }),
        t1,
      ),
    ).rejects.toMatchObject({ reason: ErrorReason.PAGE_TOKEN_INVALID });
    await expect(
      orders.listOrderEvents(create(ListOrderEventsRequestSchema, { orderId: "b1" }), t2),
    ).rejects.toMatchObject(unknown);
  });

  test("list and batch get", async () => {
    for (let i = 0; i < 7; i += 1) await make(`l${i}`, { references: [{ type: "PO", value: "list" }] });
    const filter = { references: [{ type: "PO", value: "list" }] };
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = fromBinary(
        ListOrdersResponseSchema,
        bytes(await orders.listOrders(create(ListOrdersRequestSchema, { filter, pageSize: 3, pageToken }), t1)),
      );
      seen.push(...page.orders.map((o) => o.id));
      pageToken = page.nextPageToken;
      await orders.reportStatus(
        create(ReportStatusRequestSchema, { orderId: "l0", report: report(`x${seen.length}`, "READY", seen.length) }),
        t1,
      );
      if (pageToken)
        await expect(orders.listOrders(create(ListOrdersRequestSchema, { pageToken }), t1)).rejects.toMatchObject({
          reason: ErrorReason.PAGE_TOKEN_INVALID,
        });
    } while (pageToken);
    expect(seen).toEqual(["l6", "l5", "l4", "l3", "l2", "l1", "l0"]);
    const ready = fromBinary(
      ListOrdersResponseSchema,
      bytes(
        await orders.listOrders(
          create(ListOrdersRequestSchema, { filter: { ...filter, statuses: ["READY"], phases: [4] } }),
          t1,
        ),
      ),
    );
    expect(ready.orders.map((o) => o.id)).toEqual(["l0"]);
    const got = fromBinary(
      BatchGetOrdersResponseSchema,
      bytes(await orders.batchGetOrders(create(BatchGetOrdersRequestSchema, { orderIds: ["l3", "zz", "l1"] }), t1)),
    );
    expect([got.orders.map((o) => o.id), got.unknownIds]).toEqual([["l3", "l1"], ["zz"]]);
    const other = fromBinary(
      ListOrdersResponseSchema,
      bytes(await orders.listOrders(create(ListOrdersRequestSchema), t2)),
    );
    expect(other.orders).toEqual([]);
  });

  test("watch spec", async () => {
    await expect(
      orders.watchOrders(create(WatchOrdersRequestSchema, { position: "1-x", includeSnapshot: true }), t1),
    ).rejects.toMatchObject({ reason: ErrorReason.FIELD_INVALID });
    expect(
      await orders.watchOrders(create(WatchOrdersRequestSchema, { includeSnapshot: true, mode: 2 }), call(link("o1"))),
    ).toMatchObject({
      tenant: "t1",
      mode: "LATEST",
      start: { from: "snapshot" },
      visibility: { class: "link", orderId: "o1" },
    });
  });

  test("the row equals the fold after many reports", async () => {
    await make("f1", { lines: [line("L1", 25)] });
    await Promise.all(
      Array.from({ length: 300 }, (_, i) =>
        orders.reportStatus(
          create(ReportStatusRequestSchema, {
            orderId: "f1",
            report: report(
              `r${i % 90}`,
              ["READY", "BOOKED", "IN_TRANSIT"][i % 3] ?? "",
              i,
              i % 5 ? {} : { lines: [pieces("L1", 1)] },
            ),
          }),
          t1,
        ),
      ),
    );
    const now = await get({ orderId: "f1" });
    expect(
      await get({
        orderId: "f1",
        asOf: {
          case: "asOfTime",
          value: now.order?.updatedAt ?? { $typeName: "google.protobuf.Timestamp", seconds: 0n, nanos: 0 },
        },
      }),
    ).toEqual(now);
    expect(now.details?.reports).toHaveLength(90);
  });
});
