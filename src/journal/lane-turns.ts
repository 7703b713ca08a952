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
  /** Others hold these commands' heads: they wait again, before later ones of their tenants. */
  passOver(commands: readonly Pending[]): void;
  /** These go before all others, in the order given: their batch is to be done again. */
  putBack(commands: readonly Pending[]): void;
  /** A batch is over: all that was not passed over of it is settled or put back. */
  over(commands: readonly Pending[]): void;
  /** Takes those that wait since before a time, `performance.now()`: they are not to wait any longer. */
  takeOld(since: number): readonly Pending[];
}

/** Everybody's turns. A tenant whose head others hold is skipped, and becomes the patient lane's when that happens often. */
export class UsualTurns implements Turns {
  readonly waits = false;
  readonly #queue: CommandQueue;
  readonly #skipped: Skipped;
  readonly #onSkip: () => void;
  /** Commands that were taken and are neither settled nor back, by tenant. Not a Map: see `DeficitRoundRobin`. */
  readonly #out: Record<string, number> = Object.create(null);

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
    const commands = this.#queue.take(limit);
    for (const { command } of commands) this.#out[command.tenant] = (this.#out[command.tenant] ?? 0) + 1;
    return commands;
  }

  /** Whether commands of the tenant are on this lane: what waits of it must not overtake them. */
  hasOut(tenant: string): boolean {
    return tenant in this.#out;
  }

  had(tenants: Iterable<string>): void {
    this.#skipped.had(tenants);
  }

  passOver(commands: readonly Pending[]): void {
    // They have had their turn. If they had it anew, they would fill batch after batch while the others wait.
    this.#queue.unshift(commands, "spent");
    this.#skipped.note(commands.map((p) => p.command.tenant));
    this.over(commands);
  }

  putBack(commands: readonly Pending[]): void {
    this.#queue.unshiftFirst(commands);
  }

  over(commands: readonly Pending[]): void {
    for (const { command } of commands) {
      const left = (this.#out[command.tenant] ?? 0) - 1;
      if (left > 0) this.#out[command.tenant] = left;
      else delete this.#out[command.tenant];
    }
    if (this.#skipped.isAnyDue) this.#onSkip();
  }

  takeOld(since: number): readonly Pending[] {
    return this.#queue.takeOld(since);
  }
}

/** One tenant at a time, whose head was skipped too often. While it is waited for its commands are nobody else's. */
export class PatientTurns implements Turns {
  readonly waits = true;
  readonly mayGoAhead = false;
  readonly #queue: CommandQueue;
  readonly #skipped: Skipped;
  readonly #usual: Pick<UsualTurns, "hasOut">;
  readonly #onOver: () => void;
  #tenant: string | undefined;

  /** @param onOver a tenant's commands are everybody's again */
  constructor(queue: CommandQueue, skipped: Skipped, usual: Pick<UsualTurns, "hasOut">, onOver: () => void) {
    this.#queue = queue;
    this.#skipped = skipped;
    this.#usual = usual;
    this.#onOver = onOver;
  }

  take(limit: number): readonly Pending[] {
    const due = () => this.#skipped.due((tenant) => !this.#usual.hasOut(tenant));
    for (let tenant = due(); tenant !== undefined; tenant = due()) {
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

  /** The wait was in vain. The tenant goes back among the others, with the turn that it did not have. */
  passOver(commands: readonly Pending[]): void {
    if (this.#tenant !== undefined) this.#skipped.waitedInVain(this.#tenant);
    this.#letGo();
    this.#queue.unshift(commands, "due");
    this.#onOver();
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

  /** The usual lane sees to them. */
  takeOld(): readonly Pending[] {
    return [];
  }

  #letGo(): void {
    if (this.#tenant !== undefined) this.#queue.letGo(this.#tenant);
    this.#tenant = undefined;
  }
}
