import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import type { RedactPartyResponse } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { callerKinds } from "../doors/callers.ts";
import { oceanRequest } from "../interop/parts.ts";
import { SERVICE_OWNER, type TestApp } from "../support/app.ts";
import { journalFaults } from "./journal.ts";
import { type Asked, Recording } from "./recording.ts";
import { HISTORY_DAYS, journey, openWorld, RESUME_DAYS, rejected, report, type World } from "./retention-world.ts";
import { whereKept } from "./where-kept.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

const [kind] = callerKinds;

/** A tenant, its clients, and what its tables hold. */
async function tenantOf(id: string) {
  const { keys } = await world.makeTenant(id);
  const { here, there, database } = world;
  const count = async (text: string) =>
    Number((await database.sql<{ n: string }>(`select ${text} as n`, [id]))[0]?.n ?? -1);
  return {
    keys,
    owner: here.client(keys.owner),
    operator: here.client(keys.operator),
    carrier: here.client(keys.carrier),
    viewer: there.client(keys.viewer),
    eventsOf: (subject: string) =>
      count(`(select count(*) from event where tenant_id = $1 and subject_id = '${subject}')`),
    floor: () => count("(select floor from journal_head where tenant_id = $1)"),
    checkpoints: () => count("(select count(*) from history_checkpoint where tenant_id = $1)"),
  };
}

function record(stack: AsyncDisposableStack, app: TestApp, bearer: string, asked: Asked): Recording {
  const { grpcPort, httpPort } = app;
  const caller = kind?.open({ grpcPort, httpPort, onClose: (close) => stack.defer(close) });
  if (caller === undefined) throw new Error("there is no caller");
  return stack.use(new Recording(caller, bearer, asked));
}

