import type { Bus, BusStats, Hint } from "../../src/bus/bus.ts";
import { Listeners } from "../../src/bus/listeners.ts";
import type { Extension } from "../../src/domain/stored-event.ts";

/** What becomes of a hint on its way. */
export type Fate = "deliver" | "drop" | "double" | "delay" | "headOnly" | "garble";

/** A bus between instances that does with each hint what it is told to: the worst that a transport may do. */
export class LossyBus implements Bus {
  readonly #others: LossyBus[] = [];
  readonly #listeners = new Map<string, Listeners<[Hint]>>();
  readonly #resyncs = new Listeners<[]>();
  readonly #delayed: (() => void)[] = [];
  fate: Fate = "deliver";

  join(other: LossyBus): void {
    this.#others.push(other);
    other.#others.push(this);
  }

  publish(extension: Extension): void {
    const { fate } = this;
    for (const other of this.#others) {
      const deliver = (hint: Hint): void => other.#listeners.get(extension.tenant)?.call(hint);
      const events: Hint = { say: "events", extension };
      const head = extension.events.at(-1);
      if (fate === "deliver" || fate === "double") deliver(events);
      if (fate === "double") deliver(events);
      if (fate === "delay") this.#delayed.unshift(() => deliver(events)); // and in reverse order
      if (fate === "headOnly" && head) deliver({ say: "head", head });
      if (fate === "garble") deliver({ say: "unsure" });
    }
  }

  /** What was delayed arrives, the last first. */
  arrive(): void {
    for (const deliver of this.#delayed.splice(0)) deliver();
  }

  resync(): void {
    this.#resyncs.call();
  }

  follow(tenant: string, listener: (hint: Hint) => void): () => void {
    const listeners = this.#listeners.get(tenant) ?? new Listeners<[Hint]>();
    this.#listeners.set(tenant, listeners);
    return listeners.add(listener);
  }

  onResync(listener: () => void): () => void {
    return this.#resyncs.add(listener);
  }

  announceRevocation(): void {}

  onRevocation(): () => void {
    return () => {};
  }

  announceTenant(): void {}

  onTenant(): () => void {
    return () => {};
  }

  stats(): BusStats {
    return { connected: true, published: 0, unsent: 0, received: 0, malformed: 0, resyncs: 0 };
  }

  async close(): Promise<void> {}
}
