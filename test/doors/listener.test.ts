import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { request } from "node:https";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { GetOrderRequestSchema, GetOrderResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { fetchOf } from "../support/own-fetch.ts";
import { testCertificate } from "./certificate.ts";
import { frame, grpcStatusOf, rawAnswer, rawCall, rawSession } from "./raw.ts";
import { BEARER, World, within } from "./world.ts";

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const requestBytes = toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "ord_1" }));

async function closed(socket: Socket): Promise<void> {
  socket.resume();
  if (!socket.destroyed) await within(5_000, once(socket, "close"), "the connection was left open");
}

/** What a connection says until it is closed. */
async function said(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await closed(socket);
  return Buffer.concat(chunks).toString();
}

describe.each(["http", "grpc"] as const)("the %s door", (door) => {
  const portOf = (world: World): number => (door === "http" ? world.httpPort : world.grpcPort);

  test("closes a connection that says nothing", async () => {
    await using world = await World.open({ [door]: { firstByteTimeoutMs: 100 } });
    const socket = connect(portOf(world), "127.0.0.1");
    await closed(socket);
  });

  test("closes a connection that begins like HTTP/2 and says nothing more", async () => {
    await using world = await World.open({ [door]: { firstByteTimeoutMs: 100 } });
    const socket = connect(portOf(world), "127.0.0.1");
    socket.write("P");
    await closed(socket);
  });

  test("closes a connection that its peer closes without a word", async () => {
    await using world = await World.open();
    const socket = connect(portOf(world), "127.0.0.1");
    await once(socket, "connect");
    socket.end();
    await closed(socket);
  });

  test("understands HTTP/2 whose first bytes come one by one", async () => {
    await using world = await World.open();
    const upstream = connect(portOf(world), "127.0.0.1");
    upstream.setNoDelay(true);
    await once(upstream, "connect");
    const session = connectHttp2("http://localhost", { createConnection: () => slowStart(upstream) });
    world.onClose(() => session.destroy());
    const stream = rawCall(session, GET_ORDER);
    stream.end(frame(requestBytes));
    expect(grpcStatusOf(await rawAnswer(stream))).toBe("0");
  });

  test("takes no more connections than it may", async () => {
    await using world = await World.open({ [door]: { maxConnections: 1 } });
    const session = rawSession(world, portOf(world));
    await once(session, "connect");
    await closed(connect(portOf(world), "127.0.0.1"));
  });

  test("pings a connection and gives it up when nothing comes back", async () => {
    await using world = await World.open({ [door]: { pingIntervalMs: 50, pingTimeoutMs: 100 } });
    const socket = connect(portOf(world), "127.0.0.1");
    // The preface and empty settings, and then nothing: pings are not answered.
    socket.write(
      Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]),
    );
    await closed(socket);
  });

  test("speaks TLS with ALPN when it has a certificate", async () => {
    await using world = await World.open({ [door]: { tls: testCertificate, firstByteTimeoutMs: 300 } });
    const options = { port: portOf(world), host: "127.0.0.1", ca: testCertificate.cert, servername: "localhost" };
    const socket = connectTls({ ...options, ALPNProtocols: ["h2"] });
    await once(socket, "secureConnect");
    expect(socket.alpnProtocol).toBe("h2");
    // Nor is a connection left open that says nothing within TLS, or without.
    await Promise.all([closed(socket), closed(connect(portOf(world), "127.0.0.1"))]);
  });

  test("says so when its port is taken", async () => {
    await using world = await World.open();
    await expect(World.open({ [door]: { port: portOf(world) } })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

/** The socket, with its first three bytes sent one by one. */
function slowStart(socket: Socket): Socket {
  const write = socket.write.bind(socket);
  let sent = 0;
  Object.assign(socket, {
    write(chunk: Uint8Array, ...rest: never[]): boolean {
      for (; sent < 3 && chunk.length > 1; sent++) {
        write(chunk.subarray(0, 1));
        chunk = chunk.subarray(1);
      }
      return write(chunk, ...rest);
    },
  });
  return socket;
}

test("a call over TLS is answered on the gRPC door", async () => {
  await using world = await World.open({ grpc: { tls: testCertificate } });
  const client = new Client(`localhost:${world.grpcPort}`, credentials.createSsl(Buffer.from(testCertificate.cert)), {
    "grpc.default_authority": "localhost",
  });
  world.onClose(() => client.close());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${BEARER}`);
  const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
    const asIs = (bytes: Buffer): Buffer => bytes;
    client.makeUnaryRequest(GET_ORDER, asIs, asIs, Buffer.from(requestBytes), metadata, (error, response) =>
      error ? reject(error) : resolve(response),
    );
  });
  expect(fromBinary(GetOrderResponseSchema, answer ?? Buffer.alloc(0)).order?.id).toBe("ord_1");
});

test("a call over TLS is answered on the HTTP door, over HTTP/1.1 and HTTP/2", async () => {
  await using world = await World.open({ http: { tls: testCertificate } });
  const health = await new Promise<string>((resolve, reject) => {
    const options = { port: world.httpPort, path: "/healthz", ca: testCertificate.cert, agent: false as const };
    const sent = request(options, (response) => {
      response.setEncoding("utf8").on("data", resolve);
    });
    sent.on("error", reject).end();
  });
  expect(health).toBe("ok\n");
  const session = connectHttp2(`https://localhost:${world.httpPort}`, { ca: testCertificate.cert });
  world.onClose(() => session.destroy());
  const stream = rawCall(session, GET_ORDER);
  stream.end(frame(requestBytes));
  expect(grpcStatusOf(await rawAnswer(stream))).toBe("0");
});

test("the gRPC door tells HTTP/1.1 that it is not its port", async () => {
  await using world = await World.open();
  const socket = connect(world.grpcPort, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
  expect(await said(socket)).toMatch(/^HTTP\/1\.1 426 .*this port speaks gRPC/s);
});

test("the HTTP door closes a connection whose headers come too slowly", async () => {
  await using world = await World.open({ http: { headersTimeoutMs: 200 } });
  const socket = connect(world.httpPort, "127.0.0.1");
  socket.write("GET /healthz HTTP/1.1\r\nhost: loc");
  expect(await said(socket)).toMatch(/^HTTP\/1\.1 408 /);
});

test("the HTTP door refuses headers that are too large", async () => {
  await using world = await World.open({ http: { maxHeaderBytes: 4_096 } });
  const socket = connect(world.httpPort, "127.0.0.1");
  socket.write(`GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(10_000)}\r\n\r\n`);
  const answer = await said(socket);
  expect(answer).toMatch(/^HTTP\/1\.1 431 .*connection: close/is);
  expect(answer).toMatch(/"reason":"MESSAGE_TOO_LARGE".*"limit":"header_bytes"/);
});

test("the HTTP door says so to a page of another origin that may call, and to no other", async () => {
  await using world = await World.open({ http: { maxHeaderBytes: 4_096, corsOrigins: ["https://shop.example"] } });
  const call = async (origin: string): Promise<string> => {
    const socket = connect(world.httpPort, "127.0.0.1");
    const head = `POST ${GET_ORDER} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\norigin: ${origin}\r\n`;
    socket.write(`${head}x: ${"y".repeat(10_000)}\r\n\r\n`);
    return said(socket);
  };
  const told = await call("https://shop.example");
  expect(told).toMatch(/^HTTP\/1\.1 431 .*access-control-allow-origin: https:\/\/shop\.example/is);
  expect(told).toContain("header_bytes");
  expect(await call("https://other.example")).toMatch(/^HTTP\/1\.1 403 /);
});

test("the HTTP door refuses requests without a host", async () => {
  await using world = await World.open();
  const socket = connect(world.httpPort, "127.0.0.1");
  socket.write(
    "POST /grpc.health.v1.Health/Check HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
  );
  await said(socket);
  // The door is still there.
  expect((await fetchOf(world)(`http://127.0.0.1:${world.httpPort}/healthz`)).status).toBe(200);
});

test("the HTTP door tells how many streams a connection may have", async () => {
  await using world = await World.open({ http: { maxConcurrentStreams: 2 } });
  const session = rawSession(world, world.httpPort);
  await once(session, "remoteSettings");
  expect(session.remoteSettings.maxConcurrentStreams).toBe(2);
});

test.each([
  ["noise", Buffer.from([0, 255, 1, 254, 13, 10, 13, 10])],
  [
    "noise after HTTP/2's preface",
    Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.alloc(64, 0xee)]),
  ],
  ["a tunnel", Buffer.from("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n")],
  ["a path that is none", Buffer.from("GET // HTTP/1.1\r\nhost: [\r\nconnection: close\r\n\r\n")],
])("%s does the doors no harm", async (_what, bytes) => {
  await using world = await World.open();
  for (const port of [world.httpPort, world.grpcPort]) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(bytes);
    await said(socket);
    const stream = rawCall(rawSession(world, port), GET_ORDER);
    stream.end(frame(requestBytes));
    expect(grpcStatusOf(await rawAnswer(stream))).toBe("0");
  }
});