describe("a journey that ended longer ago than its tenant's history stays", () => {
  test("is cut: the rows stay, lists say since when, earlier moments are refused, and the fold is the row", async () => {
    const { owner, operator, carrier, viewer, eventsOf, floor } = await tenantOf("cut");
    await journey(operator, "PO-1");
    await rejected(operator, carrier, "BKG-1");
    await operator.orders.createOrder({ orderId: "PO-2" });
    await operator.orders.cancelOrder({ orderId: "PO-2", reason: "changed its mind" });
    await report(operator, "PO-2", "READY", 1); // heard of late: it belongs to the journey that ended
    await operator.orders.createOrder({ orderId: "open" });
    const before = await viewer.orders.getOrder({ orderId: "PO-1" });
    const { events } = await viewer.orders.listOrderEvents({ orderId: "PO-1" });
    const listed = await viewer.orders.listOrders({});
    const recordedAt = events.at(-1)?.recordedAt ?? expect.fail("there is no event");

    await world.sweep(HISTORY_DAYS - 1);
    expect([await eventsOf("PO-1"), await floor()]).toEqual([5, 0]);
    expect((await viewer.orders.listOrderEvents({ orderId: "PO-1" })).historyCut).toBeUndefined();

    const swept = await world.sweep(HISTORY_DAYS + 1);
    expect(swept.total).toEqual({ subjects: 3, events: 10 });
    expect([await eventsOf("PO-1"), await eventsOf("PO-2"), await eventsOf("BKG-1")]).toEqual([0, 0, 0]);
    expect([await eventsOf("open"), await floor()]).toEqual([1, 11]);
    expect(await journalFaults(world.database)).toEqual([]);

    expect(await viewer.orders.getOrder({ orderId: "PO-1" })).toEqual(before);
    expect(await viewer.orders.listOrders({})).toEqual(listed);
    const after = await viewer.orders.listOrderEvents({ orderId: "PO-1" });
    expect(after).toMatchObject({ events: [], nextPageToken: "" });
    expect(after.historyCut).toMatchObject({ throughVersion: 5n, throughRecordedAt: recordedAt, historyDays: 90 });
    const cutDays = (timestampMs(after.historyCut?.cutAt ?? timestampFromMs(0)) - Date.now()) / 86_400_000;
    expect(cutDays).toBeGreaterThan(HISTORY_DAYS + 0.9);
    const whole = await viewer.orders.listOrderEvents({ orderId: "open" });
    expect([whole.events.length, whole.historyCut]).toEqual([1, undefined]);
    const booked = await carrier.bookings.listBookingEvents({ bookingId: "BKG-1" });
    expect(booked).toMatchObject({ events: [], historyCut: { throughVersion: 2n } });
    expect((await carrier.bookings.getBooking({ bookingId: "BKG-1" })).booking?.state).toBe(BookingState.REJECTED);

    const asOf = (moment: { case: "asOfRevision"; value: bigint } | { case: "asOfTime"; value: typeof recordedAt }) =>
      viewer.orders.getOrder({ orderId: "PO-1", asOf: moment });
    const early = timestampFromMs(timestampMs(recordedAt) - 1);
    for (const moment of [{ case: "asOfRevision", value: 4n } as const, { case: "asOfTime", value: early } as const]) {
      await expect(asOf(moment)).rejects.toMatchObject({
        reason: "HISTORY_CUT",
        metadata: { subject_id: "PO-1", limit: "history_days", allowed: "90", kept_from_version: "5" },
      });
    }
    expect(await asOf({ case: "asOfTime", value: recordedAt })).toEqual(before);
    expect(await asOf({ case: "asOfRevision", value: 5n })).toEqual(before);
    const bookedAt = { bookingId: "BKG-1", asOf: { case: "asOfTime", value: early } } as const;
    await expect(carrier.bookings.getBooking(bookedAt)).rejects.toMatchObject({ reason: "HISTORY_CUT" });

    const { tenant } = await owner.tenants.getTenant({});
    expect(tenant?.history).toMatchObject({ days: 90, cutSubjects: 3n, cutEvents: 10n, resumeFloor: 11n });
    const { tenant: shown } = await world.here.client(SERVICE_OWNER).tenants.getTenant({ tenantId: "cut" });
    expect(shown?.history).toBeUndefined();
  });

  test("answers remembered requests as before, and goes on from the checkpoint when something is heard of it", async () => {
    const { operator, viewer, eventsOf } = await tenantOf("later");
    await journey(operator, "PO-1");
    await operator.orders.createOrder({ orderId: "open" });
    await world.sweep(HISTORY_DAYS + 1);
    const made = await operator.orders.createOrder({ orderId: "PO-1", requestId: "create PO-1" });
    expect(made.order).toMatchObject({ version: 1n, phase: Phase.RECEIVED });
    await report(operator, "PO-1", "DELIVERED", 3);
    expect((await viewer.orders.getOrder({ orderId: "PO-1" })).order?.version).toBe(5n);

    // The end is taken back: the journey goes on, and is not cut however much later it is.
    const said = { orderId: "PO-1", sourceId: "PO-1 DELIVERED 3", reason: "another house" };
    await operator.orders.retractReport(said);
    await report(operator, "PO-1", "OUT_FOR_DELIVERY", 4);
    const now = await viewer.orders.getOrder({ orderId: "PO-1" });
    expect(now.order).toMatchObject({ version: 7n, phase: Phase.OUT_FOR_DELIVERY });
    const told = await viewer.orders.listOrderEvents({ orderId: "PO-1", pageSize: 1 });
    expect(told).toMatchObject({ events: [{ version: 6n }], historyCut: { throughVersion: 5n } });
    const next = await viewer.orders.listOrderEvents({ orderId: "PO-1", pageToken: told.nextPageToken });
    expect(next).toMatchObject({ events: [{ version: 7n }], nextPageToken: "", historyCut: { throughVersion: 5n } });
    const [sixth] = told.events;
    const past = { case: "asOfRevision", value: sixth?.revision ?? 0n } as const;
    expect((await viewer.orders.getOrder({ orderId: "PO-1", asOf: past })).order).toMatchObject({
      version: 6n,
      phase: Phase.ARRIVED,
    });
    await world.sweep(10 * HISTORY_DAYS);
    expect(await eventsOf("PO-1")).toBe(2);
    expect(await journalFaults(world.database)).toEqual([]);

    // It ends again, and is cut again: the checkpoint moves on.
    await report(operator, "PO-1", "DELIVERED", 5);
    await operator.orders.createOrder({ orderId: "last" });
    await world.sweep(HISTORY_DAYS + 1);
    expect(await eventsOf("PO-1")).toBe(0);
    expect(await viewer.orders.listOrderEvents({ orderId: "PO-1" })).toMatchObject({
      events: [],
      historyCut: { throughVersion: 8n },
    });
    expect(await journalFaults(world.database)).toEqual([]);
  });

  test("waits for whoever may still resume, however short the tenant's history is", async () => {
    const { operator, eventsOf } = await tenantOf("short");
    const settings = { historyDays: 1 };
    await world.here.client(SERVICE_OWNER).tenants.setTier({ tenantId: "short", tier: Tier.ADAPTIVE, settings });
    await journey(operator, "PO-1");
    await operator.orders.createOrder({ orderId: "open" });
    await world.sweep(RESUME_DAYS - 1);
    expect(await eventsOf("PO-1")).toBe(5);
    await world.sweep(RESUME_DAYS + 1);
    expect(await eventsOf("PO-1")).toBe(0);
    // The journal's last event stays, so that who has read everything can go on.
    await journey(operator, "PO-2");
    await world.sweep(10 * RESUME_DAYS);
    expect(await eventsOf("PO-2")).toBe(5);
    expect(await journalFaults(world.database)).toEqual([]);
  });
});

