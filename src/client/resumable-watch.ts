import { type Duration, durationMs, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import type {
  EndReason,
  WatchBookmark,
  WatchEnd,
  WatchLeft,
  WatchReset,
  WatchStarted,
  WatchSynced,
} from "../../gen/leadline/v1/watch_pb.ts";
import { type BackoffBounds, defaultBackoff, waitBefore } from "./backoff.ts";
import { type Clock, pause, systemClock } from "./clock.ts";
import { KeyReplaced } from "./key.ts";
import { isFinal, LeadlineError } from "./leadline-error.ts";
import { nextWithin } from "./next-within.ts";
import { isDelivered } from "./position.ts";
import type { ConnectionState, WatchItem } from "./watch-item.ts";

/** One message of a watch, as far as orders and bookings have it in common. */
export interface WatchMessage {
  readonly events: readonly Event[];
  readonly started?: WatchStarted | undefined;
  readonly synced?: WatchSynced | undefined;
  readonly left: readonly WatchLeft[];
  readonly bookmark?: WatchBookmark | undefined;
  readonly reset?: WatchReset | undefined;
  readonly end?: WatchEnd | undefined;
}

/** From where one stream starts. */
export interface WatchStart {
  /** Empty: from now. */
  readonly position: string;
  readonly includeSnapshot: boolean;
}

/** How a watch lives, whatever it watches. */
export interface ResumeOptions {
  /** Where to continue: a position that was kept from an earlier watch. Undefined: from now, or with a snapshot. */
  readonly position?: string | undefined;
  /** Start with every subject that matches. With `position`: only when the journal cannot be continued from there. */
  readonly includeSnapshot?: boolean | undefined;
  /** Ends the watch, without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Called on every change of the connection; must not throw. */
  readonly onConnection?: ((state: ConnectionState) => void) | undefined;
  readonly backoff?: Partial<BackoffBounds> | undefined;
  /** How long to wait for the first message of a stream, in milliseconds. Default 30,000. */
  readonly openTimeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Draws from 0 to 1, 1 excluded. Default Math.random. */
  readonly random?: (() => number) | undefined;
}

/** A row of a snapshot. */
export interface SnapshotItem {
  readonly type: "snapshot";
}

export interface WatchSource<M extends WatchMessage, R extends SnapshotItem> {
  /** Opens one stream. It must end, or fail, when the signal aborts. */
  open(start: WatchStart, signal: AbortSignal): AsyncIterable<M>;
  /** The rows of a snapshot that the message carries. */
  rows(message: M): readonly R[];
}

/** How one stream came to its end. */
interface Ending {
  readonly error: unknown;
  readonly end: EndReason | undefined;
  readonly retryAfterMs: number | undefined;
}

const closed: Ending = { error: undefined, end: undefined, retryAfterMs: undefined };

const silentHeartbeats = 3;

/** Items after which a stream counts as one that brought something. Rows do not: a broken snapshot starts from its first. */
const brought: ReadonlySet<string> = new Set<WatchItem["type"]>(["synced", "event", "left", "bookmark"]);

/**
 * A watch that outlives its streams: it reconnects, resumes after what it has given, and gives nothing twice. It is iterated
 * once; leaving the loop, or aborting the signal, ends it. It fails with a LeadlineError only where trying again cannot
 * help (`isFinal`); where a refused key has another in its place, it tries that one first.
 */
export class ResumableWatch<M extends WatchMessage, R extends SnapshotItem>
  implements AsyncIterableIterator<WatchItem | R>
{
  readonly #source: WatchSource<M, R>;
  readonly #options: ResumeOptions;
  readonly #clock: Clock;
  readonly #bounds: BackoffBounds;
  readonly #stop = new AbortController();
  readonly #items: AsyncGenerator<WatchItem | R, undefined>;
  #position: string | undefined;
  /** Rows were given of a snapshot that is not complete. */
  #rowsGiven = false;
  #heartbeatMs = 0;
  #attempt = 0;
  /** A key was refused, and no stream has started since with the one in its place. */
  #replaced = false;
  #ending = closed;

  constructor(source: WatchSource<M, R>, options: ResumeOptions = {}) {
    this.#source = source;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#bounds = { ...defaultBackoff, ...options.backoff };
    this.#position = options.position === "" ? undefined : options.position;
    this.#items = this.#run();
  }

  /**
   * Where a later watch continues after the item that was given last: keep it once that item has been dealt with.
   * Undefined while there is none, before the start and inside a snapshot.
   */
  get position(): string | undefined {
    return this.#position;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<WatchItem | R, undefined>> {
    return this.#items.next();
  }

  /** Ends the watch; a `next` that waits resolves as done. */
  return(): Promise<IteratorResult<WatchItem | R, undefined>> {
    this.#stop.abort();
    return this.#items.return(undefined);
  }

  async *#run(): AsyncGenerator<WatchItem | R, undefined> {
    const outer = this.#options.signal;
    const stop = (): void => this.#stop.abort();
    if (outer?.aborted) return;
    outer?.addEventListener("abort", stop);
    try {
      while (!this.#stop.signal.aborted) {
        yield* this.#stream();
        if (this.#stop.signal.aborted) return;
        const { error, end, retryAfterMs } = this.#ending;
        const replaced = error instanceof KeyReplaced && !this.#replaced;
        if (isFinal(error) && !replaced) throw error;
        this.#replaced = replaced;
        const random = (this.#options.random ?? Math.random)();
        const delayMs = waitBefore(this.#attempt, retryAfterMs, this.#bounds, random);
        this.#attempt += 1;
        this.#options.onConnection?.({ state: "waiting", delayMs, error, end });
        await pause(this.#clock, delayMs, this.#stop.signal);
      }
    } finally {
      outer?.removeEventListener("abort", stop);
    }
  }

  /** Follows one stream to its end, whatever that is, and leaves the reason in `#ending`. */
  async *#stream(): AsyncGenerator<WatchItem | R, void> {
    this.#options.onConnection?.({ state: "connecting", attempt: this.#attempt });
    this.#heartbeatMs = 0;
    this.#ending = closed;
    const connection = new AbortController();
    const close = (): void => connection.abort();
    this.#stop.signal.addEventListener("abort", close);
    try {
      for await (const message of this.#messages(connection)) {
        if (message.started) this.#opened(message.started);
        for (const item of this.#itemsOf(message)) {
          if (brought.has(item.type)) this.#attempt = 0;
          yield item;
        }
        if (message.reset) yield this.#reset(message.reset);
        if (message.end) this.#ending = planned(message.end);
      }
    } catch (error) {
      // The status after an announced end only repeats it, unless it is final.
      if (this.#ending.end === undefined || isFinal(error)) this.#ending = brokenBy(error);
    } finally {
      this.#stop.signal.removeEventListener("abort", close);
      connection.abort();
    }
  }

  /** The messages of one stream; fails when it stays silent for too long. */
  async *#messages(connection: AbortController): AsyncGenerator<M, void> {
    const start = {
      position: this.#position ?? "",
      includeSnapshot: this.#position === undefined && this.#options.includeSnapshot === true,
    };
    const iterator = this.#source.open(start, connection.signal)[Symbol.asyncIterator]();
    try {
      for (;;) {
        const result = await nextWithin(iterator, this.#clock, this.#patienceMs(), connection);
        if (result.done) return;
        yield result.value;
      }
    } finally {
      connection.abort();
      // Not awaited: an iterator that hangs in `next` would hang here too.
      iterator.return?.().catch(() => undefined);
    }
  }

  #patienceMs(): number {
    const openTimeoutMs = this.#options.openTimeoutMs ?? 30_000;
    return this.#heartbeatMs === 0 ? openTimeoutMs : this.#heartbeatMs * silentHeartbeats;
  }

  #opened(started: WatchStarted): void {
    this.#heartbeatMs = milliseconds(started.heartbeat) ?? 0;
    this.#replaced = false;
    this.#options.onConnection?.({ state: "open", head: started.head, heartbeatMs: this.#heartbeatMs });
  }

  *#itemsOf(message: M): Generator<WatchItem | R, void> {
    if (message.started) yield* this.#begin(message.started);
    for (const row of this.#source.rows(message)) {
      this.#rowsGiven = true;
      yield row;
    }
    if (message.synced) {
      const { position } = message.synced;
      this.#position = position;
      this.#rowsGiven = false;
      yield { type: "synced", position };
    }
    for (const event of message.events) {
      if (!this.#reach(event.position)) continue;
      yield { type: "event", event };
    }
    for (const { id, position } of message.left) {
      if (!this.#reach(position)) continue;
      yield { type: "left", id, position };
    }
    const promise = message.bookmark ?? message.end;
    // An end that names no comparison only gives back the position that was asked for.
    if (promise?.verifiedAt !== undefined && this.#promised(promise.position)) {
      yield { type: "bookmark", position: promise.position, verifiedAt: timestampDate(promise.verifiedAt) };
    }
  }

  *#begin(started: WatchStarted): Generator<WatchItem, void> {
    if (this.#rowsGiven) {
      this.#rowsGiven = false;
      yield { type: "restart" };
    }
    if (this.#position === undefined && this.#options.includeSnapshot !== true) this.#position = started.head;
  }

  /** Moves to a position; false when what stands there was given before. */
  #reach(position: string): boolean {
    if (isDelivered(position, this.#position)) return false;
    this.#position = position;
    return true;
  }

  /** Moves to a promised position; false when it promises nothing: inside a snapshot, or behind what was given. */
  #promised(position: string): boolean {
    if (position === "" || this.#position === undefined) return false;
    if (position !== this.#position && isDelivered(position, this.#position)) return false;
    this.#position = position;
    return true;
  }

  #reset(reset: WatchReset): WatchItem {
    this.#position = this.#options.includeSnapshot === true || reset.head === "" ? undefined : reset.head;
    this.#rowsGiven = false;
    return { type: "reset", reason: reset.reason };
  }
}

function milliseconds(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : durationMs(duration);
}

function planned(end: WatchEnd): Ending {
  return { error: undefined, end: end.reason, retryAfterMs: milliseconds(end.retryAfter) };
}

function brokenBy(error: unknown): Ending {
  return { error, end: undefined, retryAfterMs: error instanceof LeadlineError ? error.retryAfterMs : undefined };
}
