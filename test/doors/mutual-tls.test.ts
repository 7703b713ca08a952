import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { GetOrderRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { clientCertificate, rogueCertificate, secondCertificate, testCertificate } from "./certificate.ts";
import { frame, grpcStatusOf, rawAnswer, rawCall } from "./raw.ts";
import { World, within } from "./world.ts";

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const requestBytes = toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId: "ord_1" }));
const mutual = { ...testCertificate, clientCa: clientCertificate.ca };
const known = { cert: clientCertificate.cert, key: clientCertificate.key };

describe.each(["http", "grpc"] as const)("the %s door", (door) => {
  const portOf = (world: World): number => (door === "http" ? world.httpPort : world.grpcPort);
  const optionsOf = (world: World, more: ConnectionOptions = {}): ConnectionOptions => ({
    ...{ port: portOf(world), host: "127.0.0.1", servername: "localhost", ca: testCertificate.cert },
    ALPNProtocols: ["h2"],
    ...more,
  });

  /** The status of a call over TLS; undefined: there was no connection to call over. */
  async function call(world: World, options: ConnectionOptions): Promise<string | undefined> {
    const socket = connectTls(options);
    // TLS 1.3: the client is done before the server has seen its certificate.
    const refused = new Promise<undefined>((resolve) => socket.once("error", () => resolve(undefined)));
    const session = connectHttp2("https://localhost", { createConnection: () => socket });
    session.on("error", () => {});
    world.onClose(() => session.destroy());
    const stream = rawCall(session, GET_ORDER);
    stream.end(frame(requestBytes));
    return within(5_000, Promise.race([rawAnswer(stream).then(grpcStatusOf), refused]), "no end");
  }

  test.each(["TLSv1.2", "TLSv1.3"] as const)("asks for a certificate at the handshake, over %s", async (version) => {
    await using world = await World.open({ [door]: { tls: mutual } });
    const over = { minVersion: version, maxVersion: version };
    expect(await call(world, optionsOf(world, { ...known, ...over }))).toBe("0");
    expect(await call(world, optionsOf(world, over))).toBeUndefined();
    expect(await call(world, optionsOf(world, { ...rogueCertificate, ...over }))).toBeUndefined();
    expect(await call(world, optionsOf(world, { ...testCertificate, ...over }))).toBeUndefined();
  });

  test("lets nobody in by the certificate alone", async () => {
    await using world = await World.open({ [door]: { tls: mutual } });
    const session = connectHttp2("https://localhost", { createConnection: () => connectTls(optionsOf(world, known)) });
    world.onClose(() => session.destroy());
    const stream = rawCall(session, GET_ORDER, { authorization: "Bearer somebody" });
    stream.end(frame(requestBytes));
    expect(grpcStatusOf(await rawAnswer(stream))).toBe("16");
  });

  test.each([
    ["h2", ["h2"]],
    ["http/1.1", ["http/1.1"]],
    ["h2", ["http/1.1", "h2"]],
    [false, undefined],
  ] as const)("speaks %s to those who offer %j", async (chosen, offered) => {
    await using world = await World.open({ [door]: { tls: testCertificate } });
    const { ALPNProtocols: _none, ...options } = optionsOf(world);
    const socket = connectTls(offered ? { ...options, ALPNProtocols: [...offered] } : options);
    world.onClose(() => void socket.destroy());
    await once(socket, "secureConnect");
    expect(socket.alpnProtocol).toBe(chosen);
  });

  test("refuses who offers neither protocol, and TLS 1.1", async () => {
    await using world = await World.open({ [door]: { tls: testCertificate } });
    for (const odd of [
      { ALPNProtocols: ["spdy/3"] },
      { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" } as const,
    ]) {
      const socket = connectTls(optionsOf(world, odd));
      const [error] = await within(5_000, once(socket, "error"), "it was let in");
      expect(error).toBeInstanceOf(Error);
    }
  });

  test("shows another certificate to new connections, and keeps the old ones", async () => {
    await using world = await World.open({ [door]: { tls: mutual } });
    const shownTo = async (more: ConnectionOptions): Promise<TLSSocket> => {
      const socket = connectTls(optionsOf(world, { ca: [testCertificate.cert, secondCertificate.cert], ...more }));
      world.onClose(() => void socket.destroy());
      await once(socket, "secureConnect");
      return socket;
    };
    const before = await shownTo(known);
    (door === "http" ? world.httpDoor : world.grpcDoor).renew({ ...secondCertificate, clientCa: clientCertificate.ca });
    const after = await shownTo(known);
    expect(after.getPeerX509Certificate()?.fingerprint256).not.toBe(before.getPeerX509Certificate()?.fingerprint256);
    expect(await call(world, optionsOf(world, { ...known, ca: secondCertificate.cert }))).toBe("0");
    expect(await call(world, optionsOf(world, { ca: secondCertificate.cert }))).toBeUndefined();
    const session = connectHttp2("https://localhost", { createConnection: () => before });
    world.onClose(() => session.destroy());
    const stream = rawCall(session, GET_ORDER);
    stream.end(frame(requestBytes));
    expect(grpcStatusOf(await rawAnswer(stream))).toBe("0");
  });

  test("does not answer in cleartext when it has a certificate", async () => {
    await using world = await World.open({ [door]: { tls: testCertificate } });
    const socket = connect(portOf(world), "127.0.0.1");
    const said: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => said.push(bytes)).on("error", () => {});
    const closed = once(socket, "close");
    socket.write("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await within(5_000, closed, "it was left open");
    // A TLS alert at most, which is no letter.
    expect(Buffer.concat(said).toString("latin1")).not.toMatch(/HTTP|ok/);
  });
});