describe("who reads meanwhile", () => {
  test("a page that was begun before the cut ends with the word that the rest is gone", async () => {
    const { operator, viewer } = await tenantOf("pages");
    await journey(operator, "PO-1");
    await operator.orders.createOrder({ orderId: "open" });
    const first = await viewer.orders.listOrderEvents({ orderId: "PO-1", pageSize: 2 });
    expect(first.historyCut).toBeUndefined();
    await world.sweep(HISTORY_DAYS + 1);
    const second = await viewer.orders.listOrderEvents({
      orderId: "PO-1",
      pageSize: 2,
      pageToken: first.nextPageToken,
    });
    expect(second).toMatchObject({ events: [], nextPageToken: "", historyCut: { throughVersion: 5n } });
  });

  test("a cut that has removed only some of the events is already whole for who reads", async () => {
    const { operator, viewer, eventsOf } = await tenantOf("partly");
    await journey(operator, "PO-1");
    await operator.orders.createOrder({ orderId: "open" });
    await world.sweep(HISTORY_DAYS + 1);
    // As if the sweep had been killed between the two: a later event of those that are gone is still there.
    await world.database.sql(
      `insert into event select tenant_id, 4, 'left', 1, 'PO-1', 4, '', now(), payload from event where tenant_id = 'partly' limit 1`,
    );
    await world.database.sql("update history_checkpoint set removed = false where tenant_id = 'partly'");
    const all = await viewer.orders.listOrderEvents({ orderId: "PO-1" });
    expect(all).toMatchObject({ events: [], historyCut: { throughVersion: 5n } });
    const past = { case: "asOfRevision", value: 5n } as const;
    expect((await viewer.orders.getOrder({ orderId: "PO-1", asOf: past })).order?.phase).toBe(Phase.DELIVERED);
    await world.sweep(HISTORY_DAYS + 1);
    expect(await eventsOf("PO-1")).toBe(0);
    expect(await journalFaults(world.database)).toEqual([]);
  });

  test("a watch goes on across the cut and resumes above it; below it, it and the change feed are reset", async () => {
    await using stack = new AsyncDisposableStack();
    const { keys, operator } = await tenantOf("watched");
    await journey(operator, "PO-1");
    await operator.orders.createOrder({ orderId: "open" });
    const { events } = await operator.orders.listOrderEvents({ orderId: "PO-1" });
    const { events: open } = await operator.orders.listOrderEvents({ orderId: "open" });
    const at = (i: number) => events[i]?.position ?? expect.fail("there is no such event");
    const last = open[0]?.position ?? "";
    const watch = (app: TestApp, request: Asked["request"]) =>
      record(stack, app, keys.viewer, { of: "orders", request } as Asked).started();
    const across = [await watch(world.here, {}), await watch(world.there, {})];
    const early = await watch(world.here, { position: at(1) });
    await early.until("what followed", (messages) =>
      messages.some(({ events: e }) => e.some((x) => x.revision === 6n)),
    );

    await world.sweep(HISTORY_DAYS + 1);
    await report(operator, "open", "READY", 1);
    const resumed = await watch(world.there, { position: last });
    for (const one of [...across, early, resumed]) {
      await one.until("what came after", (messages) =>
        messages.some(({ events: e }) => e.some(({ revision }) => revision === 7n)),
      );
      expect(one.messages.filter(({ reset, end }) => reset !== undefined || end !== undefined)).toEqual([]);
    }
    const snapshot = await watch(world.there, { includeSnapshot: true });
    await snapshot.synced();
    for (const app of [world.here, world.there]) {
      for (const position of [at(0), at(4)]) {
        const below = await watch(app, { position });
        await below.until("the reset", (messages) => messages.some(({ reset }) => reset !== undefined));
        expect(below.messages.at(-1)?.reset?.reason).toBe(ResetReason.POSITION_TOO_OLD);
        const page = await app.client(keys.viewer).service(ChangeService).readChanges({ position });
        expect(page).toMatchObject({ events: [], reset: { reason: ResetReason.POSITION_TOO_OLD } });
      }
      const all = await app.client(keys.viewer).service(ChangeService).readChanges({});
      expect(all.events.map(({ revision }) => revision)).toEqual([6n, 7n]);
      const on = await app.client(keys.viewer).service(ChangeService).readChanges({ position: last });
      expect(on.events.map(({ revision }) => revision)).toEqual([7n]);
    }
  });
});

