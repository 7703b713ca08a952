import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { EndReason, type ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Place } from "../domain/stored-event.ts";
import type { Buffered } from "./buffered.ts";
import type { Clock } from "./clock.ts";
import type { Cohort } from "./cohort.ts";
import type { Counts } from "./counts.ts";
import type { Delivery } from "./delivery.ts";
import { type Encoder, type Notice, notice, WallBreach } from "./encoder.ts";
import type { WatchOptions } from "./options.ts";
import type { Reached, Sink, Subscription, WatchOutcome, WatchSpec } from "./spec.ts";
import type { Timed } from "./wheel.ts";

/**
 * Where a watch stands.
 *
 * * `opening`: its start is not decided yet. -> snapshot, behind, live
 * * `snapshot`: rows are being sent; `place` is the pinned head. -> behind
 * * `behind`: everything that matches up to `place` has been written. -> live
 * * `live`: everything that matches up to where the hub's live watchers stand has been written, but for what is `owed`.
 *   -> behind, when the stream takes no more
 * * `over`: nothing is written any more.
 */
export type WatcherState = "opening" | "snapshot" | "behind" | "live" | "over";

/** What a watcher needs of its hub. */
export interface Home {
  readonly encoder: Encoder;
  readonly clock: Clock;
  readonly options: WatchOptions;
  readonly counts: Counts;
  readonly buffered: Buffered;
  /** Where live watchers stand. */
  readonly live: Place;
  /** When the head was last compared with the database, milliseconds since the epoch; undefined: never yet. */
  readonly verifiedAtMs: number | undefined;
  /** The watcher has something to do. */
  wake(watcher: Watcher): void;
  /** The watcher is over. `ended`: why it was ended, undefined if it was not. */
  leave(watcher: Watcher, ended: EndReason | undefined): void;
  /** The watcher's sink threw, which ends the watch: sinks that work do not. */
  broke(watcher: Watcher, error: unknown): void;
  /** Bytes that are not the watcher's were about to be written to it. It is ended, and nothing of them is written. */
  breached(watcher: Watcher, breach: WallBreach): void;
}

/** Ends after which the client may resume at once; it gets a bookmark of its own before them. */
const PLANNED: ReadonlySet<EndReason> = new Set([
  EndReason.DRAINING,
  EndReason.MAX_AGE,
  EndReason.CREDENTIAL,
  EndReason.DEADLINE,
  EndReason.TIER,
]);

/** The usual start, the same for all. */
const NOW: WatchSpec["start"] = { from: "now" };

/** Blocked streams are looked at this many times before they count as slow. */
const SLOW_CHECKS = 6;

/**
 * One watch: a position and a stream, no queue. It writes what it is given while the stream takes it, and remembers where
 * it was when the stream did not; its hub brings it on from there. Its memory does not depend on how far it is behind.
 */
export class Watcher implements Subscription, Timed {
  readonly cohort: Cohort;
  /** Whose it is, as its caller's credential says. */
  readonly tenant: string;
  readonly credential: string;
  readonly network: string;
  /** Where it starts; not needed once it has. */
  readonly start: WatchSpec["start"];
  state: WatcherState = "opening";
  /** See `WatcherState`; while `opening` the place that it wants to continue from; while `live` undefined. */
  place: Place | undefined;
  /** What the present fan-out holds for it. */
  owed: Delivery | undefined;
  /** The stream takes no more at present. */
  blocked = false;
  /** A read is under way for it. */
  reading = false;
  /** Its place was seen in the journal. */
  verified = false;
  /** Whether the head has been asked for since it came, and whether what was known here has come up to the answer. */
  newest: "unasked" | "asked" | "known" = "unasked";
  /** Mode LATEST: up to this revision, events that said that a subject left may have been passed over. See `CatchUp`. */
  hiddenUpTo = 0n;
  /** Mode LATEST: it reads the journal, and has to until a page is the last. */
  sweeping = false;
  /** Where its snapshot continues: rows created before this revision. */
  cursor: bigint | undefined;
  /** The furthest change that its snapshot left a row out for: seldom one. See `Snapshots`. */
  leftOut: Place | undefined;
  slot: number | undefined;

  readonly #home: Home;
  readonly #sink: Sink;
  readonly #rowsMax: number | undefined;
  #rowsSent = 0;
  // Times in whole milliseconds: the runtime keeps them in place, and gives a fraction an object of its own.
  readonly #endsAtMs: number;
  readonly #expiresAtMs: number | undefined;
  readonly #deadlineMs: number | undefined;
  readonly #heartbeatMs: number;
  #writtenAtMs: number;
  #unsent = 0;
  #progressAtMs = 0;

