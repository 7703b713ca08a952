import { connect, Events, type Msg, type NatsConnection, type Subscription } from "nats";
import type { Logger } from "pino";
import type { Extension } from "../domain/stored-event.ts";
import type { Bus, BusStats, Hint } from "./bus.ts";
import { decodeHint, encodeHint, HINT_VERSION } from "./hint-codec.ts";
import { Listeners } from "./listeners.ts";
import { loginIn, revocationSubject, tenantSubject } from "./nats-names.ts";

/** Settings of the NATS bus. Times are in milliseconds, sizes in bytes. */
export interface NatsBusOptions {
  /** `nats://[user[:password]@]host:port`, or `tls://`; the servers of one cluster. */
  readonly servers: readonly string[];
  /** Keeps deployments that share a NATS cluster apart: letters, digits, `-` and `_`. */
  readonly deployment: string;
  readonly log: Logger;
  /** Hints up to this size carry their events; larger ones only say where the head is. Default 64 KiB. */
  readonly hintMaxBytes?: number;
  /** Bytes under way that the server has not taken yet; hints beyond are dropped. Default 8 MiB. */
  readonly unsentMaxBytes?: number;
  /** The pause between tries to connect. Default 500. */
  readonly retryMs?: number;
  /** How long one try may take. Default 3,000. */
  readonly connectTimeoutMs?: number;
  /** The server is pinged this often; two pings without an answer are a lost connection. Default 5,000. */
  readonly pingIntervalMs?: number;
}

const defaults = {
  hintMaxBytes: 64 * 1024,
  unsentMaxBytes: 8 * 1024 * 1024,
  retryMs: 500,
  connectTimeoutMs: 3_000,
  pingIntervalMs: 5_000,
};

/** What a message takes beside its payload, at most, for the server's bound on payloads. */
const SPARE_BYTES = 1024;

interface Followed {
  readonly listeners: Listeners<[Hint]>;
  subscription: Subscription | undefined;
}

/**
 * The bus over core NATS: one subject a tenant, messages as `hint-codec.ts` has them.
 *
 * It never gives up and never holds anyone up: it connects in the background, for ever; while there is no connection
 * hints are dropped, not kept. Whatever may have been missed is said: to everybody after a connection came up (once the
 * server has the subscriptions, so that nothing falls in between), to a new follower once its own subscription stands, and
 * to a tenant's followers when a message for it cannot be read.
 */
export class NatsBus implements Bus {
  readonly #options: NatsBusOptions & typeof defaults;
  readonly #tenants = new Map<string, Followed>();
  readonly #resyncs = new Listeners<[]>();
  readonly #revocations = new Listeners<[string]>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #connection: NatsConnection | undefined;
  #connected = false;
  #unflushedBytes = 0;
  #flushing = false;
  /** Listeners whose subscription the server may not have yet. */
  #newcomers: ((hint: Hint) => unknown)[] = [];
  readonly #counts = { published: 0, unsent: 0, received: 0, malformed: 0, resyncs: 0 };

  /** Connects in the background. Throws a RangeError for a deployment name that no subject can carry. */
  constructor(options: NatsBusOptions) {
    this.#options = { ...defaults, ...options };
    revocationSubject(options.deployment);
    this.#running = this.#run();
  }

