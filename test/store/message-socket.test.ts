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
