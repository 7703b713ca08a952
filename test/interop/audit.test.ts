import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import type { LeadlineClient } from "../../src/client/node.ts";
import { callerKinds } from "../doors/callers.ts";
import { journalFaults } from "../guarantees/journal.ts";
import { faultsOf } from "../guarantees/messages.ts";
import { lastPosition, Recording } from "../guarantees/recording.ts";
import type { Reader } from "../guarantees/trace.ts";
import { readTruth } from "../guarantees/truth.ts";
import { SERVICE_OWNER, startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

const env = { LEADLINE_HEAD_CHECK_MS: "300", LEADLINE_HEARTBEAT_MS: "1000" };

let database: TestDatabase;
let here: TestApp;
let there: TestApp;
const stack = new AsyncDisposableStack();
beforeAll(async () => {
  database = stack.use(await createTestDatabase());
  here = stack.use(await startTestApp({ database, env }));
  there = stack.use(await startTestApp({ database, env }));
});
afterAll(() => stack.disposeAsync());

const readerOf = (tenant: TestTenant): Reader => ({
  tenant: `${tenant.id}.audit`,
  visibility: { class: "staff" },
  of: "audit",
});

async function wholeAudit({ tenants }: LeadlineClient, pageSize = 1000): Promise<Event[]> {
  const events: Event[] = [];
  for (let pageToken = ""; ; ) {
    const page = await tenants.listAuditEvents({ pageSize, pageToken });
    events.push(...page.events);
    pageToken = page.nextPageToken;
    if (pageToken === "") return events;
  }
}

const acts = (events: readonly Event[]) =>
  events.map(({ actor, subjectId, change }) => {
    if (change.case !== "administered") throw new Error(`${change.case} is not administration`);
    const { act, target, details } = change.value;
    expect(target).toBe(subjectId);
    return { act, target, actor, details };
  });

describe("what is administered", () => {
  test("is in the audit journal, whoever did it, with no secret in it", async () => {
    const tenant = await here.makeTenant("acts");
    const owner = here.client(tenant.keys.owner);
    await owner.orders.createOrder({ orderId: "PO-1" });
    const made = await owner.tenants.createKey({ name: "for a day", role: Role.VIEWER });
    const keyId = made.key?.id ?? "";
    await owner.tenants.revokeKey({ keyId });
    await owner.tenants.revokeKey({ keyId }); // changes nothing
    const link = await owner.tenants.createLink({ orderId: "PO-1" });
    await expect(owner.tenants.revokeKey({ keyId: "key_nobodys" })).rejects.toMatchObject({ reason: "KEY_UNKNOWN" });

    const events = await wholeAudit(owner);
    const all = acts(events);
    expect(all.slice(0, 2)).toEqual([
      {
        act: "TenantService.CreateTenant",
        target: "acts",
        actor: "service-owner",
        details: { name: "acts", tier: "ADAPTIVE" },
      },
      expect.objectContaining({ act: "TenantService.CreateKey", actor: "service-owner" }),
    ]);
    expect(all.slice(6)).toEqual([
      {
        act: "TenantService.CreateKey",
        target: keyId,
        actor: tenant.keyIds.owner,
        details: { name: "for a day", role: "VIEWER" },
      },
      { act: "TenantService.RevokeKey", target: keyId, actor: tenant.keyIds.owner, details: { name: "for a day" } },
      expect.objectContaining({ act: "TenantService.CreateLink", target: expect.stringMatching(/^lnk_/) }),
    ]);
    expect(events.map(({ revision }) => revision)).toEqual(events.map((_, i) => BigInt(i + 1)));
    for (const { change } of events) {
      expect(change.case === "administered" && change.value.address).toMatch(
        /^(127\.0\.0\.1|::1|::ffff:127\.0\.0\.1)$/,
      );
    }
    // In pages of any size they are the same.
    expect((await wholeAudit(owner, 2)).map(({ position }) => position)).toEqual(
      events.map(({ position }) => position),
    );
    const stored = await database.sql<{ payload: Buffer }>("select payload from event where tenant_id = 'acts.audit'");
    const bytes = Buffer.concat(stored.map(({ payload }) => payload)).toString("latin1");
    for (const secret of [made.secret, link.token, ...Object.values(tenant.keys)]) expect(bytes).not.toContain(secret);
  });

  test("is the owner's to read", async () => {
    const tenant = await here.makeTenant("readers");
    for (const key of [tenant.keys.operator, tenant.keys.viewer, tenant.keys.carrier, SERVICE_OWNER]) {
      await expect(here.client(key).tenants.listAuditEvents({})).rejects.toMatchObject({ reason: "ROLE_FORBIDS" });
    }
  });

  test("by many at a time on two instances has a journal without a fault, which every client can watch and resume", async () => {
    const tenant = await here.makeTenant("many");
    await using watches = new AsyncDisposableStack();
    const recordings = callerKinds.map((kind, i) => {
      const { grpcPort, httpPort } = i % 2 === 0 ? here : there;
      const caller = kind.open({ grpcPort, httpPort, onClose: (close) => watches.defer(close) });
      return { caller, recording: watches.use(new Recording(caller, tenant.keys.owner, { of: "audit", request: {} })) };
    });
    await Promise.all(recordings.map(({ recording }) => recording.started()));
    const owners = [here, there].map((app) => app.client(tenant.keys.owner).tenants);
    await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const owner = owners[i % 2];
        const { key } = (await owner?.createKey({ name: `k${i}`, role: Role.VIEWER })) ?? {};
        await owner?.revokeKey({ keyId: key?.id ?? "" });
      }),
    );
    const truth = await readTruth(database);
    const reader = readerOf(tenant);
    const head = truth.journals.get(reader.tenant)?.at(-1)?.revision ?? 0n;
    expect(head).toBe(86n);
    await Promise.all(
      recordings.map(async ({ caller, recording }) => {
        await recording.bookmarked(reader, truth, head);
        expect(faultsOf(recording.trace(reader, head), truth)).toEqual([]);
        const position = recording.messages.flatMap(({ events }) => events)[30]?.position ?? "";
        await using resumed = new Recording(caller, tenant.keys.owner, { of: "audit", request: { position } });
        await resumed.bookmarked(reader, truth, head);
        expect(faultsOf(resumed.trace(reader, head), truth)).toEqual([]);
        expect(lastPosition(resumed.messages)).toBe(lastPosition(recording.messages));
      }),
    );
    expect(await journalFaults(database)).toEqual([]);
  });

  test("before there is anything, a watch starts all the same; a position of another journal is reset", async () => {
    const tenant = await here.makeTenant("older");
    // As a tenant of the release before, which had no audit journal.
    await database.sql("delete from event where tenant_id = 'older.audit'");
    await database.sql("delete from journal_head where tenant_id = 'older.audit'");
    const owner = here.client(tenant.keys.owner);
    expect(await wholeAudit(owner)).toEqual([]);
    const caller = callerKinds[0]?.open({ ...here, onClose: (close) => stack.defer(close) });
    if (caller === undefined) throw new Error("there is no client");
    await using recording = new Recording(caller, tenant.keys.owner, { of: "audit", request: {} });
    await recording.started();
    await owner.tenants.createKey({ name: "first", role: Role.VIEWER });
    await recording.until("the first", (messages) => messages.some(({ events }) => events.length === 1));
    await owner.orders.createOrder({ orderId: "PO-1" });
    const { events } = await owner.orders.listOrderEvents({ orderId: "PO-1" });
    const request = { position: events[0]?.position ?? "" };
    await using foreign = new Recording(caller, tenant.keys.owner, { of: "audit", request });
    await foreign.until("a reset", (messages) => messages.some(({ reset }) => reset !== undefined));
  });
});

