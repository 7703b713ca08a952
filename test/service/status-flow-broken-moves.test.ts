import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { FlowDefinitionSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { createLeadlineClient, type LeadlineClient } from "../../src/client/node.ts";
import { Status } from "../../src/client/status.ts";
import { leadlineHere } from "../cli/leadline.ts";
import { ServiceProcess } from "../client/service-process.ts";
import { journalFaults } from "../guarantees/journal.ts";
import { SERVICE_OWNER, startTestApp, type TestApp } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

/*
 * A move of orders that is broken off by the end of its instance goes on through another one, with the last token or without.
 */

let database: TestDatabase;
let app: TestApp;
let killed: ServiceProcess;
let doomed: LeadlineClient;
let owner: LeadlineClient;
let operator: LeadlineClient;
let ownerKey: string;

beforeAll(async () => {
  database = await createTestDatabase();
  app = await startTestApp({ database });
  const { keys } = await app.makeTenant("acme");
  ownerKey = keys.owner;
  owner = app.client(keys.owner);
  operator = app.client(keys.operator);
  killed = await ServiceProcess.prepare({ DATABASE_URL: database.appUrl, LEADLINE_OWNER_KEY: SERVICE_OWNER });
  const { grpc } = await killed.start();
  doomed = createLeadlineClient({ address: grpc, key: keys.owner });
}, 60_000);
afterAll(async () => {
  doomed?.close();
  await killed?.[Symbol.asyncDispose]();
  await app?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
});

const ORDERS = 2_000;
const statuses = [
  { code: "NEW", names: { en: "New" }, phase: Phase.RECEIVED, nextAnyLater: true },
  { code: "DONE", names: { en: "Done" }, phase: Phase.DELIVERED, endsJourney: true },
];
const move = { fromFlowId: "standard", toFlowId: "shop", mappings: [{ from: "RECEIVED", to: "NEW" }] };

async function moves(): Promise<number> {
  const [row] = await database.sql<{ n: number }>(
    "select count(*)::int as n from subject where tenant_id = 'acme' and kind = 1 and flow_id = 'shop'",
  );
  return row?.n ?? 0;
}

test("an instance that is killed in the middle of a move leaves it to the next one", async () => {
  const value = create(FlowDefinitionSchema, { statuses });
  await owner.flows.createStatusFlow({ flowId: "shop", source: { case: "definition", value } });
  await owner.flows.publishStatusFlow({ flowId: "shop" });
  const ids = Array.from({ length: ORDERS }, (_, i) => `o${i}`);
  await Promise.all(ids.map((orderId) => operator.orders.createOrder({ orderId })));

  const first = await doomed.flows.migrateOrders({ ...move, pageSize: 300 });
  expect(first).toMatchObject({ moved: 300, remaining: BigInt(ORDERS - 300) });
  // Pages one after another, until the instance is gone.
  const broken = (async () => {
    let last = first;
    try {
      while (last.nextPageToken !== "") {
        last = await doomed.flows.migrateOrders({ ...move, pageSize: 100, pageToken: last.nextPageToken });
      }
    } catch (error) {
      return { last, error };
    }
    return { last, error: undefined };
  })();
  let isOver = false;
  void broken.finally(() => {
    isOver = true;
  });
  while (!isOver && (await moves()) < 500);
  await killed.kill();
  const { last, error } = await broken;
  expect(error).toMatchObject({ code: Status.UNAVAILABLE });
  const moved = await moves();
  expect(moved).toBeGreaterThanOrEqual(500);
  expect(moved).toBeLessThan(ORDERS);

  // The token that was answered last holds on every instance, and the count goes on from where it was.
  const next = await owner.flows.migrateOrders({ ...move, pageSize: 100, pageToken: last.nextPageToken });
  expect(next.remaining).toBe(last.remaining - 100n);
  // Without it, too: what was moved stays moved, and no order is moved twice.
  let pageToken = "";
  do pageToken = (await owner.flows.migrateOrders({ ...move, pageToken })).nextPageToken;
  while (pageToken !== "");
  expect(await moves()).toBe(ORDERS);
  const { orders } = await operator.orders.batchGetOrders({ orderIds: ids.slice(0, 500) });
  expect(new Set(orders.map(({ version, status }) => `${version} ${status}`))).toEqual(new Set(["2 NEW"]));
  const [events] = await database.sql<{ n: number }>(
    "select count(*)::int as n from event where tenant_id = 'acme' and kind = 1",
  );
  expect(events?.n).toBe(2 * ORDERS);
  expect(await journalFaults(database)).toEqual([]);
}, 120_000);

test("a command that moves orders tells how far it came when its instance ends, and goes on when it is run again", async () => {
  const { grpc } = await killed.start();
  const words = ["flows", "move", "--from", "shop", "--to", "standard", "--map", "NEW=RECEIVED", "--key", ownerKey];
  const broken = leadlineHere([...words, "--address", grpc]);
  let isOver = false;
  void broken.finally(() => {
    isOver = true;
  });
  while (!isOver && (await moves()) > ORDERS - 600);
  await killed.kill();
  const { exit, err } = await broken;
  expect(exit).not.toBe(0);
  const [, told = ""] = /^broken off after (\d+) moved: .* run the same command again/m.exec(err) ?? [];
  expect(Number(told)).toBeGreaterThanOrEqual(500);
  const left = await moves();
  expect(left).toBeLessThanOrEqual(ORDERS - Number(told));
  expect(left).toBeGreaterThan(0);
  expect(await leadlineHere([...words, "--address", app.grpcAddress])).toMatchObject({
    exit: 0,
    out: `${left} moved\n`,
  });
  expect(await moves()).toBe(0);
}, 120_000);
