import { once } from "node:events";
import { type ClientHttp2Stream, connect as connectHttp2, constants } from "node:http2";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { GetOrderRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { frame as http2Frame, literals } from "../bench/frames.ts";
import { fetchOf } from "../support/own-fetch.ts";
import { frame, grpcStatusOf, rawAnswer, rawCall, rawSession, reasonOf } from "./raw.ts";
import { BEARER, World, within } from "./world.ts";

/* Each bound that peers are held to, past which there is more than what `listener.test.ts` shows of silence. */

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const requestBytes = toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "ord_1" }));

/** Frames of HTTP/2 that a call begins with (RFC 9113, section 6). */
const [DATA, HEADERS, SETTINGS, CONTINUATION] = [0, 1, 4, 9];
const [END_STREAM, END_HEADERS] = [1, 4];
const NOTHING = Buffer.alloc(0);
const PREFACE = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), http2Frame(SETTINGS, 0, 0, NOTHING)]);
/** A call's headers in one block. */
const HEADER_BLOCK = literals([
  ...[":method POST", ":scheme http", `:path ${GET_ORDER}`, ":authority localhost"].map(pair),
  ...["content-type application/grpc", "te trailers", `authorization Bearer ${BEARER}`].map(pair),
]);
/** nghttp2, and Node with it, takes so many frames of CONTINUATION for one block. */
const CONTINUATIONS_MAX = 8;

/** A header that the server remembers, and then an index of a byte for it, again and again (RFC 7541, sections 6.2.1 and 6.1). */
const HEADER_BOMB = Buffer.concat([
  Buffer.of(0x40),
  literals([["x-flood", "x".repeat(3_000)]]).subarray(1),
  Buffer.alloc(12_000, 0x80 | 62),
]);

function pair(text: string): [name: string, value: string] {
  const [name = "", ...value] = text.split(" ");
  return [name, value.join(" ")];
}

/** The types of the frames among what was received. */
function frameTypes(received: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) types.push(received[at + 3] ?? 0);
  return types;
}

/** A socket of a peer that writes what it likes. */
function rawPeer(world: World, port: number) {
  const socket = connect(port, "127.0.0.1");
  world.onClose(() => void socket.destroy());
  const received: Buffer[] = [];
  // Who is closed while it writes sees an error first.
  socket.on("error", () => {}).on("data", (chunk: Buffer) => received.push(chunk));
  const gone = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return { socket, received, gone };
}

async function closed(socket: Socket): Promise<void> {
  socket.on("error", () => {}).resume();
  if (!socket.destroyed) await within(5_000, once(socket, "close"), "the connection was left open");
}

