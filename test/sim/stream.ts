import { fromBinary, fromJsonString } from "@bufbuild/protobuf";
import { WatchBookingsResponseSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { Status } from "../../src/client/status.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import { refusalOfOutcome } from "../../src/doors/failures.ts";
import type { Codec, Sink, Subscription, WatchOutcome } from "../../src/watch/spec.ts";
import type { WatchMessage } from "../guarantees/messages.ts";
import type { Instance } from "./instance.ts";
import type { Scheduler } from "./scheduler.ts";

type Arrival =
  | { readonly message: Uint8Array }
  | { readonly error: unknown }
  | /** The server ended it with OK. */ "end";

/** Messages that a stream may be given while it wants no more: an owed delivery, a bookmark and an end. */
export const UNWANTED_MAX = 4;

/**
 * One stream between a client and an instance: messages arrive in order and late; the server is asked to wait when too many
 * are unread; it can break, for both ends or so that neither hears of it.
 */
export class SimulatedStream implements Sink, AsyncIterableIterator<WatchMessage> {
  readonly codec: Codec;
  readonly instance: Instance;
  /** The most messages that were written while no more were wanted. */
  unwanted = 0;
  readonly #scheduler: Scheduler;
  readonly #kind: SubjectKind;
  readonly #window: number;
  readonly #decode: (bytes: Uint8Array, codec: Codec, kind: SubjectKind) => WatchMessage;
  readonly #arrived: Arrival[] = [];
  #waiting: { resolve(result: IteratorResult<WatchMessage>): void; reject(error: unknown): void } | undefined;
  #subscription: Subscription | undefined;
  #unread = 0;
  #unsent = 0;
  #full = false;
  #unwantedNow = 0;
  #arrivesAtMs = 0;
  #silent = false;
  #over = false;

  constructor(
    scheduler: Scheduler,
    instance: Instance,
    options: { codec: Codec; kind: SubjectKind; window: number },
    decode: (bytes: Uint8Array, codec: Codec, kind: SubjectKind) => WatchMessage,
  ) {
    this.#scheduler = scheduler;
    this.instance = instance;
    this.codec = options.codec;
    this.#kind = options.kind;
    this.#window = options.window;
    this.#decode = decode;
  }

  /** Nothing gets through. */
  get isSilent(): boolean {
    return this.#silent;
  }

  /** Asks the instance for the watch. */
  connect(open: (sink: Sink) => Subscription): void {
    const { clock } = this.instance;
    this.#scheduler.after(this.#way(), () => {
      if (clock.ended) this.#arrive({ error: new LeadlineError(Status.UNAVAILABLE, "nobody listens") });
      clock.enter(() => {
        if (this.#over) return;
        this.instance.streams.add(this);
        try {
          this.#subscription = open(this);
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          this.instance.streams.delete(this);
          this.#arrive({ error: errorOf(error) });
        }
      });
    });
  }

  // The server's end.

  write(message: Uint8Array): boolean {
    if (this.#full) {
      this.#unwantedNow += 1;
      this.unwanted = Math.max(this.unwanted, this.#unwantedNow);
    }
    this.#unread += 1;
    this.#unsent += message.length;
    this.#arrive({ message });
    this.#full ||= this.#unread >= this.#window;
    return !this.#full;
  }

  unsentBytes(): number {
    return this.#unsent;
  }

  finish(outcome: WatchOutcome): void {
    this.instance.streams.delete(this);
    const refusal = refusalOfOutcome(outcome);
    this.#arrive(refusal ? { error: errorOf(refusal) } : "end");
  }

  // The client's end.

  next(): Promise<IteratorResult<WatchMessage>> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#give();
    });
  }

  async return(): Promise<IteratorResult<WatchMessage>> {
    this.leave();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The client gives it up; the server hears of it unless the connection is silent. */
  leave(): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.#silent) this.#scheduler.after(this.#way(), () => this.#cancel());
  }

  // What happens on the way.

  /** The connection breaks: what is on its way is lost, and both ends are told, one after the other. */
  cut(): void {
    if (this.#over || this.#silent) return;
    this.#silent = true;
    const broken = { error: new LeadlineError(Status.UNAVAILABLE, "the connection broke") };
    this.#scheduler.after(this.#way(), () => {
      this.#arrived.push(broken);
      this.#give();
    });
    this.#scheduler.after(this.#scheduler.between(0, 2_000), () => this.#cancel());
  }

  /** Nothing gets through any more, and nobody is told. */
  silence(): void {
    this.#silent = true;
  }

  #cancel(): void {
    this.instance.clock.enter(() => {
      this.instance.streams.delete(this);
      this.#subscription?.cancel();
    });
  }

  #arrive(arrival: Arrival): void {
    if (this.#silent) return;
    // One after the other, like bytes on a connection.
    this.#arrivesAtMs = Math.max(this.#arrivesAtMs, this.#scheduler.nowMs + this.#way());
    this.#scheduler.at(this.#arrivesAtMs, () => {
      if (this.#silent || this.#over) return;
      this.#arrived.push(arrival);
      this.#give();
    });
  }

  #give(): void {
    if (!this.#waiting || this.#arrived.length === 0) return;
    const arrival = this.#arrived.shift() as Arrival;
    const { resolve, reject } = this.#waiting;
    this.#waiting = undefined;
    if (arrival === "end") resolve({ done: true, value: undefined });
    else if ("error" in arrival) reject(arrival.error);
    else {
      this.#taken(arrival.message.length);
      resolve({ done: false, value: this.#decode(arrival.message, this.codec, this.#kind) });
    }
  }

  #taken(bytes: number): void {
    this.#scheduler.after(this.#way(), () => {
      if (this.#silent) return;
      this.instance.clock.enter(() => {
        this.#unread -= 1;
        this.#unsent -= bytes;
        if (!this.#full || this.#unread >= this.#window) return;
        this.#full = false;
        this.#unwantedNow = 0;
        this.#subscription?.drained();
      });
    });
  }

  #way(): number {
    return this.#scheduler.between(0.2, 3);
  }
}

function errorOf({ code, message, reasonName: reason, retryAfterMs }: Refusal): LeadlineError {
  return new LeadlineError(code, message, { reason, retryAfterMs });
}

/** Decodes messages; watchers that share bytes share the message. */
export function sharedDecoder(): (bytes: Uint8Array, codec: Codec, kind: SubjectKind) => WatchMessage {
  const known = new WeakMap<Uint8Array, Map<string, WatchMessage>>();
  return (bytes, codec, kind) => {
    const forms = known.get(bytes) ?? new Map<string, WatchMessage>();
    known.set(bytes, forms);
    const form = `${codec} ${kind}`;
    let message = forms.get(form);
    if (!message) {
      const text = codec === "json" ? Buffer.from(bytes).toString("utf8") : "";
      if (kind === SubjectKind.ORDER) {
        const schema = WatchOrdersResponseSchema;
        message = codec === "json" ? fromJsonString(schema, text) : fromBinary(schema, bytes);
      } else {
        const schema = WatchBookingsResponseSchema;
        message = codec === "json" ? fromJsonString(schema, text) : fromBinary(schema, bytes);
      }
      forms.set(form, message);
    }
    return message;
  };
}
