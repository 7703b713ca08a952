import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { GetOrderRequestSchema, WatchOrdersRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { ActiveCall, CALLER_GONE } from "../../src/doors/active-call.ts";
import { Conduct, NO_MEASURES } from "../../src/doors/conduct.ts";
import { grpcDoorDefaults } from "../../src/doors/options.ts";
import { detailsOf, frame, grpcStatusOf, rawAnswer, rawCall, rawSession, reasonOf } from "./raw.ts";
import { BEARER, World, within } from "./world.ts";

/* Requests that are larger than what they ask for needs: nothing is kept of them, and they are counted until then. */

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const WATCH_ORDERS = "/leadline.v1.OrderService/WatchOrders";

/** A message with an unknown field of so many bytes (number 2047, length-delimited): it is valid, and large. */
function padded(message: Uint8Array, bytes: number): Buffer {
  const size: number[] = [];
  let rest = bytes;
  for (; rest > 0x7f; rest >>>= 7) size.push((rest & 0x7f) | 0x80);
  return Buffer.concat([message, Buffer.from([0xfa, 0x7f, ...size, rest]), Buffer.alloc(bytes, 1)]);
}

const watchOrders = (position = ""): Uint8Array =>
  toBinary(WatchOrdersRequestSchema, create(WatchOrdersRequestSchema, { position }));
const getOrder = (orderId: string): Uint8Array =>
  toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId }));

describe.each(["http", "grpc"] as const)("the %s door", (door) => {
  const portOf = (world: World): number => (door === "http" ? world.httpPort : world.grpcPort);

  describe("past the rate of calls", () => {
    async function overRate(): Promise<World> {
      const world = await World.open();
      world.limits.call = () => {
        const metadata = { limit: "key_calls_per_second" };
        throw new Refusal(ErrorReason.RATE_LIMITED, "too many calls", { metadata, retryAfterMs: 500 });
      };
      return world;
    }
    const watch = (world: World, body: Buffer, headers = {}) => {
      const stream = rawCall(rawSession(world, portOf(world)), WATCH_ORDERS, headers);
      stream.end(body);
      return stream;
    };
    const GZIP = { "grpc-encoding": "gzip" };

    test.each([
      ["large", frame(padded(watchOrders("7-1"), 1_000_000)), {}],
      ["packed", frame(gzipSync(padded(watchOrders("7-1"), 200_000)), 1), GZIP],
      // Who reads one of these says that it is no request.
      ["large and malformed", frame(Buffer.alloc(1_000_000, 0xff)), {}],
      ["packed and malformed", frame(gzipSync(Buffer.alloc(200_000, 0xff)), 1), GZIP],
    ])("refuses a watch without reading it that is %s", async (_what, body, headers) => {
      await using world = await overRate();
      const answer = await within(5_000, rawAnswer(watch(world, body, headers)), "no answer");
      expect(detailsOf(answer)).toMatchObject({ reason: "RATE_LIMITED", limit: "key_calls_per_second", waits: true });
    });

    test.each([
      ["plain", frame(watchOrders("7-1")), {}],
      ["packed", frame(gzipSync(padded(watchOrders("7-1"), 50_000)), 1), GZIP],
    ])("lets a watch resume: %s", async (_what, body, headers) => {
      await using world = await overRate();
      const stream = watch(world, body, headers);
      const opened = await within(5_000, world.hub.next(), "the watch was not opened");
      expect(opened.spec.start).toEqual({ from: "position", position: "7-1" });
      const answer = rawAnswer(stream);
      opened.reset();
      expect(grpcStatusOf(await answer)).toBe("0");
    });
  });

  test("keeps nothing of what its watches were asked with", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const held = (): number => {
      collect();
      return process.memoryUsage().arrayBuffers;
    };
    await using world = await World.open();
    const session = rawSession(world, portOf(world));
    await once(session, "connect");
    const before = held();
    for (let i = 0; i < 20; i++) {
      const stream = rawCall(session, WATCH_ORDERS);
      stream.end(frame(padded(watchOrders(), 1_000_000)));
      stream.resume();
      await within(5_000, world.hub.next(), "the watch was not opened");
    }
    await expect.poll(() => held() - before, { timeout: 5_000, interval: 100 }).toBeLessThan(5_000_000);
    expect(world.limits.open).toBe(20);
    session.destroy();
  });

  test("counts nothing of them when they are open, or refused", async () => {
    await using world = await World.open({ [door]: { maxAddressRequestBytes: 150_000 } });
    const session = rawSession(world, portOf(world));
    for (const position of ["", "", "bad", "bad", "", "bad"]) {
      const stream = rawCall(session, WATCH_ORDERS);
      stream.end(frame(padded(watchOrders(position), 100_000)));
      if (position === "bad") expect(reasonOf(await rawAnswer(stream))).toBe("POSITION_INVALID");
      else await within(5_000, world.hub.next(), "the watch was not opened");
    }
    session.destroy();
  });
});

