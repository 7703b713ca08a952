import { once } from "node:events";
import { connect as connectHttp2, constants } from "node:http2";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { GetOrderRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { frame, grpcStatusOf, rawAnswer, rawCall, rawSession, reasonOf } from "./raw.ts";
import { World, within } from "./world.ts";

/* Each bound that peers are held to, past which there is more than what `listener.test.ts` shows of silence. */

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const requestBytes = toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "ord_1" }));

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

  test("closes a connection that says HTTP/2 and then nothing", async () => {
    await using world = await World.open({ [door]: { firstByteTimeoutMs: 100 } });
    const socket = connect(portOf(world), "127.0.0.1");
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await closed(socket);
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
  const response = await fetch(`http://127.0.0.1:${world.httpPort}/grpc.health.v1.Health/List`, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+json" },
    body: frame(Buffer.from('"\\ud800"')),
  });
  expect(response.status).toBe(200);
  expect(await response.text()).toMatch(/grpc-status: 3\r\n/);
});
