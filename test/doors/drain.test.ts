import { once } from "node:events";
import { connect } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import { drain } from "../../src/doors/drain.ts";
import { callerKinds } from "./callers.ts";
import { World, within } from "./world.ts";

const { getOrder, watchOrders } = OrderService.method;

function drainOf(world: World, drainWatches: () => void, graceMs = 30_000): Promise<void> {
  const { health, pipeline, httpDoor, grpcDoor } = world;
  return drain({ health, pipeline, doors: [httpDoor, grpcDoor], drainWatches }, { graceMs });
}

function codeOf(error: unknown): Code | undefined {
  return error instanceof ConnectError ? error.code : undefined;
}

describe.each(callerKinds)("while the instance stops, $name", (kind) => {
  test("has its watch ended with a typed end, and the doors close by themselves", async () => {
    await using world = await World.open();
    const caller = kind.open(world);
    const messages = caller.stream(watchOrders, {})[Symbol.asyncIterator]();
    await messages.next();
    const opened = await world.hub.next();
    const drained = drainOf(world, () => {
      opened.send({ end: { reason: EndReason.DRAINING, position: "4-d" } });
      opened.end(EndReason.DRAINING, 100);
    });
    expect((await messages.next()).value?.end?.position).toBe("4-d");
    expect(codeOf(await messages.next().catch((error: unknown) => error))).toBe(Code.Unavailable);
    await within(5_000, drained, "the doors did not close");
    expect(world.health.serving).toBe(false);
  });
});

test("a call in flight is answered before its connection closes", async () => {
  const finish = Promise.withResolvers<void>();
  await using world = await World.open();
  const [grpcJs] = callerKinds;
  if (grpcJs === undefined) throw new Error("no client");
  const leaving = new AbortController();
  const slow = grpcJs.open(world).unary(getOrder, { orderId: "slow" }, { signal: leaving.signal });
  await world.slowCall();
  const drained = drainOf(world, () => finish.resolve());
  await finish.promise;
  const [signal] = world.slowCalls;
  expect(signal?.aborted).toBe(false);
  leaving.abort();
  await expect(slow).rejects.toMatchObject({ code: Code.Canceled });
  await within(5_000, drained, "the doors did not close");
});

test("watches that come while the instance stops are refused", async () => {
  await using world = await World.open();
  const [grpcJs] = callerKinds;
  if (grpcJs === undefined) throw new Error("no client");
  const caller = grpcJs.open(world);
  await caller.unary(getOrder, { orderId: "ord_1" });
  world.pipeline.drain();
  const error = await caller
    .stream(watchOrders, {})
    [Symbol.asyncIterator]()
    .next()
    .catch((reason: unknown) => reason);
  expect(codeOf(error)).toBe(Code.Unavailable);
  await caller.unary(getOrder, { orderId: "ord_1" });
});

test("connections that have not said anything are not waited for", async () => {
  await using world = await World.open();
  const idle = [connect(world.httpPort, "127.0.0.1"), connect(world.grpcPort, "127.0.0.1")];
  await Promise.all(idle.map((socket) => once(socket, "connect")));
  const closed = idle.map((socket) => once(socket.resume(), "close"));
  await within(
    5_000,
    drainOf(world, () => {}),
    "the doors did not close",
  );
  await Promise.all(closed);
});

test("what does not end in time is cut off", async () => {
  await using world = await World.open();
  const kind = callerKinds.find(({ name }) => name.includes("connect over HTTP/1.1"));
  if (kind === undefined) throw new Error("no client");
  const messages = kind.open(world).stream(watchOrders, {})[Symbol.asyncIterator]();
  await messages.next();
  const opened = await world.hub.next();
  const idle = connect(world.httpPort, "127.0.0.1");
  await once(idle, "connect");
  const over = messages.next().catch((error: unknown) => error);
  await within(
    5_000,
    drainOf(world, () => {}, 100),
    "the doors did not close",
  );
  await within(5_000, opened.cancelled, "the watch was not released");
  expect(await over).toBeInstanceOf(ConnectError);
});

test("a request on a connection of HTTP/1.1 that was idle is answered, as the last one", async () => {
  await using world = await World.open();
  const socket = connect(world.httpPort, "127.0.0.1");
  const told: string[] = [];
  socket.setEncoding("utf8").on("data", (text: string) => told.push(text));
  const request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
  socket.write(request);
  await once(socket, "data");
  expect(told.join("")).toMatch(/^HTTP\/1\.1 200 .*connection: keep-alive/is);
  told.length = 0;
  const closed = once(socket, "close");
  const drained = drainOf(world, () => {});
  socket.write(request);
  await within(5_000, Promise.all([drained, closed]), "the door did not close");
  expect(told.join("")).toMatch(/^HTTP\/1\.1 200 .*connection: close.*ok\n$/is);
});