  /** @param deadlineMs when the caller's deadline passes, milliseconds since the epoch */
  constructor(home: Home, cohort: Cohort, spec: WatchSpec, sink: Sink, place: Place | undefined, deadlineMs?: number) {
    const { clock, options } = home;
    this.#home = home;
    this.#sink = sink;
    this.cohort = cohort;
    this.tenant = spec.tenant;
    this.credential = spec.credential;
    this.network = spec.network ?? "";
    this.#rowsMax = spec.snapshotRowsMax;
    this.start = spec.start.from === "now" ? NOW : spec.start;
    this.place = place;
    this.#expiresAtMs = spec.expiresAtMs;
    this.#deadlineMs = deadlineMs;
    this.#endsAtMs = Math.floor(clock.elapsedMs() + options.maxAgeMs * (0.5 + clock.random() / 2));
    // Noticed up to a tick late, and still not later than `started` announces.
    this.#heartbeatMs = Math.floor(options.heartbeatMs * (0.75 + clock.random() / 2) - options.tickMs);
    this.#writtenAtMs = Math.floor(clock.elapsedMs());
  }

  /** Everything that matches up to here has been written; undefined while nothing can be promised. */
  get position(): Place | undefined {
    if (this.state === "live") return this.#home.live;
    return this.state === "snapshot" ? undefined : this.place;
  }

  /** Asked after a write, which may have been its last. */
  isOver(): boolean {
    return this.state === "over";
  }

  drained(): void {
    if (!this.blocked || this.state === "over") return;
    this.blocked = false;
    this.#buffers(0);
    this.#home.wake(this);
  }

  cancel(): void {
    this.#leave();
  }

  /**
   * Writes a delivery as far as the stream takes it. A live watcher that is stopped by its stream is behind from then on.
   * `nowMs`: what the clock said a moment ago, if somebody has asked.
   */
  deliver(delivery: Delivery, nowMs = this.#home.clock.elapsedMs()): void {
    this.owed = undefined;
    const { cohort, runs, upTo } = delivery;
    // The last wall: from here on there are only bytes.
    if (cohort !== this.cohort || cohort.tenant !== this.tenant) {
      this.#home.breached(this, new WallBreach(`a delivery to "${cohort.tenant}" was about to go to "${this.tenant}"`));
      return;
    }
    for (const run of runs) {
      const reached = this.#write(run.message, nowMs, run.isLast);
      this.#home.counts.events += run.events;
      if (this.isOver()) return;
      if (!this.blocked) continue;
      this.fallBehind(run === runs.at(-1) ? upTo : run.at);
      if (reached) this.#endSlow(reached); // only now: its position is that of what was written
      return;
    }
    if (this.state === "behind") this.place = upTo;
  }

  /** See `hiddenUpTo`. */
  hide(upTo: bigint): void {
    if (upTo > this.hiddenUpTo) this.hiddenUpTo = upTo;
  }

  /** Stands at a place of its own from now on. */
  fallBehind(place: Place): void {
    this.cohort.live.delete(this);
    this.state = "behind";
    this.place = place;
  }

  /** Sends a snapshot as of this place from now on. */
  pin(place: Place): void {
    this.state = "snapshot";
    this.place = place;
  }

  /** Stands where the hub's live watchers stand from now on. */
  goLive(): void {
    this.state = "live";
    this.place = undefined;
    this.cohort.live.add(this);
  }

  /** Writes a message of a snapshot; one that is above its bound ends the watch. */
  writeRows(message: Uint8Array, rows: number): void {
    this.#rowsSent += rows;
    if (this.#rowsMax !== undefined && this.#rowsSent > this.#rowsMax) this.refuse(snapshotTooLarge(this.#rowsMax));
    else this.#endIf(this.#write(message));
  }

  notify(fields: Notice): void {
    this.#endIf(this.#writeNotice(fields));
  }

  /** Ends it: what the client holds may not be what the journal holds. */
  reset(reason: ResetReason, head: Place): void {
    if (this.state === "over") return;
    this.#writeNotice({ reset: { reason, head: this.#text(head) } });
    this.#finish({ how: "reset" });
  }

  /** Ends it without another message. */
  refuse(refusal: Refusal): void {
    this.#finish({ how: "refused", refusal });
  }

  /** Ends it with its position. What a fan-out holds for it is written first. */
  end(reason: EndReason, retryAfterMs = this.#spread(), limit?: Reached, why?: Refusal): void {
    this.#settle();
    if (this.state === "over") return;
    if (PLANNED.has(reason)) this.#bookmark();
    if (this.isOver()) return;
    const position = this.position;
    this.#writeNotice({
      end: {
        reason,
        position: position ? this.#text(position) : "",
        retryAfter: durationFromMs(retryAfterMs),
        ...(this.#promises && this.#verifiedAt()),
      },
    });
    this.#finish({ how: "ended", reason, retryAfterMs, ...(limit && { limit }), ...(why && { why }) });
  }

