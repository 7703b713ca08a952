import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { WatchOrdersRequestSchema, WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import { sharedEnvelope } from "../../src/doors/envelopes.ts";
import { encodeMessage, type OpenedWatch } from "./hub-double.ts";
import { frame, framesOf, grpcStatusOf, rawAnswer, rawCall, rawSession, reasonOf } from "./raw.ts";
import { BEARER, World, within } from "./world.ts";

const WATCH_ORDERS = "/leadline.v1.OrderService/WatchOrders";
const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const watchRequest = frame(toBinary(WatchOrdersRequestSchema, create(WatchOrdersRequestSchema, {})));

/** The longest that Node's timers take; one that is longer is over at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Sends messages of 16 kB until the stream wants no more. */
function fill(watch: OpenedWatch): number {
  const message = encodeMessage({ left: [{ id: "z".repeat(16_000) }] }, watch.sink.codec);
  for (let sent = 1; sent < 10_000; sent++) if (!watch.sink.write(message, false)) return sent;
  throw new Error("the stream takes everything");
}

/** Sends a message of each size; who is told that the stream wants no more waits to be told otherwise, as the hub does. */
async function sendLarge(watch: OpenedWatch): Promise<void> {
  for (const bytes of [20_000, 40_000, 70_000, 170_000, 260_000, 2_000_000]) {
    if (watch.send({ left: [{ id: "z".repeat(bytes) }] })) continue;
    await within(5_000, watch.nextDrained, `after ${bytes} bytes the hub was not told`);
  }
}

describe.each(["grpc", "http"] as const)("gRPC on the %s door", (door) => {
  const portOf = (world: World): number => (door === "grpc" ? world.grpcPort : world.httpPort);

  test("a watch's headers arrive before it has any message", async () => {
    await using world = await World.open();
    world.hub.greets = false;
    const stream = rawCall(rawSession(world, portOf(world)), WATCH_ORDERS);
    stream.end(watchRequest);
    const [headers] = await once(stream, "response");
    expect(headers[":status"]).toBe(200);
    expect(headers["grpc-status"]).toBeUndefined();
    const answer = rawAnswer(stream);
    const opened = await world.hub.next();
    // What the caller's limits say of its watch: see `CountingLimits`, and where it comes from.
    expect(opened.spec).toMatchObject({ snapshotRowsMax: Number.MAX_SAFE_INTEGER, network: "127.0.0.1" });
    opened.reset();
    expect(grpcStatusOf(await answer)).toBe("0");
  });

  test.each(["99999999H", "600H", "4320000S"])("a timeout of %s does not end the watch", async (timeout) => {
    await using world = await World.open();
    const stream = rawCall(rawSession(world, portOf(world)), WATCH_ORDERS, { "grpc-timeout": timeout });
    stream.end(watchRequest);
    const answer = rawAnswer(stream);
    const opened = await world.hub.next();
    expect(opened.endsAtMs).toBeGreaterThan(Date.now() + 20 * 24 * 3_600_000);
    expect(opened.endsAtMs).toBeLessThanOrEqual(Date.now() + LONGEST_TIMER_MS);
    opened.send({ bookmark: { position: "1-a" } });
    opened.reset();
    expect(grpcStatusOf(await answer)).toBe("0");
    expect(framesOf((await answer).body)).toHaveLength(2);
  });

  test("a timeout that cannot be read is MESSAGE_MALFORMED", async () => {
    await using world = await World.open();
    const stream = rawCall(rawSession(world, portOf(world)), GET_ORDER, { "grpc-timeout": "a while" });
    stream.end(frame(Buffer.alloc(0)));
    const answer = await rawAnswer(stream);
    expect(grpcStatusOf(answer)).toBe("3");
    expect(reasonOf(answer)).toBe("MESSAGE_MALFORMED");
  });

  test("bytes that are no message are MESSAGE_MALFORMED", async () => {
    await using world = await World.open();
    const stream = rawCall(rawSession(world, portOf(world)), GET_ORDER);
    stream.end(frame(Buffer.from([0x0a, 0xff, 0x01])));
    const answer = await rawAnswer(stream);
    expect(grpcStatusOf(answer)).toBe("3");
    expect(reasonOf(answer)).toBe("MESSAGE_MALFORMED");
  });

  test("a request that is not ended is given up in time", async () => {
    await using world = await World.open({ [door]: { requestTimeoutMs: 200 } });
    const stream = rawCall(rawSession(world, portOf(world)), WATCH_ORDERS);
    stream.write(watchRequest);
    const answer = await within(5_000, rawAnswer(stream), "the stream was left open");
    if (door === "http") expect(reasonOf(answer)).toBe("MESSAGE_MALFORMED");
    else expect(answer.rstCode).toBe(8);
  });

  test("a reader that stops is told to the hub, and so is when it reads again", async () => {
    await using world = await World.open();
    const stream = rawCall(rawSession(world, portOf(world)), WATCH_ORDERS);
    stream.end(watchRequest);
    const opened = await world.hub.next();
    const sent = fill(opened);
    expect(sent).toBeLessThan(64);
    expect(opened.sink.unsentBytes()).toBeGreaterThan(0);
    const drained = opened.nextDrained;
    const answer = rawAnswer(stream);
    await within(5_000, drained, "the hub was not told");
    expect(opened.sink.unsentBytes()).toBeLessThan(64 * 1024);
    opened.reset();
    // The greeting, and all that was sent: nothing is lost for having been held back.
    expect(framesOf((await answer).body)).toHaveLength(1 + sent);
  });

  test("a message of any size can be followed by another", async () => {
    await using world = await World.open();
    const stream = rawCall(rawSession(world, portOf(world)), WATCH_ORDERS);
    stream.end(watchRequest);
    const answer = rawAnswer(stream);
    const opened = await world.hub.next();
    await sendLarge(opened);
    opened.reset();
    expect(framesOf((await answer).body)).toHaveLength(7);
  });

  test("a reader that stopped and is ended is reset when it takes nothing more", async () => {
    await using world = await World.open({ [door]: { endTimeoutMs: 100 } });
    const stream = rawCall(rawSession(world, portOf(world)), WATCH_ORDERS);
    stream.end(watchRequest);
    const opened = await world.hub.next();
    fill(opened);
    opened.end(EndReason.SLOW_READER);
    await within(5_000, opened.cancelled, "the stream was left open");
    expect(await world.metric("leadline_open_watches{")).toBe(0);
  });

  test("streams of one connection do not wait for one that is not read", async () => {
    await using world = await World.open();
    const session = rawSession(world, portOf(world));
    const stalled = rawCall(session, WATCH_ORDERS);
    stalled.end(watchRequest);
    fill(await world.hub.next());
    const other = rawCall(session, GET_ORDER);
    other.end(frame(Buffer.from([0x0a, 1, 0x61])));
    expect(grpcStatusOf(await within(5_000, rawAnswer(other), "it waits"))).toBe("0");
  });

  test("a connection that breaks releases all its watches", async () => {
    await using world = await World.open();
    const session = rawSession(world, portOf(world));
    for (let i = 0; i < 20; i++) rawCall(session, WATCH_ORDERS).end(watchRequest);
    const opened = await Promise.all(Array.from({ length: 20 }, () => world.hub.next()));
    session.destroy();
    await within(5_000, Promise.all(opened.map(({ cancelled }) => cancelled)), "watches were left open");
    await world.limits.none();
  });
});

test("all watchers of a message share one envelope, whatever they speak", async () => {
  await using world = await World.open();
  const session = rawSession(world, world.httpPort);
  const answers = ["application/grpc", "application/grpc-web", "application/connect+proto"].map((type) => {
    const stream = rawCall(session, WATCH_ORDERS, { "content-type": type });
    stream.end(watchRequest);
    return rawAnswer(stream);
  });
  const opened = await Promise.all(answers.map(() => world.hub.next()));
  const message = encodeMessage({ bookmark: { position: "5-e" } }, "proto");
  for (const watch of opened) watch.sink.write(message, false);
  expect(sharedEnvelope(message)).toBe(sharedEnvelope(message));
  for (const watch of opened) watch.reset();
  for (const answer of answers) {
    const [, second] = framesOf((await answer).body);
    expect(second?.flags).toBe(0);
    expect(fromBinary(WatchOrdersResponseSchema, second?.data ?? new Uint8Array()).bookmark?.position).toBe("5-e");
  }
});

test("a Connect stream's last frame says what its status says", async () => {
  await using world = await World.open();
  const stream = rawCall(rawSession(world, world.httpPort), WATCH_ORDERS, {
    "content-type": "application/connect+json",
  });
  stream.end(frame(Buffer.from("{}")));
  const answer = rawAnswer(stream);
  const opened = await world.hub.next();
  expect(opened.sink.codec).toBe("json");
  opened.end(EndReason.DRAINING, 300);
  const last = framesOf((await answer).body).at(-1);
  expect(last?.flags).toBe(2);
  expect(JSON.parse(last?.data.toString() ?? "")).toMatchObject({
    error: {
      code: "unavailable",
      message: "the instance is stopping: resume",
      details: [
        { type: "google.rpc.ErrorInfo", debug: { reason: "DRAINING", metadata: { end_reason: "DRAINING" } } },
        { type: "google.rpc.RetryInfo", debug: { retryDelay: "0.300s" } },
      ],
    },
  });
});

/** A watch over HTTP/1.1, on a socket of our own. */
async function http1Watch(world: World): Promise<Socket> {
  const socket = connect(world.httpPort, "127.0.0.1");
  world.onClose(() => void socket.destroy());
  const body = frame(Buffer.from("{}"));
  const head = [
    `POST ${WATCH_ORDERS} HTTP/1.1`,
    "host: localhost",
    `authorization: Bearer ${BEARER}`,
    "content-type: application/connect+json",
    `content-length: ${body.length}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  socket.write(body);
  await once(socket, "connect");
  return socket;
}

test("over HTTP/1.1 a reader that stops is told to the hub, and so is when it reads again", async () => {
  await using world = await World.open();
  const socket = await http1Watch(world);
  const opened = await world.hub.next();
  fill(opened);
  expect(opened.sink.unsentBytes()).toBeGreaterThan(0);
  const drained = opened.nextDrained;
  socket.resume();
  await within(5_000, drained, "the hub was not told");
  expect(opened.sink.unsentBytes()).toBe(0);
});

test("over HTTP/1.1 a message of any size can be followed by another", async () => {
  await using world = await World.open();
  const socket = await http1Watch(world);
  socket.resume();
  await sendLarge(await world.hub.next());
});

test("over HTTP/1.1 a watch outlives the timeouts of requests", async () => {
  await using world = await World.open({ http: { headersTimeoutMs: 100, requestTimeoutMs: 100 } });
  const socket = await http1Watch(world);
  const opened = await world.hub.next();
  // A connection that came later and is too slow shows that the timeouts have passed.
  const slow = connect(world.httpPort, "127.0.0.1");
  slow.write("GET /healthz HTTP/1.1\r\nhost: loc");
  slow.resume();
  await within(5_000, once(slow, "close"), "the slow connection was left open");
  opened.send({ bookmark: { position: "still-here" } });
  socket.setEncoding("utf8");
  let text = "";
  for await (const chunk of socket) {
    text += chunk;
    if (text.includes("still-here")) break;
  }
  await within(5_000, opened.cancelled, "the watch was not cancelled");
});

test.each(["http", "grpc"] as const)(
  "the %s door opens no watch of another tenant, whatever the service answers",
  async (door) => {
    await using world = await World.open();
    const session = rawSession(world, door === "http" ? world.httpPort : world.grpcPort);
    const stream = rawCall(session, "/leadline.v1.OrderService/WatchOrders");
    stream.end(frame(toBinary(WatchOrdersRequestSchema, create(WatchOrdersRequestSchema, { position: "astray" }))));
    const answer = await within(5_000, rawAnswer(stream), "the watch was opened");
    expect([grpcStatusOf(answer), reasonOf(answer)]).toEqual(["13", "INTERNAL"]);
    expect(world.limits.open).toBe(0);
    const err = expect.objectContaining({ message: "a foreign watch" });
    expect(world.logged).toContainEqual(expect.objectContaining({ err }));
  },
);

test("a timeout of Connect that no timer takes does not end the watch", async () => {
  await using world = await World.open();
  const headers = { "content-type": "application/connect+proto", "connect-timeout-ms": "9999999999" };
  const stream = rawCall(rawSession(world, world.httpPort), WATCH_ORDERS, headers);
  stream.end(watchRequest);
  const opened = await world.hub.next();
  expect(opened.endsAtMs).toBeGreaterThan(Date.now() + 20 * 24 * 3_600_000);
  expect(opened.endsAtMs).toBeLessThanOrEqual(Date.now() + LONGEST_TIMER_MS);
  opened.reset();
  const last = framesOf((await rawAnswer(stream)).body).at(-1);
  expect([last?.flags, last?.data.toString()]).toEqual([2, "{}"]);
});
