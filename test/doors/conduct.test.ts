import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { GetOrderRequestSchema, WatchOrdersRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { frame, grpcStatusOf, rawAnswer, rawCall, rawSession } from "./raw.ts";
import { World, within } from "./world.ts";

/* Peers whose calls are refused over and over, or taken back, and those that do not take their answers. */

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const WATCH_ORDERS = "/leadline.v1.OrderService/WatchOrders";
const STRANGER = { authorization: "Bearer nobody" };

function ask(session: ClientHttp2Session, orderId = "ord_1", headers: Record<string, string> = {}) {
  const call = rawCall(session, GET_ORDER, headers);
  call.end(frame(toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId }))));
  return call;
}

async function statusOf(session: ClientHttp2Session, headers: Record<string, string> = {}) {
  return grpcStatusOf(await rawAnswer(ask(session, "ord_1", headers)));
}

/** The error code of the server's GOAWAY. */
function goaway(session: ClientHttp2Session): Promise<number> {
  return within(5_000, new Promise<number>((resolve) => session.once("goaway", resolve)), "the connection goes on");
}

describe.each(["http", "grpc"] as const)("the %s door", (door) => {
  const portOf = (world: World): number => (door === "http" ? world.httpPort : world.grpcPort);

  test("closes a connection whose calls are refused over and over, and no other", async () => {
    await using world = await World.open({ [door]: { refusedBurst: 10, refusedPerSecond: 1 } });
    const [stranger, other] = [rawSession(world, portOf(world)), rawSession(world, portOf(world))];
    const gone = goaway(stranger);
    for (let i = 0; i < 10; i++) expect(await statusOf(stranger, STRANGER)).toBe("16");
    for (let i = 0; i < 5 && !stranger.closed && !stranger.destroyed; i++) await rawAnswer(ask(stranger, "", STRANGER));
    expect(await gone).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(await statusOf(other)).toBe("0");
  });

  test("keeps a connection that has good calls among them", async () => {
    await using world = await World.open({ [door]: { refusedBurst: 10, refusedPerSecond: 1 } });
    const session = rawSession(world, portOf(world));
    for (let i = 0; i < 40; i++) {
      expect(await statusOf(session, i % 4 === 0 ? {} : STRANGER)).toBe(i % 4 === 0 ? "0" : "16");
    }
    expect(session.closed).toBe(false);
  });

  test("lets what is open on such a connection go on", async () => {
    await using world = await World.open({ [door]: { refusedBurst: 10, refusedPerSecond: 1 } });
    const session = rawSession(world, portOf(world));
    const watch = rawCall(session, WATCH_ORDERS);
    watch.end(frame(toBinary(WatchOrdersRequestSchema, create(WatchOrdersRequestSchema, {}))));
    const opened = await world.hub.next();
    await once(watch, "data"); // what it begins with
    const gone = goaway(session);
    for (let i = 0; i < 30 && !session.closed; i++) await rawAnswer(ask(session, "", STRANGER));
    expect(await gone).toBe(constants.NGHTTP2_NO_ERROR);
    const read = once(watch, "data");
    opened.send({ bookmark: { position: "4-d" } });
    expect(String((await within(5_000, read, "the watch has ended"))[0])).toContain("4-d");
    const cancelled = opened.cancelled;
    watch.close();
    await within(5_000, cancelled, "the watch was not released");
  });

  test("closes a connection whose peer takes back what it opens", async () => {
    await using world = await World.open({ [door]: { refusedBurst: 10, refusedPerSecond: 1 } });
    const session = rawSession(world, portOf(world));
    await once(session, "connect");
    const gone = goaway(session);
    for (let i = 0; i < 100 && !session.closed && !session.destroyed; i++) {
      const call = rawCall(session, GET_ORDER);
      const over = new Promise((resolve) => call.once("close", resolve));
      call.close(constants.NGHTTP2_CANCEL);
      await over;
    }
    expect(await gone).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });

  test("holds an address that has many calls refused to less, delays it, and serves it", async () => {
    await using world = await World.open({ [door]: { addressRefusedPerSecond: 20, refusedBurst: 200 } });
    const stranger = rawSession(world, portOf(world));
    const good = rawSession(world, portOf(world));
    expect(await statusOf(good)).toBe("0");
    const gone = goaway(stranger);
    // All in one second of the clock, whatever second it is: of two seconds one has more than enough.
    await Promise.all(Array.from({ length: 60 }, () => rawAnswer(ask(stranger, "", STRANGER))));
    expect(await gone).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(await statusOf(good)).toBe("0");
    const late = rawSession(world, portOf(world));
    const before = performance.now();
    expect(await statusOf(late)).toBe("0");
    expect(performance.now() - before).toBeGreaterThan(900);
    // Another address has nothing to do with it.
    const socket = connect({ port: portOf(world), host: "127.0.0.1", localAddress: "127.0.0.2" });
    const elsewhere = connectHttp2("http://localhost", { createConnection: () => socket });
    world.onClose(() => elsewhere.destroy());
    expect(await statusOf(elsewhere)).toBe("0");
  });

  test("lets few new connections of such an address in, one by one, and closes the others", async () => {
    await using world = await World.open({ [door]: { addressRefusedPerSecond: 20, refusedBurst: 200 } });
    const stranger = rawSession(world, portOf(world));
    const gone = goaway(stranger);
    await Promise.all(Array.from({ length: 60 }, () => rawAnswer(ask(stranger, "", STRANGER))));
    await gone;
    const begin = performance.now();
    const ends = await Promise.all(
      Array.from({ length: 30 }, async () => {
        const socket = connect(portOf(world), "127.0.0.1");
        const closed = new Promise<undefined>((resolve) => socket.once("close", () => resolve(undefined)));
        const session = connectHttp2("http://localhost", { createConnection: () => socket });
        session.on("error", () => undefined);
        world.onClose(() => session.destroy());
        const answered = statusOf(session).then(
          (status) => (status === "0" ? performance.now() - begin : undefined),
          () => undefined,
        );
        return Promise.race([answered, closed]);
      }),
    );
    const served = ends.filter((at) => at !== undefined).sort((a, b) => a - b);
    // The first after a second, the last within three, and a fifth of a second between two.
    expect(served.length).toBeGreaterThan(5);
    expect(served.length).toBeLessThan(20);
    expect(served[0]).toBeGreaterThan(900);
    expect((served.at(-1) ?? 0) - (served[0] ?? 0)).toBeGreaterThan((served.length - 1) * 150);
  });

  test("begins calls of one connection in several turns of the event loop", async () => {
    await using world = await World.open({ [door]: { callsInATurn: 1 } });
    const session = rawSession(world, portOf(world));
    expect(await Promise.all(Array.from({ length: 50 }, () => statusOf(session)))).toEqual(Array(50).fill("0"));
  });

  test("begins no more calls of a peer that does not take its answers", async () => {
    await using world = await World.open({ [door]: { maxUnsentBytes: 100_000 } });
    const session = rawSession(world, portOf(world));
    const big = ask(session, "big");
    await once(big, "response");
    const slow = ask(session, "slow");
    const other = rawSession(world, portOf(world));
    for (let i = 0; i < 10; i++) expect(await statusOf(other)).toBe("0");
    expect(world.slowCalls).toHaveLength(0);
    const answered = rawAnswer(big);
    await within(5_000, world.slowCall(), "the call was not begun");
    expect(grpcStatusOf(await answered)).toBe("0");
    slow.close(constants.NGHTTP2_CANCEL);
  });
});

test("over HTTP/1.1 the last refusal says that it is the last", async () => {
  await using world = await World.open({ http: { refusedBurst: 3, refusedPerSecond: 1 } });
  const socket = connect(world.httpPort, "127.0.0.1");
  const call = `POST ${GET_ORDER} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`;
  socket.setEncoding("utf8");
  const over = once(socket, "close");
  const said: string[] = [];
  for (let i = 0; i < 4; i++) {
    socket.write(call);
    said.push(String((await once(socket, "data"))[0]));
  }
  await within(5_000, over, "the connection was left open");
  expect(said.map((answer) => /^HTTP\/1\.1 401 .*connection: (\S+)/is.exec(answer)?.[1])).toEqual([
    ...["keep-alive", "keep-alive", "keep-alive", "close"],
  ]);
});
