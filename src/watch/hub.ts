import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { EndReason, EndReasonSchema, ResetReason, ResetReasonSchema } from "../../gen/leadline/v1/watch_pb.ts";
import type { Hint } from "../bus/bus.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Extension, Place } from "../domain/stored-event.ts";
import type { Head } from "../journal/journal.ts";
import type { Buffered } from "./buffered.ts";
import { CatchUp, type CatchUpHome } from "./catch-up.ts";
import type { Clock } from "./clock.ts";
import { type Counts, countIn } from "./counts.ts";
import { Encoder, WallBreach } from "./encoder.ts";
import { Endings } from "./endings.ts";
import { FanOut } from "./fan-out.ts";
import { Growth } from "./growth.ts";
import type { Checked } from "./head-checks.ts";
import type { HubParts } from "./hub-parts.ts";
import { Openings } from "./opening.ts";
import type { WatchOptions } from "./options.ts";
import { Snapshots } from "./snapshot.ts";
import type { Sink, WatchSpec } from "./spec.ts";
import { placeOf, Tail } from "./tail.ts";
import type { Budget, Worker } from "./turns.ts";
import { type Comparison, Verification } from "./verification.ts";
import { Watcher } from "./watcher.ts";
import { WatcherIndex } from "./watcher-index.ts";

/** Messages that are shared within one round of work may take so many times a message's bound. */
const SHARED_MESSAGES = 16;

/**
 * One tenant's watches on this instance, and the end of its journal that they follow.
 *
 * * `Tail` knows the journal's last events, and reads what hints leave out.
 * * `Openings` starts watches; `CatchUp` and `Snapshots` bring them to where the live ones stand; `FanOut` brings live ones
 *   over new events; `Endings` ends them.
 * * `HeadChecks` compares the head with the database, and `Verification` says since when nothing was missing: it is what
 *   `verified_at` tells clients, and a hub that has had no comparison for too long ends its watches.
 *
 * It listens to the bus first, and reads the head then: nothing can fall in between. When the database turns out to have
 * another history than was followed, every watch is reset and the hub begins anew.
 */
export class Hub implements CatchUpHome, Checked, Worker {
  readonly tenant: string;
  readonly encoder: Encoder;
  readonly clock: Clock;
  readonly options: WatchOptions;
  readonly counts: Counts;
  readonly buffered: Buffered;
  /** Those who wait for the journal to grow. */
  readonly growth = new Growth();
  /** Since when it has had no watches; undefined: it has some. */
  emptySinceMs: number | undefined;

  readonly #parts: HubParts;
  readonly #tail: Tail;
  readonly #index = new WatcherIndex();
  readonly #openings: Openings;
  readonly #snapshots: Snapshots;
  readonly #catchUp: CatchUp;
  readonly #fanOut: FanOut;
  readonly #endings: Endings;
  readonly #verification: Verification;
  readonly #watchers = new Set<Watcher>();
  /** Watchers that are not live and have something to do. */
  readonly #awake = new Set<Watcher>();
  /** What it was last compared with; undefined: it has not begun. */
  #head: Head | undefined;
  /** Why what was followed cannot be followed on; a comparison will tell where it goes on. */
  #lost: ResetReason | undefined;
  #catchUpFirst = false;
  readonly #unfollow: () => void;
  #closed = false;

