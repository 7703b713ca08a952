import { fromBinary, fromJsonString } from "@bufbuild/protobuf";
import { type WatchBookingsResponse, WatchBookingsResponseSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { type WatchOrdersResponse, WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import type { Codec, Sink, WatchOutcome } from "../../src/watch/spec.ts";

export type Message = WatchOrdersResponse | WatchBookingsResponse;

/** A stream that keeps what is written, and takes only so much until its reader reads. */
export class RecordingSink implements Sink {
  readonly codec: Codec;
  readonly kind: SubjectKind;
  /** The messages' bytes as they were written. */
  readonly written: Uint8Array[] = [];
  readonly messages: Message[] = [];
  outcome: WatchOutcome | undefined;
  /** Messages that it takes before it wants no more; each `read` makes room for as many again. */
  window: number;
  #unread = 0;
  #unsent = 0;

  readonly #onWrite: (() => void) | undefined;

  constructor(options: { codec?: Codec; kind?: SubjectKind; window?: number; onWrite?: () => void } = {}) {
    this.codec = options.codec ?? "proto";
    this.kind = options.kind ?? SubjectKind.ORDER;
    this.#onWrite = options.onWrite;
    this.window = options.window ?? Number.POSITIVE_INFINITY;
  }

  write(message: Uint8Array): boolean {
    if (this.outcome) throw new Error("written to after its end");
    this.#onWrite?.();
    this.written.push(message);
    this.messages.push(this.#decode(message));
    this.#unread += 1;
    this.#unsent += message.length;
    return this.#unread < this.window;
  }

  unsentBytes(): number {
    return this.#unsent;
  }

  finish(outcome: WatchOutcome): void {
    if (this.outcome) throw new Error("finished twice");
    this.outcome = outcome;
  }

  /** The reader takes everything. */
  read(): void {
    this.#unread = 0;
    this.#unsent = 0;
  }

  /** Some bytes reach the network; the stream wants no more all the same. */
  trickle(bytes: number): void {
    this.#unsent -= bytes;
  }

  /** What came, in short: `o1@3` an event, `-o1@3` left, `=o1` a row, and the names of the rest. */
  get story(): string[] {
    return this.messages.flatMap(storyOf);
  }

  #decode(bytes: Uint8Array): Message {
    const schema = this.kind === SubjectKind.ORDER ? WatchOrdersResponseSchema : WatchBookingsResponseSchema;
    if (this.codec === "json") return fromJsonString(schema, Buffer.from(bytes).toString("utf8"));
    return fromBinary(schema, bytes);
  }
}

function storyOf(message: Message): string[] {
  const rows = message.$typeName === "leadline.v1.WatchOrdersResponse" ? message.orders : message.bookings;
  const notices = (["started", "synced", "bookmark", "reset", "end"] as const).filter((name) => message[name]);
  return [
    ...message.events.map((event) => `${event.subjectId}@${event.position.split("-")[0]}`),
    ...message.left.map((left) => `-${left.id}@${left.position.split("-")[0]}`),
    ...rows.map((row) => `=${row.id}`),
    ...notices,
  ];
}