test.each([
  ["watches", WATCH_ORDERS, padded(watchOrders(), 60_000)],
  ["calls", GET_ORDER, padded(getOrder("ord_1"), 60_000)],
])(
  "the gRPC door counts the requests of %s that wait for others' answers to be taken",
  async (_what, path, request) => {
    await using world = await World.open({ grpc: { maxAddressRequestBytes: 150_000, maxUnsentBytes: 1_000 } });
    const session = connectHttp2(`http://127.0.0.1:${world.grpcPort}`, { settings: { initialWindowSize: 100 } });
    session.on("error", () => {});
    world.onClose(() => session.destroy());
    const untaken = rawCall(session, GET_ORDER);
    untaken.end(frame(getOrder("big")));
    await once(untaken, "response");
    const waiting = [1, 2].map(() => {
      const call = rawCall(session, path);
      call.end(frame(request));
      return call;
    });
    // It is read after them, on the same connection.
    const refused = rawCall(session, path);
    refused.end(frame(request));
    const told = await within(5_000, rawAnswer(refused), "it was not refused");
    expect(detailsOf(told)).toMatchObject({ reason: "RATE_LIMITED", limit: "address_request_bytes" });
    // Whoever leaves holds its place for as long as its request is held.
    for (const call of waiting) call.close();
    untaken.close();
    const call = async (): Promise<unknown> => {
      const again = rawCall(rawSession(world, world.grpcPort), GET_ORDER);
      again.end(frame(padded(getOrder("ord_1"), 140_000)));
      return grpcStatusOf(await rawAnswer(again));
    };
    await expect.poll(call, { timeout: 5_000 }).toBe("0");
  },
);

test("a request that waits for its turn is not read for a caller that has left", async () => {
  await using world = await World.open();
  const { pipeline } = world;
  const route = pipeline.routes.get(GET_ORDER);
  if (route === undefined) throw new Error("there is no such method");
  const connection = new Conduct(grpcDoorDefaults).introduce({}, "127.0.0.1", () => NO_MEASURES);
  const read: string[] = [];
  const begin = (name: string) => {
    const arrival = { door: "grpc", connection, bearer: BEARER, peer: "127.0.0.1", bytes: 1_000_000 } as const;
    const call = new ActiveCall(route, { ...arrival, timeoutMs: undefined, refused: undefined });
    const reading = () => {
      read.push(name);
      return create(GetOrderRequestSchema, { orderId: name });
    };
    const answer = pipeline.unary(call, reading, "proto").catch((refusal: unknown) => refusal);
    return { answer, call };
  };
  const [, left, last] = ["first", "left", "last"].map(begin);
  left?.call.abort();
  await last?.answer;
  expect(read).toEqual(["first", "last"]);
  expect(await left?.answer).toBe(CALLER_GONE);
});