  constructor(tenant: string, parts: HubParts) {
    const { aheadRoom, bus, catchUpReads, clock, counts, fillReads, heads, options, positions, reader } = parts;
    this.tenant = tenant;
    this.#parts = parts;
    this.clock = clock;
    this.options = options;
    this.counts = counts;
    this.buffered = parts.buffered;
    this.encoder = new Encoder(positions, options.messageBytes * SHARED_MESSAGES);
    this.#tail = new Tail(tenant, reader, fillReads, options, {
      grown: () => this.#request(),
      doubt: () => this.doubt(),
      lost: (reason) => this.#lose(reason),
      redacted: () => this.#redacted(),
      failed: (error) => this.failed(error),
      later: (run) => void clock.after(options.retryMs, run),
    });
    this.#openings = new Openings(this);
    this.#snapshots = new Snapshots(this, reader, catchUpReads);
    this.#catchUp = new CatchUp(this, this.#tail, reader, catchUpReads, aheadRoom);
    this.#fanOut = new FanOut(this.#index, this.encoder, options);
    this.#endings = new Endings(clock);
    this.#verification = new Verification(clock);
    this.emptySinceMs = clock.elapsedMs();
    this.#unfollow = bus.follow(tenant, (hint) => this.#hear(hint));
    heads.ask(this);
  }

  get live(): Place {
    return this.#tail.live;
  }

  get verifiedAtMs(): number | undefined {
    return this.#verification.atMs;
  }

  get watchers(): ReadonlySet<Watcher> {
    return this.#watchers;
  }

  get indexEntries(): number {
    return this.#index.entries;
  }

  get bytes(): number {
    return this.#tail.bytes;
  }

  /** Takes a watch in. Nothing is written before the caller has it. */
  join(spec: WatchSpec, sink: Sink, place: Place | undefined, deadlineMs: number | undefined): Watcher {
    const cohort = this.#index.join(spec, sink.codec);
    const watcher = new Watcher(this, cohort, spec, sink, place, deadlineMs);
    this.#watchers.add(watcher);
    this.#openings.add(watcher);
    this.emptySinceMs = undefined;
    this.#parts.wheel.place(watcher, watcher.nextDue(this.clock.elapsedMs()));
    this.wake(watcher);
    return watcher;
  }

  /** New events of the tenant that this instance committed itself. */
  extend(extension: Extension): void {
    if (extension.tenant === this.tenant) this.#tail.extend(extension);
    else this.#breach([], new WallBreach(`events of "${extension.tenant}" came to "${this.tenant}"`));
  }

  /** Ends watches in turns; see `Endings`. */
  end(watchers: Iterable<Watcher>, reason: EndReason, spreadMs: number, why?: Refusal): void {
    this.#endings.add(watchers, reason, spreadMs, why);
    this.#request();
  }

  /** Ends its watches if no comparison has succeeded for too long. */
  checkVerified(nowMs: number): void {
    if (this.#watchers.size === 0 || this.#endings.busy) return;
    if (this.#verification.ageMs(nowMs) <= this.options.unverifiedMs) return;
    this.end(this.#watchers, EndReason.UNVERIFIED, this.options.retrySpreadMs);
  }

  /** The process stood still: the head is compared, and the time that it stood is not held against the hub. */
  stalled(nowMs: number): void {
    this.#verification.excuse(nowMs);
    this.check();
  }

  /** Lets go of everything. Watches that are still open just stop. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unfollow();
    this.#tail.stop();
    this.#fanOut.clear();
    this.growth.wakeAll();
    this.#parts.heads.forget(this);
    for (const watcher of [...this.#watchers]) watcher.cancel();
  }

  check(): void {
    if (!this.#closed) this.#parts.heads.ask(this);
  }

  doubt(): void {
    this.counts.doubts += 1;
    this.check();
  }

  failed(error: unknown): void {
    this.#parts.onFailure(error);
  }

  readable<T>(watcher: Watcher, make: () => T): T | undefined {
    try {
      return make();
    } catch (error) {
      this.#unreadable([watcher], error);
      return undefined;
    }
  }

  breached(watcher: Watcher, breach: WallBreach): void {
    this.#breach([watcher], breach);
  }

  broke(watcher: Watcher, error: unknown): void {
    const { kind, codec } = watcher.cohort;
    this.#parts.log.error({ err: error, tenant: this.tenant, kind, codec }, "a watch's sink threw; the watch is over");
  }

  wake(watcher: Watcher): void {
    if (watcher.isOver() || watcher.blocked || watcher.state === "live" || this.#closed) return;
    this.#awake.add(watcher);
    this.#request();
  }

  wakeLater(watcher: Watcher): void {
    this.clock.after(this.options.retryMs, () => this.wake(watcher));
  }

  leave(watcher: Watcher, ended: EndReason | undefined): void {
    if (!this.#watchers.delete(watcher)) return;
    if (ended !== undefined) countIn(this.counts.ends, EndReasonSchema.value[ended]?.localName ?? String(ended));
    this.#awake.delete(watcher);
    this.#openings.forget(watcher);
    this.#catchUp.forget(watcher);
    this.#parts.wheel.remove(watcher);
    this.#index.leave(watcher.cohort);
    if (this.#watchers.size === 0) this.emptySinceMs = this.clock.elapsedMs();
    this.#parts.onLeave();
  }

  reset(watcher: Watcher, reason: ResetReason, head: Place = this.#tail.head): void {
    if (watcher.isOver()) return;
    countIn(this.counts.resets, ResetReasonSchema.value[reason]?.localName ?? String(reason));
    watcher.reset(reason, head);
  }

  asking(): (head: Head | undefined) => void {
    const known = this.#head && this.#tail.head;
    const comparison = this.#verification.ask(this.#openings.ask());
    return (head) => {
      if (this.#closed) return;
      if (head) this.#compare(head, known, { ...comparison, place: placeOf(head) });
      else this.#parts.log.error({ tenant: this.tenant }, "a watched tenant has no journal");
    };
  }

  /** A turn. Fan-out and catch-up take turns at being first, so that neither starves the other. */
  work(budget: Budget): boolean {
    if (this.#closed) return false;
    this.growth.grown(this.#tail.head.revision);
    this.#endings.work(budget);
    this.#catchUpFirst = !this.#catchUpFirst;
    if (this.#catchUpFirst) this.#bringOn(budget);
    this.#spread(budget);
    this.#bringOn(budget);
    const more = this.#endings.busy || this.#fanOut.busy || this.#hasNews() || this.#awake.size > 0;
    if (!more) this.encoder.forget();
    return more;
  }

  #hear(hint: Hint): void {
    if (this.#closed) return;
    if (hint.say === "events") this.extend(hint.extension);
    else if (hint.say === "head") this.#tail.heard(hint.head);
    else this.check();
  }

  /** @param known what the head was here when the database was asked */
  #compare(head: Head, known: Place | undefined, comparison: Comparison): void {
    const place = placeOf(head);
    if (!this.#head) this.#begin(head);
    else if (this.#head.journalId !== head.journalId) this.#restart(head, ResetReason.OTHER_JOURNAL);
    else if (this.#lost !== undefined) this.#restart(head, this.#lost);
    else if (hasGoneBack(place, known) || differs(place, this.#tail.placeAt(place.revision)))
      this.#restart(head, ResetReason.HISTORY_DIVERGED);
    else if (this.#tail.head.revision < head.floor) this.#restart(head, ResetReason.POSITION_TOO_OLD);
    else this.#head = head;
    this.#verification.add(comparison);
    this.#tail.want(head.revision);
    this.#conclude();
  }

  #begin(head: Head): void {
    this.#head = head;
    this.#lost = undefined;
    this.#fanOut.clear();
    this.encoder.forget();
    this.#tail.begin(head);
    this.growth.grown(head.revision);
    this.#openings.begin();
  }

  #restart(head: Head, reason: ResetReason): void {
    this.counts.divergences += 1;
    const heads = { was: this.#tail.head.revision.toString(), is: head.revision.toString() };
    const what = reason === ResetReason.POSITION_TOO_OLD ? "no longer has what follows" : "has another history";
    this.#parts.log.error({ tenant: this.tenant, ...heads }, `the journal ${what}; watches are reset`);
    this.#verification.forget();
    this.growth.wakeAll();
    this.#openings.retry();
    for (const watcher of [...this.#watchers]) {
      if (watcher.state === "opening") continue;
      const isAhead = reason === ResetReason.HISTORY_DIVERGED && (watcher.position?.revision ?? 0n) > head.revision;
      this.reset(watcher, isAhead ? ResetReason.POSITION_AHEAD : reason, placeOf(head));
    }
    this.#begin(head);
  }

  /** Nothing that was encoded or read before is written any more. */
  #redacted(): void {
    this.encoder.forget();
    this.#catchUp.forgetReads();
  }

  #lose(reason: ResetReason): void {
    this.#lost = reason;
    this.check();
  }

  /** Takes note of the comparisons that live watchers have come up to. */
  #conclude(): void {
    this.#openings.answer(this.#verification.reach(this.live.revision));
  }

  /** Brings live watchers on. */
  #spread(budget: Budget): void {
    this.#fanOut.serve(budget);
    while (!budget.spent && !this.#fanOut.busy && this.#hasNews()) {
      const { planned, failed } = this.#fanOut.plan(this.#tail.unserved());
      budget.spend(planned.length);
      for (const { cohort, error } of failed) this.#unreadable(cohort.live, error);
      this.#tail.serve(planned);
      this.#conclude();
      this.#fanOut.serve(budget);
    }
  }

  #hasNews(): boolean {
    return this.#lost === undefined && this.#tail.live.revision !== this.#tail.head.revision;
  }

  /** Brings the others on. */
  #bringOn(budget: Budget): void {
    for (const watcher of this.#awake) {
      if (budget.spent) return;
      this.#awake.delete(watcher);
      budget.spend(1);
      if (watcher.state === "opening") this.#openings.open(watcher, this.#lost === undefined ? this.#head : undefined);
      else if (watcher.state === "snapshot") this.#snapshots.step(watcher);
      else if (this.#lost === undefined) this.#catchUp.step(watcher);
    }
  }

  /** What is not the watchers' own was about to be written to them: they are ended. */
  #breach(watchers: Iterable<Watcher>, breach: WallBreach): void {
    this.counts.wallBreaches += 1;
    this.#parts.log.fatal({ err: breach, tenant: this.tenant }, "a wall between readers was about to be crossed");
    for (const watcher of [...watchers]) {
      watcher.refuse(new Refusal(ErrorReason.INTERNAL, "internal error: the watch was ended before it went wrong"));
    }
    this.check();
  }

  #unreadable(watchers: Iterable<Watcher>, error: unknown): void {
    if (error instanceof WallBreach) {
      this.#breach(watchers, error);
      return;
    }
    this.#parts.log.error({ err: error, tenant: this.tenant }, "stored bytes cannot be read; the watches are ended");
    for (const watcher of [...watchers]) watcher.end(EndReason.UNVERIFIED);
  }

  #request(): void {
    if (!this.#closed) this.#parts.turns.request(this);
  }
}

/** The head is before the one that was known when it was asked for, or another event stands there. */
function hasGoneBack(head: Place, known: Place | undefined): boolean {
  return (
    known !== undefined &&
    (head.revision < known.revision || (head.revision === known.revision && differs(head, known)))
  );
}

function differs(place: Place, known: Place | undefined): boolean {
  return known !== undefined && known.eventId !== place.eventId;
}