describe("a support key", () => {
  const ask = { tenantId: "helped", name: "ticket 7", role: Role.VIEWER, support: true, reason: "cannot see PO-1" };
  const hours = (n: number) => timestampFromMs(Date.now() + n * 3_600_000);
  let tenant: TestTenant;
  beforeAll(async () => {
    tenant = await here.makeTenant("helped");
  });

  test.each([
    ["another role", { role: Role.OPERATOR }, "role"],
    ["no reason", { reason: "" }, "reason"],
    ["more than eight hours", { expiresAt: hours(8.1) }, "expires_at"],
  ])("with %s is refused", async (_what, init, field) => {
    const made = here.client(SERVICE_OWNER).tenants.createKey({ ...ask, ...init });
    await expect(made).rejects.toMatchObject({ reason: "FIELD_INVALID", violations: [{ field }] });
  });

  test("is not for a tenant to make", async () => {
    const made = here.client(tenant.keys.owner).tenants.createKey({ ...ask, tenantId: "" });
    await expect(made).rejects.toMatchObject({ reason: "ROLE_FORBIDS" });
  });

  test("ends within an hour, and each method that is called with it is on record before it is answered", async () => {
    const { key, secret } = await here.client(SERVICE_OWNER).tenants.createKey(ask);
    const inAnHour = Number(hours(1).seconds);
    expect(Math.abs(Number(key?.expiresAt?.seconds) - inAnHour)).toBeLessThan(60);
    expect(key?.support).toBe(true);
    const owner = there.client(tenant.keys.owner);
    const accesses = async () => acts(await wholeAudit(owner)).filter(({ act }) => act === "SUPPORT_ACCESS");
    const support = here.client(secret);
    await support.orders.listOrders({});
    const once = {
      act: "SUPPORT_ACCESS",
      target: key?.id,
      actor: key?.id,
      details: { method: "OrderService.ListOrders" },
    };
    expect(await accesses()).toEqual([once]);
    await Promise.all(Array.from({ length: 20 }, () => support.orders.listOrders({})));
    expect(await accesses()).toEqual([once]);
    // Page after page is the same, another question is not.
    await support.orders.listOrders({ pageSize: 1 });
    expect((await accesses()).slice(1).map(({ details }) => details.request)).toEqual(['{"pageSize":1}']);
    await support.orders.getOrder({ orderId: "PO-1" }).catch(() => undefined); // unknown, and noted all the same
    await support.orders.getOrder({ orderId: "PO-2" }).catch(() => undefined);
    const caller = callerKinds[0]?.open({ ...here, onClose: (close) => stack.defer(close) });
    if (caller === undefined) throw new Error("there is no client");
    await using watch = new Recording(caller, secret, { of: "orders", request: {} });
    await watch.started();
    expect((await accesses()).slice(2).map(({ details }) => details)).toEqual([
      { method: "OrderService.GetOrder", request: '{"orderId":"PO-1"}' },
      { method: "OrderService.GetOrder", request: '{"orderId":"PO-2"}' },
      { method: "OrderService.WatchOrders" },
    ]);
    await expect(support.orders.createOrder({ orderId: "no" })).rejects.toMatchObject({ reason: "ROLE_FORBIDS" });
    await here.client(tenant.keys.viewer).orders.listOrders({});
    expect(await accesses()).toHaveLength(5);
    const { keys } = await owner.tenants.listKeys({});
    expect(keys.find(({ id }) => id === key?.id)).toMatchObject({ support: true, reason: "cannot see PO-1" });
  });
});
