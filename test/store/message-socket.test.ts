import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { MessageSocket } from "../../src/store/message-socket.ts";

function message(bytes: number, fill: number): Buffer {
  const made = Buffer.alloc(5 + bytes, fill);
  made.writeUInt32BE(4 + bytes, 1);
  return made;
}

const messages = [message(0, 1), message(3, 2), message(70_000, 3), message(1, 4), message(9_000, 5), message(200, 6)];
const all = Buffer.concat(messages);

test.each([331, 4_096, 65_536, 1_000_000])(
  "of pieces of %i bytes only whole messages come, all of them",
  async (size) => {
    const server = createServer((socket) => {
      for (let at = 0; at < all.length; at += size) socket.write(all.subarray(at, at + size));
      socket.end();
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const socket = new MessageSocket();
    const got: Buffer[] = [];
    const handed: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => {
      got.push(Buffer.from(bytes));
      handed.push(bytes);
    });
    socket.connect((server.address() as AddressInfo).port, "127.0.0.1");
    await once(socket, "close");
    server.close();
    expect(Buffer.concat(got).equals(all)).toBe(true);
    const lengths = messages.map((_, i) => messages.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0));
    let end = 0;
    for (const { length } of got) {
      end += length;
      expect(lengths).toContain(end);
    }
    // The memory of a large one that came in pieces was given back.
    expect(handed.some(({ length }) => length === 0)).toBe(true);
  },
);

test("who has paused finds everything afterwards, whatever others have read meanwhile", async () => {
  const server = createServer((socket) => void socket.end(all));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const open = () => {
    const socket = new MessageSocket();
    const got: Buffer[] = [];
    socket.on("data", (bytes: Buffer) => got.push(Buffer.from(bytes)));
    socket.connect((server.address() as AddressInfo).port, "127.0.0.1");
    return { socket, got };
  };
  const first = open();
  // With the large message come others that are not read then.
  const paused = new Promise<void>((resolve) => {
    first.socket.on("data", ({ length }: Buffer) => {
      if (length < 70_000) return;
      first.socket.pause();
      resolve();
    });
  });
  await paused;
  const second = open();
  await once(second.socket, "close");
  expect(Buffer.concat(first.got).equals(all)).toBe(false);
  first.socket.resume();
  await once(first.socket, "close");
  server.close();
  expect([first, second].map(({ got }) => Buffer.concat(got).equals(all))).toEqual([true, true]);
});

test.each([
  ["whole", [Buffer.from("520000000352", "hex")]],
  ["in pieces", [Buffer.from("52000000", "hex"), Buffer.from("0352", "hex")]],
])("what cannot be a message, %s, ends its connection with an error", async (_, pieces) => {
  const server = createServer(async (socket) => {
    socket.setNoDelay().on("error", () => undefined);
    for (const piece of pieces) {
      socket.write(piece);
      await once(socket, "data"); // the other side has read it
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const socket = new MessageSocket();
  socket.on("data", () => expect.fail("nothing is a message"));
  const failed = once(socket, "error");
  socket.connect((server.address() as AddressInfo).port, "127.0.0.1");
  const asking = setInterval(() => socket.writable && socket.write("read"), 5);
  const [error] = await failed;
  clearInterval(asking);
  server.close();
  expect(String(error)).toContain("does not speak Postgres' protocol");
});

test("an error of a reader ends its connection, and others read on", async () => {
  const server = createServer((socket) => void socket.on("error", () => undefined).end(all));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const socket = new MessageSocket();
  socket.on("data", () => {
    throw new Error("a reader's fault");
  });
  socket.connect(port, "127.0.0.1");
  const [error] = await once(socket, "error");
  expect(String(error)).toContain("a reader's fault");
  const other = new MessageSocket();
  const got: Buffer[] = [];
  other.on("data", (bytes: Buffer) => got.push(Buffer.from(bytes)));
  other.connect(port, "127.0.0.1");
  await once(other, "close");
  server.close();
  expect(Buffer.concat(got).equals(all)).toBe(true);
});
