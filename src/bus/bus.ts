import type { Extension, Place } from "../domain/stored-event.ts";

/**
 * The seam between instances. A bus hurries; it promises nothing: what it carries may be lost, doubled, late or out of order,
 * and whoever listens checks it against the journal. It carries only what instances have said. It never delivers to the instance that said it, because
 * that one was told by its own journal already.
 */
export interface Bus {
  /** Tells the other instances of new events. Fire and forget: it neither waits nor throws. */
  publish(extension: Extension): void;
  /** Listens to one tenant from now on. The returned function stops it; calling it again does nothing. */
  follow(tenant: string, listener: (hint: Hint) => void): () => void;
  /** Calls back after anything may have been missed for every tenant: the transport was away, or has dropped messages. */
  onResync(listener: () => void): () => void;
  /** Tells the other instances that a key or link is no longer good. */
  announceRevocation(credential: string): void;
  onRevocation(listener: (credential: string) => void): () => void;
  /** Tells the other instances that a tenant's tier, state or settings have changed. */
  announceTenant(tenant: string): void;
  onTenant(listener: (tenant: string) => void): () => void;
  stats(): BusStats;
  /** Lets go of everything. Nothing is delivered afterwards. Idempotent. */
  close(): Promise<void>;
}

/**
 * What a bus says of one tenant's journal.
 *
 * * `events`: these events follow that place.
 * * `head`: the journal has come to this place; the events were too large to send.
 * * `unsure`: something was said that could not be read, or may have been missed: look at the journal.
 */
export type Hint =
  | { readonly say: "events"; readonly extension: Extension }
  | { readonly say: "head"; readonly head: Place }
  | { readonly say: "unsure" };

export interface BusStats {
  readonly connected: boolean;
  /** Hints sent, and those that could not be sent because there was no connection. */
  readonly published: number;
  readonly unsent: number;
  readonly received: number;
  /** Messages that could not be read, or were not an instance's. */
  readonly malformed: number;
  /** Times that everything may have been missed. */
  readonly resyncs: number;
}
