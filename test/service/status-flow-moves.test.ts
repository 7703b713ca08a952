import { describe, expect, test } from "vitest";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import type { LeadlineClient } from "../../src/client/node.ts";
import { journalFaults } from "../guarantees/journal.ts";
import { shared } from "../support/shared.ts";
import { DONE, definition, NEW, openFlowWorld, orderOf, publish, report, SHIPPED, SHOP } from "./flow-world.ts";

const { database, tenantOf } = await shared(openFlowWorld());

/** Moves all there is to move, call by call. */
async function moveAll(owner: LeadlineClient, request: Parameters<LeadlineClient["flows"]["migrateOrders"]>[0]) {
  const calls: { moved: number; unmapped: number; remaining: bigint }[] = [];
  let pageToken = "";
  do {
    const page = await owner.flows.migrateOrders({ ...request, pageToken });
    calls.push({ moved: page.moved, unmapped: page.unmapped.length, remaining: page.remaining });
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return calls;
}

const sum = (calls: readonly { moved: number }[]) => calls.reduce((total, { moved }) => total + moved, 0);

describe("moving orders", () => {
  const ORDERS = 3_000;
  const forth = [
    { from: "RECEIVED", to: "NEW" },
    { from: "READY", to: "PACKED" },
    { from: "IN_TRANSIT", to: "SHIPPED" },
    { from: "DELIVERED", to: "DONE" },
  ];
  const back = forth.map(({ from, to }) => ({ from: to, to: from }));

  test("thousands of them, while others report, broken off and taken up, and back again", async () => {
    const { owner, operator } = await tenantOf("moves");
    await publish(owner, "shop", SHOP);
    const ids = Array.from({ length: ORDERS }, (_, i) => `o${i}`);
    await Promise.all(ids.map((orderId) => operator.orders.createOrder({ orderId })));
    await Promise.all(ids.filter((_, i) => i % 2 === 0).map((orderId) => report(operator, orderId, "READY")));
    await report(operator, "o7", "BOOKED"); // becomes nothing
    await report(operator, "o8", "DELIVERED");

    const move = { fromFlowId: "standard", toFlowId: "shop", mappings: forth };
    const broken = await owner.flows.migrateOrders({ ...move, pageSize: 400 });
    expect(broken).toMatchObject({ moved: 400, remaining: BigInt(ORDERS - 401) });

    let isMoving = true;
    const refused: unknown[] = [];
    const reporting = (async () => {
      for (let i = 0; isMoving; i = (i + 2) % ORDERS) {
        // Whatever flow the order is in by then, the other one's word is refused and nothing else goes wrong.
        const results = await Promise.allSettled([
          report(operator, `o${i}`, "SHIPPED"),
          report(operator, `o${i}`, "IN_TRANSIT"),
        ]);
        for (const one of results)
          if (one.status === "rejected") refused.push((one.reason as { reason: unknown }).reason);
      }
    })();
    const calls = await moveAll(owner, move);
    isMoving = false;
    await reporting;
    expect(sum(calls)).toBe(ORDERS - 402);
    expect(calls.flatMap(({ unmapped }) => unmapped).reduce((a, b) => a + b)).toBe(1);
    expect(calls.map(({ remaining }) => remaining)).toEqual(
      [...calls.map(({ remaining }) => remaining)].sort((a, b) => Number(b - a)),
    );
    expect(calls.at(-1)?.remaining).toBe(0n);
    expect(new Set(refused)).toEqual(new Set(["STATUS_UNKNOWN"]));

    const flowsNow = () =>
      database.sql(
        `select flow_id, flow_version, count(*)::int as n from subject where tenant_id = 'moves' group by 1, 2 order by 1`,
      );
    expect(await flowsNow()).toEqual([
      { flow_id: "", flow_version: 0, n: 2 },
      { flow_id: "shop", flow_version: 1, n: ORDERS - 2 },
    ]);
    expect(sum(await moveAll(owner, move))).toBe(0); // called again, nothing is left but what becomes nothing
    const { events } = await operator.orders.listOrderEvents({ orderId: "o1" });
    expect(events.map(({ change }) => change.case)).toEqual(["orderCreated", "orderMoved"]);

    const returned = await moveAll(owner, {
      fromFlowId: "shop",
      toFlowId: "standard",
      mappings: back,
      includeEnded: true,
    });
    expect(sum(returned)).toBe(ORDERS - 2);
    expect(await flowsNow()).toEqual([{ flow_id: "", flow_version: 0, n: ORDERS }]);
    expect(await journalFaults(database)).toEqual([]);
  }, 120_000);

  test("to the next version: codes that are kept or former need no mapping, ended ones stay unless asked for", async () => {
    const { owner, operator } = await tenantOf("versions");
    await publish(owner, "shop", SHOP, true);
    for (const orderId of ["a", "b", "c"]) await operator.orders.createOrder({ orderId });
    await report(operator, "a", "PACKED");
    await report(operator, "b", "DONE");
    await publish(
      owner,
      "shop",
      definition(NEW, { code: "BOXED", phase: Phase.READY, formerCodes: ["PACKED"] }, SHIPPED, DONE),
    );
    expect(await orderOf(operator, "a")).toMatchObject({ flowVersion: 1, status: "PACKED" });
    expect(sum(await moveAll(owner, { fromFlowId: "shop" }))).toBe(2);
    expect(await orderOf(operator, "a")).toMatchObject({ flowVersion: 2, status: "BOXED" });
    expect(await orderOf(operator, "b")).toMatchObject({ flowVersion: 1, status: "DONE" });
    expect(sum(await moveAll(owner, { fromFlowId: "shop", includeEnded: true }))).toBe(1);
    expect(sum(await moveAll(owner, { fromFlowId: "shop", toVersion: 1, orderIds: ["c"] }))).toBe(1);
    expect(await orderOf(operator, "c")).toMatchObject({ flowVersion: 1, status: "NEW" });
    const asOf = { case: "asOfRevision", value: 4n } as const; // it was packed then, before it was moved
    const { order: packed } = await operator.orders.getOrder({ orderId: "a", asOf });
    expect(packed).toMatchObject({ flowVersion: 1, status: "PACKED" });
  });

  test("what cannot be is refused", async () => {
    const { owner, operator } = await tenantOf("wrong-moves");
    await publish(owner, "shop", SHOP);
    const migrate = (request: object) => owner.flows.migrateOrders(request);
    await expect(migrate({ fromFlowId: "standard" })).rejects.toMatchObject({ reason: "FIELD_INVALID" });
    await expect(migrate({ toFlowId: "nowhere" })).rejects.toMatchObject({ reason: "FLOW_UNKNOWN" });
    await expect(migrate({ toFlowId: "shop", toVersion: 7 })).rejects.toMatchObject({ reason: "FLOW_UNKNOWN" });
    await expect(migrate({ toFlowId: "shop", mappings: [{ from: "READY", to: "NOWHERE" }] })).rejects.toMatchObject({
      reason: "FIELD_INVALID",
      metadata: {},
    });
    const mapped = (from: string, to: string) => ({ mappings: [{ from, to }] });
    for (const [mapping, field, message] of [
      // A code of no order, and the first status: an order that nobody has reported has no report to be mapped.
      [mapped("TYPO", "PACKED"), "mappings[0].from", /"TYPO" is not a status .* which has RECEIVED, PROCESSING/],
      [
        mapped("RECEIVED", "PACKED"),
        "mappings[0].to",
        /has RECEIVED and gets NEW.* map RECEIVED to NEW, and report PACKED/,
      ],
    ] as const) {
      const refusal = { reason: "FIELD_INVALID", violations: [{ field, description: expect.stringMatching(message) }] };
      await expect(migrate({ toFlowId: "shop", ...mapping })).rejects.toMatchObject(refusal);
      const tried = owner.flows.dryRunStatusFlow({ flowId: "shop", ordersOfFlowId: "standard", ...mapping });
      await expect(tried).rejects.toMatchObject(refusal);
    }
    await publish(
      owner,
      "shop",
      definition(NEW, { code: "BOXED", phase: Phase.READY, formerCodes: ["PACKED"] }, SHIPPED, DONE),
    );
    for (const from of ["PACKED", "BOXED"]) {
      expect(await migrate({ fromFlowId: "shop", toFlowId: "standard", ...mapped(from, "READY") })).toMatchObject({
        moved: 0,
      });
    }
    const ofFirst = { fromFlowId: "shop", fromVersion: 1, toFlowId: "standard" };
    await expect(migrate({ ...ofFirst, ...mapped("BOXED", "READY") })).rejects.toMatchObject({
      reason: "FIELD_INVALID",
    });
    await owner.flows.createStatusFlow({ flowId: "draft" });
    const unpublished = owner.flows.dryRunStatusFlow({ flowId: "draft", ...mapped("READY", "READY") });
    await expect(unpublished).rejects.toMatchObject({ message: expect.stringContaining("no published version") });
    await expect(operator.flows.migrateOrders({ toFlowId: "shop" })).rejects.toMatchObject({ reason: "ROLE_FORBIDS" });
    await expect(migrate({ toFlowId: "shop", pageToken: "x" })).rejects.toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
  });
});
