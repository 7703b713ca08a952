import { durationFromMs, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { Role, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import { createLeadlineClient } from "../../src/client/node.ts";
import { callerKinds } from "../doors/callers.ts";
import { SERVICE_OWNER, startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { startNats } from "../support/nats.ts";
import { type Asked, Recording } from "./recording.ts";

/** Two instances on one database, and a tenant of the highest tier with some orders. */
interface World {
  readonly stack: AsyncDisposableStack;
  readonly database: TestDatabase;
  readonly apps: readonly [here: TestApp, there: TestApp];
  readonly tenant: TestTenant;
  readonly link: string;
}

const [kind] = callerKinds;
if (kind === undefined) throw new Error("there are no callers");

/** Tenants are asked for so rarely that only NATS can have told. */
const NATS_ALONE = { LEADLINE_KEY_CACHE_MS: "60000", LEADLINE_KEY_SWEEP_MS: "60000" };
/** Nothing tells but the sweep. */
const SWEEP_ALONE = { LEADLINE_KEY_CACHE_MS: "200", LEADLINE_KEY_SWEEP_MS: "200", LEADLINE_HEAD_CHECK_MS: "200" };

async function open(stack: AsyncDisposableStack, how: "with NATS" | "without NATS"): Promise<World> {
  const database = stack.use(await createTestDatabase());
  const nats = how === "with NATS" ? await startNats() : undefined;
  if (nats) stack.defer(() => nats.stop());
  const options = { database, natsUrl: nats?.url, env: nats ? NATS_ALONE : SWEEP_ALONE };
  const here = stack.use(await startTestApp(options));
  const there = stack.use(await startTestApp(options));
  const tenant = await here.makeTenant("acme");
  const { orders } = here.client(tenant.keys.operator);
  for (const orderId of ["PO-1", "PO-2"]) await orders.createOrder({ orderId });
  return { stack, database, apps: [here, there], tenant, link: await tenant.link("PO-1") };
}

function watch({ stack }: World, { grpcPort, httpPort }: TestApp, bearer: string, asked: Asked): Promise<Recording> {
  const caller = kind?.open({ grpcPort, httpPort, onClose: (close) => stack.defer(close) });
  if (!caller) throw new Error("there is no caller");
  return stack.use(new Recording(caller, bearer, asked)).started();
}

const all: Asked = { of: "orders", request: {} };
const byId: Asked = { of: "orders", request: { filter: { ids: ["PO-1"] } } };
const filtered: Asked = { of: "orders", request: { filter: { ids: ["PO-1"], statuses: ["RECEIVED", "READY"] } } };

function told(error: ConnectError | undefined) {
  const [info] = error?.findDetails(ErrorInfoSchema) ?? [];
  return [error?.code, info?.reason, info?.metadata.end_reason];
}

describe.each(["with NATS", "without NATS"] as const)("on two instances %s", (how) => {
  test("a lower tier ends what it does not include with a bookmark, the rest goes on, and nothing is lost", async () => {
    await using stack = new AsyncDisposableStack();
    const world = await open(stack, how);
    const { keys } = world.tenant;
    const [here] = world.apps;
    const { tenants } = here.client(SERVICE_OWNER);
    const operator = here.client(keys.operator);
    const lost: Recording[] = [];
    const kept: Recording[] = [];
    for (const app of world.apps) {
      lost.push(await watch(world, app, keys.viewer, all), await watch(world, app, keys.viewer, filtered));
      kept.push(await watch(world, app, keys.viewer, byId), await watch(world, app, world.link, all));
      kept.push(await watch(world, app, keys.carrier, { of: "bookings", request: {} }));
    }
    const answer = await tenants.setTier({ tenantId: "acme", tier: Tier.QUICK_DEPLOY });
    expect([answer.tenant?.tier, answer.tenant?.settings]).toEqual([Tier.QUICK_DEPLOY, undefined]);
    // Here it holds with the answer.
    const filteredList = operator.orders.listOrders({ filter: { statuses: ["READY"] } });
    await expect(filteredList).rejects.toMatchObject({ reason: "TIER_EXCLUDES", metadata: { feature: "filters" } });
    const positions: string[] = [];
    for (const one of lost) {
      const error = await one.end();
      expect(told(error)).toEqual([Code.FailedPrecondition, "TIER_EXCLUDES", "TIER"]);
      expect(error?.findDetails(ErrorInfoSchema)[0]?.metadata).toMatchObject({
        tier: "QUICK_DEPLOY",
        feature: expect.stringMatching(/^(whole_tenant_watches|filters)$/),
        tiers: "ASSISTED,ADAPTIVE",
      });
      const [bookmark, last] = one.messages.slice(-2);
      expect(last?.end).toMatchObject({ reason: EndReason.TIER, position: expect.stringMatching(/^2-/) });
      expect(bookmark?.bookmark?.position).toBe(last?.end?.position);
      expect(last?.end?.verifiedAt).toBeDefined();
      positions.push(last?.end?.position ?? "");
    }
    for (const app of world.apps) {
      const again = await watch(world, app, keys.viewer, all).catch((error: Error) => error.cause as ConnectError);
      expect(again instanceof Recording ? again.messages : told(again).slice(0, 2)).toEqual([
        Code.FailedPrecondition,
        "TIER_EXCLUDES",
      ]);
    }
    const occurredAt = { instant: timestampFromMs(Date.now()) };
    const report = { status: "READY", classifier: Classifier.ACTUAL, occurredAt };
    await operator.orders.reportStatus({ orderId: "PO-1", report });
    const orderWatches = kept.filter((_, i) => i % 3 !== 2);
    for (const one of orderWatches) {
      await one.until("the report", (messages) => messages.some(({ events }) => events.some((e) => e.version === 2n)));
    }

    // Raised again, who was ended goes on where it was.
    await tenants.setTier({ tenantId: "acme", tier: Tier.ASSISTED });
    for (const [i, app] of world.apps.entries()) {
      const position = positions[i * 2] ?? "";
      const resumed = await expect
        .poll(() => watch(world, app, keys.viewer, { of: "orders", request: { position } }).catch(() => undefined), {
          timeout: 10_000,
        })
        .toBeDefined()
        .then(() => watch(world, app, keys.viewer, { of: "orders", request: { position } }));
      await resumed.until("what came meanwhile", (messages) =>
        messages.some(({ events }) => events[0]?.revision === 3n),
      );
    }
    // Nobody who was included has noticed anything.
    for (const one of kept) expect(one.messages.filter(({ end }) => end !== undefined)).toEqual([]);
  });

  test("streams above what is agreed end with a bookmark, the oldest go on, and nothing is lost", async () => {
    await using stack = new AsyncDisposableStack();
    const world = await open(stack, how);
    const { keys } = world.tenant;
    const [here] = world.apps;
    const { tenants } = here.client(SERVICE_OWNER);
    const { orders } = here.client(keys.operator);
    const opened: Recording[][] = [];
    for (const app of world.apps) {
      const watches: Recording[] = [];
      for (let i = 0; i < 5; i++) watches.push(await watch(world, app, keys.viewer, all));
      watches.push(await watch(world, app, world.link, all)); // links have streams of their own
      opened.push(watches);
    }
    await tenants.setTier({ tenantId: "acme", tier: Tier.ADAPTIVE, settings: { streams: 3 } });
    const ended = opened.flatMap((watches) => watches.slice(3, 5));
    for (const one of ended) {
      const error = await one.end();
      expect(told(error)).toEqual([Code.ResourceExhausted, "RATE_LIMITED", "TIER"]);
      const metadata = error?.findDetails(ErrorInfoSchema)[0]?.metadata;
      expect(metadata).toMatchObject({ limit: "tenant_streams", allowed: "3", used: "5" });
      expect(one.messages.slice(-2).map(({ bookmark, end }) => (bookmark ?? end)?.position)).toEqual([
        expect.stringMatching(/^2-/),
        expect.stringMatching(/^2-/),
      ]);
    }
    await orders.createOrder({ orderId: "PO-3" });
    const isThird = (messages: readonly Recording["messages"][number][]) =>
      messages.some(({ events }) => events[0]?.revision === 3n);
    const kept = opened.flatMap((watches) => watches.slice(0, 3));
    for (const one of kept) await one.until("what came meanwhile", isThird);
    expect(kept.flatMap(({ messages }) => messages.filter(({ end }) => end !== undefined))).toEqual([]);
    // With more streams again, who was ended goes on where it was.
    await tenants.setTier({ tenantId: "acme", tier: Tier.ADAPTIVE, settings: { streams: 9 } });
    const position = ended[0]?.messages.at(-1)?.end?.position ?? "";
    const resumed = await watch(world, here, keys.viewer, { of: "orders", request: { position } });
    await resumed.until("what came meanwhile", isThird);
  });

  test("a call of the change feed that waits is refused when its time has come, whatever ended the right to it", async () => {
    await using stack = new AsyncDisposableStack();
    const world = await open(stack, how);
    const [here, there] = world.apps;
    const { tenants } = here.client(SERVICE_OWNER);
    const owner = here.client(world.tenant.keys.owner);
    const { secret, key } = await owner.tenants.createKey({ name: "feed", role: Role.VIEWER });
    const ended: readonly [reason: string, end: () => Promise<unknown>][] = [
      ["CREDENTIAL_INVALID", () => owner.tenants.revokeKey({ keyId: key?.id ?? "" })],
      ["TIER_EXCLUDES", () => tenants.setTier({ tenantId: "acme", tier: Tier.ASSISTED })],
      ["TENANT_CLOSED", () => tenants.closeTenant({ tenantId: "acme", reason: "done" })],
    ];
    for (const [reason, end] of ended) {
      const bearer = reason === "CREDENTIAL_INVALID" ? secret : world.tenant.keys.viewer;
      if (reason === "TENANT_CLOSED") await tenants.setTier({ tenantId: "acme", tier: Tier.ADAPTIVE });
      const ask = (app: TestApp) => app.client(bearer).service(ChangeService);
      await expect
        .poll(
          () =>
            ask(there)
              .readChanges({})
              .catch(() => undefined),
          { timeout: 10_000 },
        )
        .toMatchObject({ more: false });
      const { position } = await ask(there).readChanges({});
      const wait = durationFromMs(3_000);
      const waiting = [here, there].map((app) => ask(app).readChanges({ position, wait }));
      const answers = Promise.allSettled(waiting);
      await end();
      for (const answer of await answers) expect(answer).toMatchObject({ status: "rejected", reason: { reason } });
    }
  });

  test("of six flows made at once five are taken, and the sixth is told what is used", async () => {
    await using stack = new AsyncDisposableStack();
    const { apps, tenant } = await open(stack, how);
    await apps[0].client(SERVICE_OWNER).tenants.setTier({ tenantId: "acme", tier: Tier.ASSISTED });
    const flows = apps.map((app) => app.client(tenant.keys.owner).flows);
    const none = flows[1]?.createStatusFlow({ flowId: "probe", source: { case: "copyOf", value: "nobodys" } });
    await expect(none).rejects.toMatchObject({ reason: "FLOW_UNKNOWN" });
    const made = await Promise.allSettled(
      Array.from({ length: 6 }, (_, i) =>
        i % 3 === 2
          ? flows[i % 2]?.importStatusFlow({ yaml: `id: own-${i}\nstatuses:\n  - { code: NEW, phase: RECEIVED }\n` })
          : flows[i % 2]?.createStatusFlow({ flowId: `own-${i}`, source: { case: "copyOf", value: "standard" } }),
      ),
    );
    const refused = made.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    expect(refused).toMatchObject([
      {
        reason: "TIER_EXCLUDES",
        metadata: { tier: "ASSISTED", feature: "status_flows", allowed: "5", used: "5", tiers: "ADAPTIVE" },
      },
    ]);
    const { tenant: shown } = await apps[1].client(tenant.keys.viewer).tenants.getTenant({});
    const entitlement = shown?.entitlements.find(({ name }) => name === "status_flows");
    expect(entitlement).toMatchObject({ included: true, allowed: 5n, used: 5n, left: 0n });
  });

  test("limits follow the tier and what was agreed, without a restart", async () => {
    await using stack = new AsyncDisposableStack();
    const { apps, tenant } = await open(stack, how);
    const { tenants } = apps[0].client(SERVICE_OWNER);
    await tenants.setTier({ tenantId: "acme", tier: Tier.ADAPTIVE, settings: { callsPerSecond: 3 } });
    for (const app of apps) {
      const { orders } = app.client(tenant.keys.viewer);
      const storm = () => Promise.allSettled(Array.from({ length: 20 }, () => orders.listOrders({ pageSize: 1 })));
      const limits = async () =>
        (await storm()).flatMap((one) => (one.status === "rejected" ? [one.reason.metadata.allowed] : []));
      await expect.poll(limits, { timeout: 10_000 }).toContain("3");
    }
    const { tenant: shown } = await tenants.getTenant({ tenantId: "acme" });
    expect(shown?.settings).toMatchObject({ callsPerSecond: 3 });
    expect(shown?.entitlements.find(({ name }) => name === "calls_per_second")?.allowed).toBe(3n);
    expect(shown?.usage).toBeUndefined();
  });

  test("suspended it reads and watches; closed, its streams end and its credentials are refused", async () => {
    await using stack = new AsyncDisposableStack();
    const world = await open(stack, how);
    const { keys, keyIds } = world.tenant;
    const [here, there] = world.apps;
    const { tenants } = here.client(SERVICE_OWNER);
    const watches: Recording[] = [];
    for (const app of world.apps) {
      watches.push(await watch(world, app, keys.viewer, all), await watch(world, app, world.link, all));
      watches.push(await watch(world, app, keys.carrier, { of: "bookings", request: {} }));
    }
    await tenants.suspendTenant({ tenantId: "acme", reason: "unpaid" });
    let n = 0;
    for (const app of world.apps) {
      const change = () => app.client(keys.operator).orders.createOrder({ orderId: `PO-S${n++}` });
      const refused = () =>
        change().then(
          () => "taken",
          ({ reason }) => reason,
        );
      await expect.poll(refused, { timeout: 10_000 }).toBe("TENANT_SUSPENDED");
      expect((await app.client(keys.viewer).orders.listOrders({})).orders.length).toBeGreaterThanOrEqual(2);
      const { tenant } = await app.client(keys.viewer).tenants.getTenant({});
      expect(tenant).toMatchObject({ state: TenantState.SUSPENDED, stateReason: "unpaid" });
    }
    await there.client(keys.owner).tenants.revokeKey({ keyId: keyIds.rival });
    for (const one of watches) expect(one.messages.filter(({ end }) => end !== undefined)).toEqual([]);
    await tenants.resumeTenant({ tenantId: "acme" });
    await here.client(keys.operator).orders.createOrder({ orderId: "PO-3" });

    const closed = await tenants.closeTenant({ tenantId: "acme", reason: "moved on" });
    const days = (timestampMs(closed.tenant?.deleteAt ?? timestampFromMs(0)) - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(89.9);
    expect(days).toBeLessThanOrEqual(90);
    for (const one of watches) {
      expect(told(await one.end())).toEqual([Code.FailedPrecondition, "TENANT_CLOSED", "TIER"]);
      expect(one.messages.at(-1)?.end).toMatchObject({ reason: EndReason.TIER });
    }
    for (const app of world.apps) {
      for (const key of [keys.owner, keys.carrier, world.link]) {
        const client = createLeadlineClient({ address: app.grpcAddress, key });
        stack.defer(() => client.close());
        const asked =
          key === keys.carrier ? client.bookings.listBookings({}) : client.orders.getOrder({ orderId: "PO-1" });
        await expect(asked).rejects.toMatchObject({ reason: "TENANT_CLOSED" });
      }
    }
    const [rows] = await world.database.sql<{ n: number }>(
      "select count(*)::int as n from event where tenant_id = 'acme'",
    );
    expect(rows?.n).toBeGreaterThanOrEqual(3);
  });
});

test("a raised tier is seen by reads at once on the instance that raised it", async () => {
  await using stack = new AsyncDisposableStack();
  const { apps, tenant } = await open(stack, "without NATS");
  const [here] = apps;
  const { tenants } = here.client(SERVICE_OWNER);
  const { bookings, orders } = here.client(tenant.keys.viewer);
  for (const tier of [Tier.QUICK_DEPLOY, Tier.ASSISTED, Tier.QUICK_DEPLOY, Tier.ADAPTIVE]) {
    await tenants.setTier({ tenantId: "acme", tier });
    const asked = orders.getOrder({ orderId: "PO-1", asOf: { case: "asOfRevision", value: 1n } });
    const listed = bookings.listBookings({ filter: { carriers: ["MAEU"] } });
    const answers = (await Promise.allSettled([asked, listed])).map(({ status }) => status);
    expect(answers).toEqual(Array(2).fill(tier === Tier.QUICK_DEPLOY ? "rejected" : "fulfilled"));
  }
});
