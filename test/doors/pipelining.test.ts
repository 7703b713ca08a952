import { connect } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { WatchOrdersRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { fetchOf } from "../support/own-fetch.ts";
import { frame } from "./raw.ts";
import { BEARER, World, within } from "./world.ts";

/* Requests over HTTP/1.1 that are sent before the answer to the one before them is over. */

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const WATCH_ORDERS = "/leadline.v1.OrderService/WatchOrders";
const CONNECT = "CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\n\r\n";
const watchRequest = frame(toBinary(WatchOrdersRequestSchema, create(WatchOrdersRequestSchema, {})));

function post(path: string, type: string, body: string | Uint8Array, more = ""): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${BEARER}\r\ncontent-type: ${type}\r\n`;
  return Buffer.concat([Buffer.from(`${head}content-length: ${body.length}\r\n${more}\r\n`), Buffer.from(body)]);
}

/** A stream that stays open and needs no credential. */
const healthWatch = post("/grpc.health.v1.Health/Watch", "application/connect+json", frame(Buffer.from("{}")));
const getOrder = (id: string): Buffer => post(GET_ORDER, "application/json", `{"orderId":"${id}"}`);
const watchOrders = post(WATCH_ORDERS, "application/connect+proto", watchRequest);

/** A peer that writes what it likes. */
function peerOf(world: World) {
  const socket = connect(world.httpPort, "127.0.0.1");
  world.onClose(() => void socket.destroy());
  let received = "";
  socket
    .on("error", () => {})
    .on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
    });
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const gone = () => within(5_000, closed, "the connection was left open");
  const said = (what: string | RegExp) => expect.poll(() => received, { timeout: 5_000 }).toMatch(what);
  return { socket, gone, said, received: () => received };
}

function statusLines(received: string): string[] {
  return received.match(/HTTP\/1\.1 \d+/g) ?? [];
}

async function healthStatus(world: World): Promise<number> {
  return (await fetchOf(world)(`http://127.0.0.1:${world.httpPort}/healthz`)).status;
}

test.each([
  ["headers above the bound", `GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(20_000)}\r\n\r\n`],
  ["noise", "\u0000\u0001 this is no HTTP\r\n\r\n"],
])("%s in the middle of an answer end the connection, and say nothing in it", async (_what, bytes) => {
  await using world = await World.open();
  const { socket, gone, said, received } = peerOf(world);
  socket.write(healthWatch);
  await said("SERVING");
  socket.write(bytes);
  await gone();
  expect(statusLines(received())).toEqual(["HTTP/1.1 200"]);
  expect(await healthStatus(world)).toBe(200);
});

test("trailers above the bound end the connection", async () => {
  await using world = await World.open();
  const { socket, gone } = peerOf(world);
  const head = `POST ${GET_ORDER} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${BEARER}\r\n`;
  socket.write(`${head}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n`);
  socket.write(`0\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
  await gone();
  expect(await healthStatus(world)).toBe(200);
});

test("a body that cannot be read is answered as long as its answer has not begun", async () => {
  await using world = await World.open();
  const { socket, gone, received } = peerOf(world);
  const head = `POST ${GET_ORDER} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${BEARER}\r\n`;
  socket.write(`${head}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nno length\r\n`);
  await gone();
  expect(statusLines(received())).toEqual(["HTTP/1.1 400"]);
});

test("calls are answered one after another, whatever they wait for", async () => {
  await using world = await World.open();
  const { socket, said, received } = peerOf(world);
  const large = post(GET_ORDER, "application/json", `{"orderId":"large"${" ".repeat(200_000)}}`);
  const waits = post(GET_ORDER, "application/json", '{"orderId":"slow"}', "connect-timeout-ms: 200\r\n");
  socket.write(Buffer.concat([waits, getOrder("first"), large, getOrder("last")]));
  await said('"last"');
  expect(statusLines(received())).toEqual(["HTTP/1.1 504", ...Array(3).fill("HTTP/1.1 200")]);
  expect(received()).toMatch(/"first".*"large".*"last"/s);
});

test("a call begins when the answer before it is over, and not before", async () => {
  await using world = await World.open();
  const { socket, said, received } = peerOf(world);
  socket.write(Buffer.concat([watchOrders, getOrder("later")]));
  const watch = await world.hub.next();
  expect(await healthStatus(world)).toBe(200);
  expect(world.limits.calls).toBe(1);
  watch.reset();
  await said('"later"');
  expect(statusLines(received())).toHaveLength(2);
});

describe("a peer that ends its connection by CONNECT leaves nothing behind", () => {
  test.each([
    ["a request that is refused", post(GET_ORDER, "application/json", `no JSON${" ".repeat(60_000)}`)],
    ["a request that goes on", post(GET_ORDER, "application/json", `{"orderId":"slow"${" ".repeat(60_000)}}`)],
    ["a watch", watchOrders],
  ])("of %s", async (_what, queued) => {
    await using world = await World.open({ http: { maxAddressRequestBytes: 150_000 } });
    for (let i = 0; i < 4; i++) {
      const { socket, gone, said } = peerOf(world);
      socket.write(healthWatch);
      await said("SERVING");
      socket.write(queued);
      // What waits is there before the connection goes.
      await healthStatus(world);
      socket.write(CONNECT);
      await gone();
    }
    expect(world.limits.open).toBe(0);
    const url = `http://127.0.0.1:${world.httpPort}${GET_ORDER}`;
    const headers = { authorization: `Bearer ${BEARER}`, "content-type": "application/json" };
    const body = `{"orderId":"ord_1"${" ".repeat(140_000)}}`;
    expect((await fetchOf(world)(url, { method: "POST", headers, body })).status).toBe(200);
  });
});

test("requests that wait are counted, and end the connection past the bound", async () => {
  await using world = await World.open({ http: { maxAddressRequestBytes: 150_000 } });
  const { socket, gone, said } = peerOf(world);
  socket.write(healthWatch);
  await said("SERVING");
  socket.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100));
  await gone();
  expect(await world.metric('leadline_limited_total{limit="address_request_bytes"')).toBe(1);
  expect(await healthStatus(world)).toBe(200);
});
