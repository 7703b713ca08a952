import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import type { LeadlineClient } from "../../src/client/node.ts";
import { journalFaults } from "../guarantees/journal.ts";
import { startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { grow } from "./grow.ts";
import { makePatterns } from "./growth.ts";
import { orderId } from "./messages.ts";
import { portOf } from "./service.ts";

const ORDERS = 500;

/** A journal grown by copies has to be one that the service could have written. */
describe("a grown journal", () => {
  let database: TestDatabase;
  let app: TestApp;
  let tenant: TestTenant;
  let client: LeadlineClient;
  let events: number;
  const drawn = [0, 4, 5, 17, 256, ORDERS - 1].map(orderId);

  beforeAll(async () => {
    database = await createTestDatabase();
    app = await startTestApp({ database });
    tenant = await app.makeTenant("grown");
    client = app.client(tenant.keys.operator);
    await makePatterns(portOf(app.grpcAddress), tenant.keys.operator);
    events = await grow({ url: database.ownerUrl, tenant: tenant.id, orders: ORDERS, say: () => undefined });
  });
  afterAll(async () => {
    await app?.[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
  });

  it("has five events an order, dense revisions and versions, and rows at their last events", async () => {
    expect(events).toBe(5 * ORDERS);
    expect(await journalFaults(database)).toEqual([]);
  });

  it("keeps what was answered to every report", async () => {
    const [row] = await database.sql<{ kept: number; events: number }>(
      `select count(*)::int as kept, (select count(*)::int from event where version > 1) as events
       from request q join event e using (tenant_id, recorded_at)
       where strpos(encode(q.answer, 'escape'), e.revision || '-' || e.event_id) > 0`,
    );
    expect(row).toEqual({ kept: 4 * ORDERS, events: 4 * ORDERS });
  });

  it("folds to its rows", async () => {
    for (const id of drawn) {
      const now = await client.orders.getOrder({ orderId: id });
      const value = timestampFromDate(new Date("2100-01-01"));
      const folded = await client.orders.getOrder({ orderId: id, asOf: { case: "asOfTime", value } });
      expect(now.order?.id).toBe(id);
      expect(folded).toEqual(now);
    }
  });

  it("is listed whole, newest first, and found by reference", async () => {
    const ids: string[] = [];
    for (let pageToken = "", more = true; more; more = pageToken !== "") {
      const page = await client.orders.listOrders({ pageSize: 150, pageToken });
      ids.push(...page.orders.map((order) => order.id));
      pageToken = page.nextPageToken;
    }
    expect(ids).toEqual(Array.from({ length: ORDERS }, (_, i) => orderId(ORDERS - 1 - i)));
    for (const id of drawn) {
      const { orders } = await client.orders.listOrders({
        filter: { references: [{ type: "PO", value: `PO-${id}` }] },
      });
      expect(orders.map((order) => order.id)).toEqual([id]);
    }
  });

  it("tells each order's events, the last of which carries the row", async () => {
    for (const id of drawn) {
      const { order } = await client.orders.getOrder({ orderId: id });
      const { events: told } = await client.orders.listOrderEvents({ orderId: id });
      expect(told.map((event) => event.version)).toEqual(told.map((_, i) => BigInt(i + 1)));
      expect(told.every((event) => event.subjectId === id && event.position.startsWith(`${event.revision}-`))).toBe(
        true,
      );
      expect(told.at(-1)?.after).toEqual({ case: "order", value: order });
    }
  });

  it("is resumed from any place, and goes on with what is written next", async () => {
    const [{ position } = { position: "" }] = await database.sql<{ position: string }>(
      "select revision || '-' || event_id as position from event where revision = $1",
      [events - 700],
    );
    const watch = client.watchOrders({ position });
    const seen: bigint[] = [];
    await client.orders.reportStatus({
      orderId: drawn[5] ?? "",
      report: {
        classifier: Classifier.ACTUAL,
        status: "ARRIVED",
        occurredAt: { instant: timestampFromDate(new Date("2026-04-01")) },
      },
    });
    for await (const item of watch) {
      if (item.type === "event") seen.push(item.event.revision);
      if (seen.length === 701) break;
    }
    expect(seen).toEqual(Array.from({ length: 701 }, (_, i) => BigInt(events - 700 + i + 1)));
    expect(await journalFaults(database)).toEqual([]);
  });
});
