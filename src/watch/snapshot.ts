import { fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { type Booking, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { facetsOfBooking, facetsOfOrder } from "../domain/facets.ts";
import type { Place } from "../domain/stored-event.ts";
import { SubjectKind } from "../domain/subject.ts";
import type { RowQuery, SubjectRow } from "../journal/journal.ts";
import { bookingView } from "../wire/event-view.ts";
import type { WatchReader } from "./bounded-reader.ts";
import type { CatchUpHome } from "./catch-up.ts";
import type { Cohort } from "./cohort.ts";
import { rowElement, utf8, WallBreach } from "./encoder.ts";
import type { Permits } from "./permits.ts";
import type { Codec } from "./spec.ts";
import type { Watcher } from "./watcher.ts";

/**
 * Sends a watch every row that matches, as of a pinned head: newest first, in pages, without a transaction held open. A row
 * that has changed since is left out, because its event follows with the whole state; so rows and the events after the
 * pinned head give the state without a gap or a repeat. (Its event may also say that a subject left that was never sent:
 * that takes nothing from anyone.)
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
    const { cohort, cursor } = watcher;
    const read = this.#permits.use(
      () => watcher.state === "snapshot",
      () => this.#read(cohort, place, cursor),
    );
    read.then(
      (rows) => {
        watcher.reading = false;
        if (rows && watcher.state === "snapshot") this.#send(watcher, place, rows);
      },
      (error: unknown) => {
        watcher.reading = false;
        if (watcher.state !== "snapshot") return;
        this.#home.failed(error);
        this.#home.wakeLater(watcher);
      },
    );
  }

  async #read(cohort: Cohort, pinned: Place, cursor: bigint | undefined): Promise<SubjectRow[]> {
    if (cohort.ids?.size === 0) return []; // a link to one order, and a filter for others
    this.#home.counts.catchUpReads += 1;
    const query: RowQuery = {
      tenant: cohort.tenant,
      kind: cohort.kind,
      ids: cohort.ids ? [...cohort.ids] : undefined,
      carriers: cohort.visibility.class === "carrier" ? [cohort.visibility.carrier] : undefined,
      createdBefore: cursor,
      changedUpTo: pinned.revision,
      limit: this.#home.options.snapshotRows,
    };
    return this.#reader.rows(query);
  }

  #send(watcher: Watcher, pinned: Place, rows: readonly SubjectRow[]): void {
    const messages = this.#home.readable(watcher, () => this.#messages(watcher.cohort, rows));
    if (!messages) return;
    for (const { bytes, last } of messages) {
      watcher.writeRows(bytes);
      watcher.cursor = last;
      // What was not written is read again from there.
      if (watcher.blocked || watcher.isOver()) return;
    }
    const last = rows.at(-1);
    if (last && rows.length >= this.#home.options.snapshotRows) watcher.cursor = last.createdRevision;
    else this.#sync(watcher, pinned);
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
      if (open.length > 0) messages.push({ bytes: encoder.rows(open, cohort.kind, cohort.codec), last });
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

interface Message {
  readonly bytes: Uint8Array;
  readonly last: bigint;
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