  publish(extension: Extension): void {
    const room = (this.#connection?.info?.max_payload ?? Number.POSITIVE_INFINITY) - SPARE_BYTES;
    const hint = encodeHint(extension, Math.min(this.#options.hintMaxBytes, room));
    this.#send(tenantSubject(this.#options.deployment, extension.tenant), hint);
  }

  follow(tenant: string, listener: (hint: Hint) => void): () => void {
    const followed = this.#tenants.get(tenant) ?? { listeners: new Listeners<[Hint]>(), subscription: undefined };
    this.#tenants.set(tenant, followed);
    const remove = followed.listeners.add(listener);
    this.#subscribe(tenant, followed);
    let released = false;
    this.#greet((hint) => released || listener(hint));
    return () => {
      released = true;
      remove();
      if (followed.listeners.size > 0 || this.#tenants.get(tenant) !== followed) return;
      this.#tenants.delete(tenant);
      followed.subscription?.unsubscribe();
    };
  }

  onResync(listener: () => void): () => void {
    return this.#resyncs.add(listener);
  }

  announceRevocation(credential: string): void {
    const text = Buffer.from(credential);
    this.#send(revocationSubject(this.#options.deployment), Buffer.concat([Buffer.of(HINT_VERSION), text]));
  }

  onRevocation(listener: (credential: string) => void): () => void {
    return this.#revocations.add(listener);
  }

  stats(): BusStats {
    return { connected: this.#connected, ...this.#counts };
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#tenants.clear();
    this.#resyncs.clear();
    this.#revocations.clear();
    if (this.#connected) await Promise.race([this.#connection?.flush(), pause(1_000)]).catch(() => {});
    await this.#connection?.close();
    await this.#running;
  }

  /** Holds a connection until `close`; one that is closed for good (its login expired, say) is replaced. */
  async #run(): Promise<void> {
    const { servers, log, retryMs } = this.#options;
    let told = false;
    while (!this.#stop.signal.aborted) {
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
    if (this.#stop.signal.aborted) await connection.close();
    else this.#joined(connection);
    // Not awaited: the client does not end the sequence of states when the connection closes.
    void this.#listen(connection);
    try {
      const error = await connection.closed();
      return error ?? undefined;
    } finally {
      this.#connected = false;
      this.#connection = undefined;
      for (const followed of this.#tenants.values()) followed.subscription = undefined;
    }
  }

  async #listen(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type === Events.Disconnect) this.#lost();
      else if (type === Events.Reconnect) {
        this.#options.log.info("NATS is back");
        this.#resync(connection);
      }
    }
  }

  #lost(): void {
    if (this.#connected && !this.#stop.signal.aborted) {
      this.#options.log.warn("NATS is gone; changes of other instances come late until it is back");
    }
    this.#connected = false;
  }

  #joined(connection: NatsConnection): void {
    connection.subscribe(revocationSubject(this.#options.deployment), {
      callback: (error, message) => error ?? this.#hearRevocation(message),
    });
    for (const [tenant, followed] of this.#tenants) this.#subscribe(tenant, followed);
    this.#resync(connection);
  }

  /** Once the server has every subscription, says that anything before may have been missed. */
  #resync(connection: NatsConnection): void {
    this.#connected = true;
    this.#unflushedBytes = 0;
    connection.flush().then(
      () => {
        if (this.#connection !== connection || this.#stop.signal.aborted) return;
        this.#counts.resyncs += 1;
        this.#resyncs.call();
      },
      () => {}, // lost again: the next connection says it
    );
  }

  #subscribe(tenant: string, followed: Followed): void {
    if (!this.#connection || followed.subscription) return;
    followed.subscription = this.#connection.subscribe(tenantSubject(this.#options.deployment, tenant), {
      callback: (error, message) => {
        if (error)
          this.#options.log.warn({ err: error }, "NATS refuses a subscription; changes of other instances come late");
        else this.#hear(tenant, followed, message);
      },
    });
  }

  /** Tells new followers, those of one turn together, when the server has their subscriptions. */
  #greet(listener: (hint: Hint) => unknown): void {
    const connection = this.#connection;
    if (!connection || !this.#connected) return; // the resync of the next connection comes later than its subscription
    if (this.#newcomers.push(listener) > 1) return;
    queueMicrotask(() => {
      const greeted = this.#newcomers;
      this.#newcomers = [];
      connection.flush().then(
        () => {
          if (!this.#stop.signal.aborted) for (const greet of greeted) greet({ say: "unsure" });
        },
        () => {},
      );
    });
  }

  #hear(tenant: string, followed: Followed, message: Msg): void {
    this.#counts.received += 1;
    let hint: Hint;
    try {
      hint = decodeHint(message.data, tenant);
    } catch {
      this.#counts.malformed += 1;
      hint = { say: "unsure" };
    }
    followed.listeners.call(hint);
  }

  #hearRevocation(message: Msg): void {
    const [version, ...rest] = message.data;
    if (version === HINT_VERSION && rest.length > 0) this.#revocations.call(Buffer.from(rest).toString("utf8"));
    else this.#counts.malformed += 1;
  }

  #send(subject: string, bytes: Uint8Array): void {
    const connection = this.#connection;
    if (!connection || !this.#connected || this.#unflushedBytes + bytes.length > this.#options.unsentMaxBytes) {
      this.#counts.unsent += 1;
      return;
    }
    try {
      connection.publish(subject, bytes);
    } catch {
      this.#counts.unsent += 1; // closing
      return;
    }
    this.#counts.published += 1;
    this.#unflushedBytes += bytes.length;
    if (this.#unflushedBytes > this.#options.unsentMaxBytes / 4) this.#measure(connection);
  }

  /** Learns how much the server has taken: its answer to a flush stands behind all that was sent before. */
  #measure(connection: NatsConnection): void {
    if (this.#flushing) return;
    this.#flushing = true;
    const sent = this.#unflushedBytes;
    connection.flush().then(
      () => {
        this.#unflushedBytes = Math.max(0, this.#unflushedBytes - sent);
        this.#flushing = false;
      },
      () => {
        this.#flushing = false;
      },
    );
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
