import type { CommandQueue, Pending } from "./command-queue.ts";
import type { Skipped } from "./skipped.ts";

/** Which commands are whose turn on a lane, and where those go that it could not commit. */
export interface Turns {
  /** Whether heads that others hold are waited for, up to lock_timeout; otherwise they are skipped. */
  readonly waits: boolean;
  /** Whether flight 1 of the next batch may go right behind flight 2 of this one. */
  readonly mayGoAhead: boolean;
  /** The next batch; empty: there is nothing for this lane. @param limit commands at most */
  take(limit: number): readonly Pending[];
  /** Heads were had. */
  had(tenants: Iterable<string>): void;
  /** Others hold these commands' heads. */
  passOver(commands: readonly Pending[]): void;
  /** What was waited for did not come. */
  inVain(): void;
  /** These go before all others, in the order given: their batch is to be done again. */
  putBack(commands: readonly Pending[]): void;
  /** The batch's commands are settled. */
  over(): void;
}

/** Everybody's turns. A tenant whose head others hold is skipped, and becomes the patient lane's when that happens often. */
export class UsualTurns implements Turns {
  readonly waits = false;
  readonly #queue: CommandQueue;
  readonly #skipped: Skipped;
  readonly #onSkip: () => void;

  /** @param onSkip a tenant may have become due */
  constructor(queue: CommandQueue, skipped: Skipped, onSkip: () => void) {
    this.#queue = queue;
    this.#skipped = skipped;
    this.#onSkip = onSkip;
  }

  /** Not when a batch was cut short for a reserve: what its tenant sends while it commits goes into the next one, not behind it. */
  get mayGoAhead(): boolean {
    return !this.#queue.cutShort;
  }

  take(limit: number): readonly Pending[] {
    return this.#queue.take(limit);
  }

  had(tenants: Iterable<string>): void {
    this.#skipped.had(tenants);
  }

  passOver(commands: readonly Pending[]): void {
    this.#queue.unshift(commands);
    this.#skipped.note(commands.map((p) => p.command.tenant));
    this.#onSkip();
  }

  putBack(commands: readonly Pending[]): void {
    this.#queue.unshiftFirst(commands);
  }

  inVain(): void {}

  over(): void {}
}

/** One tenant at a time, whose head was skipped too often. While it is waited for its commands are nobody else's. */
export class PatientTurns implements Turns {
  readonly waits = true;
  readonly mayGoAhead = false;
  readonly #queue: CommandQueue;
  readonly #skipped: Skipped;
  readonly #onOver: () => void;
  #tenant: string | undefined;

  /** @param onOver a tenant's commands are everybody's again */
  constructor(queue: CommandQueue, skipped: Skipped, onOver: () => void) {
    this.#queue = queue;
    this.#skipped = skipped;
    this.#onOver = onOver;
  }

  take(limit: number): readonly Pending[] {
    for (let tenant = this.#skipped.due; tenant !== undefined; tenant = this.#skipped.due) {
      this.#skipped.waited(tenant);
      const commands = this.#queue.takeAside(tenant, limit);
      if (commands.length === 0) continue;
      this.#tenant = tenant;
      return commands;
    }
    return [];
  }

  had(tenants: Iterable<string>): void {
    this.#skipped.had(tenants);
  }

  /** It waits and does not skip. */
  passOver(commands: readonly Pending[]): void {
    this.putBack(commands);
  }

  inVain(): void {
    if (this.#tenant !== undefined) this.#skipped.waitedInVain(this.#tenant);
  }

  putBack(commands: readonly Pending[]): void {
    this.#letGo();
    this.#queue.unshiftFirst(commands);
    this.#onOver();
  }

  over(): void {
    this.#letGo();
    this.#onOver();
  }

  #letGo(): void {
    if (this.#tenant !== undefined) this.#queue.letGo(this.#tenant);
    this.#tenant = undefined;
  }
}
