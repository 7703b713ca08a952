import { fromBinary } from "@bufbuild/protobuf";
import { type Booking, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import type { WatchBookingsResponse } from "../../gen/leadline/v1/booking_service_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { type Order, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import type { WatchOrdersResponse } from "../../gen/leadline/v1/order_service_pb.ts";
import type { Visibility } from "../../src/domain/principal.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import { Positions } from "../../src/wire/position.ts";
import type { TestDatabase } from "../support/database.ts";

/** Who watched, and, in plain words of its own, what it should therefore see. */
export type Reader = {
  readonly tenant: string;
  readonly visibility: Visibility;
} & (
  | { readonly of: "orders"; sees(order: Order): boolean }
  | { readonly of: "bookings"; sees(booking: Booking): boolean }
);

export type WatchMessage = WatchOrdersResponse | WatchBookingsResponse;

/** What a watcher received, over one stream or over several of which each resumed where the one before had ended. */
export interface Trace {
  readonly reader: Reader;
  /** How the first stream started. */
  readonly start: "now" | "snapshot" | { readonly position: string };
  readonly mode: "ALL" | "LATEST";
  readonly messages: readonly WatchMessage[];
  /** The revision up to which the watcher was waited for. */
  readonly upTo: bigint;
}

/** One thing that a watcher was told, with the revision that its position names. */
export type Step =
  | { readonly what: "started"; readonly revision: bigint }
  | { readonly what: "row"; readonly subject: Order | Booking }
  | { readonly what: "synced"; readonly revision: bigint }
  | { readonly what: "event"; readonly revision: bigint; readonly event: Event }
  | { readonly what: "left"; readonly revision: bigint; readonly id: string }
  | { readonly what: "bookmark" | "end"; readonly revision: bigint; readonly verified: boolean }
  | { readonly what: "reset" };

/** What the database says, read around all walls. */
export interface Truth {
  /** By tenant, in order. */
  readonly journals: ReadonlyMap<string, readonly Event[]>;
  /** By tenant: the rows as they are now. */
  readonly orders: ReadonlyMap<string, readonly Order[]>;
  readonly bookings: ReadonlyMap<string, readonly Booking[]>;
  readonly positions: Positions;
}

export async function readTruth(database: TestDatabase): Promise<Truth> {
  const [deployment] = await database.sql<{ value: Buffer }>("select value from deployment where name = 'secret'");
  const events = await database.sql<{ tenant_id: string; payload: Buffer }>(
    "select tenant_id, payload from event order by tenant_id, revision",
  );
  const rows = await database.sql<{ tenant_id: string; kind: number; summary: Buffer }>(
    "select tenant_id, kind, summary from subject order by tenant_id, id",
  );
  const byTenant = <T>(kind: SubjectKind, read: (summary: Buffer) => T) => {
    const ofKind = Map.groupBy(
      rows.filter((row) => row.kind === kind),
      (row) => row.tenant_id,
    );
    return new Map([...ofKind].map(([tenant, list]) => [tenant, list.map(({ summary }) => read(summary))]));
  };
  const payloads = [...Map.groupBy(events, (row) => row.tenant_id)];
  return {
    journals: new Map(payloads.map(([t, list]) => [t, decodeEvents(Buffer.concat(list.map((row) => row.payload)))])),
    orders: byTenant(SubjectKind.ORDER, (summary) => fromBinary(OrderSchema, summary)),
    bookings: byTenant(SubjectKind.BOOKING, (summary) => fromBinary(BookingSchema, summary)),
    positions: new Positions(deployment?.value ?? Buffer.alloc(0)),
  };
}

/** The revision that a position names to its reader. Throws for one that the reader cannot have been given. */
export function revisionOf(truth: Truth, { tenant, visibility }: Reader, position: string): bigint {
  return truth.positions.decode(tenant, position, visibility).revision;
}

/** What the trace tells, one after another. */
export function stepsOf({ reader, messages }: Trace, truth: Truth): Step[] {
  const at = (position: string) => revisionOf(truth, reader, position);
  return messages.flatMap((message): Step[] => {
    const rows = "orders" in message ? message.orders : message.bookings;
    const { started, synced, bookmark, end } = message;
    const steps: Step[] = rows.map((subject) => ({ what: "row", subject }));
    if (started) steps.push({ what: "started", revision: at(started.head) });
    for (const event of message.events) steps.push({ what: "event", revision: at(event.position), event });
    for (const { id, position } of message.left) steps.push({ what: "left", revision: at(position), id });
    if (synced) steps.push({ what: "synced", revision: at(synced.position) });
    if (bookmark) steps.push(promise("bookmark", at(bookmark.position), bookmark));
    if (end && end.position !== "") steps.push(promise("end", at(end.position), end));
    if (message.reset) steps.push({ what: "reset" });
    return steps;
  });
}

function promise(what: "bookmark" | "end", revision: bigint, { verifiedAt }: { verifiedAt?: unknown }): Step {
  return { what, revision, verified: verifiedAt !== undefined };
}

/** What a reader is due of one event. */
export interface Due {
  readonly revision: bigint;
  readonly what: "event" | "left";
  readonly event: Event;
}

/** Whether the reader sees the subject after the event; undefined: the event is not of what it watches. */
export function seesAfter(reader: Reader, { after, subjectId }: Event): boolean | undefined {
  const { visibility } = reader;
  if (visibility.class === "link" && visibility.orderId !== subjectId) return undefined;
  if (reader.of === "orders") return after.case === "order" ? reader.sees(after.value) : undefined;
  if (after.case !== "booking") return undefined;
  if (visibility.class === "carrier" && visibility.carrier !== after.value.carrier) return undefined;
  return reader.sees(after.value);
}

/** What the reader is due of its journal, found out by its own words. */
export function dueOf(reader: Reader, journal: readonly Event[]): Due[] {
  const seen = new Set<string>();
  const due: Due[] = [];
  for (const event of journal) {
    const sees = seesAfter(reader, event);
    if (sees === undefined) continue;
    if (sees) due.push({ revision: event.revision, what: "event", event });
    else if (seen.has(event.subjectId)) due.push({ revision: event.revision, what: "left", event });
    if (sees) seen.add(event.subjectId);
    else seen.delete(event.subjectId);
  }
  return due;
}

/** The revision after which the trace begins to tell events; for a snapshot, where it stands. */
export function baseOf(trace: Trace, steps: readonly Step[], truth: Truth): bigint {
  if (typeof trace.start === "object") return revisionOf(truth, trace.reader, trace.start.position);
  const kind = trace.start === "now" ? "started" : "synced";
  const first = steps.find((step) => step.what === kind);
  return first !== undefined && "revision" in first ? first.revision : 0n;
}
