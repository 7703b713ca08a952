import type { Msg, NatsConnection, Subscription } from "nats";
import type { Extension } from "../domain/stored-event.ts";
import type { Bus, BusStats, Hint } from "./bus.ts";
import { decodeHint, encodeHint, HINT_VERSION, MalformedHint } from "./hint-codec.ts";
import { Listeners } from "./listeners.ts";
import { NatsLink, type NatsLinkOptions } from "./nats-link.ts";
import { changedTenantSubject, revocationSubject, tenantSubject } from "./nats-names.ts";
import { Seal } from "./seal.ts";

/** Settings of the NATS bus. Times are in milliseconds, sizes in bytes. */
export interface NatsBusOptions extends NatsLinkOptions {
  /** Keeps deployments that share a NATS cluster apart: letters, digits, `-` and `_`. */
  readonly deployment: string;
  /** The deployment's secret: only who has it is listened to. */
  readonly secret: Uint8Array;
  /** Hints up to this size carry their events; larger ones only say where the head is. Default 64 KiB. */
  readonly hintMaxBytes?: number;
}

/** Bytes under way that the server has not taken yet; hints beyond are dropped. */
const unsentMaxBytes = 8 * 1024 * 1024;

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
 * hints are dropped, not kept. What carries no seal of the deployment's is nobody's word: whoever gets at the NATS server
 * can make instances look at the database, and can repeat what was said, but can tell watchers nothing and end no watch.
 * Whatever may have been missed is said: to everybody after a connection came up (once the
 * server has the subscriptions, so that nothing falls in between), to a new follower once its own subscription stands, and
 * to a tenant's followers when a message for it cannot be read.
 */
export class NatsBus implements Bus {
  readonly #options: NatsBusOptions;
  readonly #hintMaxBytes: number;
  readonly #tenants = new Map<string, Followed>();
  readonly #resyncs = new Listeners<[]>();
  readonly #revocations = new Listeners<[string]>();
  readonly #changedTenants = new Listeners<[string]>();
  readonly #seal: Seal;
  readonly #link: NatsLink;
  #unflushedBytes = 0;
  #flushing = false;
  /** Listeners whose subscription the server may not have yet. */
  #newcomers: ((hint: Hint) => unknown)[] = [];
  readonly #counts = { published: 0, unsent: 0, received: 0, malformed: 0, resyncs: 0 };

  /** Connects in the background. Throws a RangeError for a deployment name that no subject can carry. */
  constructor(options: NatsBusOptions) {
    this.#options = options;
    this.#hintMaxBytes = options.hintMaxBytes ?? 64 * 1024;
    this.#seal = new Seal(options.secret);
    revocationSubject(options.deployment);
    this.#link = new NatsLink(options, {
      joined: (connection) => this.#joined(connection),
      back: (connection) => this.#resync(connection),
      gone: () => this.#gone(),
    });
  }

  publish(extension: Extension): void {
    const room = (this.#link.connection?.info?.max_payload ?? Number.POSITIVE_INFINITY) - SPARE_BYTES;
    const hint = encodeHint(extension, Math.min(this.#hintMaxBytes, room));
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
    this.#sendText(revocationSubject(this.#options.deployment), credential);
  }

  onRevocation(listener: (credential: string) => void): () => void {
    return this.#revocations.add(listener);
  }

  announceTenant(tenant: string): void {
    this.#sendText(changedTenantSubject(this.#options.deployment), tenant);
  }

  onTenant(listener: (tenant: string) => void): () => void {
    return this.#changedTenants.add(listener);
  }

  stats(): BusStats {
    return { connected: this.#link.connected, ...this.#counts };
  }

  async close(): Promise<void> {
    const closing = this.#link.close();
    this.#tenants.clear();
    this.#resyncs.clear();
    this.#revocations.clear();
    this.#changedTenants.clear();
    await closing;
  }

  #joined(connection: NatsConnection): void {
    const { deployment } = this.#options;
    const texts = [
      [revocationSubject(deployment), this.#revocations],
      [changedTenantSubject(deployment), this.#changedTenants],
    ] as const;
    for (const [subject, listeners] of texts) {
      connection.subscribe(subject, { callback: (error, message) => error ?? this.#hearText(message, listeners) });
    }
    for (const [tenant, followed] of this.#tenants) this.#subscribe(tenant, followed);
    this.#resync(connection);
  }

  #gone(): void {
    for (const followed of this.#tenants.values()) followed.subscription = undefined;
  }

  /** Once the server has every subscription, says that anything before may have been missed. */
  #resync(connection: NatsConnection): void {
    this.#unflushedBytes = 0;
    connection.flush().then(
      () => {
        if (this.#link.connection !== connection || this.#link.closed) return;
        this.#counts.resyncs += 1;
        this.#resyncs.call();
      },
      () => {}, // lost again: the next connection says it
    );
  }

  #subscribe(tenant: string, followed: Followed): void {
    if (!this.#link.connection || followed.subscription) return;
    followed.subscription = this.#link.connection.subscribe(tenantSubject(this.#options.deployment, tenant), {
      callback: (error, message) => {
        if (error)
          this.#options.log.warn({ err: error }, "NATS refuses a subscription; changes of other instances come late");
        else this.#hear(tenant, followed, message);
      },
    });
  }

  /** Tells new followers, those of one turn together, when the server has their subscriptions. */
  #greet(listener: (hint: Hint) => unknown): void {
    const connection = this.#link.connection;
    if (!connection || !this.#link.connected) return; // the resync of the next connection comes later than its subscription
    if (this.#newcomers.push(listener) > 1) return;
    queueMicrotask(() => {
      const greeted = this.#newcomers;
      this.#newcomers = [];
      connection.flush().then(
        () => {
          if (!this.#link.closed) for (const greet of greeted) greet({ say: "unsure" });
        },
        () => {},
      );
    });
  }

  #hear(tenant: string, followed: Followed, message: Msg): void {
    this.#counts.received += 1;
    let hint: Hint;
    try {
      hint = decodeHint(this.#unsealed(message), tenant);
    } catch {
      this.#counts.malformed += 1;
      hint = { say: "unsure" };
    }
    followed.listeners.call(hint);
  }

  #hearText(message: Msg, listeners: Listeners<[string]>): void {
    try {
      const [version, ...rest] = this.#unsealed(message);
      if (version !== HINT_VERSION || rest.length === 0) throw new MalformedHint("no announcement");
      listeners.call(Buffer.from(rest).toString("utf8"));
    } catch (error) {
      if (!(error instanceof MalformedHint)) throw error;
      this.#counts.malformed += 1;
    }
  }

  /** What one of us has said. Throws a MalformedHint for what somebody else has. */
  #unsealed({ subject, data }: Msg): Uint8Array {
    const message = this.#seal.open(subject, data);
    if (!message) throw new MalformedHint("no seal of this deployment");
    return message;
  }

  #sendText(subject: string, text: string): void {
    this.#send(subject, Buffer.concat([Buffer.of(HINT_VERSION), Buffer.from(text)]));
  }

  #send(subject: string, message: Uint8Array): void {
    const connection = this.#link.connection;
    const bytes = this.#seal.close(subject, message);
    if (!connection || !this.#link.connected || this.#unflushedBytes + bytes.length > unsentMaxBytes) {
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
    if (this.#unflushedBytes > unsentMaxBytes / 4) this.#measure(connection);
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
