import { brotliCompressSync, gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { GetOrderRequestSchema, GetOrderResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { fetchOf } from "../support/own-fetch.ts";
import { frame, framesOf, rawAnswer, rawCall, rawSession, reasonOf as reasonOfRaw } from "./raw.ts";
import { BEARER, World, within } from "./world.ts";

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const HOLD_ORDER = "/leadline.v1.OrderService/HoldOrder";
const WATCH_ORDERS = "/leadline.v1.OrderService/WatchOrders";
const request = toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "ord_1" }));

type Headers = Record<string, string>;

function post(world: World, path: string, body: string | Buffer, headers: Headers = {}): Promise<Response> {
  return fetchOf(world)(`http://127.0.0.1:${world.httpPort}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${BEARER}`, ...headers },
    body,
  });
}

/** The reason of a Connect error: of a unary call's body, or of a stream's last frame. */
async function reasonOf(response: Response): Promise<{ code?: string; reason?: string; message?: string }> {
  const body = Buffer.from(await response.arrayBuffer());
  const isStream = response.headers.get("content-type")?.startsWith("application/connect+");
  const json = isStream ? framesOf(body).at(-1)?.data.toString() : body.toString();
  const parsed = JSON.parse(json ?? "{}");
  const error = isStream ? parsed.error : parsed;
  return { code: error.code, message: error.message, reason: error.details?.[0]?.debug?.reason };
}

const zipped = gzipSync(Buffer.alloc(100_000, 32));

/** The same gzip with another size at its end. */
function saying(bytes: number): Buffer {
  const copy = Buffer.from(zipped);
  copy.writeUInt32LE(bytes, copy.length - 4);
  return copy;
}

