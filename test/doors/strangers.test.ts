import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { HealthCheckRequestSchema } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflectionRequestSchema } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { GetOrderRequestSchema, WatchOrdersRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { fetchOf } from "../support/own-fetch.ts";
import { detailsOf, frame, framesOf, grpcStatusOf, rawAnswer, rawCall, rawSession } from "./raw.ts";
import { World, within } from "./world.ts";

/* What a peer that nobody knows can make a door do, and hold: little, each of it with a bound that has a name. */

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const CHECK = "/grpc.health.v1.Health/Check";
const WATCH_HEALTH = "/grpc.health.v1.Health/Watch";
const REFLECT = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const STRANGER = { authorization: "" };

const empty = frame(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema)));
const getOrder = frame(toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "ord_1" })));
const listServices = create(ServerReflectionRequestSchema, { messageRequest: { case: "listServices", value: "" } });
const question = frame(toBinary(ServerReflectionRequestSchema, listServices));

/** The answer to one message. */
function asked(session: ClientHttp2Session, path: string, message: Buffer, headers = {}) {
  const call = rawCall(session, path, headers);
  call.end(message);
  return within(5_000, rawAnswer(call), "no answer");
}

/** From another address. */
function elsewhere(world: World, port: number): ClientHttp2Session {
  const socket = connect({ port, host: "127.0.0.1", localAddress: "127.0.0.2" });
  const session = connectHttp2("http://localhost", { createConnection: () => socket });
  session.on("error", () => {});
  world.onClose(() => session.destroy());
  return session;
}

/** Streams of health and reflection that a connection may have where nothing else is set. */
const ANONYMOUS_STREAMS = 10;
const RATE_LIMITED = { reason: "RATE_LIMITED", waits: true };

