import { describe, expect, test } from "vitest";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { Flag } from "../../gen/leadline/v1/report_pb.ts";
import { shared } from "../support/shared.ts";
import { DONE, definition, NEW, openFlowWorld, publish, report, SHIPPED, SHOP } from "./flow-world.ts";

const { database, app, tenantOf } = await shared(openFlowWorld());

describe("trying a flow", () => {
  test("on open orders and on history tells who would be stranded, and where, and changes nothing", async () => {
    const { owner, operator } = await tenantOf("dry");
    await publish(owner, "shop", SHOP, true);
    for (const orderId of ["new", "packed", "shipped", "done"]) await operator.orders.createOrder({ orderId });
    await report(operator, "packed", "PACKED");
    await report(operator, "shipped", "PACKED");
    await report(operator, "shipped", "SHIPPED");
    await report(operator, "done", "DONE");
    const [before] = await database.sql("select max(revision) from event where tenant_id = 'dry'");
    const without = definition(NEW, { ...SHIPPED, next: [] }, DONE);
    await owner.flows.updateStatusFlow({ flowId: "shop", draft: without });
    const open = await operator.flows.dryRunStatusFlow({ flowId: "shop" });
    expect(open).toMatchObject({ examined: 3, stranded: 2, moved: 0 });
    expect(open.orders).toMatchObject([
      { orderId: "shipped", status: "SHIPPED", newStatus: "SHIPPED", stranded: true, unknownCodes: ["PACKED"] },
      { orderId: "packed", status: "PACKED", newStatus: "", stranded: true, unknownCodes: ["PACKED"] },
    ]);
    const mapped = await operator.flows.dryRunStatusFlow({
      flowId: "shop",
      includeEnded: true,
      mappings: [{ from: "PACKED", to: "NEW" }],
    });
    expect(mapped).toMatchObject({ examined: 4, stranded: 1, moved: 1 });
    const paged = await operator.flows.dryRunStatusFlow({ flowId: "shop", pageSize: 2 });
    const mappings = [{ from: "PACKED", to: "NEW" }];
    const other = { flowId: "shop", pageToken: paged.nextPageToken, mappings };
    await expect(operator.flows.dryRunStatusFlow(other)).rejects.toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
    expect(paged).toMatchObject({ examined: 2 });
    expect(await operator.flows.dryRunStatusFlow({ flowId: "shop", pageToken: paged.nextPageToken })).toMatchObject({
      examined: 1,
      nextPageToken: "",
    });
    expect(await database.sql("select max(revision) from event where tenant_id = 'dry'")).toEqual([before]);
  });

  test.each([false, true])(
    "tells every order that the move then leaves behind (ended ones too: %s)",
    async (includeEnded) => {
      const id = `dry-then-moved-${includeEnded}`;
      const { owner, operator } = await tenantOf(id);
      await publish(owner, "narrow", definition(NEW, { code: "READY", phase: Phase.READY }, DONE));
      const reported: Record<string, string[]> = {
        unreported: [],
        kept: ["READY"],
        between: ["PROCESSING", "READY"], // it stands where the new flow has a status, on the way there it did not
        lost: ["READY", "BOOKED"],
        cancelled: ["BOOKED"],
        ended: ["PROCESSING", "DELIVERED"],
        "ended-kept": ["READY", "DELIVERED"],
      };
      for (const [orderId, statuses] of Object.entries(reported)) {
        await operator.orders.createOrder({ orderId });
        for (const status of statuses) await report(operator, orderId, status);
      }
      await operator.orders.cancelOrder({ orderId: "cancelled", reason: "no longer needed" });
      const mappings = [{ from: "DELIVERED", to: "DONE" }];
      const dry = await operator.flows.dryRunStatusFlow({
        ...{ flowId: "narrow", ordersOfFlowId: "standard" },
        ...{ mappings, includeEnded },
      });
      const moved = await owner.flows.migrateOrders({
        ...{ fromFlowId: "standard", toFlowId: "narrow" },
        ...{ mappings, includeEnded },
      });
      const left = dry.orders.filter(({ stranded }) => stranded);
      expect(left.map(({ orderId, unknownCodes }) => [orderId, ...unknownCodes])).toEqual([
        ...(includeEnded
          ? [
              ["ended", "PROCESSING"],
              ["cancelled", "BOOKED"],
            ]
          : []),
        ["lost", "BOOKED"],
        ["between", "PROCESSING"],
      ]);
      expect(moved.unmapped).toEqual(left);
      expect([dry.stranded, dry.examined - dry.stranded]).toEqual([moved.unmapped.length, moved.moved]);
    },
  );

  test("knows that no way leads to an end through what is retired, or in a circle", async () => {
    const { owner, operator } = await tenantOf("no-way");
    await publish(owner, "shop", SHOP, true);
    for (const [orderId, status] of [
      ["packed", "PACKED"],
      ["shipped", "SHIPPED"],
    ] as const) {
      await operator.orders.createOrder({ orderId });
      await report(operator, orderId, status);
    }
    const tried = async (...statuses: Parameters<typeof definition>) => {
      const { orders } = await operator.flows.dryRunStatusFlow({ flowId: "shop", definition: definition(...statuses) });
      return orders.filter(({ stranded }) => stranded).map(({ orderId }) => orderId);
    };
    const packed = { code: "PACKED", phase: Phase.READY };
    expect(await tried(NEW, { ...packed, next: ["SHIPPED"] }, { ...SHIPPED, retired: true }, DONE)).toEqual(["packed"]);
    expect(await tried(NEW, { ...packed, next: ["SHIPPED"] }, { ...SHIPPED, next: ["PACKED"] }, DONE)).toEqual([
      "shipped",
      "packed",
    ]);
    expect(await tried(NEW, { ...packed, next: ["SHIPPED"] }, { ...SHIPPED, next: ["PACKED", "DONE"] }, DONE)).toEqual(
      [],
    );
  });

  test("step by step, without an order", async () => {
    const { tenant } = await tenantOf("steps");
    const viewer = app.client(tenant.keys.viewer);
    const reports_ = ["PACKED", "LOST", "NEW", "DONE"].map((status) => ({ status }));
    const { steps } = await viewer.flows.simulateStatusFlow({
      subject: { case: "definition", value: SHOP },
      reports: reports_,
    });
    expect(steps.map(({ status, flags, ended }) => [status, flags, ended])).toEqual([
      ["NEW", [], false],
      ["PACKED", [], false],
      ["PACKED", [], false],
      ["PACKED", [Flag.OUT_OF_FLOW], false],
      ["DONE", [], true],
    ]);
    expect(steps[2]?.refusal).toContain("NEW, PACKED, SHIPPED, DONE");
    await expect(viewer.flows.simulateStatusFlow({})).rejects.toMatchObject({ reason: "FIELD_INVALID" });
  });
});