test("a redaction goes over the checkpoint, and over what the events that are gone told of", async () => {
  const { owner, operator, viewer } = await tenantOf("redacted");
  const [name, remark, hold] = ["zyxJane Doe", "zyxleft with the neighbour", "zyxJane is ill"];
  await operator.orders.createOrder({ orderId: "PO-1", parties: [{ role: "CONSIGNEE", name }] });
  const occurredAt = { instant: timestampFromMs(Date.parse("2026-03-04T08:00:00Z")) };
  const delivered = {
    classifier: Classifier.ACTUAL,
    status: "DELIVERED",
    occurredAt,
    source: "MAEU",
    sourceId: "R-1",
    remark,
  };
  await operator.orders.holdOrder({ orderId: "PO-1", reason: hold });
  await operator.orders.reportStatus({ orderId: "PO-1", report: delivered });
  await operator.orders.createOrder({ orderId: "open" });
  await world.database.sql(
    `insert into inbound_message (id, tenant_id, format, carrier, source_id, item, actor, result, received_at)
     values ('in-redacted', 'redacted', 1, 'MAEU', 'R-1', $1, 'key_1', '', now())`,
    [remark],
  );
  await world.sweep(HISTORY_DAYS + 1);
  const late = { ...delivered, status: "ARRIVED", sourceId: "R-2", remark: "zyxat the gate" };
  await operator.orders.reportStatus({ orderId: "PO-1", report: late });
  const kept = async () => {
    const rows = await world.database.sql<{ place: string }>(
      `select 'event' as place from event where tenant_id = 'redacted' and position('zyx'::bytea in payload) > 0
       union all select 'checkpoint' from history_checkpoint
         where tenant_id = 'redacted' and position('zyx'::bytea in summary || details) > 0
       union all select 'row' from subject where tenant_id = 'redacted' and position('zyx'::bytea in summary || details) > 0
       union all select 'inbound' from inbound_message where tenant_id = 'redacted' order by 1`,
    );
    return rows.map(({ place }) => place);
  };
  expect(await kept()).toEqual(["checkpoint", "event", "inbound", "row"]);
  const { eventsRewritten } = await owner.orders.redactOrder({ orderId: "PO-1", reason: "request 7" });
  expect(eventsRewritten).toBe(2); // the checkpoint, and the late report
  expect(await kept()).toEqual([]);
  expect(await journalFaults(world.database)).toEqual([]);
  const { events, historyCut } = await viewer.orders.listOrderEvents({ orderId: "PO-1" });
  expect(events.map(({ version }) => version)).toEqual([4n, 5n]);
  expect(historyCut?.throughVersion).toBe(3n);
});

