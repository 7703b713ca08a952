import type { ServerHttp2Session } from "node:http2";

export interface SessionOptions {
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
}

/** Each ping's interval varies by this part, so that connections that came together are not pinged together. */
const PING_JITTER = 0.2;

/**
 * The HTTP/2 connections of the HTTP door: Node does not ping them by itself, and a peer that vanished would keep its
 * watches open.
 */
export class HttpSessions {
  readonly #options: SessionOptions;
  readonly #timers = new Map<ServerHttp2Session, NodeJS.Timeout>();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  add(session: ServerHttp2Session): void {
    this.#schedule(session);
    session.once("close", () => {
      clearTimeout(this.#timers.get(session));
      this.#timers.delete(session);
    });
    // Each error is followed by 'close'; without a listener it would end the process.
    session.on("error", () => {});
  }

  /** Tells all peers to go elsewhere with new calls; a connection closes when its open ones have ended. */
  close(): void {
    for (const session of this.#timers.keys()) session.close();
  }

  #schedule(session: ServerHttp2Session): void {
    const { pingIntervalMs } = this.#options;
    const delayMs = pingIntervalMs * (1 + PING_JITTER * (Math.random() - 0.5));
    this.#timers.set(session, setTimeout(() => this.#ping(session), delayMs).unref());
  }

  #ping(session: ServerHttp2Session): void {
    if (session.destroyed) return;
    const timer = setTimeout(() => session.destroy(), this.#options.pingTimeoutMs).unref();
    this.#timers.set(session, timer);
    session.ping((error) => {
      clearTimeout(timer);
      if (error === null && this.#timers.has(session)) this.#schedule(session);
    });
  }
}
