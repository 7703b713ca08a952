import type { AddressInfo } from "node:net";
import { createConnection, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy in front of a server of the test's own, with which connections can be broken at a chosen byte. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Breaks every connection now. */
  cut(): void;
  /** Refuses new connections and breaks the present ones until `open` is called. */
  close(): void;
  open(): void;
  /**
   * Breaks the connection that next sends these characters to the server, after they were passed on and before their
   * answer comes back. Resolves when that happened.
   */
  cutAfterSending(characters: string): Promise<void>;
}

export async function startProxy(target: { host: string; port: number }): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let isOpen = true;
  let trap: { characters: string; sprung: () => void } | undefined;
  const server: Server = createServer((client) => {
    if (!isOpen) return void client.destroy();
    const upstream = createConnection(target);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => undefined); // a broken connection is what this is for
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("data", (data) => {
      upstream.write(data);
      if (!trap || !data.includes(trap.characters)) return;
      const { sprung } = trap;
      trap = undefined;
      upstream.unpipe(client);
      client.destroy();
      // What was written reaches the server before the end of the connection does.
      upstream.end();
      sprung();
    });
    upstream.pipe(client);
    client.on("close", () => upstream.end());
    upstream.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    close: () => {
      isOpen = false;
      cut();
    },
    open: () => {
      isOpen = true;
    },
    cutAfterSending: (characters) =>
      new Promise((resolve) => {
        trap = { characters, sprung: resolve };
      }),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        cut();
        server.close(() => resolve());
      }),
  };
}
