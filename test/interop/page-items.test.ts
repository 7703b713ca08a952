import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { PAGE_SIZE_MAX } from "../../src/service/paging.ts";
import { callerKinds } from "../doors/callers.ts";
import type { TestTenant } from "../support/app.ts";
import { type InteropWorld, openWorld } from "./world.ts";

/* The limit page_items: where there are more rows or events than a page may hold, whoever asks for more gets a page of it. */

const { listOrders, listOrderEvents } = OrderService.method;

/** More than one page holds, by one. */
const ITEMS = PAGE_SIZE_MAX + 1;
/** Far more than there are. */
const MUCH = 2_000_000_000;
const LONG = "ORDER-0000";
/** Reports in one request. */
const BATCH = 500;

const names = ["grpc-js on the gRPC door", "connect-node connect over HTTP/2 in JSON"];
const kinds = callerKinds.filter(({ name }) => names.includes(name)).map((kind) => [kind.name, kind] as const);

describe.each(kinds)("page_items, to %s", (_name, kind) => {
  test("of rows", async () => {
    const caller = kind.open(world);
    const orders = await pagesOf(async (pageSize, pageToken) => {
      const page = await caller.unary(listOrders, { pageSize, pageToken }, { bearer: tenant.keys.viewer });
      return { items: page.orders.map(({ id }) => id), next: page.nextPageToken };
    });
    expect(orders.map((page) => page.length)).toEqual([PAGE_SIZE_MAX, 1]);
    expect(orders.flat().toSorted()).toEqual(Array.from({ length: ITEMS }, (_, i) => orderId(i)));
  });

  test("of events", async () => {
    const caller = kind.open(world);
    const events = await pagesOf(async (pageSize, pageToken) => {
      const request = { orderId: LONG, pageSize, pageToken };
      const page = await caller.unary(listOrderEvents, request, { bearer: tenant.keys.viewer });
      return { items: page.events.map(({ revision }) => revision), next: page.nextPageToken };
    });
    expect(events.map((page) => page.length)).toEqual([PAGE_SIZE_MAX, 1]);
    expect(new Set(events.flat()).size).toBe(ITEMS);
  });
});

let world: InteropWorld;
let tenant: TestTenant;

beforeAll(async () => {
  world = await openWorld();
  tenant = await world.app.makeTenant("acme");
  const { orders } = world.app.client(tenant.keys.operator);
  await Promise.all(Array.from({ length: ITEMS }, (_, i) => orders.createOrder({ orderId: orderId(i) })));
  // The order that was created is the first event of as many.
  for (let from = 1; from < ITEMS; from += BATCH) {
    const items = Array.from({ length: Math.min(BATCH, ITEMS - from) }, (_, i) => ({
      orderId: LONG,
      report: {
        ...{ source: "TEST", sourceId: `${from + i}`, classifier: Classifier.PLANNED, status: "DELIVERED" },
        occurredAt: { instant: { seconds: 1_800_000_000n + BigInt(from + i) } },
      },
    }));
    await orders.batchReportStatus({ items });
  }
});
afterAll(() => world[Symbol.asyncDispose]());

function orderId(i: number): string {
  return `ORDER-${String(i).padStart(4, "0")}`;
}

/** All pages, each asked for more than it may hold. */
async function pagesOf<T>(
  ask: (pageSize: number, pageToken: string) => Promise<{ items: readonly T[]; next: string }>,
): Promise<(readonly T[])[]> {
  const pages: (readonly T[])[] = [];
  let token = "";
  do {
    const { items, next } = await ask(MUCH, token);
    pages.push(items);
    token = next;
  } while (token !== "");
  return pages;
}
