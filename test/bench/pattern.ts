import { fromBinary, type MessageShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import type { Order } from "../../gen/leadline/v1/order_pb.ts";
import { ReportStatusResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { standardOnly } from "../../src/domain/standard-flow.ts";
import { type OrderSubject, SubjectKind } from "../../src/domain/subject.ts";
import { encode } from "../../src/wire/encode.ts";
import { decodeEvents, storedEncoding } from "../../src/wire/event-view.ts";
import { staffPosition } from "../../src/wire/position.ts";
import { decodeSubject, encodeDetails, encodeSummary } from "../../src/wire/subject-row.ts";

/** An order that the service wrote, with everything that it wrote of it. */
export interface WrittenOrder {
  readonly id: string;
  readonly status: string;
  readonly stage: number;
  readonly summary: Uint8Array;
  readonly details: Uint8Array;
  /** Lookup keys. */
  readonly keys: readonly string[];
  /** By version, from 1. */
  readonly events: readonly WrittenEvent[];
}

export interface WrittenEvent {
  readonly eventId: string;
  readonly payload: Uint8Array;
  /** What was answered and kept under its request id; undefined: it had none. */
  readonly answer: Uint8Array | undefined;
}

/** What is an event's own: all that differs between an event of the pattern and of a copy, beside the order's id. */
export interface Marks {
  readonly revision: number;
  readonly eventId: string;
  readonly commandId: string;
  readonly sourceId: string;
  readonly recordedUs: number;
}

export interface Copy {
  readonly id: string;
  /** Of the events, as many as are needed. */
  readonly events: readonly Marks[];
}

/** Writes a copy's value over one place of the pattern. */
type Slot = (copy: Copy) => void;

interface EventPattern {
  readonly event: Event;
  readonly order: Order;
  readonly slots: readonly Slot[];
  /** What was answered, with its own slots. */
  readonly answer: MessageShape<typeof ReportStatusResponseSchema> | undefined;
  readonly answerSlots: readonly Slot[];
}

/**
 * An order that the service wrote, as a pattern for others: what is the order's or an event's own is found by its value,
 * wherever it stands, and replaced; the encoders are the service's. Throws when what they make of the pattern itself is not
 * what was written.
 */
export class Pattern {
  readonly written: WrittenOrder;
  readonly #events: readonly EventPattern[];
  readonly #subject: OrderSubject;
  readonly #slots: readonly Slot[];

  constructor(written: WrittenOrder) {
    this.written = written;
    const events = written.events.map(({ payload }) => decodeEvents(payload)[0]);
    if (events.some((event) => event === undefined)) throw new Error(`${written.id} lacks events`);
    const marks = new Markers(
      written.id,
      events.filter((event) => event !== undefined),
    );
    const subject = decodeSubject(SubjectKind.ORDER, written, standardOnly);
    if (subject.kind !== SubjectKind.ORDER) throw new Error(`${written.id} is no order`);
    this.#subject = subject;
    this.#events = written.events.map(({ answer }, i) => patternOf(marks, events[i], answer));
    this.#slots = [...marks.slots(subject.order), ...marks.slots(subject.details)];
    this.#check(marks.own);
  }

  /** The stored encoding of a copy's n-th event, from 0; the copy has the marks of the events up to it. */
  event(copy: Copy, n: number): Uint8Array {
    const { event, order, slots } = this.#at(n);
    for (const slot of slots) slot(copy);
    event.revision = BigInt(copy.events[n]?.revision ?? 0);
    const summary = encodeSummary({ ...this.#subject, order });
    return storedEncoding(event, SubjectKind.ORDER, summary);
  }

  /** What was answered to the request behind a copy's n-th event; undefined: it had no request id. */
  answer(copy: Copy, n: number): Uint8Array | undefined {
    const { answer, answerSlots } = this.#at(n);
    for (const slot of answerSlots) slot(copy);
    return answer && encode(ReportStatusResponseSchema, answer);
  }

  /** The two encodings of a copy's row. */
  row(copy: Copy): { summary: Uint8Array; details: Uint8Array } {
    for (const slot of this.#slots) slot(copy);
    return { summary: encodeSummary(this.#subject), details: encodeDetails(this.#subject) };
  }

  keys(copy: Copy): string[] {
    return this.written.keys.map((key) => key.replaceAll(this.written.id, copy.id));
  }

  #at(n: number): EventPattern {
    const found = this.#events[n];
    if (!found) throw new Error(`the pattern ${this.written.id} has no event ${n}`);
    return found;
  }

  #check(own: Copy): void {
    const { events, id, summary, details } = this.written;
    for (const [i, { payload, answer }] of events.entries()) {
      const same = equal(this.event(own, i), payload) && equal(this.answer(own, i) ?? NOTHING, answer ?? NOTHING);
      if (!same) throw new Error(`event ${i} of the pattern ${id} is not encoded as it was written`);
    }
    const row = this.row(own);
    if (!equal(row.summary, summary) || !equal(row.details, details)) {
      throw new Error(`the row of the pattern ${id} is not encoded as it was written`);
    }
  }
}

const NOTHING = new Uint8Array();

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function patternOf(marks: Markers, event: Event | undefined, answer: Uint8Array | undefined): EventPattern {
  if (event?.after.case !== "order") throw new Error("an event of the pattern is not an order's");
  const order = event.after.value;
  event.after = { case: undefined }; // its encoding is put in
  const answered = answer && fromBinary(ReportStatusResponseSchema, answer);
  const slots = [...marks.slots(event), ...marks.slots(order)];
  return { event, order, slots, answer: answered, answerSlots: answered ? marks.slots(answered) : [] };
}

/** Finds what is an order's own, by its value. */
class Markers {
  /** The pattern as a copy of itself. */
  readonly own: Copy;
  readonly #texts = new Map<string, (copy: Copy) => string>();
  readonly #times = new Map<string, number>();

  constructor(id: string, events: readonly Event[]) {
    this.own = { id, events: events.map(marksOf) };
    for (const [n, event] of events.entries()) {
      const marks = marksOf(event);
      this.#texts.set(event.position, (copy) => staffPosition(placeOf(markOf(copy, n))));
      this.#texts.set(marks.commandId, (copy) => markOf(copy, n).commandId);
      if (marks.sourceId) this.#texts.set(marks.sourceId, (copy) => markOf(copy, n).sourceId);
      this.#times.set(timeKey(event.recordedAt), n);
    }
    if (this.#times.size < events.length) throw new Error(`events of the pattern ${id} share a time`);
  }

  /** Every place below a message that has to change. */
  slots(message: object): Slot[] {
    return Object.entries(message).flatMap(([name, value]: [string, unknown]) => {
      if (typeof value === "string") return this.#textSlot(message, name, value);
      if (typeof value !== "object" || value === null || value instanceof Uint8Array) return [];
      return isTimestamp(value) ? this.#timeSlot(value) : this.slots(value);
    });
  }

  #textSlot(holder: object, name: string, value: string): Slot[] {
    const set = (text: string) => Object.assign(holder, { [name]: text });
    const exact = this.#texts.get(value);
    if (exact) return [(copy) => set(exact(copy))];
    const { id } = this.own;
    if (!value.includes(id)) return [];
    const [before = "", after = ""] = value.split(id);
    return [(copy) => set(`${before}${copy.id}${after}`)];
  }

  #timeSlot(time: Timestamp): Slot[] {
    const n = this.#times.get(timeKey(time));
    if (n === undefined) return [];
    return [
      (copy) => {
        const { recordedUs } = markOf(copy, n);
        const seconds = Math.floor(recordedUs / 1_000_000);
        time.seconds = BigInt(seconds);
        time.nanos = (recordedUs - seconds * 1_000_000) * 1_000;
      },
    ];
  }
}

function markOf(copy: Copy, n: number): Marks {
  const mark = copy.events[n];
  if (!mark) throw new Error(`a copy lacks the marks of event ${n}`);
  return mark;
}

function placeOf({ revision, eventId }: Marks) {
  return { revision: BigInt(revision), eventId };
}

function marksOf(event: Event): Marks {
  const { change, recordedAt } = event;
  const sourceId = change.case === "reported" ? (change.value.report?.report?.sourceId ?? "") : "";
  return {
    revision: Number(event.revision),
    eventId: event.position.slice(event.position.indexOf("-") + 1),
    commandId: event.command?.id ?? "",
    sourceId,
    recordedUs: Number(recordedAt?.seconds ?? 0n) * 1_000_000 + (recordedAt?.nanos ?? 0) / 1_000,
  };
}

function isTimestamp(value: object): value is Timestamp {
  return "$typeName" in value && value.$typeName === "google.protobuf.Timestamp";
}

function timeKey(time: Timestamp | undefined): string {
  return `${time?.seconds}.${time?.nanos}`;
}
