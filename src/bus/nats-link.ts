import { connect, Events, type NatsConnection } from "nats";
import type { Logger } from "pino";
import { loginIn } from "./nats-names.ts";

/** Times are in milliseconds. */
export interface NatsLinkOptions {
  /** `nats://[user[:password]@]host:port`, or `tls://`; the servers of one cluster. */
  readonly servers: readonly string[];
  readonly log: Logger;
  /** The pause between tries to connect. Default 500. */
  readonly retryMs?: number;
  /** How long one try may take. Default 3,000. */
  readonly connectTimeoutMs?: number;
  /** The server is pinged this often; two pings without an answer are a lost connection. Default 5,000. */
  readonly pingIntervalMs?: number;
}

/** Who works with the connection. */
export interface NatsLinkUser {
  /** There is a new connection, without subscriptions. */
  joined(connection: NatsConnection): void;
  /** It was lost and is back; the client makes its subscriptions again by itself. */
  back(connection: NatsConnection): void;
  /** It is closed for good, and its subscriptions with it. */
  gone(): void;
}

const defaults = { retryMs: 500, connectTimeoutMs: 3_000, pingIntervalMs: 5_000 };

/** Holds a connection until `close`: one that is lost comes back, one that is closed for good (its login expired, say) is replaced. */
export class NatsLink {
  readonly #options: NatsLinkOptions & typeof defaults;
  readonly #user: NatsLinkUser;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #connection: NatsConnection | undefined;
  #connected = false;

  /** Connects in the background. */
  constructor(options: NatsLinkOptions, user: NatsLinkUser) {
    this.#options = { ...defaults, ...options };
    this.#user = user;
    this.#running = this.#run();
  }

  /** The connection, whether the server can be reached by it or not; undefined: there is none. */
  get connection(): NatsConnection | undefined {
    return this.#connection;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get closed(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Lets what was sent go out, for a second at most, and connects no more. */
  async close(): Promise<void> {
    this.#stop.abort();
    if (this.#connected) await Promise.race([this.#connection?.flush(), pause(1_000)]).catch(() => {});
    await this.#connection?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { servers, log, retryMs } = this.#options;
    let told = false;
    while (!this.closed) {
      try {
        const connection = await this.#connect();
        told = false;
        const error = await this.#use(connection);
        if (error) log.warn({ err: error }, "NATS closed the connection; connecting anew");
      } catch (error) {
        // Without the login that a URL may carry.
        const names = servers.map((server) => server.replace(/\/\/.*@/, "//"));
        if (!told)
          log.warn({ err: error, servers: names }, "NATS cannot be reached; changes of other instances come late");
        told = true;
      }
      await pause(retryMs, this.#stop.signal);
    }
  }

  #connect(): Promise<NatsConnection> {
    const { servers, retryMs, connectTimeoutMs, pingIntervalMs } = this.#options;
    return connect({
      servers: [...servers],
      ...loginIn(servers),
      name: "leadline",
      noEcho: true,
      // The first connection is tried again by `#run`, which can be stopped; a lost one by the client, for ever.
      maxReconnectAttempts: -1,
      reconnectTimeWait: retryMs,
      reconnectJitter: retryMs,
      timeout: connectTimeoutMs,
      pingInterval: pingIntervalMs,
      maxPingOut: 2,
    });
  }

  /** Works with a connection until it is closed for good. Resolves with what closed it. */
  async #use(connection: NatsConnection): Promise<undefined | Error> {
    this.#connection = connection;
    if (this.closed) await connection.close();
    else {
      this.#connected = true;
      this.#user.joined(connection);
    }
    // Not awaited: the client does not end the sequence of states when the connection closes.
    void this.#listen(connection);
    try {
      const error = await connection.closed();
      return error ?? undefined;
    } finally {
      this.#connected = false;
      this.#connection = undefined;
      this.#user.gone();
    }
  }

  async #listen(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type === Events.Disconnect) this.#lost();
      else if (type === Events.Reconnect) {
        this.#options.log.info("NATS is back");
        this.#connected = true;
        this.#user.back(connection);
      }
    }
  }

  #lost(): void {
    if (this.#connected && !this.closed) {
      this.#options.log.warn("NATS is gone; changes of other instances come late until it is back");
    }
    this.#connected = false;
  }
}

/** Resolves after `ms`, or at once when the signal aborts. */
function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal?.addEventListener("abort", finish);
  });
}
