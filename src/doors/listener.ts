import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { DoorMetrics, DoorName } from "./metrics.ts";
import type { DoorBounds } from "./options.ts";

/** Where a new connection goes, by what it speaks. */
export interface Speakers {
  http1(socket: Socket): void;
  http2(socket: Socket): void;
}

/** Every HTTP/2 connection begins with `PRI * HTTP/2.0` (RFC 9113, 3.4), and no HTTP/1.1 method does. */
const PREFACE = Buffer.from("PRI");

/** Idle TCP connections are probed after this time, so that peers that vanished are noticed without HTTP/2's pings. */
const TCP_KEEP_ALIVE_MS = 60_000;

/**
 * A listening socket that hands each connection to the protocol that it speaks, told by its first bytes. With a certificate
 * it speaks TLS and offers both protocols by ALPN. A connection that says nothing is closed.
 */
export class Listener {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Those that have not said yet what they speak. */
  readonly #silent = new Set<Socket>();
  readonly #bounds: DoorBounds;
  readonly #speakers: Speakers;
  #emptied: (() => void) | undefined;

  constructor(door: DoorName, bounds: DoorBounds, speakers: Speakers, metrics: DoorMetrics) {
    this.#bounds = bounds;
    this.#speakers = speakers;
    const sockets = { noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS };
    const greet = (socket: Socket): void => this.#greet(socket);
    this.#server = bounds.tls
      ? createTlsServer(
          {
            ...sockets,
            ...bounds.tls,
            ALPNProtocols: ["h2", "http/1.1"],
            handshakeTimeout: bounds.firstByteTimeoutMs,
          },
          greet,
        )
      : createServer(sockets, greet);
    // Node tells of a handshake that failed or took too long, and leaves the connection open.
    this.#server.on("tlsClientError", (_error: Error, socket: Socket) => socket.destroy());
    this.#server.maxConnections = bounds.maxConnections;
    // With TLS this is the connection below; closing it closes both.
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      metrics.connectionOpened(door);
      socket.once("close", () => {
        this.#sockets.delete(socket);
        metrics.connectionClosed(door);
        if (this.#sockets.size === 0) this.#emptied?.();
      });
    });
  }

  /** Starts to listen; the result is the port. Rejects when the address cannot be had. */
  listen(): Promise<number> {
    const { host, port } = this.#bounds;
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        const address = this.#server.address();
        resolve(typeof address === "object" && address !== null ? address.port : port);
      });
    });
  }

  /** Takes no more connections. Those that are open go on, but for those that have not said anything. */
  stop(): void {
    if (this.#server.listening) this.#server.close();
    for (const socket of this.#silent) socket.destroy();
  }

  /** Waits until all connections are closed, at most `timeoutMs`; those that are left are destroyed. */
  async empty(timeoutMs: number): Promise<void> {
    if (this.#sockets.size > 0) {
      const emptied = Promise.withResolvers<void>();
      this.#emptied = emptied.resolve;
      const timer = setTimeout(emptied.resolve, timeoutMs);
      await emptied.promise;
      clearTimeout(timer);
    }
    for (const socket of this.#sockets) socket.destroy();
  }

  #greet(socket: Socket): void {
    // The protocols' own handlers come later; an error before them must not end the process.
    socket.on("error", () => socket.destroy());
    this.#silent.add(socket);
    socket.once("close", () => this.#silent.delete(socket));
    const giveUp = (): void => {
      socket.destroy();
    };
    socket.setTimeout(this.#bounds.firstByteTimeoutMs, giveUp);
    let head = Buffer.alloc(0);
    const sniff = (): void => {
      const chunk: Buffer | null = socket.read();
      if (chunk === null) return;
      head = Buffer.concat([head, chunk]);
      const start = head.subarray(0, PREFACE.length);
      const maybeHttp2 = start.equals(PREFACE.subarray(0, start.length));
      if (maybeHttp2 && start.length < PREFACE.length) return;
      this.#silent.delete(socket);
      socket.off("readable", sniff).off("timeout", giveUp).setTimeout(0);
      socket.unshift(head);
      if (maybeHttp2) this.#speakers.http2(socket);
      else this.#speakers.http1(socket);
    };
    socket.on("readable", sniff);
  }
}
