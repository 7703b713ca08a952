import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type SecureContextOptions, Server as TlsServer } from "node:tls";
import { networkOf } from "../service/address.ts";
import { PerSecond } from "../service/per-second.ts";
import type { Conduct } from "./conduct.ts";
import type { DoorMetrics, DoorName } from "./metrics.ts";
import type { DoorBounds, DoorTls } from "./options.ts";

/** Where a new connection goes, by what it speaks. */
export interface Speakers {
  http1(socket: Socket): void;
  http2(socket: Socket): void;
}

/** Every HTTP/2 connection begins with this, and a frame of settings follows at once (RFC 9113, 3.4). No HTTP/1.1 method does. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const FRAME_HEAD_BYTES = 9;

/** Idle TCP connections are probed after this time, so that peers that vanished are noticed without HTTP/2's pings. */
const TCP_KEEP_ALIVE_MS = 60_000;

/**
 * A listening socket that hands each connection to the protocol that it speaks, told by its first bytes. With a certificate
 * it speaks TLS and offers both protocols by ALPN. A connection that does not say in time what it speaks is closed, and so is
 * one that its address, or the door, has too many of, or opens too fast: a handshake costs more than a call.
 */
export class Listener {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Those that have not said yet what they speak. */
  readonly #silent = new Set<Socket>();
  /** How many there are, by address. */
  readonly #addresses = new Map<string, number>();
  readonly #connects = new PerSecond();
  readonly #bounds: DoorBounds;
  readonly #speakers: Speakers;
  readonly #conduct: Conduct;
  #emptied: (() => void) | undefined;

  constructor(door: DoorName, bounds: DoorBounds, speakers: Speakers, metrics: DoorMetrics, conduct: Conduct) {
    this.#bounds = bounds;
    this.#conduct = conduct;
    this.#speakers = speakers;
    const sockets = { noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEP_ALIVE_MS };
    const greet = (socket: Socket): void => this.#greet(socket);
    this.#server = bounds.tls
      ? createTlsServer(
          {
            ...sockets,
            ...contextOf(bounds.tls),
            // A client whose certificate is missing or not of these authorities gets no further than the handshake.
            requestCert: bounds.tls.clientCa !== undefined,
            rejectUnauthorized: bounds.tls.clientCa !== undefined,
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
    this.#server.on("drop", () => metrics.connectionRefused(door, "instance_connections"));
    // With TLS this comes before the handshake; without, the connection that is refused is greeted all the same: see there.
    this.#server.prependListener("connection", (socket: Socket) => {
      const address = networkOf(socket.remoteAddress ?? "");
      const open = this.#addresses.get(address) ?? 0;
      const most = bounds.addressConnectsPerSecond;
      const tooFast = this.#connects.take(address, most, Date.now()) > most;
      if (tooFast || open >= bounds.maxAddressConnections) {
        metrics.connectionRefused(door, tooFast ? "address_connects_per_second" : "address_connections");
        socket.destroy();
        return;
      }
      this.#addresses.set(address, open + 1);
      this.#sockets.add(socket);
      metrics.connectionOpened(door);
      socket.once("close", () => {
        const left = (this.#addresses.get(address) ?? 1) - 1;
        if (left > 0) this.#addresses.set(address, left);
        else this.#addresses.delete(address);
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

  /** Shows and asks from now on what this says; connections that are open go on. Whether clients need certificates stays. */
  renew(tls: DoorTls): void {
    if (this.#server instanceof TlsServer) this.#server.setSecureContext(contextOf(tls));
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
    if (socket.destroyed) return;
    this.#silent.add(socket);
    socket.once("close", () => this.#silent.delete(socket));
    const delayMs = this.#conduct.delayMs(networkOf(socket.remoteAddress ?? ""));
    if (delayMs === undefined) socket.destroy();
    else if (delayMs === 0) this.#listenTo(socket);
    else setTimeout(() => this.#listenTo(socket), delayMs);
  }

  /** Waits for its first bytes. */
  #listenTo(socket: Socket): void {
    if (socket.destroyed) return;
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
      if (maybeHttp2 && head.length < PREFACE.length + FRAME_HEAD_BYTES) return;
      this.#silent.delete(socket);
      socket.off("readable", sniff).off("timeout", giveUp).setTimeout(0);
      socket.unshift(head);
      if (maybeHttp2) this.#speakers.http2(socket);
      else this.#speakers.http1(socket);
    };
    socket.on("readable", sniff);
  }
}

/** Nothing older than TLS 1.2. */
function contextOf({ cert, key, clientCa }: DoorTls): SecureContextOptions {
  const shown = { cert, key, minVersion: "TLSv1.2" } as const;
  return clientCa === undefined ? shown : { ...shown, ca: clientCa };
}
