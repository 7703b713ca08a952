import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { type CallerKind, callerKinds } from "../doors/callers.ts";
import { frame, framesOf, grpcStatusOf, rawAnswer, rawCall, rawSession, reasonOf } from "../doors/raw.ts";
import type { TestTenant } from "../support/app.ts";
import { fetchOf } from "../support/own-fetch.ts";
import { badRows, MESSAGE_MAX_BYTES } from "./bad-requests.ts";
import { at, oceanRequest } from "./parts.ts";
import { bufCurls, plainFetch } from "./plain-callers.ts";
import { refusalOf } from "./refusals.ts";
import { credentials, type InteropWorld, openWorld } from "./world.ts";

const { holdOrder, watchOrders } = OrderService.method;
const { watchBookings } = BookingService.method;

let world: InteropWorld;
let tenant: TestTenant;
let tokens: { otherFilter: string; otherTenant: string; otherPosition: string };
let before: unknown;

beforeAll(async () => {
  world = await openWorld({ env: { LEADLINE_MESSAGE_MAX_BYTES: String(MESSAGE_MAX_BYTES) } });
  tenant = await world.app.makeTenant("acme");
  const foreign = await world.app.makeTenant("foreign");
  const { orders, bookings } = world.app.client(tenant.keys.operator);
  await orders.createOrder({ requestId: "once", orderId: "PO-1", lines: [{ id: "1", quantity: 5n }] });
  await orders.createOrder({ orderId: "PO-4" });
  await orders.createOrder({ orderId: "PO-5" });
  const report = { classifier: Classifier.ACTUAL, status: "PROCESSING", occurredAt: at(1) };
  await orders.reportStatus({ orderId: "PO-5", report });
  await bookings.requestBooking({ bookingId: "BKG-1", request: oceanRequest() });
  const abroad = world.app.client(foreign.keys.operator).orders;
  const { order } = await abroad.createOrder({ orderId: "PO-1" });
  await abroad.createOrder({ orderId: "PO-F" });
  expect(order?.version).toBe(1n);
  const statuses = ["RECEIVED"];
  tokens = {
    otherFilter: (await orders.listOrders({ pageSize: 1, filter: { statuses } })).nextPageToken,
    otherTenant: (await abroad.listOrders({ pageSize: 1 })).nextPageToken,
    otherPosition: (await abroad.listOrderEvents({ orderId: "PO-F" })).events[0]?.position ?? "",
  };
});
beforeEach(async () => {
  before = await everythingWritten();
});
afterAll(() => world[Symbol.asyncDispose]());

/** All that a call could have written, the keys' last use aside. */
function everythingWritten(): Promise<unknown> {
  return world.database.sql(`
    select (select json_agg(h order by tenant_id) from journal_head h) as heads,
           (select count(*)::int from event) as events, (select count(*)::int from request) as requests,
           (select json_agg(json_build_array(tenant_id, id, version) order by tenant_id, id) from subject) as subjects,
           (select count(*)::int from subject_reference) as references,
           (select json_agg(json_build_array(id, revoked_at) order by id) from api_key) as keys,
           (select count(*)::int from tenant) as tenants, (select count(*)::int from work_item) as items`);
}

/** What each bad request is told, one line each, beside what it should be told. */
async function outcomes(kind: CallerKind, rows: ReturnType<typeof badRows>): Promise<{ told: unknown; due: unknown }> {
  const caller = kind.open(world);
  const bearerOf = credentials(tenant, "PO-1");
  const told: unknown[] = [];
  for (const row of rows) {
    const { what, method, request, metadata = {}, fields } = row;
    const refusal = await refusalOf(caller.unary(method, request, { bearer: await bearerOf(row.as) }));
    const named = Object.keys(metadata).map((key) => [key, refusal.metadata[key]]);
    told.push({ what, code: Code[refusal.code], reason: refusal.reason, ...Object.fromEntries(named) });
    if (fields) told.push(refusal.fields);
  }
  const due = rows.flatMap(({ what, code, reason, metadata, fields }) => [
    { what, code: Code[code], reason, ...metadata },
    ...(fields ? [fields] : []),
  ]);
  return { told, due };
}

describe("bad requests are refused with code and reason, and change nothing,", () => {
  test.each([...callerKinds, plainFetch].map((kind) => [kind.name, kind] as const))("to %s", async (_name, kind) => {
    const { told, due } = await outcomes(kind, badRows(tokens));
    expect(told).toEqual(due);
    expect(await everythingWritten()).toEqual(before);
  });

  test.concurrent.each(bufCurls.map((kind) => [kind.name, kind] as const))("to %s", async (_name, kind) => {
    // One of each code: a process for each call is slow.
    const rows = [...new Map(badRows(tokens).map((row) => [row.code, row])).values()];
    const { told, due } = await outcomes(kind, rows);
    expect(told).toEqual(due);
    expect(await everythingWritten()).toEqual(before);
  });
});

describe("a message that is too large is refused", () => {
  test.each([...callerKinds, plainFetch].map((kind) => [kind.name, kind] as const))("to %s", async (_name, kind) => {
    const request = { orderId: "PO-1", reason: "x".repeat(MESSAGE_MAX_BYTES) };
    const bearer = tenant.keys.operator;
    const told = await refusalOf(kind.open(world).unary(holdOrder, request, { bearer }));
    expect(told.code).toBe(Code.ResourceExhausted);
    expect(told.reason).toBe("MESSAGE_TOO_LARGE");
    expect(await everythingWritten()).toEqual(before);
  });
});

