import { fromBinary } from "@bufbuild/protobuf";
import { type Booking, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { type Order, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import { Positions } from "../../src/wire/position.ts";
import type { TestDatabase } from "../support/database.ts";
import { type Floor, factsOf, History, Line } from "./history.ts";
import type { Place, Reader } from "./trace.ts";

/** What the database says, read around all walls. */
export interface Truth {
  /** By tenant, in order. */
  readonly journals: ReadonlyMap<string, readonly Event[]>;
  /** By tenant: the rows as they are now. */
  readonly orders: ReadonlyMap<string, readonly Order[]>;
  readonly bookings: ReadonlyMap<string, readonly Booking[]>;
  /** By tenant. */
  readonly journalIds: ReadonlyMap<string, string>;
  readonly positions: Positions;
  /** By tenant, oldest first: whole journals as they stood when a failover took their tail. */
  readonly lost?: ReadonlyMap<string, readonly LostJournal[]>;
  /** By tenant, oldest first. */
  readonly floors?: ReadonlyMap<string, readonly Floor[]>;
}

export interface LostJournal {
  readonly events: readonly Event[];
  /** When it was no longer the journal, milliseconds since the epoch. */
  readonly untilMs: number;
}

export async function readTruth(database: TestDatabase): Promise<Truth> {
  const [deployment] = await database.sql<{ value: Buffer }>("select value from deployment where name = 'secret'");
  const heads = await database.sql<{ tenant_id: string; journal_id: string }>(
    "select tenant_id, journal_id from journal_head",
  );
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
    journalIds: new Map(heads.map((row) => [row.tenant_id, row.journal_id])),
    positions: new Positions(deployment?.value ?? Buffer.alloc(0)),
  };
}

const histories = new WeakMap<Truth, Map<string, History>>();

/** The history of one tenant, made once for each truth. */
export function historyOf(truth: Truth, tenant: string): History {
  const known = histories.get(truth) ?? new Map<string, History>();
  histories.set(truth, known);
  let history = known.get(tenant);
  if (!history) {
    const journalId = truth.journalIds.get(tenant) ?? "";
    let fromMs = 0;
    const lines = (truth.lost?.get(tenant) ?? []).map(({ events, untilMs }) => {
      const line = new Line(journalId, factsOf(events), fromMs, untilMs);
      fromMs = untilMs;
      return line;
    });
    lines.push(new Line(journalId, factsOf(truth.journals.get(tenant) ?? []), fromMs, Number.POSITIVE_INFINITY));
    history = new History(tenant, lines, truth.positions, truth.floors?.get(tenant));
    known.set(tenant, history);
  }
  return history;
}

/** The revision that a position names to its reader. Throws for one that the reader cannot have been given. */
export function revisionOf(truth: Pick<Truth, "positions">, { tenant, visibility }: Reader, position: string): bigint {
  return truth.positions.decode(tenant, position, visibility).revision;
}

/** The place that a position names to its reader; one that it cannot have been given is nowhere. */
export function placeOf(truth: Pick<Truth, "positions">, { tenant, visibility }: Reader, position: string): Place {
  try {
    const { revision, eventId } = truth.positions.decode(tenant, position, visibility);
    return { revision: Number(revision), eventId };
  } catch {
    return { revision: -1, eventId: position };
  }
}

/** Ids that no message to the reader may contain: of other tenants, and of its own tenant what it may not see. */
export function foreignTo({ tenant, visibility }: Reader, truth: Truth) {
  const own = new Set<string>();
  const foreign = new Set<string>();
  for (const rows of [truth.orders, truth.bookings]) {
    for (const [owner, list] of rows) for (const { id } of list) (owner === tenant ? own : foreign).add(id);
  }
  for (const id of own) foreign.delete(id);
  const orders = (truth.orders.get(tenant) ?? []).map(({ id }) => id);
  const bookings = truth.bookings.get(tenant) ?? [];
  const hidden = new Set<string>();
  // Orders know their bookings, and bookings, to staff, their orders.
  if (visibility.class === "link") for (const id of orders) if (id !== visibility.orderId) hidden.add(id);
  if (visibility.class === "carrier") {
    for (const id of orders) hidden.add(id);
    for (const { id, carrier } of bookings) if (carrier !== visibility.carrier) hidden.add(id);
  }
  return { foreign, hidden };
}
