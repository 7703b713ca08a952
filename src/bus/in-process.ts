import type { Extension } from "../domain/stored-event.ts";
import type { Bus, BusStats, Hint } from "./bus.ts";
import { Listeners } from "./listeners.ts";

/**
 * The bus without NATS. One instance is alone on it, so nothing is ever delivered; instances in one process that share a
 * `Wire` hear each other, each in a microtask of its own, as they would over a network.
 */
export class InProcessBus implements Bus {
  readonly #wire: Wire;
  readonly #tenants = new Map<string, Listeners<[Hint]>>();
  readonly #revocations = new Listeners<[string]>();
  readonly #changedTenants = new Listeners<[string]>();
  readonly #resyncs = new Listeners<[]>();
  #closed = false;
  #published = 0;
  #received = 0;

  /** @param wire shared with the other instances of this process; absent: alone */
  constructor(wire = new Wire()) {
    this.#wire = wire;
    wire.ends.add(this);
  }

  publish(extension: Extension): void {
    if (this.#closed) return;
    this.#published += 1;
    this.#others((bus) => bus.#hear(extension));
  }

  follow(tenant: string, listener: (hint: Hint) => void): () => void {
    const listeners = this.#tenants.get(tenant) ?? new Listeners<[Hint]>();
    this.#tenants.set(tenant, listeners);
    const remove = listeners.add(listener);
    return () => {
      remove();
      if (listeners.size === 0 && this.#tenants.get(tenant) === listeners) this.#tenants.delete(tenant);
    };
  }

  /** Nothing is ever missed here: never called. */
  onResync(listener: () => void): () => void {
    return this.#resyncs.add(listener);
  }

  announceRevocation(credential: string): void {
    if (!this.#closed) this.#others((bus) => bus.#revocations.call(credential));
  }

  onRevocation(listener: (credential: string) => void): () => void {
    return this.#revocations.add(listener);
  }

  announceTenant(tenant: string): void {
    if (!this.#closed) this.#others((bus) => bus.#changedTenants.call(tenant));
  }

  onTenant(listener: (tenant: string) => void): () => void {
    return this.#changedTenants.add(listener);
  }

  stats(): BusStats {
    const counts = { published: this.#published, unsent: 0, received: this.#received };
    return { connected: !this.#closed, ...counts, malformed: 0, resyncs: 0 };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wire.ends.delete(this);
    this.#tenants.clear();
    this.#revocations.clear();
    this.#changedTenants.clear();
    this.#resyncs.clear();
  }

  #hear(extension: Extension): void {
    const listeners = this.#tenants.get(extension.tenant);
    if (!listeners) return;
    this.#received += 1;
    listeners.call({ say: "events", extension });
  }

  #others(deliver: (bus: InProcessBus) => void): void {
    for (const bus of this.#wire.ends) {
      if (bus !== this) queueMicrotask(() => bus.#closed || deliver(bus));
    }
  }
}

/** Joins the instances of one process. */
export class Wire {
  readonly ends = new Set<InProcessBus>();
}
