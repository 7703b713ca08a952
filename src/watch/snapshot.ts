import { fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { type Booking, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import type { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { facetsOfBooking, facetsOfOrder } from "../domain/facets.ts";
import type { Place, StoredEvent } from "../domain/stored-event.ts";
import { SubjectKind } from "../domain/subject.ts";
import type { RowQuery, SubjectRow } from "../journal/journal.ts";
import { bookingView, summaryAfter } from "../wire/event-view.ts";
import type { WatchReader } from "./bounded-reader.ts";
import type { CatchUpHome } from "./catch-up.ts";
import type { Cohort } from "./cohort.ts";
import { rowElement, utf8, WallBreach } from "./encoder.ts";
import { whyLost } from "./page.ts";
import type { Permits } from "./permits.ts";
import type { Codec } from "./spec.ts";
import type { Watcher } from "./watcher.ts";

/**
 * Sends a watch every row that matches, as of a pinned head: newest first, in pages, without a transaction held open. A row
 * that has changed since is sent as the event before left it, so that rows and the events after the pinned head give the
 * state without a gap or a repeat, wherever between them the watch breaks and whatever becomes of those events: a client that
 * resumes after the snapshot could not be told of a row that was left out for a change that a failover has lost.
 *
 * Where that event is cut from the journal the row is left out, and its change follows with the whole state. (It may also say
 * that a subject left that was never sent: that takes nothing from anyone.)
 *
 * After the last page the pinned head must still be there: rows of another history are not what was promised. And the
 * changes that rows were left out for must have come here: until then a failover could lose them unseen, and the rows would
 * be missing. Once they have, it resets the watch. (A client that breaks off between `synced` and such a change, and resumes
 * when a failover has lost the change, does miss the row: where nothing is cut there is no such change.)
 *
 * The next page is read when the stream has taken the last one. Nothing is kept between them but where they stopped.
 */
export class Snapshots {
  readonly #home: CatchUpHome;
  readonly #reader: WatchReader;
  readonly #permits: Permits;

  constructor(home: CatchUpHome, reader: WatchReader, permits: Permits) {
    this.#home = home;
    this.#reader = reader;
    this.#permits = permits;
  }

  /** Starts to read the next page. */
  step(watcher: Watcher): void {
    const { place } = watcher;
    if (watcher.state !== "snapshot" || !place || watcher.blocked || watcher.reading) return;
    watcher.reading = true;
    const read = this.#permits.use(
      {
        tenant: watcher.cohort.tenant,
        items: this.#home.options.snapshotRows,
        wanted: () => watcher.state === "snapshot",
      },
      () => this.#read(watcher, place),
      ({ rows }) => rows.length,
    );
    read.then(
      (page) => {
        watcher.reading = false;
        if (!page || watcher.state !== "snapshot") return;
        if (page.lost === undefined) this.#send(watcher, place, page);
        else this.#home.reset(watcher, page.lost);
      },
      (error: unknown) => {
        watcher.reading = false;
        if (watcher.state !== "snapshot") return;
        this.#home.failed(error);
        this.#home.wakeLater(watcher);
      },
    );
  }

  async #read({ cohort, cursor, leftOut: before }: Watcher, pinned: Place): Promise<Page> {
    if (cohort.ids?.size === 0) return { ...NO_ROWS, cursor }; // a link to one order, and a filter for others
    this.#home.counts.catchUpReads += 1;
    const query: RowQuery = {
      tenant: cohort.tenant,
      kind: cohort.kind,
      ids: cohort.ids ? [...cohort.ids] : undefined,
      carriers: cohort.visibility.class === "carrier" ? [cohort.visibility.carrier] : undefined,
      createdBefore: cursor ?? pinned.revision + 1n,
      limit: this.#home.options.snapshotRows,
    };
    const all = await this.#reader.rows(query);
    const isLast = all.length < query.limit;
    const { rows, gone } = await this.#asOf(cohort, all, pinned.revision);
    const leftOut = gone.reduce(furthest, before);
    const places = isLast ? [pinned, ...(leftOut ? [leftOut] : [])] : [];
    let lost: ResetReason | undefined;
    for (const place of places) lost ??= await whyLost(this.#reader, cohort.tenant, place);
    return { rows, isLast, leftOut, cursor: all.at(-1)?.createdRevision ?? cursor, lost };
  }

  /** The rows as they were, and of those that have changed since the ones of which that is not known. */
  async #asOf({ kind, tenant, visibility }: Cohort, all: readonly SubjectRow[], revision: bigint) {
    const changed = all.filter((row) => row.changedRevision > revision).map(({ id }) => id);
    if (changed.length === 0) return { rows: all, gone: [] };
    const events = await this.#reader.before(tenant, kind, changed, revision);
    const known = new Map(events.map((event) => [event.subjectId, event]));
    const mayHave = ({ carrier }: SubjectRow) => visibility.class !== "carrier" || visibility.carrier === carrier;
    const rows = all.flatMap((row) => {
      if (row.changedRevision <= revision) return [row];
      const event = known.get(row.id);
      return event ? [rowAfter(event, row)].filter(mayHave) : [];
    });
    return { rows, gone: all.filter((row) => row.changedRevision > revision && !known.has(row.id)) };
  }

  #send(watcher: Watcher, pinned: Place, { rows, isLast, leftOut, cursor }: Page): void {
    watcher.leftOut = leftOut;
    const messages = this.#home.readable(watcher, () => this.#messages(watcher.cohort, rows));
    if (!messages) return;
    for (const { bytes, last, count } of messages) {
      watcher.writeRows(bytes, count);
      watcher.cursor = last;
      // What was not written is read again from there.
      if (watcher.blocked || watcher.isOver()) return;
    }
    watcher.cursor = cursor;
    if (isLast && leftOut && leftOut.revision > this.#home.live.revision) {
      this.#home.check();
      this.#home.clock.after(LOOK_AGAIN_MS, () => this.#home.wake(watcher));
      return;
    }
    if (isLast) this.#sync(watcher, pinned);
    this.#home.wake(watcher);
  }

  #sync(watcher: Watcher, pinned: Place): void {
    watcher.notify({ synced: { position: this.#home.encoder.position(pinned, watcher.cohort) } });
    if (!watcher.isOver()) watcher.fallBehind(pinned);
  }

  /** The rows that match, in messages; each knows the created revision of its last row. */
  #messages(cohort: Cohort, rows: readonly SubjectRow[]): Message[] {
    const { encoder, options } = this.#home;
    const messages: Message[] = [];
    let open: Uint8Array[] = [];
    let bytes = 0;
    let last = 0n;
    const close = (): void => {
      if (open.length > 0) {
        messages.push({ bytes: encoder.rows(open, cohort.kind, cohort.codec), last, count: open.length });
      }
      open = [];
      bytes = 0;
    };
    for (const row of rows) {
      const piece = rowPiece(cohort, row);
      if (!piece) continue;
      if (bytes + piece.length + 1 > options.messageBytes) close();
      open.push(piece);
      bytes += piece.length + 1;
      last = row.createdRevision;
    }
    close();
    return messages;
  }
}

/** The pause before a snapshot that is ahead of what is known here looks again. */
const LOOK_AGAIN_MS = 50;

/** The rows of a page as of the pinned head, and where the next one continues. */
interface Page {
  readonly rows: readonly SubjectRow[];
  readonly isLast: boolean;
  readonly cursor: bigint | undefined;
  /** The furthest change that a row was left out for, in this page or before. */
  readonly leftOut: Place | undefined;
  /** After the last page: why the pinned head, or that change, is no longer the journal's. */
  readonly lost: ResetReason | undefined;
}

const NO_ROWS = { rows: [], isLast: true, leftOut: undefined, lost: undefined } as const;

/** A row as an event left it. */
function rowAfter({ carrier, eventId, payload, revision, version }: StoredEvent, row: SubjectRow): SubjectRow {
  return {
    ...row,
    carrier,
    version,
    changedRevision: revision,
    changedEventId: eventId,
    summary: summaryAfter(payload),
  };
}

function furthest(place: Place | undefined, { changedRevision, changedEventId }: SubjectRow): Place | undefined {
  if (place && place.revision >= changedRevision) return place;
  return { revision: changedRevision, eventId: changedEventId };
}

interface Message {
  readonly bytes: Uint8Array;
  readonly last: bigint;
  /** Rows. */
  readonly count: number;
}

/** A row as the cohort sees it; undefined: it does not match. */
function rowPiece(cohort: Cohort, row: SubjectRow): Uint8Array | undefined {
  assertOwn(cohort, row);
  if (cohort.ids && !cohort.ids.has(row.id)) return undefined;
  const { filter, visibility, codec } = cohort;
  const mayCopy = codec === "proto" && visibility.class !== "carrier";
  if (mayCopy && !filter.needsFacets) return rowElement(row.summary);
  if (cohort.kind === SubjectKind.ORDER) {
    const order = fromBinary(OrderSchema, row.summary);
    if (!filter.matches(row.id, facetsOfOrder(order))) return undefined;
    return mayCopy ? rowElement(row.summary) : utf8(toJsonString(OrderSchema, order));
  }
  const booking = fromBinary(BookingSchema, row.summary);
  if (!filter.matches(row.id, facetsOfBooking(booking))) return undefined;
  return mayCopy ? rowElement(row.summary) : bookingPiece(codec, bookingView(booking, visibility));
}

function bookingPiece(codec: Codec, booking: Booking): Uint8Array {
  return codec === "proto" ? rowElement(toBinary(BookingSchema, booking)) : utf8(toJsonString(BookingSchema, booking));
}

/** Throws unless the row may go to the cohort. */
function assertOwn({ kind, visibility }: Cohort, row: SubjectRow): void {
  const own =
    row.kind === kind &&
    (visibility.class !== "carrier" || row.carrier === visibility.carrier) &&
    (visibility.class !== "link" || row.id === visibility.orderId);
  if (!own) throw new WallBreach(`row "${row.id}" was about to go to a reader that may not see it`);
}
