import { describe, expect, test } from "vitest";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { ImportService } from "../../gen/leadline/v1/import_service_pb.ts";
import type { RedactPartyResponse } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier, ReportOutcome } from "../../gen/leadline/v1/report_pb.ts";
import type { LeadlineClient } from "../../src/client/node.ts";
import { callerKinds } from "../doors/callers.ts";
import { at, oceanRequest } from "../interop/parts.ts";
import { startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { useNats } from "../support/nats.ts";
import { journalFaults } from "./journal.ts";
import { faultsOf } from "./messages.ts";
import { Recording } from "./recording.ts";
import { readTruth } from "./truth.ts";
import { whereKept } from "./where-kept.ts";

/** What is personal in the orders of these tests; each is a string of its own. */
const planted = {
  name: "Zyxwvujane Quonset",
  code: "ZYXWVUCODE9",
  contact: "zyxwvujane@example.org",
  partyAddress: "7 Zyxwvuparty Lane",
  destination: "12 Zyxwvuelm Street",
  placeAddress: "3 Zyxwvudock Road",
  remark: "left with zyxwvuneighbour",
  hold: "zyxwvuhold: away until May",
  release: "zyxwvurelease: is back",
  retraction: "zyxwvuretracted by mistake",
  cancel: "zyxwvucancel: moved house",
  raw: "zyxwvuraw text of the carrier",
} as const;

interface Pair {
  readonly database: TestDatabase;
  readonly here: TestApp;
  readonly there: TestApp;
  readonly tenant: TestTenant;
}

async function startPair(stack: AsyncDisposableStack): Promise<Pair> {
  const database = stack.use(await createTestDatabase());
  const nats = await useNats();
  stack.defer(() => nats.stop());
  const env = { LEADLINE_HEAD_CHECK_MS: "60000", LEADLINE_HEARTBEAT_MS: "1000" };
  const here = stack.use(await startTestApp({ database, natsUrl: nats.url, env }));
  const there = stack.use(await startTestApp({ database, natsUrl: nats.url, env }));
  return { database, here, there, tenant: await here.makeTenant("acme") };
}

/** A report of an order, with all of the texts that are personal in one. */
function readyReport(orderId: string) {
  const sourceUpdatedAt = at(1).instant;
  const report = { classifier: Classifier.ACTUAL, occurredAt: at(1), sourceUpdatedAt, source: "MAEU" };
  const place = { unlocode: "CNSHA", address: planted.placeAddress };
  return {
    orderId,
    report: { ...report, sourceId: `${orderId} 1`, status: "READY", remark: planted.remark, place },
  };
}

/** An order with something personal wherever an order can have it. */
async function live({ orders }: LeadlineClient, orderId: string): Promise<void> {
  const { name, code, contact, partyAddress } = planted;
  await orders.createOrder({
    requestId: `create ${orderId}`,
    orderId,
    destination: { unlocode: "NLRTM", address: planted.destination },
    parties: [
      { role: "CONSIGNEE", name, code, contact, address: partyAddress },
      { role: "NOTIFY", name: "Bob Roe" },
    ],
  });
  const report = { classifier: Classifier.ACTUAL, occurredAt: at(1), source: "MAEU" };
  await orders.reportStatus(readyReport(orderId));
  await orders.reportStatus({ orderId, report: { ...report, sourceId: `${orderId} 2`, status: "IN_TRANSIT" } });
  const retraction = { orderId, source: "MAEU", sourceId: `${orderId} 2`, reason: planted.retraction };
  await orders.holdOrder({ orderId, reason: planted.hold, requestId: `hold ${orderId}` });
  await orders.retractReport({ ...retraction, requestId: `retract ${orderId}` });
  await orders.releaseOrder({ orderId, remark: planted.release, requestId: `release ${orderId}` });
  await orders.cancelOrder({ orderId, reason: planted.cancel, requestId: `cancel ${orderId}` });
}

/** Raw items of the order's first report: as it came in, and as it waits on the work list. */
async function keepRaw(database: TestDatabase, orderId: string): Promise<void> {
  const sourceId = `${orderId} 1`;
  await database.sql(
    `insert into inbound_message (id, tenant_id, format, carrier, source_id, item, actor, result, received_at)
     values ($1, 'acme', 1, 'MAEU', $2, $3, 'key_1', '', now()), ($1 || '-other', 'acme', 1, 'MAEU', 'another', '{}', 'key_1', '', now())`,
    [`in-${orderId}`, sourceId, planted.raw],
  );
  await database.sql(
    `insert into work_item (id, tenant_id, format, carrier, source_id, reason, message, item, item_sha256, created_at, tried_at, tries)
     values ($1, 'acme', 1, 'MAEU', $2, '', '', $3, convert_to($1, 'UTF8'), now(), now(), 1)`,
    [`wrk-${orderId}`, sourceId, planted.raw],
  );
}

const textOf = (value: unknown) => JSON.stringify(value, (_key, v) => (typeof v === "bigint" ? String(v) : v));

/** What an instance says of an order, by every way of reading. */
async function everythingSaid({ orders }: LeadlineClient, orderId: string): Promise<string> {
  const now = await orders.getOrder({ orderId });
  const { events } = await orders.listOrderEvents({ orderId });
  const past = await Promise.all(
    events.map(({ revision }) => orders.getOrder({ orderId, asOf: { case: "asOfRevision", value: revision } })),
  );
  const many = await orders.batchGetOrders({ orderIds: [orderId] });
  return textOf([now, events, past, many, await orders.listOrders({})]);
}

const grpc = callerKinds.find(({ name }) => name === "grpc-js on the gRPC door");
const json = callerKinds.find(({ name }) => name === "connect-node connect over HTTP/1.1 in JSON");

describe("a redacted order", () => {
  test("is nowhere to be found as it was: in no row, and in no answer or watch of either instance", async () => {
    await using stack = new AsyncDisposableStack();
    const pair = await startPair(stack);
    const { database, here, there, tenant } = pair;
    const texts = Object.values(planted);
    const operator = here.client(tenant.keys.operator);
    const record = (app: TestApp, kind = grpc, position = "") => {
      const { grpcPort, httpPort } = app;
      const caller = kind?.open({ grpcPort, httpPort, onClose: (close) => stack.defer(close) });
      if (caller === undefined) throw new Error("there is no such client");
      return stack.use(new Recording(caller, tenant.keys.viewer, { of: "orders", request: { position } }));
    };
    // Both instances have the events in their rings, as they were.
    const early = [record(here), record(there), record(there, json)];
    await Promise.all(early.map((one) => one.started()));
    await operator.orders.createOrder({ orderId: "first" });
    await live(operator, "PO-1");
    await live(operator, "PO-2");
    await keepRaw(database, "PO-1");
    const before = await operator.orders.listOrderEvents({ orderId: "PO-1" });
    const lastOf = (events: readonly Event[]) => events.at(-1)?.position ?? "";
    const seen = (position: string) => (one: Recording) =>
      one.until(position, (messages) =>
        messages.some(({ events }) => events.some((event) => event.position === position)),
      );
    const second = await operator.orders.listOrderEvents({ orderId: "PO-2" });
    await Promise.all(early.map(seen(lastOf(second.events))));
    expect(new Set((await whereKept(database, texts)).map((line) => line.split(": ")[0]))).toEqual(
      new Set([
        "event.payload",
        "inbound_message.item",
        "request.answer",
        "subject.details",
        "subject.summary",
        "work_item.item",
      ]),
    );

    const owner = there.client(tenant.keys.owner);
    const request = { orderId: "PO-1", reason: "request 7", requestId: "redact" };
    const answer = await owner.orders.redactOrder(request);
    expect(answer).toMatchObject({ order: { id: "PO-1", version: 8n }, eventsRewritten: 7 });
    expect(await owner.orders.redactOrder(request)).toEqual(answer);
    expect(await owner.orders.redactOrder({ ...request, requestId: "" })).toMatchObject({
      order: { version: 8n },
      eventsRewritten: 0,
    });
    await owner.orders.redactOrder({ orderId: "PO-2", reason: "request 8" });

    expect(await whereKept(database, texts)).toEqual([]);
    expect(await database.sql("select id from inbound_message")).toEqual([{ id: "in-PO-1-other" }]);
    // What a source delivers once more puts nothing back.
    const redelivered = await operator.orders.reportStatus(readyReport("PO-1"));
    expect(redelivered).toMatchObject({ outcome: ReportOutcome.ALREADY_KNOWN, version: 8n });
    expect(await whereKept(database, texts)).toEqual([]);
    for (const app of [here, there]) {
      const said = (await everythingSaid(app.client(tenant.keys.viewer), "PO-1")).toLowerCase();
      expect(said).not.toContain("zyxwvu");
      expect(said).toContain("personaldataredacted");
    }
    // The same request ids are answered as before, without what was removed; and nothing happens again.
    const again = await operator.orders.holdOrder({ orderId: "PO-1", reason: planted.hold, requestId: "hold PO-1" });
    expect(again.order).toMatchObject({ id: "PO-1", version: 4n, onHold: true, holdReason: "" });
    const taken = { orderId: "PO-1", source: "MAEU", sourceId: "PO-1 2", reason: planted.retraction };
    const retracted = await operator.orders.retractReport({ ...taken, requestId: "retract PO-1" });
    expect(retracted.order).toMatchObject({ version: 5n, holdReason: "" });

    // Every event stands where it stood.
    const after = await owner.orders.listOrderEvents({ orderId: "PO-1" });
    const places = (events: readonly Event[]) =>
      events.map(({ revision, position, version, recordedAt, command, actor }) => ({
        revision,
        position,
        version,
        recordedAt,
        command,
        actor,
      }));
    expect(places(after.events.slice(0, -1))).toEqual(places(before.events));
    expect(after.events.at(-1)?.change).toMatchObject({
      case: "personalDataRedacted",
      value: {
        fields: expect.arrayContaining([
          "cancel_reason",
          "order_held.reason",
          "parties.name",
          "report_retracted.reason",
        ]),
        ...{ parties: [], partyRoles: [], events: 7, reason: "request 7" },
      },
    });
    // Watches that were there before it have the event, and those that continue from before it no old byte.
    const last = await owner.orders.listOrderEvents({ orderId: "PO-2" });
    await Promise.all(early.map(seen(lastOf(last.events))));
    const truth = await readTruth(database);
    const head = truth.journals.get("acme")?.at(-1)?.revision ?? 0n;
    const reader = { tenant: "acme", visibility: { class: "staff" }, of: "orders", sees: () => true } as const;
    const start = truth.journals.get("acme")?.[0]?.position ?? "";
    for (const app of [here, there]) {
      for (const kind of [grpc, json]) {
        const resumed = record(app, kind, start);
        await resumed.bookmarked(reader, truth, head);
        expect(textOf(resumed.messages).toLowerCase()).not.toContain("zyxwvu");
        expect(faultsOf(resumed.trace(reader, head), truth)).toEqual([]);
      }
    }
    expect(await journalFaults(database)).toEqual([]);
    const audit = await owner.tenants.listAuditEvents({});
    const acts = audit.events.flatMap(({ change }) => (change.case === "administered" ? [change.value] : []));
    expect(acts.slice(-2)).toMatchObject([
      { act: "OrderService.RedactOrder", target: "PO-1", details: { events: "7", reason: "request 7" } },
      { act: "OrderService.RedactOrder", target: "PO-2", details: { events: "7", reason: "request 8" } },
    ]);
  });

  test("is refused when there is none, and written on afterwards as any other", async () => {
    await using stack = new AsyncDisposableStack();
    const { database, here, tenant } = await startPair(stack);
    const owner = here.client(tenant.keys.owner);
    await expect(owner.orders.redactOrder({ orderId: "none", reason: "x" })).rejects.toMatchObject({
      reason: "ORDER_UNKNOWN",
    });
    await owner.orders.createOrder({ orderId: "PO-1", parties: [{ role: "CONSIGNEE", name: planted.name }] });
    const holds = Array.from({ length: 30 }, async (_, i) => {
      await owner.orders.holdOrder({ orderId: "PO-1", reason: `zyxwvu${i}` }).catch(() => undefined);
      await owner.orders.releaseOrder({ orderId: "PO-1", remark: `zyxwvu${i}` }).catch(() => undefined);
    });
    const redactions = Array.from({ length: 5 }, () => owner.orders.redactOrder({ orderId: "PO-1", reason: "x" }));
    await Promise.all([...holds, ...redactions]);
    await owner.orders.redactOrder({ orderId: "PO-1", reason: "x" });
    expect(await whereKept(database, ["zyxwvu", planted.name])).toEqual([]);
    const held = await owner.orders.holdOrder({ orderId: "PO-1", reason: "again" });
    const { revision } = (await owner.orders.listOrderEvents({ orderId: "PO-1", pageSize: 1000 })).events.at(-1) ?? {};
    const then = await owner.orders.getOrder({
      orderId: "PO-1",
      asOf: { case: "asOfRevision", value: revision ?? 0n },
    });
    expect(then.order).toEqual(held.order);
    expect(await journalFaults(database)).toEqual([]);
  });
});

test("a redacted party is gone from every order that names it, page after page, and nobody else is", async () => {
  await using stack = new AsyncDisposableStack();
  const { database, here, there, tenant } = await startPair(stack);
  const operator = here.client(tenant.keys.operator);
  const party = (name: string, role: string) => ({ role, name, contact: `${name}'s contact` });
  const ids = Array.from({ length: 410 }, (_, i) => `PO-${i}`);
  await Promise.all(
    ids.map((orderId, i) => {
      const others = [party("Bob Roe", "CONSIGNEE"), party("Ann Poe", "CONSIGNEE")];
      const parties = i % 100 === 7 ? [others[0], party(planted.name, "CONSIGNEE"), others[1]] : others;
      return operator.orders.createOrder({ orderId, parties: parties.flatMap((one) => one ?? []) });
    }),
  );
  const owner = there.client(tenant.keys.owner);
  // Where a party is not a party: a remark, another party's contact, a booking, and raw items in each way of writing JSON.
  await operator.orders.holdOrder({ orderId: "PO-9", reason: `asked by ${planted.name}` });
  await operator.orders.holdOrder({ orderId: "PO-7", reason: `asked by ${planted.name}` });
  const request = { ...oceanRequest(), parties: [party(planted.name, "BOOKING_PARTY")] };
  await operator.bookings.requestBooking({ bookingId: "BKG-1", request });
  await operator.bookings.requestBooking({ bookingId: "BKG-2", request: { ...request, parties: [] } });
  const items = [{ name: planted.name }, { name: "somebody else" }, { shipper: { name: "Zyxwvujane Quonset Ltd" } }];
  await operator
    .service(ImportService)
    .importItems({ carrier: "MAEU", items: items.map((one) => JSON.stringify(one)) });
  const pages: RedactPartyResponse[] = [];
  for (let pageToken = ""; ; ) {
    const page = await owner.orders.redactParty({ partyName: planted.name, reason: "request 9", pageToken });
    pages.push(page);
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  expect(pages.map(({ examined }) => examined)).toEqual([200, 200, 10, 2]);
  expect(pages.map(({ rawItemsDeleted }) => rawItemsDeleted)).toEqual([2, 0, 0, 0]);
  expect(pages.flatMap((page) => page.orderIdsStillNaming)).toEqual([]);
  expect(pages.flatMap((page) => page.bookingIdsStillNaming)).toEqual([]);
  expect(pages.flatMap((page) => page.stillNaming)).toEqual([]);
  const orders = ["PO-107", "PO-207", "PO-307", "PO-407", "PO-7", "PO-9"];
  expect(pages.flatMap(({ orderIds }) => orderIds).sort()).toEqual(orders);
  expect(pages.flatMap(({ bookingIds }) => bookingIds)).toEqual(["BKG-1"]);
  expect(await whereKept(database, [planted.name])).toEqual([]);
  const free = await operator.orders.getOrder({ orderId: "PO-9" });
  expect([free.order?.holdReason, free.details?.parties.map(({ name }) => name)]).toEqual(["", ["Bob Roe", "Ann Poe"]]);
  const { details } = await operator.orders.getOrder({ orderId: "PO-107" });
  expect(details?.parties.map(({ name }) => name)).toEqual(["Bob Roe", "", "Ann Poe"]);
  const { events } = await operator.orders.listOrderEvents({ orderId: "PO-107" });
  expect(events.at(-1)?.change).toMatchObject({
    case: "personalDataRedacted",
    value: {
      ...{ parties: [1], partyRoles: ["CONSIGNEE"], texts: [], partial: true },
      fields: ["order_created.parties.contact", "order_created.parties.name", "parties.contact", "parties.name"],
    },
  });
  expect((await owner.orders.redactParty({ partyName: planted.name, reason: "again" })).orderIds).toEqual([]);
  expect(await journalFaults(database)).toEqual([]);
});