describe("a unary body", () => {
  test.each([
    ["a field that the contract does not have", '{"orderId": "ord_1", "colour": "red"}', "application/json"],
    ["JSON that is none", '{"orderId": ', "application/json"],
    ["a value of the wrong type", '{"orderId": 7}', "application/json"],
    ["bytes that are no UTF-8", Buffer.from([0x7b, 0xff, 0x7d]), "application/json"],
    ["bytes that are no message", Buffer.from([0x0a, 0xff, 0x01]), "application/proto"],
  ])("with %s is MESSAGE_MALFORMED", async (_what, body, type) => {
    await using world = await World.open();
    const response = await post(world, GET_ORDER, body, { "content-type": type });
    expect(response.status).toBe(400);
    expect(await reasonOf(response)).toMatchObject({ code: "invalid_argument", reason: "MESSAGE_MALFORMED" });
  });

  test("in JSON may be empty", async () => {
    await using world = await World.open();
    const response = await post(world, GET_ORDER, "");
    expect(await reasonOf(response)).toMatchObject({ reason: "FIELD_INVALID" });
  });

  test("may be compressed with gzip", async () => {
    await using world = await World.open();
    const response = await post(world, GET_ORDER, gzipSync('{"orderId":"ord_1"}'), { "content-encoding": "gzip" });
    expect(await response.json()).toMatchObject({ order: { id: "ord_1" } });
  });

  test("counts as one call for each 256 KiB that are unpacked of it", async () => {
    await using world = await World.open();
    const body = gzipSync(`{"orderId":"ord_1"}${" ".repeat(900_000)}`);
    const response = await post(world, GET_ORDER, body, { "content-encoding": "gzip" });
    expect(response.status).toBe(200);
    expect(world.limits.calls).toBe(4);
  });

  test.each([
    ["in an unknown way", brotliCompressSync("{}"), "br", "MESSAGE_MALFORMED"],
    ["and broken", Buffer.from("no gzip"), "gzip", "MESSAGE_MALFORMED"],
    ["and broken inside", Buffer.concat([zipped.subarray(0, 40), zipped.subarray(60)]), "gzip", "MESSAGE_MALFORMED"],
    ["to more than it says", saying(50_000), "gzip", "MESSAGE_MALFORMED"],
    ["to hardly anything, as it says", saying(10), "gzip", "MESSAGE_MALFORMED"],
    ["to more than deflate can", saying(90_000_000), "gzip", "MESSAGE_MALFORMED"],
    ["in two parts", Buffer.concat([zipped, gzipSync("{}")]), "gzip", "MESSAGE_MALFORMED"],
    ["to less than it may have and holds more", gzipSync(Buffer.alloc(200_000, 32)), "gzip", "MESSAGE_TOO_LARGE"],
  ])("that is compressed %s is refused", async (_what, body, encoding, reason) => {
    await using world = await World.open({ http: { maxMessageBytes: 100_000 } });
    const response = await post(world, GET_ORDER, body, { "content-encoding": encoding });
    expect(await reasonOf(response)).toMatchObject({ reason });
  });

  test("that does not end is refused in time", async () => {
    await using world = await World.open({ http: { requestTimeoutMs: 200 } });
    const endless = new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from('{"orderId":')) });
    const response = await fetchOf(world)(`http://127.0.0.1:${world.httpPort}${GET_ORDER}`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${BEARER}` },
      body: endless,
      duplex: "half",
    });
    // Node's own server may be first.
    if (response.status === 408) return;
    expect(await reasonOf(response)).toMatchObject({ reason: "MESSAGE_MALFORMED" });
  });
});

describe("an answer", () => {
  test("is compressed for callers that take it, from a size on", async () => {
    await using world = await World.open();
    const big = await post(world, GET_ORDER, '{"orderId":"big"}', { "accept-encoding": "br, gzip" });
    expect(big.headers.get("content-encoding")).toBe("gzip");
    expect(await big.json()).toMatchObject({ order: { id: "big" } });
    const small = await post(world, GET_ORDER, '{"orderId":"ord_1"}', { "accept-encoding": "gzip" });
    expect(small.headers.get("content-encoding")).toBeNull();
    const refusing = await post(world, GET_ORDER, '{"orderId":"big"}', { "accept-encoding": "gzip;q=0" });
    expect(refusing.headers.get("content-encoding")).toBeNull();
  });

  test("in an envelope is compressed in it", async () => {
    await using world = await World.open();
    const body = frame(toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "big" })));
    const type = "application/grpc-web+proto";
    const response = await post(world, GET_ORDER, body, { "content-type": type, "grpc-accept-encoding": "gzip" });
    expect(response.headers.get("grpc-encoding")).toBe("gzip");
    const [message] = framesOf(Buffer.from(await response.arrayBuffer()));
    expect(message?.flags).toBe(1);
    const answer = fromBinary(GetOrderResponseSchema, gunzipSync(message?.data ?? ""));
    expect(answer.order?.status).toHaveLength(200_000);
  });
});

describe("a call with GET", () => {
  function get(world: World, path: string, query: Record<string, string>): Promise<Response> {
    const url = `http://127.0.0.1:${world.httpPort}${path}?${new URLSearchParams({ connect: "v1", ...query })}`;
    return fetchOf(world)(url, { headers: { authorization: `Bearer ${BEARER}` } });
  }

  test("reads what changes nothing", async () => {
    await using world = await World.open();
    const plain = await get(world, GET_ORDER, { encoding: "json", message: '{"orderId":"ord_1"}' });
    expect(await plain.json()).toMatchObject({ order: { id: "ord_1" } });
    const message = Buffer.from(request).toString("base64url");
    const binary = await get(world, GET_ORDER, { encoding: "proto", base64: "1", message });
    const answer = fromBinary(GetOrderResponseSchema, new Uint8Array(await binary.arrayBuffer()));
    expect(answer.order?.id).toBe("ord_1");
  });

  test("changes nothing", async () => {
    await using world = await World.open();
    const message = '{"orderId":"ord_1","reason":"why not"}';
    const response = await get(world, HOLD_ORDER, { encoding: "json", message });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("POST");
  });
});

