import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { type Caller, callerKinds } from "../doors/callers.ts";
import { CARRIERS, type TestTenant } from "../support/app.ts";
import { everyRequest } from "./every-request.ts";
import { at, oceanRequest } from "./parts.ts";
import { plainFetch } from "./plain-callers.ts";
import { refusalOf, type Told } from "./refusals.ts";
import type { Row } from "./rows.ts";
import { Answered, callRow, credentials, type InteropWorld, openWorld } from "./world.ts";

/*
 * What a caller may not see is not told from what there is not: the same code, message, reason, metadata and number of
 * details, but for the id that was asked for. All ids here have the same length.
 */

const UNKNOWN = "X-UNKN";
const FOREIGN = "X-FRGN";
const RIVALS = "X-RIVL";

let world: InteropWorld;
let tenant: TestTenant;
let foreign: TestTenant;
/** The requests whose subject is in the request itself, with all answers that they need. */
let rows: { row: Row; request: Record<string, unknown> }[];

beforeAll(async () => {
  world = await openWorld();
  tenant = await world.app.makeTenant("acme");
  foreign = await world.app.makeTenant("foreign");
  const abroad = world.app.client(foreign.keys.operator);
  await abroad.orders.createOrder({ orderId: FOREIGN });
  await abroad.bookings.requestBooking({ bookingId: FOREIGN, request: oceanRequest() });
  const own = world.app.client(tenant.keys.operator);
  await own.bookings.requestBooking({ bookingId: RIVALS, request: oceanRequest(CARRIERS.rival) });
  rows = await requestsForOne();
});
afterAll(() => world[Symbol.asyncDispose]());

async function requestsForOne(): Promise<typeof rows> {
  const [grpc] = callerKinds;
  if (grpc === undefined) throw new Error("there are no callers");
  const caller = grpc.open(world);
  const made = await world.app.makeTenant("made");
  const answers = new Answered();
  const found: typeof rows = [];
  const creating = new Set(["CreateOrder", "RequestBooking"]);
  for (const row of everyRequest("unknown")) {
    const request: Record<string, unknown> = { ...row.request(answers) };
    if (("orderId" in request || "bookingId" in request) && !creating.has(row.method.name))
      found.push({ row, request });
    await callRow(caller, row, credentials(made, "PO-1"), answers);
  }
  return found;
}

/** The refusal, with the id that was asked for taken out. */
async function told(
  caller: Caller,
  method: Row["method"],
  request: MessageInitShape<DescMessage>,
  bearer: string,
  id: string,
): Promise<Told> {
  const refusal = await refusalOf(caller.unary(method, request, { bearer }));
  return JSON.parse(JSON.stringify(refusal).replaceAll(id, "<asked for>"));
}

/** One client for each way in which a door writes errors. */
const names = ["grpc-js on the gRPC door", "grpc-js on the HTTP door", "connect-node connect over HTTP/2 in proto"];
const writers = [
  ...callerKinds.filter(({ name }) => names.includes(name) || name.includes("grpc-web through")),
  plainFetch,
];

describe("a foreign tenant's id is answered as an unknown one", () => {
  test.each(writers.map((kind) => [kind.name, kind] as const))("to %s", async (_name, kind) => {
    const caller = kind.open(world);
    const bearerOf = credentials(tenant, "PO-1");
    const different: string[] = [];
    for (const { row, request } of rows) {
      if (row.as === "link") continue;
      const bearer = await bearerOf(row.as);
      const about = (id: string) => {
        const field = "orderId" in request ? { orderId: id } : { bookingId: id };
        return told(caller, row.method, { ...request, ...field }, bearer, id);
      };
      const unknown = await about(UNKNOWN);
      expect(unknown, row.method.name).toMatchObject({ code: 5, reason: expect.stringMatching(/_UNKNOWN$/) });
      const others = row.as === "carrier" ? [FOREIGN, RIVALS] : [FOREIGN];
      for (const id of others) {
        const other = await about(id);
        if (JSON.stringify(other) !== JSON.stringify(unknown)) different.push(`${row.method.name} of ${id}`);
      }
    }
    expect(different).toEqual([]);
    expect(writers.length).toBe(5);
    expect(rows.length).toBeGreaterThan(30);
  });
});

