import type { Logger } from "pino";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Bus } from "../bus/bus.ts";
import { tenantOfJournal } from "../domain/audit-journal.ts";
import { type Claims, equalClaims } from "../domain/deficit-round-robin.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Extension } from "../domain/stored-event.ts";
import type { Positions } from "../wire/position.ts";
import { boundReader, type WatchReader } from "./bounded-reader.ts";
import { Buffered } from "./buffered.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { Cohort } from "./cohort.ts";
import { type Counts, noCounts } from "./counts.ts";
import { HeadChecks } from "./head-checks.ts";
import { Hub } from "./hub.ts";
import type { HubParts } from "./hub-parts.ts";
import { type WatchOptions, watchDefaults } from "./options.ts";
import { Permits, type Turn } from "./permits.ts";
import { AheadRoom } from "./read-ahead.ts";
import type { Sink, Subscription, WatchSpec } from "./spec.ts";
import { Turns } from "./turns.ts";
import { Wheel } from "./wheel.ts";

/** What watches are made of. */
export interface HubsParts {
  readonly reader: WatchReader;
  readonly bus: Bus;
  readonly positions: Positions;
  readonly log: Logger;
  readonly options?: Partial<WatchOptions>;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** What each tenant may claim of reads and of the event loop, its audit journal as the other one. Default: all the same. */
  readonly claims?: Claims;
}

/** The watches of one instance at this moment, and what they have done since it started. */
export interface WatchStats extends Counts {
  readonly tenants: number;
  readonly watchers: number;
  /** Those that stand where their hub stands. */
  readonly live: number;
  /** Those whose stream takes no more at present. */
  readonly blocked: number;
  /** What watches are found by: groups of equal ones, subjects, carriers. */
  readonly indexEntries: number;
  /** Stored bytes in the rings. */
  readonly ringBytes: number;
  /** Those that wait for a journal to grow, without watching it. */
  readonly waiting: number;
  /** Reads that wait for their turn. */
  readonly waitingReads: number;
  /** Bytes that wait for readers that do not take them. */
  readonly bufferedBytes: number;
}

/** All watches of one instance: a hub for each tenant that is watched, and what they share. */
export class Hubs {
  readonly #parts: HubParts;
  readonly #hubs = new Map<string, Hub>();
  readonly #releases: (() => void)[] = [];
  #watchers = 0;
  /** Those that wait for a journal to grow. */
  #waiting = 0;
  #failing = false;
  #draining: (() => void)[] | undefined;
  #closed = false;
  #stopTimers: (() => void)[] = [];
  #tickedAtMs: number;

  constructor({ reader: unbounded, bus, positions, log, options: given, ...parts }: HubsParts) {
    const { clock = systemClock } = parts;
    const claims = claimsOfJournals(parts.claims ?? equalClaims);
    const options = { ...watchDefaults, ...given };
    const permits = (max: number) => new Permits(max, options.pageEvents, claims);
    const counts = noCounts();
    const reader = boundReader(unbounded, clock, options.readTimeoutMs);
    const outcome = { succeeded: () => this.#recovered(), failed: (error: unknown) => this.#failed(error) };
    this.#parts = {
      reader,
      bus,
      positions,
      clock,
      options,
      log,
      counts,
      turns: new Turns(clock, options.turnWork, options.turnMs, claims),
      wheel: new Wheel(options.tickMs),
      heads: new HeadChecks(reader, clock, counts, outcome, options),
      catchUpReads: permits(options.catchUpReads),
      aheadRoom: new AheadRoom(options.catchUpReads),
      fillReads: permits(options.fillReads),
      buffered: new Buffered(options),
      onLeave: () => this.#left(),
      onFailure: outcome.failed,
    };
    this.#tickedAtMs = clock.elapsedMs();
    this.#releases.push(bus.onResync(() => this.#checkAll()));
    this.#every(options.tickMs, () => this.#tick());
    this.#every(options.headCheckMs, () => this.#checkAll());
  }

