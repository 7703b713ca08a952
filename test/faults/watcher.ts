import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { BookingService, type WatchBookingsRequestSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { OrderService, type WatchOrdersRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { EndReason, WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import type { CallerKind } from "../doors/callers.ts";
import { stepsOfMessage, type WatchMessage } from "../guarantees/messages.ts";
import type { Place, Reader, Step } from "../guarantees/trace.ts";
import { HEARTBEAT_MS, type Member } from "./cluster.ts";

/** What somebody watches, and how. */
export interface Plan {
  readonly name: string;
  readonly kind: CallerKind;
  readonly reader: Reader;
  readonly key: string;
  readonly filter: MessageInitShape<typeof WatchOrdersRequestSchema>["filter"] &
    MessageInitShape<typeof WatchBookingsRequestSchema>["filter"];
  readonly mode: "ALL" | "LATEST";
  /** How the first stream starts. After a reset: with a snapshot, or from now if it started so. */
  readonly start: "now" | "snapshot" | { readonly position: string };
}

/** What a run's watchers share. */
export interface Surroundings {
  /** Whether what it is told is written down. */
  readonly record: boolean;
  /** The instance to connect to next, rather another than the one that brought nothing; undefined: none is there. */
  choose(not: Member | undefined): Member | undefined;
  random(): number;
  /** The place that a position names to its reader. */
  placeOf(reader: Reader, position: string): Place;
  /** Whether a text should not be in a message to the reader, as far as can be told at once. */
  isForeign(reader: Reader, word: string): boolean;
  /** Told of every event, the first to come first: what a fault waits for. */
  onEvent(event: Event, by: Watcher): void;
  /** A stream was refused, or ended for a fault of the server's. */
  onWrong(watcher: string, what: string): void;
}

const SILENCE_MS = 3 * HEARTBEAT_MS;
const OPENING_MS = 12_000;
/** How a stream may end from which a client goes on. */
const PASSING: ReadonlySet<Code> = new Set([
  ...[Code.Unavailable, Code.Canceled, Code.Aborted, Code.Unknown, Code.DeadlineExceeded, Code.ResourceExhausted],
]);

/** A client that reconnects, resumes after what it was told and starts anew after a reset. It writes everything down. */
export class Watcher {
  readonly plan: Plan;
  readonly steps: Step[] = [];
  /** How often it connected and was told that its watch has started, and how often it was reset or ended as a slow reader. */
  readonly counts = { streams: 0, starts: 0, events: 0, resets: 0, slow: 0 };
  /** The instance that it is connected to. */
  at: Member | undefined;
  /** Where it would resume; undefined: nowhere, it starts anew. */
  position: string | undefined;
  readonly #around: Surroundings;
  readonly #stop = new AbortController();
  #stream: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();
  #finished = false;
  #stalled: PromiseWithResolvers<void> | undefined;
  #away: PromiseWithResolvers<void> | undefined;

  constructor(plan: Plan, around: Surroundings) {
    this.plan = plan;
    this.#around = around;
    if (typeof plan.start === "object") this.position = plan.start.position;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.drop();
    this.release();
    this.comeBack();
    await this.#running;
  }

  /** Writes down no more: it was waited for until a revision. */
  finish(upTo: number): void {
    this.#write({ what: "done", upTo, atMs: Date.now() });
    this.#finished = true;
  }

  /** Breaks its stream; it comes back by itself. */
  drop(): void {
    this.#stream?.abort();
  }

  /** Takes nothing from its stream until `release`. */
  stall(): void {
    this.#stalled ??= Promise.withResolvers();
  }

  release(): void {
    this.#stalled?.resolve();
    this.#stalled = undefined;
  }

  /** Breaks its stream and stays away until `comeBack`. */
  leave(): void {
    this.#away ??= Promise.withResolvers();
    this.drop();
  }

  comeBack(): void {
    this.#away?.resolve();
    this.#away = undefined;
  }

  /** Whether it takes what comes. */
  get attends(): boolean {
    return this.#away === undefined && this.#stalled === undefined;
  }

  async #run(): Promise<void> {
    for (let failures = 0; ; ) {
      await this.#away?.promise;
      if (this.#stop.signal.aborted) return;
      const member = this.#around.choose(failures > 0 ? this.at : undefined);
      const before = this.counts.events;
      const waitMs = member ? await this.#follow(member) : 0;
      failures = this.counts.events > before ? 0 : Math.min(failures + 1, 4);
      await this.#pause(waitMs + this.#around.random() * 100 * 2 ** failures);
    }
  }

  /** Follows one stream to its end. @returns how long the server asks to wait */
  async #follow(member: Member): Promise<number> {
    const stream = new AbortController();
    this.#stream = stream;
    this.at = member;
    this.counts.streams += 1;
    const closing: (() => unknown)[] = [];
    let waitMs = 0;
    let timer: NodeJS.Timeout | undefined;
    const resumes = this.position !== undefined;
    const patience = (ms: number) => {
      clearTimeout(timer);
      timer = setTimeout(() => stream.abort(), ms);
    };
    try {
      patience(OPENING_MS);
      for await (const message of this.#open(member, stream.signal, closing)) {
        if (this.#stop.signal.aborted) break;
        this.#keep(message);
        // What still came on a stream that was dropped is no start anew.
        if (message.started && !stream.signal.aborted) this.counts.starts += 1;
        if (message.end?.retryAfter) waitMs = durationMs(message.end.retryAfter);
        if (this.#stalled) {
          clearTimeout(timer);
          await this.#stalled.promise;
        }
        patience(SILENCE_MS);
      }
    } catch (error) {
      this.#judge(error, stream.signal.aborted, resumes);
    } finally {
      clearTimeout(timer);
      stream.abort();
      for (const close of closing) close();
      this.#stream = undefined;
      this.#write({ what: "cut", atMs: Date.now() });
    }
    return waitMs;
  }

  #open(member: Member, signal: AbortSignal, closing: (() => unknown)[]): AsyncIterable<WatchMessage> {
    const { filter, kind, key, mode, reader, start } = this.plan;
    const { grpc, http } = member.doors;
    const { position } = this;
    const from = start === "now" ? "now" : "snapshot";
    const place = position === undefined ? from : this.#around.placeOf(reader, position);
    this.#write({ what: "open", from: place, atMs: Date.now() });
    const caller = kind.open({ grpcPort: grpc.port, httpPort: http.port, onClose: (close) => closing.push(close) });
    const request = {
      ...(filter && { filter }),
      position: position ?? "",
      includeSnapshot: position === undefined && from === "snapshot",
      mode: mode === "LATEST" ? WatchMode.LATEST : WatchMode.ALL,
    };
    const options = { bearer: key, signal };
    return reader.of === "orders"
      ? caller.stream(OrderService.method.watchOrders, request, options)
      : caller.stream(BookingService.method.watchBookings, request, options);
  }

  #keep(message: WatchMessage): void {
    const { reader, start } = this.plan;
    const { bookmark, end, events, left, reset, started, synced } = message;
    const at = (position: string) => this.#around.placeOf(reader, position);
    if (this.#around.record) for (const step of stepsOfMessage(message, reader, at, Date.now())) this.#write(step);
    this.counts.events += events.length;
    if (end?.reason === EndReason.SLOW_READER) this.counts.slow += 1;
    for (const event of events) this.#around.onEvent(event, this);
    // What `started` names is the head, which only a watch from now on has come to.
    if (started && start === "now") this.position ??= started.head;
    const told = left.at(-1)?.position ?? events.at(-1)?.position ?? synced?.position;
    this.position = end?.position || bookmark?.position || told || this.position;
    if (!reset) return;
    this.counts.resets += 1;
    this.position = undefined;
  }

  /** Of the texts in messages only those are kept that should not be there: the rest would fill the memory. */
  #write(step: Step): void {
    if (this.#finished || !this.#around.record) return;
    if (step.what !== "words") this.steps.push(step);
    else {
      const words = step.words.filter((word) => this.#around.isForeign(this.plan.reader, word));
      if (words.length > 0) this.steps.push({ ...step, words });
    }
  }

  /**
   * A stream may break in many ways, but it must not be refused, nor end for a fault of the server's. Past a limit only a watch
   * that begins may be refused: for those that resume there is a reserve.
   */
  #judge(thrown: unknown, dropped: boolean, resumes: boolean): void {
    if (dropped || this.#stop.signal.aborted) return;
    const error = ConnectError.from(thrown);
    const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? "";
    const isPassing = PASSING.has(error.code) && reason !== "INTERNAL" && !(resumes && reason === "RATE_LIMITED");
    if (reason === "" || isPassing) return;
    this.#around.onWrong(this.plan.name, `the watch ended with ${Code[error.code]} ${reason}: ${error.rawMessage}`);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stop;
      const finish = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal.addEventListener("abort", finish);
    });
  }
}
