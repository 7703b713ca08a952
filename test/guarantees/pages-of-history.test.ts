import { expect, test } from "vitest";
import { callerKinds } from "../doors/callers.ts";
import { startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { faultsOf, type WatchMessage } from "./messages.ts";
import { Recording } from "./recording.ts";
import type { Reader } from "./trace.ts";
import { readTruth, revisionOf } from "./truth.ts";

/*
 * Pages of history go out from memory that pages before them have used, also those of other tenants. Nobody may find in a page
 * what another one has left, or will have.
 */

const TENANTS = ["acme", "zenith"];
const names = [
  "grpc-js on the gRPC door",
  "connect-node connect over HTTP/1.1 in proto",
  "connect-node grpc-web over HTTP/2 in proto",
];
/** What is told in binary goes out as it is stored. */
const kinds = callerKinds.filter(({ name }) => names.includes(name));
const ORDERS = 1_000;
const ROUNDS = 2;

/** Makes more than a megabyte of events, in which every byte says whose they are. @returns a place for each kind to continue from */
async function fill(app: TestApp, { id, keys }: TestTenant): Promise<string[]> {
  const { orders } = app.client(keys.operator);
  const parties = Array.from({ length: 10 }, (_, i) => ({
    role: "CONSIGNEE",
    name: `${id} ${i} `.repeat(20).slice(0, 100),
  }));
  for (let from = 0; from < ORDERS; from += 100) {
    const ids = Array.from({ length: 100 }, (_, i) => `${id}-${from + i}`);
    await Promise.all(ids.map((orderId) => orders.createOrder({ orderId, parties })));
  }
  // Who continues from the same place shares a page, and what is shared is not used again.
  const first = await Promise.all(kinds.map((_, i) => orders.listOrderEvents({ orderId: `${id}-${i}` })));
  return first.map(({ events }) => events[0]?.position ?? expect.fail("no position"));
}

test("watchers of several tenants that catch up at once are told their own history, each once", {
  timeout: 120_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createTestDatabase());
  const app = stack.use(await startTestApp({ database }));
  const { grpcPort, httpPort } = app;
  const tenants = await Promise.all(TENANTS.map((id) => app.makeTenant(id)));
  const places = await Promise.all(tenants.map(async (tenant) => ({ tenant, positions: await fill(app, tenant) })));
  const truth = await readTruth(database);
  expect(kinds).toHaveLength(names.length);
  for (let round = 0; round < ROUNDS; round++) {
    const recordings = places.flatMap(({ tenant, positions }) =>
      kinds.map((kind, i) => {
        const position = positions[i] ?? "";
        const caller = kind.open({ grpcPort, httpPort, onClose: (close) => stack.defer(close) });
        const reader: Reader = { tenant: tenant.id, visibility: { class: "staff" }, of: "orders", sees: () => true };
        const asked = { of: "orders", request: { position } } as const;
        return { position, reader, recording: stack.use(new Recording(caller, tenant.keys.viewer, asked)) };
      }),
    );
    for (const { position, reader, recording } of recordings) {
      const head = truth.journals.get(reader.tenant)?.at(-1)?.revision ?? expect.fail("an empty journal");
      const missed = Number(head - revisionOf(truth, reader, position));
      const told = (messages: readonly WatchMessage[]) => messages.reduce((sum, { events }) => sum + events.length, 0);
      await recording.until("all of it", (messages) => told(messages) >= missed);
      expect(faultsOf(recording.trace(reader, head), truth)).toEqual([]);
      const pages = recording.messages.filter(({ events }) => events.length > 100);
      expect(pages.length).toBeGreaterThan(1);
      await recording[Symbol.asyncDispose]();
    }
  }
});