  /**
   * Opens a watch. Nothing is written to the sink before this returns. Throws a Refusal: POSITION_INVALID, RATE_LIMITED or
   * DRAINING.
   *
   * @param endsAtMs when the caller's deadline passes, milliseconds since the epoch: the watch is ended then
   */
  open(spec: WatchSpec, sink: Sink, endsAtMs?: number): Subscription {
    if (this.#closed || this.#draining) throw draining();
    const { options, positions } = this.#parts;
    const place =
      spec.start.from === "position" ? positions.decode(spec.tenant, spec.start.position, spec.visibility) : undefined;
    const hub = this.#hubs.get(spec.tenant);
    refuseAbove("instance_streams", this.#watchers, options.watchersMax, "on this instance");
    const ofTenant = hub?.watchers.size ?? 0;
    refuseAbove("tenant_streams", ofTenant, options.tenantWatchersMax, "of the tenant on this instance");
    const watcher = (hub ?? this.#create(spec.tenant)).join(spec, sink, place, endsAtMs);
    this.#watchers += 1;
    return watcher;
  }

  /** New events that this instance has committed. */
  extend(extension: Extension): void {
    this.#hubs.get(extension.tenant)?.extend(extension);
  }

  /** Ends the watches of a key or link that is no longer good. */
  endCredential(credential: string): void {
    for (const hub of this.#hubs.values()) {
      const watchers = [...hub.watchers].filter((watcher) => watcher.credential === credential);
      if (watchers.length > 0) hub.end(watchers, EndReason.CREDENTIAL, 0);
    }
  }

  /**
   * Ends the watches of a tenant that it may not have any more.
   *
   * @param lost why a watch is not to go on; undefined: it may. Asked for each, the oldest first
   */
  endWhere(tenant: string, lost: (watch: Cohort) => Refusal | undefined): void {
    const hub = this.#hubs.get(tenant);
    const judged = Map.groupBy(hub?.watchers ?? [], ({ cohort }) => lost(cohort));
    for (const [why, watchers] of judged) if (why !== undefined) hub?.end(watchers, EndReason.TIER, 0, why);
  }

  /** The tenants that have watches here. */
  *watched(): Iterable<string> {
    for (const hub of this.#hubs.values()) if (hub.watchers.size > 0) yield hub.tenant;
  }

  /**
   * Resolves when a tenant's journal has an event after a revision, or may have another history, when the instance stops, or
   * when the signal aborts. Throws a Refusal RATE_LIMITED or DRAINING. Who waits counts among the watches.
   */
  async grown(tenant: string, after: bigint, signal: AbortSignal): Promise<void> {
    if (this.#closed || this.#draining) throw draining();
    if (signal.aborted) return;
    const { options } = this.#parts;
    let hub = this.#hubs.get(tenant);
    const ofTenant = (hub?.watchers.size ?? 0) + (hub?.growth.waiting ?? 0);
    refuseAbove("tenant_streams", ofTenant, options.tenantWatchersMax, "of the tenant on this instance");
    refuseAbove("instance_streams", this.#watchers + this.#waiting, options.watchersMax, "on this instance");
    hub ??= this.#create(tenant);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting += 1;
    signal.addEventListener("abort", () => resolve());
    const stop = hub.growth.add(after, resolve);
    try {
      await promise;
    } finally {
      stop();
      this.#waiting -= 1;
      if (hub.watchers.size === 0) hub.emptySinceMs = this.#parts.clock.elapsedMs();
    }
  }

  /**
   * Reads a tenant's journal for somebody who does not watch it, by the tenant's turn among its watches that are behind, and in
   * a bounded time.
   *
   * @returns undefined: by its turn nobody wanted it
   */
  read<T>(
    turn: Turn,
    task: (reader: WatchReader) => Promise<T>,
    sizeOf: (result: T) => number,
  ): Promise<T | undefined> {
    const { catchUpReads, reader } = this.#parts;
    return catchUpReads.use(turn, () => task(reader), sizeOf);
  }

  /**
   * Takes no more watches and ends those there are, each with its position and a time to wait, spread evenly up to
   * `retrySpreadMs`. Resolves when all are ended.
   */
  drain(retrySpreadMs: number): Promise<void> {
    const waiting = this.#draining ?? [];
    this.#draining = waiting;
    for (const hub of this.#hubs.values()) {
      hub.growth.wakeAll();
      hub.end(hub.watchers, EndReason.DRAINING, retrySpreadMs);
    }
    if (this.#watchers === 0) return Promise.resolve();
    return new Promise((resolve) => void waiting.push(resolve));
  }

  /** Lets go of everything. Watches that are still open just stop: drain first. */
  close(): void {
    this.#closed = true;
    for (const stop of [...this.#stopTimers, ...this.#releases]) stop();
    this.#parts.heads.close();
    for (const hub of this.#hubs.values()) hub.close();
    this.#hubs.clear();
  }

  stats(): WatchStats {
    let live = 0;
    let blocked = 0;
    let ringBytes = 0;
    let indexEntries = 0;
    for (const hub of this.#hubs.values()) {
      ringBytes += hub.bytes;
      indexEntries += hub.indexEntries;
      for (const watcher of hub.watchers) {
        if (watcher.state === "live") live += 1;
        if (watcher.blocked) blocked += 1;
      }
    }
    const { catchUpReads, counts, fillReads } = this.#parts;
    const waitingReads = catchUpReads.waiting + fillReads.waiting;
    const { ends, resets } = counts;
    return {
      ...counts,
      ends: { ...ends },
      resets: { ...resets },
      ...{ tenants: this.#hubs.size, watchers: this.#watchers, live, blocked, indexEntries, ringBytes, waitingReads },
      waiting: this.#waiting,
      bufferedBytes: this.#parts.buffered.bytes,
    };
  }

  #create(tenant: string): Hub {
    const hub = new Hub(tenant, this.#parts);
    this.#hubs.set(tenant, hub);
    return hub;
  }

  #left(): void {
    this.#watchers -= 1;
    if (this.#watchers > 0 || !this.#draining) return;
    for (const resolve of this.#draining.splice(0)) resolve();
  }

  #checkAll(): void {
    for (const hub of this.#hubs.values()) hub.check();
  }

  #tick(): void {
    const { clock, options, wheel } = this.#parts;
    const nowMs = clock.elapsedMs();
    const stalled = nowMs - this.#tickedAtMs > options.tickMs + options.stallMs;
    this.#tickedAtMs = nowMs;
    for (const hub of [...this.#hubs.values()]) {
      if (stalled) hub.stalled(nowMs);
      hub.checkVerified(nowMs);
      if (hub.emptySinceMs !== undefined && hub.growth.waiting === 0 && nowMs - hub.emptySinceMs >= options.lingerMs) {
        this.#hubs.delete(hub.tenant);
        hub.close();
      }
    }
    wheel.turn(nowMs);
  }

  #every(ms: number, run: () => void): void {
    const { clock } = this.#parts;
    let stop = (): void => {};
    const again = (): void => {
      stop = clock.after(ms, () => {
        again();
        run();
      });
    };
    again();
    this.#stopTimers.push(() => stop());
  }

  #recovered(): void {
    if (this.#failing) this.#parts.log.info("the journal can be read for watches again");
    this.#failing = false;
  }

  /** Says once for each outage that the database cannot be read. */
  #failed(error: unknown): void {
    if (this.#failing || this.#closed) return;
    this.#failing = true;
    this.#parts.log.warn({ err: error }, "the journal cannot be read for watches; trying again");
  }
}

/** Hubs work under the keys of journals: the audit journal of a tenant claims what its tenant may. */
function claimsOfJournals(claims: Claims): Claims {
  return {
    weightOf: (journal) => claims.weightOf(tenantOfJournal(journal)),
    hasReserve: (journal) => claims.hasReserve(tenantOfJournal(journal)),
  };
}

function draining(): Refusal {
  return new Refusal(ErrorReason.DRAINING, "the instance is stopping; resume on another one");
}

function refuseAbove(limit: string, open: number, max: number, where: string): void {
  if (open < max) return;
  const message = `${open} watches ${where} are open, and ${max} are accepted; end some, or open it on another instance`;
  throw new Refusal(ErrorReason.RATE_LIMITED, message, {
    metadata: { limit, allowed: String(max), used: String(open) },
  });
}
