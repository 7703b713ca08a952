import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import { createLeadlineWebClient } from "../../src/client/browser.ts";
import { createLeadlineClient, type OrdersWatch } from "../../src/client/node.ts";
import { type CallerKind, callerKinds } from "../doors/callers.ts";
import { SERVICE_OWNER, startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { startNats, useNats } from "../support/nats.ts";
import { startProxy } from "../support/proxy.ts";
import { journalFaults } from "./journal.ts";
import { faultsOf, type WatchMessage } from "./messages.ts";
import { lastPosition, Recording } from "./recording.ts";
import type { Reader } from "./trace.ts";
import { readTruth } from "./truth.ts";

/** Two instances on one database; `stack` stops all of it. */
interface Pair {
  readonly stack: AsyncDisposableStack;
  readonly database: TestDatabase;
  readonly here: TestApp;
  readonly there: TestApp;
  readonly tenant: TestTenant;
}

const names = [
  "grpc-js on the gRPC door",
  "connect-node connect over HTTP/1.1 in JSON",
  "connect-web grpc-web through fetch",
];
/** A client of each protocol. */
const kinds = callerKinds.filter(({ name }) => names.includes(name));

/** How long a poll goes on. */
const patience = { timeout: 10_000 };

/** Heads are compared so rarely that only NATS can have told of a change. */
const NATS_ALONE = { LEADLINE_HEAD_CHECK_MS: "60000" };

async function startPair(stack: AsyncDisposableStack, env: Record<string, string>, natsUrl?: string): Promise<Pair> {
  const database = stack.use(await createTestDatabase());
  const here = stack.use(await startTestApp({ database, natsUrl, env }));
  const there = stack.use(await startTestApp({ database, natsUrl, env }));
  const tenant = await here.makeTenant("acme");
  return { stack, database, here, there, tenant };
}

function record(
  { stack, tenant }: Pair,
  app: TestApp,
  kind: CallerKind,
  position = "",
  key = tenant.keys.viewer,
): Recording {
  const { grpcPort, httpPort } = app;
  const caller = kind.open({ grpcPort, httpPort, onClose: (close) => stack.defer(close) });
  return stack.use(new Recording(caller, key, { of: "orders", request: { position } }));
}

/** Watches on an instance, one of each protocol, that have started. */
function watching(pair: Pair, app: TestApp, key?: string): Promise<Recording[]> {
  return Promise.all(kinds.map((kind) => record(pair, app, kind, "", key).started()));
}

const create = (app: TestApp, { keys }: TestTenant, orderId: string) =>
  app.client(keys.operator).orders.createOrder({ orderId });

const idsOf = (messages: readonly WatchMessage[]) => messages.flatMap(({ events }) => events.map((e) => e.subjectId));

/** All of them have heard of the order. */
const heard = (recordings: readonly Recording[], orderId: string) =>
  Promise.all(recordings.map((one) => one.until(orderId, (messages) => idsOf(messages).includes(orderId))));

const everyOrder: Reader = { tenant: "acme", visibility: { class: "staff" }, of: "orders", sees: () => true };

async function expectNoFaults({ database }: Pair, recordings: readonly Recording[]): Promise<void> {
  const truth = await readTruth(database);
  const head = truth.journals.get("acme")?.at(-1)?.revision ?? 0n;
  expect(head).toBeGreaterThan(0n);
  for (const one of recordings) expect(faultsOf(one.trace(everyOrder, head), truth)).toEqual([]);
  expect(await journalFaults(database)).toEqual([]);
}

function reasonOf(error: ConnectError | undefined): string | undefined {
  return error?.findDetails(ErrorInfoSchema)[0]?.reason;
}

async function connected(app: TestApp): Promise<boolean> {
  const text = await (await fetch(`${app.httpUrl}/metrics`)).text();
  return /^leadline_bus_connected 1$/m.test(text);
}

describe("with NATS", () => {
  test("a write through one reaches the watchers of the other at once, also after NATS was away", async () => {
    await using stack = new AsyncDisposableStack();
    const nats = await startNats();
    stack.defer(() => nats.stop());
    const pair = await startPair(stack, NATS_ALONE, nats.url);
    const { here, there, tenant } = pair;
    expect([...here.warnings, ...there.warnings]).toEqual([]);
    const recordings = [...(await watching(pair, here)), ...(await watching(pair, there))];
    await create(here, tenant, "by-here");
    await create(there, tenant, "by-there");
    await heard(recordings, "by-here");
    await heard(recordings, "by-there");

    await nats.kill();
    await expect.poll(() => Promise.all([connected(here), connected(there)]), patience).toEqual([false, false]);
    await create(here, tenant, "unheard");
    const again = await startNats({ port: nats.port });
    stack.defer(() => again.stop());
    // Each asks the database for what it may have missed.
    await heard(recordings, "unheard");
    await expect.poll(() => Promise.all([connected(here), connected(there)]), patience).toEqual([true, true]);
    await create(here, tenant, "again-by-here");
    await create(there, tenant, "again-by-there");
    await heard(recordings, "again-by-here");
    await heard(recordings, "again-by-there");
    await expectNoFaults(pair, recordings);
  });

  test("writes of both at a time come in one order to the watchers of both", async () => {
    await using stack = new AsyncDisposableStack();
    const nats = await useNats();
    stack.defer(() => nats.stop());
    const pair = await startPair(stack, NATS_ALONE, nats.url);
    const { here, there, tenant } = pair;
    const recordings = [...(await watching(pair, here)), ...(await watching(pair, there))];
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    await Promise.all(numbers.map((i) => create(i % 2 === 0 ? here : there, tenant, `PO-${i}`)));
    await Promise.all(
      recordings.map((one) => one.until("all orders", (messages) => idsOf(messages).length >= numbers.length)),
    );
    await expectNoFaults(pair, recordings);
    const [first, ...others] = recordings.map(({ messages }) => idsOf(messages));
    for (const other of others) expect(other).toEqual(first);
  });

  test("a revoked key ends its streams on both at once, and is good for nothing more", async () => {
    await using stack = new AsyncDisposableStack();
    const nats = await useNats();
    stack.defer(() => nats.stop());
    const slow = { LEADLINE_KEY_SWEEP_MS: "600000", LEADLINE_KEY_CACHE_MS: "300000" };
    const pair = await startPair(stack, { ...NATS_ALONE, ...slow }, nats.url);
    await create(pair.here, pair.tenant, "PO-1");
    const recordings = [...(await watching(pair, pair.here)), ...(await watching(pair, pair.there))];
    const others = await watching(pair, pair.there, pair.tenant.keys.owner);
    const { tenants } = pair.here.client(SERVICE_OWNER);
    await tenants.revokeKey({ tenantId: "acme", keyId: pair.tenant.keyIds.viewer });
    await expectCredentialEnds(recordings);
    for (const app of [pair.here, pair.there]) {
      const refused = app.client(pair.tenant.keys.viewer).orders.listOrders({});
      await expect(refused).rejects.toMatchObject({ reason: "CREDENTIAL_INVALID" });
    }
    await create(pair.here, pair.tenant, "PO-2");
    await heard(others, "PO-2");
    expect(recordings.flatMap(({ messages }) => idsOf(messages))).not.toContain("PO-2");
  });
});

describe("when NATS is away", () => {
  test("a write through one reaches the watchers of the other within seconds", async () => {
    await using stack = new AsyncDisposableStack();
    const nats = await startNats();
    const pair = await startPair(stack, {}, nats.url);
    const recordings = await watching(pair, pair.there);
    await nats.kill();
    const before = Date.now();
    await create(pair.here, pair.tenant, "PO-1");
    await heard(recordings, "PO-1");
    // Heads are compared every 3 s.
    expect(Date.now() - before).toBeLessThan(10_000);
    await expectNoFaults(pair, recordings);
  });
});

describe("without NATS_URL", () => {
  const env = { LEADLINE_HEAD_CHECK_MS: "300", LEADLINE_KEY_SWEEP_MS: "300", LEADLINE_KEY_CACHE_MS: "300000" };

  test("the second instance is warned, and its watchers are told all the same", async () => {
    await using stack = new AsyncDisposableStack();
    const pair = await startPair(stack, env);
    expect(pair.here.warnings).toEqual([]);
    expect(pair.there.warnings).toEqual([
      expect.stringMatching(/^1 other instance .* no NATS_URL.* 0\.3 seconds late/),
    ]);
    const recordings = [...(await watching(pair, pair.here)), ...(await watching(pair, pair.there))];
    await create(pair.here, pair.tenant, "PO-1");
    await create(pair.there, pair.tenant, "PO-2");
    await heard(recordings, "PO-1");
    await heard(recordings, "PO-2");
    await expectNoFaults(pair, recordings);
  });

  test("a revoked key's streams end here at once and there at the next sweep", async () => {
    await using stack = new AsyncDisposableStack();
    const pair = await startPair(stack, env);
    const recordings = [...(await watching(pair, pair.here)), ...(await watching(pair, pair.there))];
    const { tenants } = pair.here.client(SERVICE_OWNER);
    await tenants.revokeKey({ tenantId: "acme", keyId: pair.tenant.keyIds.viewer });
    await expectCredentialEnds(recordings);
  });
});

test("a key that expires ends its streams on both, after a bookmark", async () => {
  await using stack = new AsyncDisposableStack();
  const pair = await startPair(stack, {});
  const { tenants } = pair.here.client(pair.tenant.keys.owner);
  const expiresAtMs = Date.now() + 2_500;
  const request = { name: "brief", role: Role.VIEWER, expiresAt: timestampFromMs(expiresAtMs) };
  const { secret } = await tenants.createKey(request);
  const recordings = [...(await watching(pair, pair.here, secret)), ...(await watching(pair, pair.there, secret))];
  await create(pair.here, pair.tenant, "PO-1");
  await expectCredentialEnds(recordings);
  expect(Date.now()).toBeGreaterThanOrEqual(expiresAtMs);
  const refused = pair.there.client(secret).orders.listOrders({});
  await expect(refused).rejects.toMatchObject({ reason: "CREDENTIAL_EXPIRED" });
});

/** Each ends with a bookmark in its last message, and says why. */
async function expectCredentialEnds(recordings: readonly Recording[]): Promise<void> {
  for (const one of recordings) {
    const error = await one.end();
    expect(error?.code).toBe(Code.Unauthenticated);
    const last = one.messages.at(-1)?.end;
    expect(last).toMatchObject({ reason: EndReason.CREDENTIAL, position: expect.stringMatching(/^\d+-/) });
    expect(last?.verifiedAt).toBeDefined();
  }
}

describe("an instance that stops", () => {
  test("ends its watches with a bookmark and the reason, and they go on where they were on the other", async () => {
    await using stack = new AsyncDisposableStack();
    const pair = await startPair(stack, { LEADLINE_HEAD_CHECK_MS: "300" });
    const { here, there, tenant } = pair;
    const recordings = await watching(pair, here);
    for (let i = 0; i < 5; i++) await create(here, tenant, `PO-${i}`);
    await heard(recordings, "PO-4");
    const stopped = here.stop();
    await create(there, tenant, "PO-5");
    for (const one of recordings) {
      const error = await one.end();
      expect([error?.code, reasonOf(error)]).toEqual([Code.Unavailable, "DRAINING"]);
      expect(error?.findDetails(RetryInfoSchema)).toHaveLength(1);
      expect(one.messages.at(-1)?.end).toMatchObject({ reason: EndReason.DRAINING });
    }
    await stopped;
    await create(there, tenant, "PO-6");
    const truth = await readTruth(pair.database);
    const head = truth.journals.get("acme")?.at(-1)?.revision ?? 0n;
    for (const [i, kind] of kinds.entries()) {
      const first = recordings[i] ?? expect.fail("there is no such watch");
      const second = record(pair, there, kind, lastPosition(first.messages));
      await heard([second], "PO-6");
      const { messages, ...trace } = first.trace(everyOrder, head);
      expect(faultsOf({ ...trace, messages: [...messages, ...second.messages] }, truth)).toEqual([]);
    }
  });

  /** Follows until the order comes; answers with the ids of the events. */
  async function follow(watch: OrdersWatch, last: string): Promise<string[]> {
    const ids: string[] = [];
    for await (const item of watch) {
      if (item.type === "event") ids.push(item.event.subjectId);
      if (ids.at(-1) === last) break;
    }
    return ids;
  }

  test("costs those who use the client library nothing", async () => {
    await using stack = new AsyncDisposableStack();
    const pair = await startPair(stack, { LEADLINE_HEAD_CHECK_MS: "300" });
    const { here, there, tenant } = pair;
    const key = tenant.keys.viewer;
    // A balancer that sends new connections to the one that is there.
    const toGrpc = { host: "127.0.0.1", port: here.grpcPort };
    const toHttp = { host: "127.0.0.1", port: here.httpPort };
    const [grpc, http] = [stack.use(await startProxy(toGrpc)), stack.use(await startProxy(toHttp))];
    const states: { state: string; end?: EndReason | undefined }[] = [];
    const onConnection = (state: { state: string; end?: EndReason | undefined }) => states.push(state);
    const node = createLeadlineClient({ address: `127.0.0.1:${grpc.port}`, key });
    stack.defer(() => node.close());
    const webOptions = { baseUrl: `http://127.0.0.1:${http.port}`, key };
    const webs = (["connect", "grpc-web"] as const).map((protocol) =>
      createLeadlineWebClient({ ...webOptions, protocol }),
    );
    const following = [node, ...webs].map((client) => follow(client.watchOrders({ onConnection }), "last"));
    const opened = () => states.filter(({ state }) => state === "open").length;
    await expect.poll(opened, patience).toBe(3);
    const ids = Array.from({ length: 20 }, (_, i) => `PO-${i}`);
    for (const id of ids.slice(0, 10)) await create(here, tenant, id);
    [toGrpc.port, toHttp.port] = [there.grpcPort, there.httpPort];
    const stopped = here.stop();
    for (const id of ids.slice(10)) await create(there, tenant, id);
    await stopped;
    await expect.poll(opened, patience).toBeGreaterThanOrEqual(6);
    await create(there, tenant, "last");
    for (const got of await Promise.all(following)) expect(got).toEqual([...ids, "last"]);
    expect(states.filter(({ end }) => end === EndReason.DRAINING)).toHaveLength(3);
  });
});
