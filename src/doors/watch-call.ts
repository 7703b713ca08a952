import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { journalOf } from "../domain/audit-journal.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Codec, Sink, Subscription, WatchOutcome, WatchSpec } from "../watch/spec.ts";
import { type ActiveCall, deadlinePassed } from "./active-call.ts";
import { codeName, limitOf, refusalOf, refusalOfOutcome } from "./failures.ts";
import type { DoorMetrics, DoorName } from "./metrics.ts";
import type { Pipeline, ReadRequest } from "./pipeline.ts";

/** Who writes to an outlet. */
export interface Taker {
  /** The stream takes more again. */
  drained(): void;
}

/** A door's end of a watch: the stream to the caller. */
export interface Outlet {
  readonly codec: Codec;
  /** Sends the headers. Called once, before the first message. The taker is told from then on when the stream takes more. */
  begin(taker: Taker): void;
  /** Writes one message: see `Sink.write`. */
  write(message: Uint8Array, isLast: boolean): boolean;
  /** Bytes written and not handed to the network yet. */
  unsentBytes(): number;
  /** Ends the stream with a status; undefined: OK. Called once, with or without `begin` before it. */
  end(refusal: Refusal | undefined): void;
  /** Gives the stream up, whatever is unsent. */
  reset(): void;
}

export interface WatchCallOptions {
  /** A stream that was ended and whose reader has not taken the rest in this time is reset. */
  readonly endTimeoutMs: number;
}

/**
 * The hub ends a watch this much before its deadline, but at most this part of the whole: its timers are not exact, and the
 * last bookmark should arrive before the caller gives up.
 */
const MAX_DEADLINE_LEAD_MS = 500;
const DEADLINE_LEAD_PART = 0.25;

/**
 * One watch on its way through a door, from its admission until everything that it took is released. The door makes it and
 * tells it when the stream is gone. To the hub it is the sink: there is one object for each idle watch and no more.
 */
export class WatchCall implements Sink, Taker {
  readonly codec: Codec;
  readonly #door: DoorName;
  readonly #metrics: DoorMetrics;
  readonly #pipeline: Pipeline;
  readonly #call: ActiveCall;
  readonly #outlet: Outlet;
  readonly #options: WatchCallOptions;
  #subscription: Subscription | undefined;
  #giveBack: (() => void) | undefined;
  #deadlineTimer: NodeJS.Timeout | undefined;
  #endTimer: NodeJS.Timeout | undefined;
  #begun = false;
  #ended = false;
  #closed = false;

  constructor(pipeline: Pipeline, call: ActiveCall, outlet: Outlet, options: WatchCallOptions) {
    this.#pipeline = pipeline;
    this.#call = call;
    this.#outlet = outlet;
    this.codec = outlet.codec;
    // Asked for at every write, and not to be looked for in what is seldom used: with ten thousand watches that is far away.
    this.#door = call.arrival.door;
    this.#metrics = pipeline.metrics;
    this.#options = options;
  }

  /** Opens the watch. Never rejects: what goes wrong is told to the caller. */
  async run(read: ReadRequest): Promise<void> {
    const { timeoutMs } = this.#call.arrival;
    if (timeoutMs !== undefined) this.#deadlineTimer = setTimeout(() => this.#passDeadline(), timeoutMs);
    try {
      const spec = await this.#pipeline.watch(this.#call, read);
      if (!this.#ended && !this.#closed) this.#open(spec);
    } catch (error) {
      this.#end(refusalOf(error, this.#call, this.#pipeline.log));
    }
  }

  drained(): void {
    this.#subscription?.drained();
  }

  write(message: Uint8Array, isLast: boolean): boolean {
    if (this.#ended || this.#closed) return false;
    this.#begin();
    this.#metrics.sent(this.#door, message.length);
    return this.#outlet.write(message, isLast);
  }

  unsentBytes(): number {
    return this.#outlet.unsentBytes();
  }

  finish(outcome: WatchOutcome): void {
    const { limits } = this.#pipeline;
    if (outcome.how === "refused") this.#end(limits.explained(this.#call.principal, outcome.refusal));
    else this.#end(refusalOfOutcome(outcome));
  }

  /** The stream is gone: everything is released. Idempotent. */
  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#call.abort();
    clearTimeout(this.#deadlineTimer);
    clearTimeout(this.#endTimer);
    this.#subscription?.cancel();
    if (this.#giveBack) {
      this.#giveBack();
      this.#metrics.watchClosed(this.#call.route.path, this.#door);
    }
    if (!this.#ended) this.#count("CANCELLED");
  }

  #open(spec: WatchSpec): void {
    const { arrival, route, principal } = this.#call;
    const { limits, openWatch } = this.#pipeline;
    // The tenant of a stream is the caller's, whatever stands between here and there.
    if (principal.kind === "service-owner" || journalOf(principal.tenant, spec.kind) !== spec.tenant) {
      throw new Error("a foreign watch");
    }
    this.#giveBack = limits.watch(principal, { peer: arrival.peer, resumes: spec.start.from === "position" });
    this.#metrics.watchOpened(route.path, this.#door);
    const { network } = arrival.connection;
    const bounded = { ...spec, snapshotRowsMax: limits.snapshotRows(principal), network };
    this.#subscription = openWatch(bounded, this, this.#hubDeadlineMs());
    if (!this.#ended) this.#begin();
  }

  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#outlet.begin(this);
  }

  #hubDeadlineMs(): number | undefined {
    const { deadlineMs, arrival } = this.#call;
    if (deadlineMs === undefined || arrival.timeoutMs === undefined) return undefined;
    return deadlineMs - Math.min(MAX_DEADLINE_LEAD_MS, arrival.timeoutMs * DEADLINE_LEAD_PART);
  }

  #passDeadline(): void {
    if (this.#ended || this.#closed) return;
    this.#call.abort();
    this.#subscription?.cancel();
    this.#end(this.#begun ? watchDeadlinePassed() : deadlinePassed(this.#call));
  }

  #end(refusal: Refusal | undefined): void {
    if (this.#ended || this.#closed) return;
    this.#ended = true;
    clearTimeout(this.#deadlineTimer);
    this.#endTimer = setTimeout(() => this.#outlet.reset(), this.#options.endTimeoutMs);
    this.#count(codeName(refusal));
    const limit = limitOf(refusal);
    if (limit !== undefined) this.#metrics.limited(limit);
    this.#outlet.end(refusal);
  }

  #count(code: string): void {
    const { route, startedMs } = this.#call;
    this.#metrics.called(route.path, this.#door, code, Date.now() - startedMs);
  }
}

function watchDeadlinePassed(): Refusal {
  return new Refusal(ErrorReason.DEADLINE_PASSED, "the deadline of the watch has passed");
}
