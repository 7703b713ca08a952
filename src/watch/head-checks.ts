import type { Head } from "../journal/journal.ts";
import type { WatchReader } from "./bounded-reader.ts";
import type { Clock } from "./clock.ts";
import type { Counts } from "./counts.ts";

/** A tenant's hub, as its head is compared. */
export interface Checked {
  readonly tenant: string;
  /** Called when the heads are about to be asked for; the answer is called with the head then, undefined: no such tenant. */
  asking(): (head: Head | undefined) => void;
}

/** Told of every query. */
export interface Outcome {
  succeeded(): void;
  failed(error: unknown): void;
}

/**
 * Asks the database for heads: one query at a time, for all hubs that wait for one. Who asks is answered by a query that
 * was sent after it asked. A query that fails is repeated until it does not.
 */
export class HeadChecks {
  readonly #reader: WatchReader;
  readonly #clock: Clock;
  readonly #counts: Counts;
  readonly #outcome: Outcome;
  readonly #batch: number;
  readonly #retryMs: number;
  readonly #due = new Set<Checked>();
  #running = false;
  #closed = false;

  constructor(
    reader: WatchReader,
    clock: Clock,
    counts: Counts,
    outcome: Outcome,
    options: { headCheckTenants: number; retryMs: number },
  ) {
    this.#reader = reader;
    this.#clock = clock;
    this.#counts = counts;
    this.#outcome = outcome;
    this.#batch = options.headCheckTenants;
    this.#retryMs = options.retryMs;
  }

  ask(hub: Checked): void {
    this.#due.add(hub);
    if (this.#running || this.#closed) return;
    this.#running = true;
    // Hubs that ask in the same turn share the query.
    this.#clock.soon(() => void this.#check());
  }

  /** It wants no answer any more. */
  forget(hub: Checked): void {
    this.#due.delete(hub);
  }

  close(): void {
    this.#closed = true;
    this.#due.clear();
  }

  async #check(): Promise<void> {
    const hubs = [...this.#due].slice(0, this.#batch);
    for (const hub of hubs) this.#due.delete(hub);
    const answers = hubs.map((hub) => ({ tenant: hub.tenant, answer: hub.asking() }));
    this.#counts.headChecks += 1;
    let heads: Map<string, Head>;
    try {
      heads = await this.#reader.heads(hubs.map((hub) => hub.tenant));
    } catch (error) {
      this.#counts.headCheckFailures += 1;
      this.#outcome.failed(error);
      if (this.#closed) return;
      for (const hub of hubs) this.#due.add(hub);
      this.#clock.after(this.#retryMs, () => this.#next());
      return;
    }
    this.#outcome.succeeded();
    for (const { tenant, answer } of answers) answer(heads.get(tenant));
    this.#next();
  }

  #next(): void {
    if (this.#due.size > 0 && !this.#closed) this.#clock.soon(() => void this.#check());
    else this.#running = false;
  }
}