describe("an enveloped body", () => {
  const good = frame(request);

  test.each([
    ["without a message", Buffer.alloc(0), {}],
    ["that is cut off", good.subarray(0, -1), {}],
    ["with two messages", Buffer.concat([good, good]), {}],
    ["with unknown flags", frame(request, 4), {}],
    ["that says compressed without saying how", frame(request, 1), {}],
    ["that is compressed in an unknown way", frame(request, 1), { "connect-content-encoding": "br" }],
  ])("%s is MESSAGE_MALFORMED", async (_what, body, headers: Headers) => {
    await using world = await World.open();
    const type = "application/connect+proto";
    const response = await post(world, WATCH_ORDERS, body, { "content-type": type, ...headers });
    expect(response.status).toBe(200);
    expect(await reasonOf(response)).toMatchObject({ code: "invalid_argument", reason: "MESSAGE_MALFORMED" });
  });

  test("may be compressed with gzip", async () => {
    await using world = await World.open();
    const type = "application/connect+json";
    const body = frame(gzipSync('{"position":"bad"}'), 1);
    const headers = { "content-type": type, "connect-content-encoding": "gzip" };
    const response = await post(world, WATCH_ORDERS, body, headers);
    expect(await reasonOf(response)).toMatchObject({ reason: "POSITION_INVALID" });
  });
});

test.each([
  [WATCH_ORDERS, "application/json"],
  [WATCH_ORDERS, "application/proto"],
  [GET_ORDER, "application/connect+json"],
  [GET_ORDER, "text/plain"],
  [GET_ORDER, "application/grpc-web-text"],
])("%s is not called with %s", async (path, type) => {
  await using world = await World.open();
  const response = await post(world, path, "{}", { "content-type": type });
  expect(response.status).toBe(415);
  expect(response.headers.get("accept-post")).toContain("application/grpc-web+proto");
  const wanted = path === WATCH_ORDERS ? "application/connect+json" : "application/json";
  expect(await response.text()).toContain(`send content-type: ${wanted} `);
});

test.each([
  ["connect-timeout-ms", "soon", "application/json", "{}"],
  ["connect-timeout-ms", "12345678901", "application/json", "{}"],
  ["grpc-timeout", "10X", "application/grpc-web+json", frame(Buffer.from("{}"))],
])("the timeout %s: %s is MESSAGE_MALFORMED", async (name, value, type, body) => {
  await using world = await World.open();
  const response = await post(world, GET_ORDER, body, { "content-type": type, [name]: value });
  const text = Buffer.from(await response.arrayBuffer()).toString();
  expect(text).toContain(value);
  expect(text).toMatch(/invalid_argument|grpc-status: 3/);
});

test.each([
  ["Connect", "application/json", Buffer.alloc(0)],
  ["gRPC", "application/grpc+proto", Buffer.from([0, 0x7f, 0xff, 0xff, 0xff])],
])(
  "a body of %s that says nothing of its size is refused at the bound, and not at its end",
  async (_what, type, head) => {
    await using world = await World.open({ http: { maxMessageBytes: 10_000 } });
    const session = rawSession(world, world.httpPort);
    const stream = rawCall(session, GET_ORDER, { "content-type": type });
    stream.write(Buffer.concat([head, Buffer.alloc(20_000, 32)]));
    const answer = await within(5_000, rawAnswer(stream), "it is read on");
    const said = type === "application/json" ? answer.body.toString() : reasonOfRaw(answer);
    expect(said).toContain("MESSAGE_TOO_LARGE");
  },
);

test("a body that says that it is too large is refused before any of it has come", async () => {
  await using world = await World.open({ http: { maxMessageBytes: 10_000 } });
  const stream = rawCall(rawSession(world, world.httpPort), GET_ORDER, {
    ...{ "content-type": "application/json", "content-length": "1000000000000" },
  });
  const answer = await within(5_000, rawAnswer(stream), "it is waited for");
  expect(answer.body.toString()).toContain("MESSAGE_TOO_LARGE");
});

test("a message that says that it is too large is refused at its head by the gRPC door", async () => {
  await using world = await World.open({ grpc: { maxMessageBytes: 10_000 } });
  const stream = rawCall(rawSession(world, world.grpcPort), GET_ORDER);
  stream.write(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]));
  expect(reasonOfRaw(await within(5_000, rawAnswer(stream), "it is waited for"))).toBe("MESSAGE_TOO_LARGE");
});