describe("it is so for ids inside of requests, too", () => {
  const orders = OrderService.method;
  const bookings = BookingService.method;
  const ask = oceanRequest();
  const cases: readonly (readonly [
    what: string,
    method: Row["method"],
    request: (id: string) => Record<string, unknown>,
  ])[] = [
    ["an order attached", bookings.attachOrders, (id) => ({ bookingId: RIVALS, orders: [{ orderId: id }] })],
    ["an order detached", bookings.detachOrders, (id) => ({ bookingId: RIVALS, orderIds: [id] })],
    ["an order of a request", bookings.requestBooking, (id) => ({ request: ask, orders: [{ orderId: id }] })],
    ["a link's order", TenantService.method.createLink, (id) => ({ orderId: id })],
  ];
  test.each(cases)("%s", async (_what, method, request) => {
    const caller = plainFetch.open(world);
    const bearer = tenant.keys.operator;
    const unknown = await told(caller, method, request(UNKNOWN), bearer, UNKNOWN);
    expect(await told(caller, method, request(FOREIGN), bearer, FOREIGN)).toEqual(unknown);
  });

  test("a batch and a list", async () => {
    const caller = plainFetch.open(world);
    const bearer = tenant.keys.operator;
    const batch = await caller.unary(orders.batchGetOrders, { orderIds: [UNKNOWN, FOREIGN] }, { bearer });
    expect(batch).toMatchObject({ orders: [], unknownIds: [UNKNOWN, FOREIGN] });
    const report = { classifier: Classifier.ACTUAL, status: "PROCESSING", occurredAt: at(1) };
    const items = [UNKNOWN, FOREIGN].map((orderId) => ({ orderId, report }));
    const { results } = await caller.unary(orders.batchReportStatus, { items }, { bearer });
    const [unknown, other] = results.map(({ result }) => JSON.stringify(result));
    expect(unknown).toContain("ORDER_UNKNOWN");
    expect(other?.replaceAll(FOREIGN, UNKNOWN)).toBe(unknown);
    const list = await caller.unary(orders.listOrders, { filter: { ids: [UNKNOWN, FOREIGN] } }, { bearer });
    expect(list.orders).toEqual([]);
    const carrier = { bearer: tenant.keys.carrier };
    const ids = [UNKNOWN, FOREIGN, RIVALS];
    expect((await caller.unary(bookings.listBookings, { filter: { ids } }, carrier)).bookings).toEqual([]);
    const theirs = { filter: { carriers: [CARRIERS.rival] } };
    expect((await caller.unary(bookings.listBookings, theirs, carrier)).bookings).toEqual([]);
  });

  test("another tenant's key", async () => {
    const caller = plainFetch.open(world);
    const { revokeKey } = TenantService.method;
    const bearer = tenant.keys.owner;
    const unknownKey = `key_${"0".repeat(foreign.keyIds.viewer.length - 4)}`;
    const unknown = await told(caller, revokeKey, { keyId: unknownKey }, bearer, unknownKey);
    const keyId = foreign.keyIds.viewer;
    expect(await told(caller, revokeKey, { keyId }, bearer, keyId)).toEqual(unknown);
    expect((await world.app.client(foreign.keys.viewer).orders.listOrders({})).orders).toHaveLength(1);
  });

  test("an order that a link does not lead to", async () => {
    const caller = plainFetch.open(world);
    const { orders: own } = world.app.client(tenant.keys.operator);
    await own.createOrder({ orderId: "X-OURS" });
    await own.createOrder({ orderId: "X-ALSO" });
    const bearer = await tenant.link("X-OURS");
    for (const method of [orders.getOrder, orders.listOrderEvents]) {
      const unknown = await told(caller, method, { orderId: UNKNOWN }, bearer, UNKNOWN);
      expect(unknown.reason).toBe("ORDER_UNKNOWN");
      for (const id of [FOREIGN, "X-ALSO"]) {
        expect(await told(caller, method, { orderId: id }, bearer, id)).toEqual(unknown);
      }
    }
    expect((await caller.unary(orders.getOrder, { orderId: "X-OURS" }, { bearer })).order?.id).toBe("X-OURS");
  });
});

test("an id that a foreign tenant has taken is free", async () => {
  const { orders } = world.app.client(tenant.keys.operator);
  const { order } = await orders.createOrder({ orderId: FOREIGN });
  expect(order?.version).toBe(1n);
  const theirs = await world.app.client(foreign.keys.operator).orders.getOrder({ orderId: FOREIGN });
  expect(theirs.order?.version).toBe(1n);
});
