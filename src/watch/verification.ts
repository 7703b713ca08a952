import type { Place } from "../domain/stored-event.ts";
import type { Clock } from "./clock.ts";
import type { Watcher } from "./watcher.ts";

/** A head that was read from the database, when it was asked for, and the watches that waited for it. */
export interface Comparison {
  readonly place: Place;
  readonly wallMs: number;
  readonly elapsedMs: number;
  readonly openers: readonly Watcher[];
}

/**
 * When a hub last knew that it misses nothing. A comparison counts as of the moment it was asked for, and once live
 * watchers have come as far as the head that it found: until then something is missing.
 */
export class Verification {
  readonly #clock: Clock;
  #open: Comparison[] = [];
  #last: { readonly wallMs: number; readonly elapsedMs: number } | undefined;
  #trustedSinceMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#trustedSinceMs = clock.elapsedMs();
  }

  /** Milliseconds since the epoch; undefined: never yet. */
  get atMs(): number | undefined {
    return this.#last?.wallMs;
  }

  /** How long nothing has been known for certain. */
  ageMs(nowMs: number): number {
    return nowMs - Math.max(this.#trustedSinceMs, this.#last?.elapsedMs ?? 0);
  }

  /** The process stood still: that time is not counted. */
  excuse(nowMs: number): void {
    this.#trustedSinceMs = nowMs;
  }

  /** What a comparison is made of, before its head is known. */
  ask(openers: readonly Watcher[]): Omit<Comparison, "place"> {
    return { wallMs: this.#clock.wallMs(), elapsedMs: this.#clock.elapsedMs(), openers };
  }

  add(comparison: Comparison): void {
    this.#open.push(comparison);
  }

  /** Comparisons with a history that is no longer followed are worth nothing. */
  forget(): void {
    this.#open = [];
  }

  /** Live watchers have come to this revision. Answers the comparisons that now count. */
  reach(revision: bigint): readonly Comparison[] {
    if (this.#open.length === 0) return [];
    const reached = this.#open.filter((comparison) => comparison.place.revision <= revision);
    if (reached.length > 0) this.#open = this.#open.filter((comparison) => comparison.place.revision > revision);
    for (const { wallMs, elapsedMs } of reached) {
      if (elapsedMs >= (this.#last?.elapsedMs ?? 0)) this.#last = { wallMs, elapsedMs };
    }
    return reached;
  }
}