test("a party is gone from the checkpoints of orders and bookings, too, and nobody else is", async () => {
  const { owner, operator, carrier } = await tenantOf("forgotten");
  const name = "Zyxjane Quonset";
  const parties = [
    { role: "SHIPPER", name: "Bob Roe" },
    { role: "CONSIGNEE", name, contact: "jane" },
  ];
  await operator.orders.createOrder({ orderId: "PO-1", parties });
  await operator.orders.holdOrder({ orderId: "PO-1", reason: `${name} is ill` });
  await operator.orders.releaseOrder({ orderId: "PO-1", remark: "well again" });
  await report(operator, "PO-1", "DELIVERED", 1);
  await operator.bookings.requestBooking({ bookingId: "BKG-1", request: { ...oceanRequest(), parties } });
  await carrier.bookings.rejectBooking({ bookingId: "BKG-1", reason: `no space for ${name}` });
  await operator.orders.createOrder({ orderId: "open" });
  await world.sweep(HISTORY_DAYS + 1);
  await report(operator, "PO-1", "ARRIVED", 1); // there is history again, after the checkpoint
  const where = async () =>
    (await whereKept(world.database, [name]))
      .map((line) => line.split(":")[0])
      .filter((one) => one !== "request.answer");
  expect(await where()).toContain("history_checkpoint.details");
  const pages: RedactPartyResponse[] = [];
  for (let pageToken = ""; pages.length === 0 || pageToken !== ""; ) {
    const page = await owner.orders.redactParty({ partyName: name, reason: "request 8", pageToken });
    pages.push(page);
    pageToken = page.nextPageToken;
  }
  expect(pages.map((page) => [page.orderIds, page.bookingIds, page.stillNaming])).toEqual([
    [["PO-1"], [], []],
    [[], ["BKG-1"], []],
  ]);
  expect(await whereKept(world.database, [name])).toEqual([]);
  const { details } = await operator.bookings.getBooking({ bookingId: "BKG-1" });
  expect(details?.request?.parties).toMatchObject([{ name: "Bob Roe" }, { name: "", contact: "" }]);
  expect(details?.reason).toBe("");
  expect(await journalFaults(world.database)).toEqual([]);
});