describe("drafting and publishing", () => {
  test("a flow goes from YAML to published, and tells what stands in the way", async () => {
    const { owner } = await tenantOf("drafts");
    const { yaml } = await owner.flows.exportStatusFlow({ flowId: "template-parcel" });
    const mine = yaml.replace("template-parcel", "parcel");
    expect(await owner.flows.importStatusFlow({ yaml: mine })).toMatchObject({ flow: { id: "parcel" }, findings: [] });
    const broken = mine.replace("ends_journey: true", "description: it goes on");
    const { findings } = await owner.flows.importStatusFlow({ yaml: broken });
    expect(findings.length).toBeGreaterThan(0);
    await expect(owner.flows.publishStatusFlow({ flowId: "parcel" })).rejects.toMatchObject({ reason: "FLOW_INVALID" });
    const { flow } = await owner.flows.importStatusFlow({ yaml: mine });
    await expect(owner.flows.publishStatusFlow({ flowId: "parcel", etag: "1" })).rejects.toMatchObject({
      reason: "ETAG_MISMATCH",
    });
    const published = await owner.flows.publishStatusFlow({
      flowId: "parcel",
      etag: flow?.etag ?? "",
      makeDefault: true,
    });
    expect(published).toMatchObject({ flow: { publishedVersion: 1, isDefault: true }, version: { version: 1 } });
    await expect(owner.flows.publishStatusFlow({ flowId: "parcel" })).rejects.toMatchObject({
      reason: "DRAFT_MISSING",
    });
    await owner.flows.updateStatusFlow({ flowId: "parcel", draft: SHOP });
    const lost = await owner.flows.validateStatusFlow({ subject: { case: "flowId", value: "parcel" } });
    expect(lost.publishable).toBe(false);
    expect((await owner.flows.exportStatusFlow({ flowId: "parcel", version: 1 })).yaml).toBe(mine);
  });

  test("two who publish at once make two versions, or one of them is told that there is no draft", async () => {
    const { owner } = await tenantOf("races");
    await owner.flows.createStatusFlow({ flowId: "shop", source: { case: "definition", value: SHOP } });
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => owner.flows.publishStatusFlow({ flowId: "shop" })));
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected", "rejected"]);
    for (const one of outcomes) {
      if (one.status === "rejected") expect(one.reason).toMatchObject({ reason: "DRAFT_MISSING" });
    }
    const made = await Promise.allSettled([1, 2].map(() => owner.flows.createStatusFlow({ flowId: "twice" })));
    expect(made.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    for (const one of made) {
      if (one.status === "rejected") expect(one.reason).toMatchObject({ reason: "FLOW_EXISTS" });
    }
  });

  test("what ships is read and copied, and not changed; other tenants' flows are unknown", async () => {
    const { owner } = await tenantOf("built-in");
    const stranger = (await tenantOf("stranger")).owner;
    await publish(stranger, "theirs", SHOP);
    const { flows } = await owner.flows.listStatusFlows({ includeTemplates: true });
    expect(flows.map(({ id }) => id)).toEqual([
      "standard",
      "template-air",
      "template-ocean",
      "template-parcel",
      "template-road",
    ]);
    for (const flowId of ["standard", "template-air"]) {
      await expect(owner.flows.updateStatusFlow({ flowId, draft: SHOP })).rejects.toMatchObject({
        reason: "VERB_ILLEGAL",
      });
      await expect(owner.flows.createStatusFlow({ flowId })).rejects.toMatchObject({ reason: "FLOW_EXISTS" });
    }
    const copied = await owner.flows.createStatusFlow({
      flowId: "air",
      source: { case: "copyOf", value: "template-air" },
    });
    expect(copied.flow?.draft?.statuses.length).toBeGreaterThan(5);
    for (const flowId of ["theirs", "nowhere"]) {
      await expect(owner.flows.getStatusFlow({ flowId })).rejects.toMatchObject({ reason: "FLOW_UNKNOWN" });
      await expect(owner.flows.exportStatusFlow({ flowId })).rejects.toMatchObject({ reason: "FLOW_UNKNOWN" });
      await expect(owner.orders.createOrder({ flowId })).rejects.toMatchObject({ reason: "FLOW_UNKNOWN" });
    }
  });
});
