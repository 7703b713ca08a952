import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type WatchOrdersRequest,
  type WatchOrdersResponse,
  WatchOrdersResponseSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import type { Clock } from "../../src/client/clock.ts";
import type { Opener } from "../../src/client/watch.ts";

/** A clock that moves only when it is told to. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; action: () => void }>();

  after(ms: number, action: () => void): () => void {
    const timer = { at: this.#now + ms, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How long until each timer that waits, ascending. */
  get waits(): number[] {
    return [...this.#timers].map(({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Moves on, calls what is due, and lets what follows from it happen. */
  async advance(ms: number): Promise<void> {
    this.#now += ms;
    for (const timer of [...this.#timers].filter(({ at }) => at <= this.#now)) {
      this.#timers.delete(timer);
      timer.action();
    }
    await settled();
  }
}

/** Resolves when everything that follows without a timer has happened. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** One stream that the client opened: the test plays the server. */
class ScriptedStream {
  readonly request: WatchOrdersRequest;
  readonly signal: AbortSignal;
  readonly #queue: (() => IteratorResult<WatchOrdersResponse>)[] = [];
  #wake: (() => void) | undefined;

  constructor(request: WatchOrdersRequest, signal: AbortSignal) {
    this.request = request;
    this.signal = signal;
    signal.addEventListener("abort", () => this.#push(() => ({ done: true, value: undefined })));
  }

  send(...messages: MessageInitShape<typeof WatchOrdersResponseSchema>[]): void {
    for (const message of messages) {
      const value = create(WatchOrdersResponseSchema, message);
      this.#push(() => ({ done: false, value }));
    }
  }

  end(): void {
    this.#push(() => ({ done: true, value: undefined }));
  }

  fail(error: unknown): void {
    this.#push(() => {
      throw error;
    });
  }

  async *messages(): AsyncGenerator<WatchOrdersResponse, void> {
    for (;;) {
      const next = this.#queue.shift();
      if (next === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      const result = next();
      if (result.done) return;
      yield result.value;
    }
  }

  #push(result: () => IteratorResult<WatchOrdersResponse>): void {
    this.#queue.push(result);
    this.#wake?.();
  }
}

/** An opener whose streams the test plays, in the order in which they were opened. */
export class ScriptedServer {
  readonly streams: ScriptedStream[] = [];

  readonly open: Opener<WatchOrdersRequest, WatchOrdersResponse> = (request, { signal }) => {
    const stream = new ScriptedStream(request, signal);
    this.streams.push(stream);
    return stream.messages();
  };

  /** The newest stream, which must be the `count`th. */
  stream(count: number): ScriptedStream {
    const stream = this.streams[count - 1];
    if (stream === undefined || this.streams.length !== count) {
      throw new Error(`${this.streams.length} streams were opened, not ${count}`);
    }
    return stream;
  }
}

type Message = MessageInitShape<typeof WatchOrdersResponseSchema>;

export const heartbeatMs = 20_000;

export function started(head: string): Message {
  return { started: { head, heartbeat: durationFromMs(heartbeatMs), messageMaxBytes: 65_536 } };
}

/** Events of one message: `event(3, 4)` has the positions `3-e3` and `4-e4`. */
export function events(...revisions: number[]): Message {
  return {
    events: revisions.map((revision) => ({
      revision: BigInt(revision),
      position: positionAt(revision),
      subjectId: `ord_${revision}`,
      version: 1n,
    })),
  };
}

export function bookmark(revision: number, verifiedAtMs = 1_000): Message {
  return { bookmark: { position: positionAt(revision), verifiedAt: timestampFromMs(verifiedAtMs) } };
}

export function positionAt(revision: number): string {
  return `${revision}-e${revision}`;
}
