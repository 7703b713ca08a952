import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BookingSchema, type BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import {
  BookingActedSchema,
  type CommandPart,
  CommandPartSchema,
  EventSchema,
  type Facets,
  OrderHeldSchema,
} from "../../gen/leadline/v1/event_pb.ts";
import { OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { facetsOfBooking, facetsOfOrder, sameFacets } from "../../src/domain/facets.ts";
import type { Extension, Place, StoredEvent } from "../../src/domain/stored-event.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import type { Head, RowQuery, Stretch, StretchQuery, SubjectRow } from "../../src/journal/journal.ts";
import type { WatchReader } from "../../src/watch/bounded-reader.ts";
import { storedEncoding, summaryAfter } from "../../src/wire/event-view.ts";
import { staffPosition } from "../../src/wire/position.ts";

/** One change of one subject: an order's status, or a booking's state. */
export type Change =
  | { readonly order: string; readonly status: string; readonly padding?: number }
  | { readonly booking: string; readonly carrier: string; readonly state: BookingState };

interface Journal {
  journalId: string;
  floor: bigint;
  events: StoredEvent[];
  rows: Map<string, SubjectRow>;
}

/** A journal as it stood until another came in its place. */
export interface LostJournal {
  readonly journalId: string;
  readonly events: readonly StoredEvent[];
  readonly untilMs: number;
}

/**
 * A journal in memory, as hubs read it. Each read answers after the reads before it, and sees what was committed when it
 * was asked. `outage` makes reads fail; `hold` keeps answers back.
 */
export class MemoryJournal implements WatchReader {
  readonly #tenants = new Map<string, Journal>();
  #ids = 0;
  #held: (() => void)[] | undefined;
  outage = false;
  /** What was read: `heads`, `events`, `rows`, `latest`. */
  readonly reads: string[] = [];
  readonly #nowMs: (() => number) | undefined;
  readonly #lost = new Map<string, LostJournal[]>();

  /** @param nowMs the time of day: events then say when they were recorded, and of which command they are */
  constructor(nowMs?: () => number) {
    this.#nowMs = nowMs;
  }

  /** Commits changes in one command. Answers what a hub is told. */
  commit(tenant: string, ...changes: readonly Change[]): Extension {
    const journal = this.#journal(tenant);
    const previous = placeOf(journal);
    const id = this.#nowMs && this.#drawId();
    const part = (index: number) => id && create(CommandPartSchema, { id, index, count: changes.length });
    const events = changes.map((change, index) => this.#record(journal, change, part(index)));
    return { tenant, previous, events };
  }

  /** Takes over another journal whole, with rows that its events fold to. */
  adopt(tenant: string, journalId: string, events: readonly StoredEvent[]): void {
    const rows = new Map<string, SubjectRow>();
    for (const event of events) rows.set(event.subjectId, rowAfter(event, rows.get(event.subjectId)));
    this.#tenants.set(tenant, { journalId, floor: 0n, events: [...events], rows });
  }

  head(tenant: string): Place {
    return placeOf(this.#journal(tenant));
  }

  journalId(tenant: string): string {
    return this.#journal(tenant).journalId;
  }

  all(tenant: string): readonly StoredEvent[] {
    return this.#journal(tenant).events;
  }

  rowsNow(tenant: string): ReadonlyMap<string, SubjectRow> {
    return this.#journal(tenant).rows;
  }

  /** Takes the journal back to a revision, as restoring a backup does. What comes then has other ids. */
  restore(tenant: string, revision: bigint): void {
    const journal = this.#journal(tenant);
    this.#lose(tenant, journal);
    const kept = journal.events.slice(0, Number(revision));
    journal.events = kept;
    journal.rows = new Map();
    for (const event of kept) journal.rows.set(event.subjectId, rowAfter(event, journal.rows.get(event.subjectId)));
  }

  /** Puts another, empty journal in its place. */
  replace(tenant: string): void {
    this.#lose(tenant, this.#journal(tenant));
    this.#tenants.delete(tenant);
  }

  /** What came to be replaced, oldest first. */
  lost(tenant: string): readonly LostJournal[] {
    return this.#lost.get(tenant) ?? [];
  }

  /** Cuts what lies below, for watches and for reads. */
  raiseFloor(tenant: string, revision: bigint): void {
    this.#journal(tenant).floor = revision;
  }

  /** Answers wait until the returned function is called. */
  hold(): () => void {
    const held: (() => void)[] = [];
    this.#held = held;
    return () => {
      if (this.#held === held) this.#held = undefined;
      for (const answer of held.splice(0)) answer();
    };
  }

  /** What is asked from now on is answered; what is held back already stays so. */
  release(): void {
    this.#held = undefined;
  }

  heads(tenants: readonly string[]): Promise<Map<string, Head>> {
    return this.#read("heads", () => new Map(tenants.map((tenant) => [tenant, this.#headOf(tenant)])));
  }

  events(tenant: string, from: bigint, limit: number, maxBytes: number): Promise<StoredEvent[]> {
    return this.#read("events", () => {
      const { events, floor } = this.#journal(tenant);
      const page: StoredEvent[] = [];
      let bytes = 0;
      for (const event of events) {
        if (event.revision < from || event.revision < floor) continue;
        if (page.length >= limit || bytes >= maxBytes) break;
        bytes += event.payload.length;
        page.push(event);
      }
      return page;
    });
  }

  stretch({ tenant, kind, after, upTo, limit, maxBytes }: StretchQuery): Promise<Stretch | undefined> {
    return this.#read("stretch", () => {
      const journal = this.#journal(tenant);
      const there = journal.events.filter((event) => event.revision >= journal.floor);
      const end = after + BigInt(limit) < upTo ? after + BigInt(limit) : upTo;
      const page = there.filter((event) => event.revision > after && event.revision <= end);
      const last = page.at(-1);
      if (last?.revision !== end || end <= after) return undefined;
      const told = page.filter((event) => event.kind === kind);
      if (told.reduce((bytes, event) => bytes + event.payload.length, 0) > maxBytes) return undefined;
      return {
        predecessor: there.find((event) => event.revision === after)?.eventId,
        last: { revision: last.revision, eventId: last.eventId },
        all: page.length,
        events: told.length,
        payloads: Buffer.concat(told.map((event) => event.payload)),
      };
    });
  }

  latest(tenant: string, kind: SubjectKind, from: bigint, to: bigint, limit: number): Promise<StoredEvent[]> {
    return this.#read("latest", () => {
      const { events, rows } = this.#journal(tenant);
      const last = (event: StoredEvent) => rows.get(event.subjectId)?.changedRevision === event.revision;
      return events.filter((e) => e.kind === kind && e.revision >= from && e.revision <= to && last(e)).slice(0, limit);
    });
  }

  rows(query: RowQuery): Promise<SubjectRow[]> {
    return this.#read("rows", () =>
      [...this.#journal(query.tenant).rows.values()]
        .filter((row) => row.kind === query.kind)
        .filter((row) => query.ids === undefined || query.ids.includes(row.id))
        .filter((row) => query.carriers === undefined || query.carriers.includes(row.carrier))
        .filter((row) => query.createdBefore === undefined || row.createdRevision < query.createdBefore)
        .sort((a, b) => Number(b.createdRevision - a.createdRevision))
        .slice(0, query.limit),
    );
  }

  before(tenant: string, kind: SubjectKind, ids: readonly string[], upTo: bigint): Promise<StoredEvent[]> {
    return this.#read("before", () => {
      const { events, floor } = this.#journal(tenant);
      const there = events.filter((event) => event.kind === kind && event.revision >= floor && event.revision <= upTo);
      return ids.flatMap((id) => there.findLast(({ subjectId }) => subjectId === id) ?? []);
    });
  }

  async #read<T>(what: string, answer: () => T): Promise<T> {
    this.reads.push(what);
    if (this.outage) throw new Error("the database is away");
    const result = answer();
    const held = this.#held;
    if (held) await new Promise<void>((resolve) => void held.push(resolve));
    return result;
  }

  #lose(tenant: string, { journalId, events }: Journal): void {
    const lost = this.#lost.get(tenant) ?? [];
    this.#lost.set(tenant, lost);
    lost.push({ journalId, events, untilMs: this.#nowMs?.() ?? 0 });
  }

  #headOf(tenant: string): Head {
    const journal = this.#journal(tenant);
    return { ...placeOf(journal), journalId: journal.journalId, floor: journal.floor };
  }

  #journal(tenant: string): Journal {
    let journal = this.#tenants.get(tenant);
    if (!journal) {
      journal = { journalId: this.#drawId(), floor: 0n, events: [], rows: new Map() };
      this.#tenants.set(tenant, journal);
    }
    return journal;
  }

  #drawId(): string {
    this.#ids += 1;
    return this.#ids.toString(36).padStart(13, "0");
  }

  #record(journal: Journal, change: Change, command: CommandPart | undefined | ""): StoredEvent {
    const id = "order" in change ? change.order : change.booking;
    const row = journal.rows.get(id);
    const version = (row?.version ?? 0n) + 1n;
    const place = { revision: BigInt(journal.events.length + 1), eventId: this.#drawId() };
    const kind = "order" in change ? SubjectKind.ORDER : SubjectKind.BOOKING;
    const summary = "order" in change ? orderSummary(change, version) : bookingSummary(change, version);
    const event = create(EventSchema, {
      revision: place.revision,
      position: staffPosition(place),
      subjectId: id,
      version,
      actor: "key_test",
      shape: 1,
      change: changeOf(change),
    });
    if (command) event.command = command;
    if (this.#nowMs) event.recordedAt = timestampFromMs(this.#nowMs());
    const before = row && facetsIn(kind, row.summary);
    if (before && !sameFacets(before, facetsIn(kind, summary))) event.before = before;
    const carrier = "carrier" in change ? change.carrier : "";
    const payload = storedEncoding(event, kind, summary);
    const stored = { ...place, kind, subjectId: id, version, carrier, payload };
    journal.events.push(stored);
    journal.rows.set(id, rowAfter(stored, row, summary));
    return stored;
  }
}

