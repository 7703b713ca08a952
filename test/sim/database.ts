import type { Extension } from "../../src/domain/stored-event.ts";
import type { WatchReader } from "../../src/watch/bounded-reader.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import type { Floor } from "../guarantees/history.ts";
import { type Change, MemoryJournal } from "../watch/memory-journal.ts";
import type { Coverage } from "./coverage.ts";
import type { ProcessClock } from "./process-clock.ts";
import type { Scheduler } from "./scheduler.ts";

/** How a read or a commit travels. */
interface Weather {
  /** Each way takes from one time up to another. */
  fromMs: number;
  toMs: number;
  away: boolean;
  /** The part of answers that never come. */
  lost: number;
}

const FAIR: Weather = { fromMs: 0.2, toMs: 3, away: false, lost: 0 };

/** One database for all instances: a journal behind a network that delays, loses and refuses. */
export class Database {
  readonly journal: MemoryJournal;
  readonly weather: Weather = { ...FAIR };
  readonly floors = new Map<string, Floor[]>();
  readonly #scheduler: Scheduler;
  readonly #coverage: Coverage;

  constructor(scheduler: Scheduler, coverage: Coverage) {
    this.#scheduler = scheduler;
    this.#coverage = coverage;
    this.journal = new MemoryJournal(() => Math.floor(scheduler.nowMs));
  }

  heal(): void {
    Object.assign(this.weather, FAIR);
  }

  /** The reading seam of one instance. */
  readerFor(clock: ProcessClock): WatchReader {
    const { journal } = this;
    const ask = <T>(what: string, read: () => Promise<T>) => this.#ask(clock, what, read);
    return {
      heads: (tenants) => ask("heads", () => journal.heads(tenants)),
      events: (...of) => ask("events", () => journal.events(...of)),
      stretch: (...of) => ask("stretch", () => journal.stretch(...of)),
      latest: (...of) => ask("latest", () => journal.latest(...of)),
      rows: (query) => ask("rows", () => journal.rows(query)),
      before: (...of) => ask("before", () => journal.before(...of)),
    };
  }

  /** Commits for an instance, and tells it if it still can be told. */
  commit(
    clock: ProcessClock,
    tenant: string,
    changes: readonly Change[],
    committed: (extension: Extension) => void,
  ): void {
    if (clock.ended) return;
    const { weather } = this;
    const scheduler = this.#scheduler;
    scheduler.after(this.#way(), () => {
      if (weather.away) return;
      const extension = this.journal.commit(tenant, ...changes);
      if (scheduler.chance(weather.lost)) {
        this.#coverage.count("fault", "commit unanswered");
        return;
      }
      scheduler.after(this.#way(), () => {
        if (clock.ended) this.#coverage.count("fault", "commit unanswered");
        clock.enter(() => committed(extension));
      });
    });
  }

  /** An older copy takes its place: each tenant loses up to so many of its last events, whole commands. */
  failOver(tenants: readonly string[], lostMax: number): void {
    let lost = 0;
    for (const tenant of tenants) {
      const all = this.journal.all(tenant);
      const floor = this.floors.get(tenant)?.at(-1)?.revision ?? 0;
      let keep = Math.max(all.length - this.#scheduler.whole(0, lostMax), floor);
      while (keep < all.length && keep > 0 && !this.#endsCommand(tenant, keep)) keep += 1;
      if (keep >= all.length) continue;
      lost += all.length - keep;
      this.journal.restore(tenant, BigInt(keep));
    }
    if (lost > 0) this.#coverage.count("fault", "tail lost by a failover");
  }

  /** Another journal takes a tenant's place. */
  replace(tenant: string): void {
    this.journal.replace(tenant);
    this.journal.journalId(tenant);
    this.floors.set(tenant, [...(this.floors.get(tenant) ?? []), { fromMs: this.#scheduler.nowMs, revision: 0 }]);
    this.#coverage.count("fault", "another journal");
  }

  prune(tenant: string): void {
    const floors = this.floors.get(tenant) ?? [];
    const last = floors.at(-1)?.revision ?? 0;
    const head = this.journal.all(tenant).length;
    if (head <= last + 1) return;
    const revision = this.#scheduler.whole(last + 1, head);
    this.journal.raiseFloor(tenant, BigInt(revision));
    this.floors.set(tenant, [...floors, { fromMs: this.#scheduler.nowMs, revision }]);
    this.#coverage.count("fault", "history pruned");
  }

  #endsCommand(tenant: string, revision: number): boolean {
    const command = this.journal.all(tenant)[revision - 1];
    const part = command && decodeEvents(command.payload)[0]?.command;
    return part === undefined || part.index + 1 === part.count;
  }

  #ask<T>(clock: ProcessClock, what: string, read: () => Promise<T>): Promise<T> {
    const { weather } = this;
    const scheduler = this.#scheduler;
    this.#coverage.count("read", what);
    return new Promise((resolve, reject) => {
      scheduler.after(this.#way(), () => {
        const answer = weather.away ? Promise.reject(new Error("the database is away")) : read();
        answer.catch(() => {});
        if (scheduler.chance(weather.lost)) {
          this.#coverage.count("fault", "answer lost");
          // Half of the connections break, the others are silent.
          if (scheduler.chance(0.5)) return;
          scheduler.after(this.#way(), () => clock.enter(() => reject(new Error("the connection broke"))));
          return;
        }
        scheduler.after(this.#way(), () => clock.enter(() => resolve(answer)));
      });
    });
  }

  #way(): number {
    return this.#scheduler.between(this.weather.fromMs, this.weather.toMs);
  }
}