describe.each(["http", "grpc"] as const)("the %s door", (door) => {
  const portOf = (world: World): number => (door === "http" ? world.httpPort : world.grpcPort);
  /** The status of a call that comes from another address. */
  const statusElsewhere = async (world: World): Promise<unknown> => {
    const socket = connect({ port: portOf(world), host: "127.0.0.1", localAddress: "127.0.0.2" });
    world.onClose(() => void socket.destroy());
    const call = rawCall(connectHttp2("http://localhost", { createConnection: () => socket }), GET_ORDER);
    call.end(frame(requestBytes));
    return grpcStatusOf(await rawAnswer(call));
  };

  test("takes no more connections of one address than it may, and others go on", async () => {
    await using world = await World.open({ [door]: { maxAddressConnections: 1 } });
    const session = rawSession(world, portOf(world));
    await once(session, "connect");
    await closed(connect(portOf(world), "127.0.0.1"));
    expect(await statusElsewhere(world)).toBe("0");
    session.destroy();
  });

  test("takes no more connections of one address in a second than it may, and others go on", async () => {
    await using world = await World.open({ [door]: { addressConnectsPerSecond: 5 } });
    // Of two seconds that these may fall into, one has more than enough.
    const sockets = Array.from({ length: 12 }, () => connect(portOf(world), "127.0.0.1"));
    let left = sockets.length;
    for (const socket of sockets) {
      world.onClose(() => void socket.destroy());
      socket.on("error", () => {}).on("close", () => left--);
    }
    await expect.poll(() => left, { timeout: 5_000 }).toBeLessThanOrEqual(10);
    const refused = await world.metric(`leadline_connections_refused_total{door="${door}",limit="address_connects`);
    expect(refused).toBeGreaterThanOrEqual(2);
    expect(await statusElsewhere(world)).toBe("0");
  });

  test("begins no more streams on a connection whose memory is used up, says so by the protocol, and does when some have ended", async () => {
    await using world = await World.open({ [door]: { sessionMemoryMb: 1, maxConcurrentStreams: 100_000 } });
    const session = rawSession(world, portOf(world));
    await once(session, "connect");
    // Calls that go on: their requests have not ended. Few at a time, for Node closes a connection of which it has refused a hundred.
    const calls: ClientHttp2Stream[] = [];
    let refused = 0;
    while (refused === 0 && calls.length < 5_000) {
      for (let i = 0; i < 50; i++) {
        const call = rawCall(session, GET_ORDER).resume();
        call.on("close", () => {
          if (call.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM) refused++;
        });
        calls.push(call);
      }
      await new Promise<void>((resolve) => void session.ping(() => resolve()));
    }
    expect(refused).toBeGreaterThan(0);
    expect(await statusElsewhere(world)).toBe("0");
    for (const call of calls.filter(({ destroyed }) => !destroyed)) call.end(frame(requestBytes));
    await expect.poll(() => calls.every(({ destroyed }) => destroyed)).toBe(true);
    const call = rawCall(session, GET_ORDER);
    call.end(frame(requestBytes));
    expect(grpcStatusOf(await rawAnswer(call))).toBe("0");
    session.destroy();
  });

  test("closes a connection that says HTTP/2 and then nothing", async () => {
    await using world = await World.open({ [door]: { firstByteTimeoutMs: 100 } });
    const socket = connect(portOf(world), "127.0.0.1");
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await closed(socket);
  });

  test("answers a call whose headers come in as many frames as they may", async () => {
    await using world = await World.open();
    const { socket, received } = rawPeer(world, portOf(world));
    socket.write(Buffer.concat([PREFACE, http2Frame(HEADERS, 0, 1, HEADER_BLOCK.subarray(0, 20))]));
    for (let i = 1; i < CONTINUATIONS_MAX; i++)
      socket.write(http2Frame(CONTINUATION, 0, 1, HEADER_BLOCK.subarray(19 + i, 20 + i)));
    socket.write(http2Frame(CONTINUATION, END_HEADERS, 1, HEADER_BLOCK.subarray(19 + CONTINUATIONS_MAX)));
    socket.write(http2Frame(DATA, END_STREAM, 1, frame(requestBytes)));
    await expect.poll(() => frameTypes(Buffer.concat(received)), { timeout: 5_000 }).toContain(DATA);
    expect(socket.destroyed).toBe(false);
  });

  test("closes a connection whose headers come in drips, in the time that a ping may take, and answers others", async () => {
    await using world = await World.open({ [door]: { pingIntervalMs: 50, pingTimeoutMs: 100 } });
    const { socket, gone } = rawPeer(world, portOf(world));
    socket.write(Buffer.concat([PREFACE, http2Frame(HEADERS, 0, 1, HEADER_BLOCK.subarray(0, 20))]));
    // Slower by far than would be needed to be closed for their number.
    let drips = 0;
    const dripping = setInterval(() => {
      socket.write(http2Frame(CONTINUATION, 0, 1, HEADER_BLOCK.subarray(20 + drips, 21 + drips)));
      drips += 1;
    }, 500);
    world.onClose(() => clearInterval(dripping));
    expect(await statusElsewhere(world)).toBe("0");
    await within(5_000, gone, "the connection was left open");
    expect(drips).toBeLessThan(CONTINUATIONS_MAX);
    expect(await statusElsewhere(world)).toBe("0");
  });

  test.each([
    ["empty frames", NOTHING],
    ["many headers", literals([["x-flood", "x".repeat(8_000)]])],
    ["one large header that is named over and over", HEADER_BOMB],
  ])("closes a connection whose headers do not end: %s; and answers others", async (_what, more) => {
    await using world = await World.open();
    const { socket, gone } = rawPeer(world, portOf(world));
    socket.write(Buffer.concat([PREFACE, http2Frame(HEADERS, 0, 1, HEADER_BLOCK)]));
    const flood = Buffer.concat(Array(4).fill(http2Frame(CONTINUATION, 0, 1, more)));
    // As fast as they are taken, for as long as they are.
    const send = (): void => {
      while (!socket.destroyed) if (!socket.write(flood)) return void socket.once("drain", send);
    };
    send();
    expect(await statusElsewhere(world)).toBe("0");
    await within(5_000, gone, "the connection was left open");
    expect(await statusElsewhere(world)).toBe("0");
  });

  test("closes a connection whose peer resets streams faster than it may", async () => {
    await using world = await World.open({ [door]: { resetBurst: 10, resetsPerSecond: 1 } });
    const session = rawSession(world, portOf(world));
    const gone = new Promise<number>((resolve) => session.once("goaway", resolve));
    await once(session, "connect");
    let resets = 0;
    for (; resets < 40 && !session.closed && !session.destroyed; resets++) {
      const stream = rawCall(session, GET_ORDER);
      const over = new Promise((resolve) => stream.once("close", resolve));
      stream.close(constants.NGHTTP2_CANCEL);
      await over;
    }
    expect(await within(5_000, gone, "the connection goes on")).not.toBe(constants.NGHTTP2_NO_ERROR);
    expect(resets).toBeGreaterThan(10);
  });

  test("resets an answer that nobody takes", async () => {
    await using world = await World.open({ [door]: { answerTimeoutMs: 100 } });
    const session = connectHttp2(`http://127.0.0.1:${portOf(world)}`, { settings: { initialWindowSize: 100 } });
    session.on("error", () => {});
    world.onClose(() => session.destroy());
    const stream = rawCall(session, GET_ORDER);
    stream.end(frame(toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "big" }))));
    await within(5_000, once(stream, "close"), "the stream was left open");
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  });

  test("answers a call without a message, also of a peer whose calls begin later", async () => {
    await using world = await World.open();
    const session = rawSession(world, portOf(world));
    for (let i = 0; i < 10; i++) {
      const refused = rawCall(session, GET_ORDER, { authorization: "Bearer nobody" });
      refused.end(frame(requestBytes));
      expect(grpcStatusOf(await rawAnswer(refused))).toBe("16");
    }
    const empty = rawCall(session, GET_ORDER);
    empty.end();
    expect(reasonOf(await within(5_000, rawAnswer(empty), "no answer"))).toBe("MESSAGE_MALFORMED");
  });

  test("unpacks no bomb, nor anything for those that it does not know", async () => {
    await using world = await World.open({ [door]: { maxMessageBytes: 100_000 } });
    const session = rawSession(world, portOf(world));
    const bomb = frame(gzipSync(Buffer.alloc(50_000_000)), 1);
    const known = rawCall(session, GET_ORDER, { "grpc-encoding": "gzip" });
    known.end(bomb);
    expect(reasonOf(await rawAnswer(known))).toBe("MESSAGE_TOO_LARGE");
    const stranger = rawCall(session, GET_ORDER, { "grpc-encoding": "gzip", authorization: "Bearer nobody" });
    stranger.end(bomb);
    expect(grpcStatusOf(await rawAnswer(stranger))).toBe("16");
    const good = rawCall(session, GET_ORDER, { "grpc-encoding": "gzip" });
    good.end(frame(gzipSync(requestBytes), 1));
    expect(grpcStatusOf(await rawAnswer(good))).toBe("0");
  });
});

test("half a character in a call of a builtin is refused with an answer", async () => {
  await using world = await World.open();
  const response = await fetchOf(world)(`http://127.0.0.1:${world.httpPort}/grpc.health.v1.Health/List`, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+json" },
    body: frame(Buffer.from('"\\ud800"')),
  });
  expect(response.status).toBe(200);
  expect(await response.text()).toMatch(/grpc-status: 3\r\n/);
});