/** What filters ask of a summary. */
export function facetsIn(kind: SubjectKind, summary: Uint8Array): Facets {
  return kind === SubjectKind.ORDER
    ? facetsOfOrder(fromBinary(OrderSchema, summary))
    : facetsOfBooking(fromBinary(BookingSchema, summary));
}

function placeOf({ events, journalId }: Journal): Place {
  const last = events.at(-1);
  return last ? { revision: last.revision, eventId: last.eventId } : { revision: 0n, eventId: journalId };
}

function rowAfter(
  event: StoredEvent,
  before: SubjectRow | undefined,
  summary = summaryAfter(event.payload),
): SubjectRow {
  return {
    kind: event.kind,
    id: event.subjectId,
    version: event.version,
    createdRevision: before?.createdRevision ?? event.revision,
    changedRevision: event.revision,
    changedEventId: event.eventId,
    carrier: event.carrier,
    summary,
    details: new Uint8Array(),
  };
}

function changeOf(change: Change) {
  if ("booking" in change) return { case: "bookingActed", value: create(BookingActedSchema) } as const;
  const value = create(OrderHeldSchema, { reason: "x".repeat(change.padding ?? 0) });
  return { case: "orderHeld", value } as const;
}

function orderSummary({ order, status }: { order: string; status: string }, version: bigint): Uint8Array {
  return toBinary(OrderSchema, create(OrderSchema, { id: order, version, status }));
}

function bookingSummary(
  { booking, carrier, state }: { booking: string; carrier: string; state: BookingState },
  version: bigint,
): Uint8Array {
  const orderIds = ["ord_secret"];
  return toBinary(BookingSchema, create(BookingSchema, { id: booking, version, carrier, state, orderIds }));
}
