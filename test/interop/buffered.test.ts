import { type ClientHttp2Stream, connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { WatchOrdersRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { detailsOf, frame, grpcStatusOf, rawAnswer, rawCall } from "../doors/raw.ts";
import { within } from "../doors/world.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";

/*
 * Watches of real readers that take nothing, at both doors of an instance whose settings let little wait. How each bound counts
 * is shown in test/watch/walls.test.ts.
 */

const MiB = 1024 * 1024;

/** The smallest that the settings take. */
const cases: [string, Record<string, string>, number][] = [
  ["watch_buffered_bytes", { LEADLINE_SLOW_READER_BYTES: "65536", LEADLINE_SLOW_READER_MS: "6000" }, 65_536],
  ["key_buffered_bytes", { LEADLINE_KEY_BUFFERED_BYTES: String(MiB) }, MiB],
  ["tenant_buffered_bytes", { LEADLINE_TENANT_BUFFERED_BYTES: String(MiB) }, MiB],
  ["address_buffered_bytes", { LEADLINE_ADDRESS_BUFFERED_BYTES: String(MiB) }, MiB],
  ["instance_buffered_bytes", { LEADLINE_INSTANCE_BUFFERED_BYTES: String(MiB) }, MiB],
];

/** Each has 64 KiB waiting at least. */
const READERS = 40;

async function limitedIn(app: TestApp, limit: string): Promise<number> {
  const metrics = await (await fetch(`${app.httpUrl}/metrics`)).text();
  return Number(new RegExp(`^leadline_limited_total\\{limit="${limit}"\\} (\\d+)`, "m").exec(metrics)?.[1] ?? 0);
}

describe.each(cases)("%s", (limit, env, allowed) => {
  test.each(["grpc", "http"] as const)("at the %s door", async (door) => {
    await using stack = new AsyncDisposableStack();
    const database = stack.use(await createTestDatabase());
    const app = stack.use(await startTestApp({ database, env }));
    const { keys } = await app.makeTenant("acme");
    const { orders } = app.client(keys.operator);
    const parties = Array.from({ length: 10 }, (_, i) => ({ role: "CONSIGNEE", name: `${i}`.repeat(100) }));
    await Promise.all(Array.from({ length: 300 }, (_, i) => orders.createOrder({ orderId: `PO-${i}`, parties })));
    const { events } = await orders.listOrderEvents({ orderId: "PO-0" });
    const position = events[0]?.position ?? expect.fail("no position");

    const session = connect(`http://127.0.0.1:${door === "grpc" ? app.grpcPort : app.httpPort}`);
    session.on("error", () => {});
    stack.defer(() => session.destroy());
    const request = frame(toBinary(WatchOrdersRequestSchema, create(WatchOrdersRequestSchema, { position })));
    const watches = Array.from({ length: READERS }, (): ClientHttp2Stream => {
      const stream = rawCall(session, "/leadline.v1.OrderService/WatchOrders", {
        authorization: `Bearer ${keys.viewer}`,
      });
      stream.end(request);
      return stream;
    });
    await expect.poll(() => limitedIn(app, limit), { timeout: 20_000 }).toBeGreaterThan(0);

    // Who reads again is told why it was ended, and when to come back.
    const told = await within(20_000, Promise.any(watches.map(endOf)), "no watch has ended");
    expect(told).toMatchObject({
      ...{ reason: "OVERLOADED", limit, allowed: String(allowed), end_reason: "SLOW_READER", waits: true },
      used: expect.stringMatching(/^\d+$/),
    });
    expect(Number(told.used)).toBeGreaterThan(allowed);
  });
});

/** What a watch ended with; rejects when with something else than too much that waits. */
async function endOf(stream: ClientHttp2Stream) {
  const answer = await rawAnswer(stream);
  const details = detailsOf(answer);
  if (grpcStatusOf(answer) !== "8") throw new Error(`it ended with ${JSON.stringify(details)}`);
  return details;
}