  /** Called by the wheel. */
  due(nowMs: number): number | undefined {
    const wallMs = this.#home.clock.wallMs();
    if (this.#expiresAtMs !== undefined && wallMs >= this.#expiresAtMs) this.end(EndReason.CREDENTIAL, 0);
    else if (this.#deadlineMs !== undefined && wallMs >= this.#deadlineMs) this.end(EndReason.DEADLINE, 0);
    else if (nowMs >= this.#endsAtMs) this.end(EndReason.MAX_AGE);
    else if (this.blocked) this.#checkProgress(nowMs);
    else if (nowMs >= this.#writtenAtMs + this.#heartbeatMs) this.#beat();
    return this.state === "over" ? undefined : this.nextDue(nowMs);
  }

  /** When something is due next if nothing is written until then. */
  nextDue(nowMs: number): number {
    const wallMs = this.#home.clock.wallMs();
    const slowMs = this.#home.options.slowReaderMs / SLOW_CHECKS;
    const times = [this.#endsAtMs, this.blocked ? nowMs + slowMs : this.#writtenAtMs + this.#heartbeatMs];
    if (this.#expiresAtMs !== undefined) times.push(nowMs + this.#expiresAtMs - wallMs);
    if (this.#deadlineMs !== undefined) times.push(nowMs + this.#deadlineMs - wallMs);
    // A stream that blocks later is looked at in time, too.
    return Math.min(...times, nowMs + slowMs * 2);
  }

  #beat(): void {
    this.#settle();
    if (this.state === "over" || this.blocked) return;
    this.#bookmark();
    if (this.blocked && this.state === "live") this.fallBehind(this.#home.live);
  }

  /** While it opens, the place it wants to continue from was not seen to exist: nothing is promised of it. */
  get #promises(): boolean {
    return this.state !== "opening" && this.verified;
  }

  #bookmark(): void {
    const position = this.position;
    if (!position || !this.#promises) return;
    this.notify({ bookmark: { position: this.#text(position), ...this.#verifiedAt() } });
  }

  #checkProgress(nowMs: number): void {
    const unsent = this.#sink.unsentBytes();
    if (unsent < this.#unsent) this.#progressAtMs = nowMs;
    this.#buffers(unsent);
    const { slowReaderMs, slowReaderBytes } = this.#home.options;
    if (unsent > slowReaderBytes) {
      const reached = { limit: "watch_buffered_bytes", allowed: slowReaderBytes, used: unsent } as const;
      this.#endSlow(reached);
    } else if (nowMs - this.#progressAtMs >= slowReaderMs) this.end(EndReason.SLOW_READER);
  }

  /** Notes how many bytes its reader has not taken. They are known while it is blocked, and can only become fewer then. */
  #buffers(unsent: number): Reached | undefined {
    const change = unsent - this.#unsent;
    this.#unsent = unsent;
    return change === 0 ? undefined : this.#home.buffered.add(this, change);
  }

  #settle(): void {
    if (this.owed && this.state === "live") this.deliver(this.owed);
  }

  #writeNotice(fields: Notice): Reached | undefined {
    return this.#write(notice(fields, this.cohort.codec));
  }

  /** @returns the limit that its unsent bytes have reached: it is to be ended once its place is that of what was written */
  #write(message: Uint8Array, nowMs = this.#home.clock.elapsedMs(), isLast = false): Reached | undefined {
    if (this.state === "over") return undefined;
    this.#writtenAtMs = Math.floor(nowMs);
    this.#home.counts.messages += 1;
    if (this.#take(message, isLast) || this.blocked) return undefined;
    this.blocked = true;
    this.#progressAtMs = this.#writtenAtMs;
    return this.#buffers(this.#sink.unsentBytes());
  }

  #endIf(reached: Reached | undefined): void {
    if (reached) this.#endSlow(reached);
  }

  #endSlow(reached: Reached): void {
    this.end(EndReason.SLOW_READER, this.#spread(), reached);
  }

  #take(message: Uint8Array, isLast: boolean): boolean {
    try {
      return this.#sink.write(message, isLast);
    } catch (error) {
      this.#home.broke(this, error);
      this.#leave();
      return true;
    }
  }

  #finish(outcome: WatchOutcome): void {
    if (this.state === "over") return; // its last message was too much for a stream that was gone
    this.#leave(outcome.how === "ended" ? outcome.reason : undefined);
    this.#sink.finish(outcome);
  }

  #leave(ended?: EndReason): void {
    if (this.state === "over") return;
    this.cohort.live.delete(this);
    this.state = "over";
    this.owed = undefined;
    this.#buffers(0);
    this.#home.leave(this, ended);
  }

  #text(place: Place): string {
    return this.#home.encoder.position(place, this.cohort);
  }

  #verifiedAt() {
    const ms = this.#home.verifiedAtMs;
    return ms === undefined ? {} : { verifiedAt: timestampFromMs(ms) };
  }

  #spread(): number {
    return Math.floor(this.#home.clock.random() * this.#home.options.retrySpreadMs);
  }
}

function snapshotTooLarge(most: number): Refusal {
  return new Refusal(ErrorReason.LIMIT_EXCEEDED, `the snapshot has more than ${most} rows: filter the watch`, {
    metadata: { limit: "snapshot_rows", allowed: String(most), used: `more than ${most}` },
  });
}
