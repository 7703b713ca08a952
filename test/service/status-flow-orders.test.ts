import { describe, expect, test } from "vitest";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { Classifier, Flag } from "../../gen/leadline/v1/report_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { oceanConfirmation, oceanRequest } from "../interop/parts.ts";
import { shared } from "../support/shared.ts";
import { DONE, definition, NEW, openFlowWorld, orderOf, PACKED, publish, report, SHIPPED, SHOP } from "./flow-world.ts";

const { database, app, other, tenantOf } = await shared(openFlowWorld());

describe("new orders", () => {
  test("start in the flow that they name, in the tenant's default, or in the standard flow", async () => {
    const { owner, operator } = await tenantOf("starts");
    await publish(owner, "shop", SHOP);
    await operator.orders.createOrder({ orderId: "plain" });
    await operator.orders.createOrder({ orderId: "named", flowId: "shop" });
    await owner.flows.updateStatusFlow({ flowId: "shop", makeDefault: true });
    await operator.orders.createOrder({ orderId: "default" });
    await operator.orders.createOrder({ orderId: "standard", flowId: "standard" });
    const { orders } = await operator.orders.batchGetOrders({ orderIds: ["plain", "named", "default", "standard"] });
    expect(orders.map(({ flowId, flowVersion, status }) => [flowId, flowVersion, status])).toEqual([
      ["", 0, "RECEIVED"],
      ["shop", 1, "NEW"],
      ["shop", 1, "NEW"],
      ["", 0, "RECEIVED"],
    ]);
  });

  test("start in what was published last, through whichever instance", async () => {
    const { tenant, owner, operator } = await tenantOf("newest");
    const elsewhere = other.client(tenant.keys.operator);
    for (let version = 1; version <= 5; version += 1) {
      await publish(owner, "shop", SHOP, true);
      const [here, there] = [`h${version}`, `t${version}`];
      await Promise.all([
        operator.orders.createOrder({ orderId: here }),
        elsewhere.orders.createOrder({ orderId: there }),
      ]);
      expect(await orderOf(operator, here)).toMatchObject({ flowId: "shop", flowVersion: version });
      expect(await orderOf(operator, there)).toMatchObject({ flowId: "shop", flowVersion: version });
    }
    // An instance that never saw the flow decides on its orders too.
    expect(await report(elsewhere, "h1", "PACKED")).toMatchObject({ status: "PACKED", flags: [] });
  });

  test("of an unknown flow, a template, or one that is not published are refused", async () => {
    const { owner, operator } = await tenantOf("refused");
    await owner.flows.createStatusFlow({ flowId: "draft" });
    const make = (flowId: string) => operator.orders.createOrder({ flowId });
    await expect(make("nowhere")).rejects.toMatchObject({ reason: "FLOW_UNKNOWN" });
    await expect(make("template-ocean")).rejects.toMatchObject({ reason: "FLOW_UNKNOWN" });
    await expect(make("draft")).rejects.toMatchObject({ reason: "FLOW_UNPUBLISHED" });
    await expect(owner.flows.updateStatusFlow({ flowId: "draft", makeDefault: true })).rejects.toMatchObject({
      reason: "FLOW_UNPUBLISHED",
    });
  });
});