describe.each(["http", "grpc"] as const)("the %s door", (door) => {
  const portOf = (world: World): number => (door === "http" ? world.httpPort : world.grpcPort);
  const limitedIn = async (world: World, limit: string) => {
    const counted = await world.registry.getSingleMetric("leadline_limited_total")?.get();
    return counted?.values.find(({ labels }) => labels.limit === limit)?.value;
  };

  test("keeps few streams of health and reflection for a connection, and takes others when some have ended", async () => {
    await using world = await World.open();
    const session = rawSession(world, portOf(world));
    const watches = Array.from({ length: ANONYMOUS_STREAMS }, (_, i) => {
      const stream = rawCall(session, i % 2 === 0 ? WATCH_HEALTH : REFLECT, STRANGER);
      if (i % 2 === 0) stream.end(empty);
      else stream.write(question);
      return stream;
    });
    await Promise.all(watches.map((one) => within(5_000, once(one, "data"), "no answer")));
    for (const path of [WATCH_HEALTH, REFLECT]) {
      const refused = await asked(session, path, empty, STRANGER);
      expect(detailsOf(refused)).toMatchObject({ ...RATE_LIMITED, limit: "connection_anonymous_streams" });
    }
    expect(await limitedIn(world, "connection_anonymous_streams")).toBe(2);
    const other = rawCall(rawSession(world, portOf(world)), WATCH_HEALTH, STRANGER);
    other.end(empty);
    await within(5_000, once(other, "data"), "no answer");
    const [first] = watches;
    first?.close(constants.NGHTTP2_CANCEL);
    // The door hears of it before what comes later.
    const next = rawCall(session, WATCH_HEALTH, STRANGER);
    next.end(empty);
    const [bytes] = await within(5_000, once(next, "data"), "no answer");
    expect(framesOf(bytes as Buffer)).toHaveLength(1);
  });

  test("answers an address so many calls without a credential in a second, and the others all the same", async () => {
    await using world = await World.open({ [door]: { addressAnonymousCallsPerSecond: 5 } });
    const session = rawSession(world, portOf(world));
    // Of two seconds that these may fall into, one has more than enough.
    const answers = await Promise.all(Array.from({ length: 12 }, () => asked(session, CHECK, empty, STRANGER)));
    const refused = answers.filter((answer) => grpcStatusOf(answer) !== "0");
    expect(refused.length).toBeGreaterThanOrEqual(2);
    for (const one of refused)
      expect(detailsOf(one)).toMatchObject({ ...RATE_LIMITED, limit: "address_anonymous_calls_per_second" });
    expect(await limitedIn(world, "address_anonymous_calls_per_second")).toBe(refused.length);
    expect(grpcStatusOf(await asked(session, GET_ORDER, getOrder))).toBe("0");
    expect(grpcStatusOf(await asked(elsewhere(world, portOf(world)), CHECK, empty, STRANGER))).toBe("0");
  });

  test("answers so many questions on a stream of reflection in a second", async () => {
    await using world = await World.open({ [door]: { addressAnonymousCallsPerSecond: 5 } });
    const stream = rawCall(rawSession(world, portOf(world)), REFLECT, STRANGER);
    const over = rawAnswer(stream);
    stream.once("end", () => stream.end());
    for (let i = 0; i < 12; i++) stream.write(question);
    const answer = await within(5_000, over, "it goes on");
    expect(detailsOf(answer)).toMatchObject({ ...RATE_LIMITED, limit: "address_anonymous_calls_per_second" });
    expect(framesOf(answer.body).length).toBeLessThanOrEqual(10);
  });

  test("ends a stream of reflection that asks no more in time, and no watch of health", async () => {
    await using world = await World.open({ [door]: { requestTimeoutMs: 300 } });
    const session = rawSession(world, portOf(world));
    const health = rawCall(session, WATCH_HEALTH, STRANGER);
    health.end(empty);
    const reflect = rawCall(session, REFLECT, STRANGER);
    reflect.write(question);
    const answer = await within(5_000, rawAnswer(reflect), "it goes on");
    expect(framesOf(answer.body)).toHaveLength(1);
    expect(answer.rstCode).not.toBe(constants.NGHTTP2_NO_ERROR);
    expect(health.closed).toBe(false);
  });

  test("closes a connection whose peer calls what there is not, over and over", async () => {
    await using world = await World.open({ [door]: { refusedBurst: 10, refusedPerSecond: 1 } });
    const session = rawSession(world, portOf(world));
    const gone = new Promise<number>((resolve) => session.once("goaway", resolve));
    for (let i = 0; i < 20 && !session.closed && !session.destroyed; i++)
      await asked(session, "/leadline.v1.OrderService/Nothing", empty, STRANGER);
    expect(await within(5_000, gone, "the connection goes on")).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });

  test("holds no more bytes of an address's requests than it may, and lets go of them", async () => {
    await using world = await World.open({ [door]: { maxAddressRequestBytes: 150_000 } });
    const session = rawSession(world, portOf(world));
    await once(session, "connect");
    // They say that more is to come. The HTTP door reads nothing of those that it does not know.
    const who = door === "grpc" ? { authorization: "Bearer nobody" } : {};
    const begun = frame(Buffer.alloc(1_000_000)).subarray(0, 60_000);
    const begin = () => {
      const call = rawCall(session, GET_ORDER, who);
      call.write(begun);
      return call;
    };
    const held = [begin(), begin()];
    const third = begin();
    const told = await within(5_000, rawAnswer(third), "it is held");
    expect(detailsOf(told)).toMatchObject({ ...RATE_LIMITED, limit: "address_request_bytes", allowed: "150000" });
    expect(await limitedIn(world, "address_request_bytes")).toBe(1);
    for (const one of held) expect(one.closed).toBe(false);
    expect(grpcStatusOf(await asked(elsewhere(world, portOf(world)), GET_ORDER, getOrder))).toBe("0");
    for (const one of held) one.close(constants.NGHTTP2_CANCEL);
    const again = [begin(), begin()];
    expect(grpcStatusOf(await asked(session, GET_ORDER, getOrder))).toBe("0");
    for (const one of again) expect(one.closed).toBe(false);
  });

  test("holds nothing of what an open watch has asked for", async () => {
    await using world = await World.open({ [door]: { maxRequestBytes: 100_000 } });
    const session = rawSession(world, portOf(world));
    const ids = Array.from({ length: 1_000 }, (_, i) => `${i}`.padEnd(60, "x"));
    const request = create(WatchOrdersRequestSchema, { filter: { ids } });
    for (let i = 0; i < 3; i++) {
      const watch = rawCall(session, "/leadline.v1.OrderService/WatchOrders");
      watch.end(frame(toBinary(WatchOrdersRequestSchema, request)));
      await within(5_000, world.hub.next(), `watch ${i} was not opened`);
    }
  });

  test("holds no more bytes of all requests than it may, and those of calls that are over no longer", async () => {
    await using world = await World.open({ [door]: { maxRequestBytes: 100_000 } });
    const session = rawSession(world, portOf(world));
    const large = frame(Buffer.alloc(60_000));
    // Each is refused, as it is no message, and done with.
    for (let i = 0; i < 5; i++)
      expect(detailsOf(await asked(session, GET_ORDER, large)).reason).toBe("MESSAGE_MALFORMED");
    const call = rawCall(session, GET_ORDER);
    call.write(frame(Buffer.alloc(1_000_000)).subarray(0, 60_000));
    const told = await asked(session, GET_ORDER, large);
    expect(detailsOf(told)).toMatchObject({ ...RATE_LIMITED, limit: "instance_request_bytes", allowed: "100000" });
    expect(call.closed).toBe(false);
  });
});

test("the gRPC door reads little of what is sent to health and reflection", async () => {
  await using world = await World.open();
  const stream = rawCall(rawSession(world, world.grpcPort), REFLECT, STRANGER);
  stream.write(frame(Buffer.alloc(1_000_000)).subarray(0, 70_000));
  expect((await within(5_000, rawAnswer(stream), "it is read")).rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
});

test("pages for operators are refused with what to wait", async () => {
  await using world = await World.open({ http: { addressAnonymousCallsPerSecond: 5 } });
  const get = (path: string) => fetchOf(world)(`http://127.0.0.1:${world.httpPort}${path}`);
  const all = await Promise.all(
    Array.from({ length: 12 }, (_, i) => get(["/metrics", "/readyz", "/healthz"][i % 3] ?? "")),
  );
  const refused = all.filter(({ status }) => status !== 200);
  expect(refused.length).toBeGreaterThanOrEqual(2);
  for (const one of refused) {
    expect([one.status, one.headers.get("retry-after")]).toEqual([429, "1"]);
    expect(await one.text()).toContain("address_anonymous_calls_per_second");
  }
});
