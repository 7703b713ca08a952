import type { AddressInfo } from "node:net";
import { createConnection, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy in front of a server of the test's own, with which connections can be broken at a chosen byte. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** Breaks every connection now. */
  cut(): void;
  /** Refuses new connections and breaks the present ones until `open` is called. */
  close(): void;
  /** Passes nothing on, in either direction, until `open` is called: connections stay, and nobody is told. */
  hush(): void;
  open(): void;
  /** Passes everything on later by so many milliseconds, in order. 0: at once. */
  slow(delayMs: number): void;
  /**
   * Breaks the connection that next sends these characters to the server, after they were passed on and before their
   * answer comes back. Resolves when that happened.
   */
  cutAfterSending(characters: string): Promise<void>;
  /**
   * Calls back, once, when a connection sends these characters to the server, before they are passed on. The function that is
   * returned calls it off.
   */
  beforeSending(characters: string, run: () => void): () => void;
}

/** What is on its way in one direction. It is passed on in order, and only as fast as it is taken. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #waiting: { readonly data: Buffer; readonly due: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #ending = false;
  held = false;

  constructor(from: Socket, to: Socket) {
    this.#from = from;
    this.#to = to;
    to.on("drain", () => this.pass());
  }

  push(data: Buffer, delayMs: number): void {
    this.#waiting.push({ data, due: performance.now() + delayMs });
    this.pass();
  }

  /** Passes on what is due. While the other end takes nothing, nothing more is read. */
  pass(): void {
    clearTimeout(this.#timer);
    while (!this.held && !this.#to.writableNeedDrain && !this.#to.destroyed) {
      const first = this.#waiting[0];
      if (!first) break;
      const left = first.due - performance.now();
      if (left > 0) {
        this.#timer = setTimeout(() => this.pass(), Math.ceil(left));
        break;
      }
      this.#waiting.shift();
      this.#to.write(first.data);
    }
    if (this.#ending && this.#waiting.length === 0) this.#to.end();
    else if (this.held || this.#to.writableNeedDrain) this.#from.pause();
    else this.#from.resume();
  }

  /** Ends the other end, once it has everything. */
  finish(): void {
    this.#ending = true;
    this.pass();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

export async function startProxy(target: { host: string; port: number }): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const lanes = new Set<Lane>();
  let isOpen = true;
  let isHushed = false;
  let delayMs = 0;
  let trap: { characters: string; sprung: () => void } | undefined;
  let watched: { characters: string; run: () => void } | undefined;
  const server: Server = createServer((client) => {
    if (!isOpen) return void client.destroy();
    const upstream = createConnection(target);
    const [there, back] = [new Lane(client, upstream), new Lane(upstream, client)];
    for (const lane of [there, back]) {
      lanes.add(lane);
      lane.held = isHushed;
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined); // a broken connection is what this is for
      socket.on("close", () => sockets.delete(socket));
    }
    let deaf = false;
    client.on("data", (data) => {
      if (watched && data.includes(watched.characters)) {
        const { run } = watched;
        watched = undefined;
        run();
      }
      there.push(data, delayMs);
      if (!trap || !data.includes(trap.characters)) return;
      const { sprung } = trap;
      trap = undefined;
      deaf = true;
      client.destroy();
      // What was written reaches the server before the end of the connection does.
      upstream.end();
      sprung();
    });
    upstream.on("data", (data) => {
      if (!deaf) back.push(data, delayMs);
    });
    client.on("close", () => {
      upstream.end();
      for (const lane of [there, back]) {
        lane.stop();
        lanes.delete(lane);
      }
    });
    // What the server said last still arrives.
    upstream.on("end", () => back.finish());
    upstream.on("close", (failed) => {
      if (failed) client.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const hush = (hushed: boolean) => {
    isHushed = hushed;
    for (const lane of lanes) {
      lane.held = hushed;
      lane.pass();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    close: () => {
      isOpen = false;
      cut();
    },
    hush: () => hush(true),
    open: () => {
      isOpen = true;
      hush(false);
    },
    slow: (ms) => {
      delayMs = ms;
    },
    cutAfterSending: (characters) =>
      new Promise((resolve) => {
        trap = { characters, sprung: resolve };
      }),
    beforeSending: (characters, run) => {
      watched = { characters, run };
      return () => {
        watched = undefined;
      };
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        cut();
        server.close(() => resolve());
      }),
  };
}