describe("reports in a flow of the tenant's own", () => {
  test("a status of another flow is refused, and the flow's own are named", async () => {
    const { owner, operator } = await tenantOf("strict");
    await publish(owner, "shop", definition(NEW, { ...PACKED, retired: true }, SHIPPED, DONE), true);
    await operator.orders.createOrder({ orderId: "o" });
    await expect(report(operator, "o", "IN_TRANSIT")).rejects.toMatchObject({
      reason: "STATUS_UNKNOWN",
      metadata: { status: "IN_TRANSIT", statuses: "NEW,SHIPPED,DONE" },
    });
    const { results } = await operator.orders.batchReportStatus({
      items: ["SHIPPED", "BOOKED"].map((status) => ({
        orderId: "o",
        report: {
          status,
          classifier: Classifier.ACTUAL,
          sourceId: status,
          occurredAt: { instant: { seconds: 1_770_000_000n } },
        },
      })),
    });
    expect(results.map(({ result }) => (result.case === "error" ? result.value.reason : result.value?.status))).toEqual(
      ["SHIPPED", "STATUS_UNKNOWN"],
    );
  });

  test("former codes count, retired statuses and unexpected reporters are flagged", async () => {
    const { owner, operator } = await tenantOf("flags");
    const draft = definition(
      NEW,
      { ...PACKED, formerCodes: ["BOXED"] },
      { ...SHIPPED, retired: true },
      { ...DONE, reporters: [Role.OWNER] },
    );
    await publish(owner, "shop", draft, true);
    await operator.orders.createOrder({ orderId: "o" });
    expect(await report(operator, "o", "BOXED")).toMatchObject({ status: "PACKED", flags: [] });
    expect(await report(operator, "o", "SHIPPED")).toMatchObject({ flags: [Flag.STATUS_RETIRED] });
    // A report by whom the flow does not expect is kept and does not end the journey.
    expect(await report(operator, "o", "DONE")).toMatchObject({
      status: "SHIPPED",
      flags: [Flag.REPORTER_UNEXPECTED],
    });
    await expect(report(operator, "o", "DONE", { refuseIfUnfit: true })).rejects.toMatchObject({
      reason: "REPORT_UNFIT",
    });
    expect(await report(owner, "o", "DONE")).toMatchObject({ status: "DONE", flags: [] });
  });

  test.each([
    [
      "what carriers may not report is kept, flagged, and gives no status",
      "OPERATOR",
      "NEW",
      [Flag.REPORTER_UNEXPECTED],
    ],
    ["what carriers may report counts", "CARRIER", "SHIPPED", []],
  ] as const)("of messages that staff imports, %s", async (_, reporter, status, flags) => {
    const { owner, operator } = await tenantOf(`imports-${reporter.toLowerCase()}`);
    await publish(owner, "shop", definition(NEW, PACKED, { ...SHIPPED, reporters: [Role[reporter]] }, DONE), true);
    await operator.orders.createOrder({ orderId: "alone" });
    await operator.orders.createOrder({ orderId: "booked" });
    await operator.bookings.requestBooking({
      bookingId: "b",
      request: { ...oceanRequest(), references: [{ type: "BKG", value: "MAEU1" }] },
      orders: [{ orderId: "booked" }],
    });
    const coded = {
      sourceId: "coded",
      codeList: "CODE_LIST_X12_315",
      code: "VD",
      occurredAt: { instant: "2026-03-02T10:00:00Z" },
      references: [{ type: "ORDER", value: "alone" }],
    };
    const tracking = {
      eventID: "tracking",
      eventType: "TRANSPORT",
      eventClassifierCode: "ACT",
      transportEventTypeCode: "DEPA",
      eventDateTime: "2026-03-07T12:30:00Z",
      eventCreatedDateTime: "2026-03-07T13:00:00Z",
      transportCall: { UNLocationCode: "NLRTM", modeOfTransport: "VESSEL" },
      documentReferences: [{ documentReferenceType: "BKG", documentReferenceValue: "MAEU1" }],
    };
    const items = [coded, tracking].map((item) => JSON.stringify(item));
    const { results } = await operator.imports.importItems({ carrier: "MAEU", items });
    expect(results.map(({ orderIds }) => orderIds)).toEqual([["alone"], ["booked"]]);
    for (const orderId of ["alone", "booked"]) {
      const { order, details } = await operator.orders.getOrder({ orderId });
      expect(order?.status).toBe(status);
      expect(details?.reports).toMatchObject([{ report: { milestone: "DEPARTED", status: "SHIPPED" }, flags }]);
    }
  });

  test("rows tell the flow and when the journey ended, and no more when it is open again", async () => {
    const { owner, operator } = await tenantOf("ends");
    await publish(owner, "shop", SHOP);
    const rows = () =>
      database.sql<{ id: string; flow_id: string; flow_version: number; ended: boolean; same: boolean }>(
        `select s.id, flow_id, flow_version, ended_at is not null as ended, ended_at is not distinct from recorded_at as same
         from subject s join event e on e.tenant_id = s.tenant_id and e.revision = changed_revision
         where s.tenant_id = 'ends' order by s.id`,
      );
    for (const [orderId, flowId] of [
      ["a", "standard"],
      ["b", "shop"],
      ["c", "standard"],
    ] as const) {
      await operator.orders.createOrder({ orderId, flowId });
    }
    await report(operator, "a", "DELIVERED");
    const done = await report(operator, "b", "DONE");
    await operator.orders.cancelOrder({ orderId: "c", reason: "why" });
    expect(await rows()).toEqual([
      { id: "a", flow_id: "", flow_version: 0, ended: true, same: true },
      { id: "b", flow_id: "shop", flow_version: 1, ended: true, same: true },
      { id: "c", flow_id: "", flow_version: 0, ended: true, same: true },
    ]);
    await operator.orders.retractReport({ orderId: "b", sourceId: done.sourceId, reason: "mistaken" });
    await report(operator, "a", "ARRIVED"); // late: it stays delivered, since when it was
    expect((await rows()).map(({ ended, same }) => [ended, same])).toEqual([
      [true, false],
      [false, false],
      [true, true],
    ]);
  });

  test("lists and watches find orders across flows by phase, and one flow's by status", async () => {
    const { owner, operator } = await tenantOf("phases");
    await publish(owner, "shop", SHOP);
    await operator.orders.createOrder({ orderId: "std" });
    await operator.orders.createOrder({ orderId: "own", flowId: "shop" });
    const seen: string[] = [];
    for await (const item of operator.watchOrders({ filter: { phases: [Phase.IN_TRANSIT] }, includeSnapshot: true })) {
      if (item.type === "synced") {
        await report(operator, "std", "IN_TRANSIT");
        await report(operator, "own", "SHIPPED");
      }
      if (item.type === "event" && seen.push(item.event.subjectId) === 2) break;
    }
    expect(seen).toEqual(["std", "own"]);
    const list = async (filter: object) => (await operator.orders.listOrders({ filter })).orders.map(({ id }) => id);
    expect(await list({ phases: [Phase.IN_TRANSIT] })).toEqual(["own", "std"]);
    expect(await list({ statuses: ["SHIPPED"] })).toEqual(["own"]);
  });

  test("a booking that is confirmed brings its order to the flow's status of the phase BOOKED", async () => {
    const { tenant, owner, operator } = await tenantOf("booked");
    await publish(owner, "shop", definition(NEW, { code: "SPACE", phase: Phase.BOOKED }, SHIPPED, DONE));
    await publish(owner, "small", SHOP);
    await operator.orders.createOrder({ orderId: "o", flowId: "shop" });
    await operator.orders.createOrder({ orderId: "without", flowId: "small" });
    const bookingId = "b";
    const orders = [{ orderId: "o" }, { orderId: "without" }];
    await operator.bookings.requestBooking({ bookingId, request: oceanRequest(), orders });
    const carrier = app.client(tenant.keys.carrier);
    await carrier.bookings.confirmBooking({ bookingId, confirmation: oceanConfirmation("MAEU1") });
    expect((await orderOf(operator, "o")).status).toBe("SPACE");
    expect((await orderOf(operator, "without")).status).toBe("NEW");
  });
});