describe("terms and states", () => {
  test("of a suspended tenant nothing is cut until it is resumed, of a closed one nothing at all", async () => {
    const { tenants } = world.here.client(SERVICE_OWNER);
    const both = [await tenantOf("suspended"), await tenantOf("closed")];
    for (const { operator } of both) {
      await journey(operator, "PO-1");
      await operator.orders.createOrder({ orderId: "open" });
    }
    await tenants.suspendTenant({ tenantId: "suspended", reason: "unpaid" });
    await tenants.closeTenant({ tenantId: "closed", reason: "moved on" });
    await world.sweep(HISTORY_DAYS + 1);
    expect(await Promise.all(both.map(({ eventsOf }) => eventsOf("PO-1")))).toEqual([5, 5]);
    await tenants.resumeTenant({ tenantId: "suspended" });
    await world.sweep(HISTORY_DAYS + 1);
    expect(await Promise.all(both.map(({ eventsOf }) => eventsOf("PO-1")))).toEqual([0, 5]);
  });

  test("the next sweep goes by the new terms, and what is cut stays cut and says so", async () => {
    const { owner, operator, viewer, eventsOf } = await tenantOf("terms");
    const { tenants } = world.here.client(SERVICE_OWNER);
    const set = (tier: Tier, historyDays = 0) =>
      tenants.setTier({ tenantId: "terms", tier, ...(historyDays > 0 && { settings: { historyDays } }) });
    const shown = async () => (await owner.tenants.getTenant({})).tenant;
    await set(Tier.ADAPTIVE, 730);
    await journey(operator, "PO-1");
    await operator.orders.createOrder({ orderId: "open" });
    await world.sweep(720);
    expect(await eventsOf("PO-1")).toBe(5);
    await set(Tier.ASSISTED);
    // Lowered by mistake, it loses nothing for a while.
    const history = (await shown())?.history;
    expect(history).toMatchObject({ days: 730, daysThen: 365 });
    const spared = timestampMs(history?.thenFrom ?? expect.fail("it is not told until when")) - Date.now();
    expect(spared / 86_400_000).toBeCloseTo(30, 1);
    await world.sweep(364);
    expect(await eventsOf("PO-1")).toBe(5);
    await set(Tier.QUICK_DEPLOY);
    await world.sweep(91);
    expect(await eventsOf("PO-1")).toBe(0);
    await set(Tier.ADAPTIVE, 3_000);
    expect((await shown())?.history).toMatchObject({ days: 3_000, cutSubjects: 1n, cutEvents: 5n });
    expect((await shown())?.entitlements.find(({ name }) => name === "history_days")).toMatchObject({
      allowed: 3_000n,
    });
    await world.sweep(2_900);
    const { events, historyCut } = await viewer.orders.listOrderEvents({ orderId: "PO-1" });
    expect(events).toEqual([]);
    expect(historyCut).toMatchObject({ throughVersion: 5n, historyDays: 90 });
  });

  test("a lowered tier cuts nothing for a month that the higher one had kept", async () => {
    const { operator, eventsOf } = await tenantOf("spared");
    const { tenants } = world.here.client(SERVICE_OWNER);
    const settings = { historyDays: 730 };
    await tenants.setTier({ tenantId: "spared", tier: Tier.ADAPTIVE, settings });
    await journey(operator, "PO-1");
    await operator.orders.createOrder({ orderId: "open" });
    for (const [table, column] of [
      ["event", "recorded_at"],
      ["subject", "ended_at"],
    ] as const) {
      const text = `update ${table} set ${column} = ${column} - interval '200 days' where tenant_id = 'spared'`;
      await world.database.sql(text);
    }
    await tenants.setTier({ tenantId: "spared", tier: Tier.QUICK_DEPLOY });
    await world.sweep(29);
    expect(await eventsOf("PO-1")).toBe(5);
    await tenants.setTier({ tenantId: "spared", tier: Tier.ADAPTIVE });
    await world.sweep(100);
    expect(await eventsOf("PO-1")).toBe(5); // the agreement holds again
    await tenants.setTier({ tenantId: "spared", tier: Tier.QUICK_DEPLOY });
    await world.sweep(31);
    expect(await eventsOf("PO-1")).toBe(0);
  });

  test("the audit journal is not cut", async () => {
    const { owner } = await tenantOf("audited");
    const before = await owner.tenants.listAuditEvents({});
    expect(before.events.length).toBeGreaterThan(0);
    await world.sweep(100 * HISTORY_DAYS);
    expect(await owner.tenants.listAuditEvents({})).toEqual(before);
  });
});
