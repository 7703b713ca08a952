import type { Bus, BusStats, Hint } from "../../src/bus/bus.ts";
import { decodeHint, encodeHint } from "../../src/bus/hint-codec.ts";
import { Listeners } from "../../src/bus/listeners.ts";
import { Seal } from "../../src/bus/seal.ts";
import type { Extension } from "../../src/domain/stored-event.ts";
import type { Coverage } from "./coverage.ts";
import type { ProcessClock } from "./process-clock.ts";
import type { Scheduler } from "./scheduler.ts";

/** The parts of hints that meet each fate. */
export interface HintFates {
  dropped: number;
  repeated: number;
  delayed: number;
  garbled: number;
}

const FAIR: HintFates = { dropped: 0, repeated: 0, delayed: 0, garbled: 0 };

/** The network between instances. What is said is encoded and decoded as over NATS, and anything may become of the bytes. */
export class Wire {
  readonly fates: HintFates = { ...FAIR };
  readonly ends = new Set<SimulatedBus>();
  readonly seal = new Seal(Buffer.alloc(32, 7));
  readonly scheduler: Scheduler;
  readonly coverage: Coverage;
  readonly hintMaxBytes: number;
  /** Counts what was sent. */
  #sent = 0;

  constructor(scheduler: Scheduler, coverage: Coverage, hintMaxBytes: number) {
    this.scheduler = scheduler;
    this.coverage = coverage;
    this.hintMaxBytes = hintMaxBytes;
  }

  heal(): void {
    Object.assign(this.fates, FAIR);
    for (const end of this.ends) end.connect();
  }

  /** What an instance says, or says again because it is behind the times. */
  say(from: SimulatedBus, extension: Extension): void {
    this.carry(from, extension.tenant, this.seal.close(extension.tenant, encodeHint(extension, this.hintMaxBytes)));
  }

  carry(from: SimulatedBus | undefined, tenant: string, bytes: Uint8Array): void {
    for (const to of this.ends) if (to !== from) this.#send(to, tenant, bytes);
  }

  #send(to: SimulatedBus, tenant: string, bytes: Uint8Array): void {
    const { scheduler, coverage, fates } = this;
    if (scheduler.chance(fates.dropped)) {
      coverage.count("fault", "hint dropped");
      return;
    }
    let sent = bytes;
    if (scheduler.chance(fates.garbled)) {
      coverage.count("fault", "hint garbled");
      sent = Uint8Array.from(bytes.subarray(0, scheduler.whole(0, bytes.length)));
      const at = scheduler.whole(0, Math.max(0, sent.length - 1));
      if (sent.length > 0) sent[at] = (sent[at] ?? 0) ^ (1 << scheduler.whole(0, 7));
    }
    let ms = scheduler.between(0.2, 3);
    if (scheduler.chance(fates.delayed)) {
      coverage.count("fault", "hint delayed");
      ms = scheduler.between(20, 4_000);
    }
    this.#sent += 1;
    const number = this.#sent;
    scheduler.after(ms, () => to.arrive(tenant, sent, number));
    if (!scheduler.chance(fates.repeated)) return;
    coverage.count("fault", "hint repeated");
    scheduler.after(ms + scheduler.between(0, 2_000), () => to.arrive(tenant, sent, number));
  }
}

/** One instance's end of it. Like NATS it forgets what is said while it is away, and says so when it is back. */
export class SimulatedBus implements Bus {
  readonly #wire: Wire;
  readonly #clock: ProcessClock;
  readonly #tenants = new Map<string, Listeners<[Hint]>>();
  readonly #resyncs = new Listeners<[]>();
  readonly #revocations = new Listeners<[string]>();
  readonly #terms = new Listeners<[string]>();
  #connected = true;
  #isClosed = false;
  /** By tenant: the latest that has arrived, of those that were sent. */
  readonly #latest = new Map<string, number>();

  constructor(wire: Wire, clock: ProcessClock) {
    this.#wire = wire;
    this.#clock = clock;
    wire.ends.add(this);
  }

  disconnect(): void {
    this.#connected = false;
  }

  connect(): void {
    if (this.#connected || this.#isClosed) return;
    this.#connected = true;
    this.#wire.scheduler.after(1, () => this.#clock.enter(() => this.#connected && this.#resyncs.call()));
  }

  /** The instance is gone: nothing that is under way arrives, and nothing is said any more. */
  cut(): void {
    this.#isClosed = true;
    this.#connected = false;
    this.#wire.ends.delete(this);
  }

  /** @param number its place among all that were sent */
  arrive(tenant: string, bytes: Uint8Array, number: number): void {
    if (!this.#connected) return;
    const latest = this.#latest.get(tenant) ?? 0;
    if (number < latest) this.#wire.coverage.count("fault", "hint reordered");
    this.#latest.set(tenant, Math.max(number, latest));
    this.#clock.enter(() => {
      const listeners = this.#tenants.get(tenant);
      if (!listeners) return;
      let hint: Hint;
      try {
        hint = decodeHint(this.#wire.seal.open(tenant, bytes) ?? new Uint8Array(), tenant);
      } catch {
        hint = { say: "unsure" };
      }
      if (hint.say === "head") this.#wire.coverage.count("fault", "hint without events");
      listeners.call(hint);
    });
  }

  publish(extension: Extension): void {
    if (this.#connected) this.#wire.say(this, extension);
  }

  follow(tenant: string, listener: (hint: Hint) => void): () => void {
    const listeners = this.#tenants.get(tenant) ?? new Listeners<[Hint]>();
    this.#tenants.set(tenant, listeners);
    const remove = listeners.add(listener);
    let followed = true;
    // As `NatsBus` does it: once the server has the subscription.
    if (this.#connected) {
      const ms = this.#wire.scheduler.between(0.5, 5);
      this.#wire.scheduler.after(ms, () => this.#clock.enter(() => followed && listener({ say: "unsure" })));
    }
    return () => {
      followed = false;
      remove();
    };
  }

  onResync(listener: () => void): () => void {
    return this.#resyncs.add(listener);
  }

  announceRevocation(credential: string): void {
    this.#tellOthers(credential, (end) => end.#revocations);
  }

  onRevocation(listener: (credential: string) => void): () => void {
    return this.#revocations.add(listener);
  }

  announceTenant(tenant: string): void {
    this.#tellOthers(tenant, (end) => end.#terms);
  }

  onTenant(listener: (tenant: string) => void): () => void {
    return this.#terms.add(listener);
  }

  stats(): BusStats {
    return { connected: this.#connected, published: 0, unsent: 0, received: 0, malformed: 0, resyncs: 0 };
  }

  async close(): Promise<void> {
    this.cut();
  }

  #tellOthers(word: string, listeners: (end: SimulatedBus) => Listeners<[string]>): void {
    if (!this.#connected) return;
    for (const end of this.#wire.ends) if (end !== this) end.#hear(() => listeners(end).call(word));
  }

  #hear(call: () => void): void {
    this.#wire.scheduler.after(1, () => this.#clock.enter(() => this.#connected && call()));
  }
}