describe("a watch is refused", () => {
  test.each(callerKinds.map((kind) => [kind.name, kind] as const))("to %s", async (_name, kind) => {
    const caller = kind.open(world);
    const first = (stream: AsyncIterable<unknown>) => stream[Symbol.asyncIterator]().next();
    const as = (party: "viewer" | "carrier") => ({ bearer: tenant.keys[party] });
    const told = [
      await refusalOf(first(caller.stream(watchOrders, { position: "nonsense" }, as("viewer")))),
      await refusalOf(first(caller.stream(watchBookings, { position: tokens.otherPosition }, as("carrier")))),
      await refusalOf(first(caller.stream(watchOrders, {}, as("carrier")))),
      await refusalOf(first(caller.stream(watchBookings, { filter: { orderIds: ["PO-1"] } }, as("carrier")))),
      await refusalOf(first(caller.stream(watchOrders, { position: "1-x", includeSnapshot: true }, as("viewer")))),
      await refusalOf(first(caller.stream(watchOrders, { filter: { statuses: ["no status"] } }, as("viewer")))),
    ];
    expect(told.map(({ reason }) => reason)).toEqual([
      "POSITION_INVALID",
      "POSITION_INVALID",
      "ROLE_FORBIDS",
      "ROLE_FORBIDS",
      "FIELD_INVALID",
      "FIELD_INVALID",
    ]);
  });
});

describe("JSON that is not the contract's is MESSAGE_MALFORMED", () => {
  const bodies = [
    ["an unknown field", '{"orderId": "PO-1", "reason": "why", "colour": "red"}'],
    ["wrong JSON", '{"orderId": "PO-1", "reason": '],
    ["a value of another type", '{"orderId": ["PO-1"], "reason": "why"}'],
    ["an enum's unknown name", '{"orderId": "PO-1", "report": {"classifier": "CLASSIFIER_PERHAPS"}}'],
  ] as const;
  const path = "/leadline.v1.OrderService/ReportStatus";
  const headers = () => ({ authorization: `Bearer ${tenant.keys.operator}` });

  test.each(bodies)("%s, in a Connect call", async (_what, body) => {
    const type = { "content-type": "application/json" };
    const response = await fetchOf(world)(`${world.app.httpUrl}${path}`, {
      method: "POST",
      headers: { ...headers(), ...type },
      body,
    });
    expect(response.status).toBe(400);
    const { code, details } = (await response.json()) as { code: string; details: { debug: { reason: string } }[] };
    expect({ code, reason: details[0]?.debug.reason }).toEqual({
      code: "invalid_argument",
      reason: "MESSAGE_MALFORMED",
    });
    expect(await everythingWritten()).toEqual(before);
  });

  test.each(bodies)("%s, in a gRPC-Web call", async (_what, body) => {
    const type = { "content-type": "application/grpc-web+json" };
    const response = await fetchOf(world)(`${world.app.httpUrl}${path}`, {
      method: "POST",
      headers: { ...headers(), ...type },
      body: frame(Buffer.from(body)),
    });
    const last = framesOf(Buffer.from(await response.arrayBuffer())).at(-1);
    const trailers = last?.data.toString() ?? [...response.headers].map(([k, v]) => `${k}: ${v}`).join("\n");
    expect(trailers).toMatch(/grpc-status: ?3/);
    const details = /grpc-status-details-bin: ?(\S+)/.exec(trailers)?.[1] ?? "";
    expect(Buffer.from(details, "base64").toString("latin1")).toContain("MESSAGE_MALFORMED");
    expect(await everythingWritten()).toEqual(before);
  });

  test.each(bodies)("%s, in a gRPC call with JSON", async (_what, body) => {
    const type = { "content-type": "application/grpc+json" };
    const stream = rawCall(rawSession(world, world.httpPort), path, { ...headers(), ...type });
    stream.end(frame(Buffer.from(body)));
    const answer = await rawAnswer(stream);
    expect([grpcStatusOf(answer), reasonOf(answer)]).toEqual(["3", "MESSAGE_MALFORMED"]);
    expect(await everythingWritten()).toEqual(before);
  });
});

test("a batch that has bad items takes the good ones and says of each bad one what a call would have said", async () => {
  const own = await world.app.makeTenant("batches");
  const { orders } = world.app.client(own.keys.operator);
  await orders.createOrder({ orderId: "PO-1" });
  const report = (status: string, zone = "") => ({
    classifier: Classifier.ACTUAL,
    status,
    occurredAt: { instant: { seconds: 1_772_000_000n }, timeZone: zone },
  });
  const { results } = await orders.batchReportStatus({
    items: [
      { orderId: "PO-1", report: report("PROCESSING") },
      { orderId: "PO-0", report: report("PROCESSING") },
      { orderId: "PO-1", report: report("LOST") },
      { orderId: "PO-1", report: report("READY", "Mars/Olympus") },
      { orderId: "PO-1", report: report("READY") },
    ],
  });
  expect(results.map(({ result }) => (result.case === "error" ? result.value.reason : result.value?.status))).toEqual([
    "PROCESSING",
    "ORDER_UNKNOWN",
    "STATUS_UNKNOWN",
    "TIME_ZONE_UNKNOWN",
    "READY",
  ]);
  expect((await orders.getOrder({ orderId: "PO-1" })).order?.version).toBe(3n);
  expect((await orders.listOrders({})).orders).toHaveLength(1);
});
