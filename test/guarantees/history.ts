import { hash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Booking, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { type Event, EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { type Order, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import type { Visibility } from "../../src/domain/principal.ts";
import { bookingView, viewFor } from "../../src/wire/event-view.ts";
import type { Positions } from "../../src/wire/position.ts";
import type { Place, Reader } from "./trace.ts";

/** One event of a journal. */
export interface Fact extends Place {
  readonly event: Event;
  /** `orders/<id>`, `bookings/<id>` or `audit/<target>`. */
  readonly subject: string;
  /** When it was committed, milliseconds since the epoch; NaN: not known. */
  readonly atMs: number;
}

/** What a reader is due of one event. */
export interface Due {
  readonly revision: number;
  readonly what: "event" | "left";
  /** The subject starts or ceases to match with it. */
  readonly turns: boolean;
  readonly fact: Fact;
}

/** Whether the reader sees the subject after the event; undefined: the event is not of what it watches. */
export function seesAfter(reader: Reader, event: Event): boolean | undefined {
  const { after, subjectId } = event;
  const { visibility } = reader;
  if (visibility.class === "link" && visibility.orderId !== subjectId) return undefined;
  if (reader.of === "audit") return event.change.case === "administered" ? true : undefined;
  if (reader.of === "orders") return after.case === "order" ? reader.sees(after.value) : undefined;
  if (after.case !== "booking") return undefined;
  if (visibility.class === "carrier" && visibility.carrier !== after.value.carrier) return undefined;
  return reader.sees(after.value);
}

/** What the reader is due of a journal, found out by its own words. */
function dueOf(reader: Reader, facts: readonly Fact[]): Due[] {
  const seen = new Set<string>();
  const due: Due[] = [];
  for (const fact of facts) {
    const sees = seesAfter(reader, fact.event);
    if (sees === undefined) continue;
    const saw = seen.has(fact.subject);
    if (sees) due.push({ revision: fact.revision, what: "event", turns: !saw, fact });
    else if (saw) due.push({ revision: fact.revision, what: "left", turns: true, fact });
    if (sees) seen.add(fact.subject);
    else seen.delete(fact.subject);
  }
  return due;
}

/** A journal as it stood until a failover took its tail, or as it stands: events at revisions 1, 2, 3 ... */
export class Line {
  readonly journalId: string;
  readonly facts: readonly Fact[];
  /** From when to when it was the journal, milliseconds since the epoch. */
  readonly fromMs: number;
  readonly untilMs: number;
  readonly #due = new WeakMap<Reader, readonly Due[]>();
  #lastOf: Map<string, number> | undefined;

  constructor(journalId: string, facts: readonly Fact[], fromMs: number, untilMs: number) {
    this.journalId = journalId;
    this.facts = facts;
    this.fromMs = fromMs;
    this.untilMs = untilMs;
  }

  get head(): Place {
    return this.facts.at(-1) ?? { revision: 0, eventId: this.journalId };
  }

  has({ revision, eventId }: Place): boolean {
    return revision === 0 ? eventId === this.journalId : this.facts[revision - 1]?.eventId === eventId;
  }

  fact({ revision }: Place): Fact | undefined {
    return this.facts[revision - 1];
  }

  /** What is due after one revision and up to another, that one included. */
  due(reader: Reader, after: number, upTo: number): readonly Due[] {
    const all = this.dueAll(reader);
    const from = firstAfter(all, after);
    if ((all[from]?.revision ?? Number.POSITIVE_INFINITY) > upTo) return NOTHING;
    return all.slice(from, firstAfter(all, upTo));
  }

  dueAt(reader: Reader, revision: number): Due | undefined {
    const all = this.dueAll(reader);
    const found = all[firstAfter(all, revision) - 1];
    return found?.revision === revision ? found : undefined;
  }

  /** The last that is due before a revision. */
  dueBefore(reader: Reader, revision: number): Due | undefined {
    const all = this.dueAll(reader);
    return all[firstAfter(all, revision - 1) - 1];
  }

  /** The revision of a subject's last event. */
  lastOf(subject: string): number {
    if (!this.#lastOf) {
      this.#lastOf = new Map();
      for (const fact of this.facts) this.#lastOf.set(fact.subject, fact.revision);
    }
    return this.#lastOf.get(subject) ?? 0;
  }

  /** The subjects that the reader sees at a revision, by id. */
  stateAt(reader: Reader, revision: number): Map<string, Fact> {
    const state = new Map<string, Fact>();
    for (const { what, fact } of this.due(reader, 0, revision)) {
      if (what === "event") state.set(fact.event.subjectId, fact);
      else state.delete(fact.event.subjectId);
    }
    return state;
  }

  dueAll(reader: Reader): readonly Due[] {
    let due = this.#due.get(reader);
    if (!due) {
      due = dueOf(reader, this.facts);
      this.#due.set(reader, due);
    }
    return due;
  }
}

const NOTHING: readonly Due[] = [];

function firstAfter(due: readonly Due[], revision: number): number {
  let low = 0;
  let high = due.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((due[middle]?.revision ?? 0) > revision) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A time from which on watches may start no earlier than at a revision. */
export interface Floor {
  readonly fromMs: number;
  readonly revision: number;
}

/** What really happened to one tenant's journal, its lost tails included. */
export class History {
  readonly tenant: string;
  /** Oldest first; the last is the journal now. Of two lines, either begins with the events that they share. */
  readonly lines: readonly Line[];
  readonly floors: readonly Floor[];
  readonly #positions: Positions;
  readonly #contents = new WeakMap<Event, { staff?: string; carrier?: string }>();
  readonly #subjects = new WeakMap<Event, { staff?: string; carrier?: string }>();
  #versions: Map<string, Fact[]> | undefined;

  constructor(tenant: string, lines: readonly Line[], positions: Positions, floors: readonly Floor[] = []) {
    if (lines.length === 0) throw new Error(`tenant "${tenant}" has no journal`);
    this.tenant = tenant;
    this.lines = lines;
    this.floors = floors;
    this.#positions = positions;
  }

  get now(): Line {
    return this.lines.at(-1) as Line;
  }

  /** The newest line that has the place; of lines that have it, all have the same before it. */
  lineWith(place: Place): Line | undefined {
    return this.lines.findLast((line) => line.has(place));
  }

  /** The line that was the journal at a time. */
  lineAt(atMs: number): Line {
    return this.lines.findLast((line) => line.fromMs <= atMs) ?? this.now;
  }

  /** The event, as the reader may see it: see `contentOf`. */
  contentFor(fact: Fact, visibility: Visibility): string {
    return kept(this.#contents, fact.event, visibility, () =>
      contentOf(viewFor(fact.event, this.tenant, visibility, this.#positions), visibility),
    );
  }

  /** The subject after the event, as the reader may see it: see `rowContentOf`. */
  subjectFor({ event }: Fact, visibility: Visibility): string {
    return kept(this.#subjects, event, visibility, () => {
      if (event.after.case === "order") return rowContentOf(event.after.value);
      return event.after.case === "booking" ? rowContentOf(bookingView(event.after.value, visibility)) : "";
    });
  }

  /** The events that brought a subject to a version: one, or one of each line that differs there. */
  versionsOf(subject: string, version: number): readonly Fact[] {
    if (!this.#versions) {
      this.#versions = new Map();
      for (const line of this.lines) {
        for (const fact of line.facts) {
          const key = `${fact.subject}@${fact.event.version}`;
          const known = this.#versions.get(key);
          if (!known) this.#versions.set(key, [fact]);
          else if (!known.some(({ eventId }) => eventId === fact.eventId)) known.push(fact);
        }
      }
    }
    return this.#versions.get(`${subject}@${version}`) ?? [];
  }
}

function kept(
  known: WeakMap<Event, { staff?: string; carrier?: string }>,
  event: Event,
  visibility: Visibility,
  make: () => string,
): string {
  const entry = known.get(event) ?? {};
  known.set(event, entry);
  // A booking has one carrier: nobody else is asked for.
  const sort = visibility.class === "carrier" ? "carrier" : "staff";
  entry[sort] ??= make();
  return entry[sort];
}

/** Events of a stored journal as facts. */
export function factsOf(events: readonly Event[]): Fact[] {
  return events.map((event) => {
    const [revision = "", eventId = ""] = event.position.split("-");
    const of = event.change.case === "administered" ? "audit" : event.after.case === "booking" ? "bookings" : "orders";
    const seconds = event.recordedAt;
    const atMs = seconds ? Number(seconds.seconds) * 1000 + seconds.nanos / 1e6 : Number.NaN;
    return { revision: Number(revision), eventId, event, subject: `${of}/${event.subjectId}`, atMs };
  });
}

/** A digest of an event as it was told. Carriers' positions are drawn for each of them and are left out. */
export function contentOf(event: Event, visibility: Visibility): string {
  const told = visibility.class === "carrier" ? create(EventSchema, { ...event, position: "" }) : event;
  return digest(toBinary(EventSchema, told));
}

/** A digest of a row of a snapshot. */
export function rowContentOf(row: Order | Booking): string {
  return digest(
    row.$typeName === "leadline.v1.Order" ? toBinary(OrderSchema, row) : toBinary(BookingSchema, row as Booking),
  );
}

function digest(bytes: Uint8Array): string {
  return hash("sha1", bytes, "base64").slice(0, 16);
}
