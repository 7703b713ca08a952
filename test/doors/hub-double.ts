import { create, type MessageInitShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import type { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Refusal } from "../../src/domain/refusal.ts";
import type { OpenWatch } from "../../src/doors/pipeline.ts";
import type { Codec, Sink, WatchSpec } from "../../src/watch/spec.ts";

type MessageInit = MessageInitShape<typeof WatchOrdersResponseSchema>;

export function encodeMessage(message: MessageInit, codec: Codec): Uint8Array {
  const whole = create(WatchOrdersResponseSchema, message);
  return codec === "proto"
    ? toBinary(WatchOrdersResponseSchema, whole)
    : new TextEncoder().encode(toJsonString(WatchOrdersResponseSchema, whole));
}

/** One watch that a door opened. */
export class OpenedWatch {
  readonly spec: WatchSpec;
  readonly sink: Sink;
  readonly endsAtMs: number | undefined;
  readonly #cancelled = Promise.withResolvers<void>();
  #drained = Promise.withResolvers<void>();
  isOver = false;

  constructor(spec: WatchSpec, sink: Sink, endsAtMs: number | undefined) {
    this.spec = spec;
    this.sink = sink;
    this.endsAtMs = endsAtMs;
  }

  /** Resolves when the door has cancelled it. */
  get cancelled(): Promise<void> {
    return this.#cancelled.promise;
  }

  /** Resolves at the next call of `drained`. */
  get nextDrained(): Promise<void> {
    return this.#drained.promise;
  }

  send(message: MessageInit): boolean {
    return this.sink.write(encodeMessage(message, this.sink.codec), false);
  }

  end(reason: EndReason, retryAfterMs = 0): void {
    this.isOver = true;
    this.sink.finish({ how: "ended", reason, retryAfterMs });
  }

  refuse(refusal: Refusal): void {
    this.isOver = true;
    this.sink.finish({ how: "refused", refusal });
  }

  reset(): void {
    this.isOver = true;
    this.sink.finish({ how: "reset" });
  }

  drained(): void {
    const { resolve } = this.#drained;
    this.#drained = Promise.withResolvers();
    resolve();
  }

  cancel(): void {
    this.isOver = true;
    this.#cancelled.resolve();
  }
}

/** Takes the hub's place: it greets each watch as the hub does, and leaves the rest to the test. */
export class HubDouble {
  readonly #opened: OpenedWatch[] = [];
  readonly #waiting: ((watch: OpenedWatch) => void)[] = [];
  /** Whether `started` is written at once, as the contract says. */
  greets = true;

  readonly open: OpenWatch = (spec, sink, endsAtMs) => {
    const watch = new OpenedWatch(spec, sink, endsAtMs);
    if (this.greets) watch.send({ started: { head: "7-greeting" } });
    const waiting = this.#waiting.shift();
    if (waiting) waiting(watch);
    else this.#opened.push(watch);
    return watch;
  };

  /** The next watch that is opened, or was and is not taken yet. */
  next(): Promise<OpenedWatch> {
    const watch = this.#opened.shift();
    if (watch) return Promise.resolve(watch);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
