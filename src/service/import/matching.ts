import { fromBinary } from "@bufbuild/protobuf";
import { BookingSchema } from "../../../gen/leadline/v1/booking_pb.ts";
import { OrderSchema } from "../../../gen/leadline/v1/order_pb.ts";
import type { Reference } from "../../../gen/leadline/v1/place_pb.ts";
import { hasEnded as bookingHasEnded } from "../../domain/booking-transitions.ts";
import { ORDER_ID } from "../../domain/dcsa/event-references.ts";
import { hasEnded as orderHasEnded } from "../../domain/order-status.ts";
import { bookingRef, orderRef, SubjectKind, type SubjectRef } from "../../domain/subject.ts";
import type { JournalReader, RowQuery } from "../../journal/journal.ts";

/*
 * What an event belongs to. Its references are asked in their order of precedence: the carrier's booking and request, the
 * transport document, the equipment within its journey, then what the shipper's side calls it; bookings of the carrier first,
 * orders that no booking of the carrier carries last. The first that finds something decides; where it finds several, those
 * after it choose among them.
 */

/** Bookings or orders that one reference is looked up for at most, the newest first. */
const CANDIDATES_MAX = 50;

/** The references under which the carrier itself knows a booking: one of them names one booking at a time. */
const OWN_TYPES: ReadonlySet<string> = new Set(["BKG", "CBR"]);

/** The references of transport documents: one that has ended is still meant. */
const DOCUMENT_TYPES: ReadonlySet<string> = new Set(["TRD", "AWB"]);

export type Match =
  | { readonly found: SubjectRef /** Its journey goes on. */; readonly open: boolean }
  /** `why` is for people. */
  | { readonly found: undefined; readonly ambiguous: boolean; readonly why: string };

interface Candidate {
  readonly ref: SubjectRef;
  readonly ended: boolean;
  /** Of an order: the bookings that carry it. */
  readonly bookingIds: readonly string[];
}

/** Among what an event is matched. */
export interface MatchingScope {
  /** The carrier whose bookings are asked. */
  readonly carrier: string;
  /** Whether orders may be matched by themselves: to carriers they are not shown. */
  readonly orders: boolean;
}

/** Finds what events belong to. Each reference is read once for all events of one import. */
export function createMatcher(journal: Pick<JournalReader, "rows">, tenant: string) {
  const read = new Map<string, Promise<Candidate[]>>();

  const candidates = (key: string, query: Omit<RowQuery, "tenant" | "limit">): Promise<Candidate[]> => {
    const before = read.get(key);
    if (before !== undefined) return before;
    const asked = journal.rows({ ...query, tenant, limit: CANDIDATES_MAX }).then((rows) => rows.map(candidateOf));
    read.set(key, asked);
    return asked;
  };
  const bookings = (carrier: string, { type, value }: Reference) =>
    candidates(JSON.stringify(["booking", carrier, type, value]), {
      kind: SubjectKind.BOOKING,
      references: [{ type, value }],
      carriers: [carrier],
    });
  const orders = async ({ type, value }: Reference) => {
    const kind = SubjectKind.ORDER;
    const named = await candidates(JSON.stringify(["order", type, value]), { kind, references: [{ type, value }] });
    if (type !== ORDER_ID) return named;
    return [...(await candidates(JSON.stringify(["order id", value]), { kind, ids: [value] })), ...named];
  };
  const bookingsById = (carrier: string, ids: readonly string[]) =>
    candidates(JSON.stringify(["ids", carrier, ...ids]), { kind: SubjectKind.BOOKING, ids, carriers: [carrier] });

  /** Through an order to the one booking of the carrier that carries it, else to the order itself. */
  async function throughOrder(order: Candidate, scope: MatchingScope): Promise<Match | undefined> {
    const carrying = order.bookingIds.length === 0 ? [] : await bookingsById(scope.carrier, order.bookingIds);
    const open = carrying.filter((one) => !one.ended);
    const [only, ...others] = open;
    if (only && others.length === 0) return { found: only.ref, open: true };
    if (only) {
      const of = scope.orders ? `carry order ${order.ref.id}` : "are meant";
      return several(`several bookings of ${scope.carrier} ${of}`, open);
    }
    return scope.orders ? { found: order.ref, open: true } : undefined;
  }

  return async function match(references: readonly Reference[], scope: MatchingScope): Promise<Match> {
    // Which orders it carries is not for a carrier to know.
    const levels = levelsOf(references).filter(([first]) => scope.orders || first?.type !== ORDER_ID);
    const ofCarrier = (one: Reference) => bookings(scope.carrier, one);
    for (const [at, level] of levels.entries()) {
      const lists = await Promise.all(level.map(ofCarrier));
      const found = unique(lists);
      const own = OWN_TYPES.has(level[0]?.type ?? "");
      const document = DOCUMENT_TYPES.has(level[0]?.type ?? "");
      const open = found.filter((one) => !one.ended);
      // A late event of a booking that has ended still belongs to it; equipment and shippers' words travel again.
      const ended = own ? newestOfEach(lists, found) : document ? found.slice(0, 1) : [];
      const chosen = open.length > 0 ? open : ended;
      if (chosen.length === 0) continue;
      const later = levels.slice(at + 1);
      const left =
        own && level.length > 1
          ? await withAllUnits(newestOfEach(lists, chosen), later, ofCarrier)
          : await narrow(chosen, later, ofCarrier);
      const meant = own ? newestOfEach(lists, left) : left;
      const [first, ...others] = meant;
      if (first && others.length === 0) return { found: first.ref, open: !first.ended };
      return several(`${textOf(level)} names several bookings of ${scope.carrier}`, meant);
    }
    for (const level of levels) {
      // An order's own id is never another's: what is said of it late, or again, belongs to it though it has ended.
      const named = new Set(level.flatMap(({ type, value }) => (type === ORDER_ID ? value : [])));
      const all = unique(await Promise.all(level.map(orders)));
      const found = all.filter(({ ended, ref }) => !ended || named.has(ref.id));
      const [only, ...others] = found;
      if (only && others.length > 0) {
        if (scope.orders) return several(`${textOf(level)} names several orders`, found);
        continue;
      }
      const through = only && (await throughOrder(only, scope));
      if (through) return through;
    }
    return { found: undefined, ambiguous: false, why: nothing(references, scope) };
  };
}

export type Matcher = ReturnType<typeof createMatcher>;

/** References of one type and rank side by side, the levels in order of precedence, which is the order of the references. */
function levelsOf(references: readonly Reference[]): Reference[][] {
  return [...Map.groupBy(references, (one) => one.type).values()];
}

async function narrow(
  chosen: readonly Candidate[],
  levels: readonly Reference[][],
  look: (reference: Reference) => Promise<Candidate[]>,
): Promise<readonly Candidate[]> {
  let left = chosen;
  for (const level of levels) {
    if (left.length === 1) break;
    const also = new Set(unique(await Promise.all(level.map(look))).map(({ ref }) => ref.id));
    const both = left.filter(({ ref }) => also.has(ref.id));
    if (both.length > 0) left = both;
  }
  return left;
}

/**
 * Of bookings that an event names side by side, the one that has all units it speaks of. Else all of them: taken for one alone, the
 * others would stand still, and their units be added to it.
 */
async function withAllUnits(
  named: readonly Candidate[],
  levels: readonly Reference[][],
  look: (reference: Reference) => Promise<Candidate[]>,
): Promise<readonly Candidate[]> {
  const units = levels.find(([first]) => first?.type === "EQ") ?? [];
  const having = await Promise.all(units.map(look));
  const all = named.filter(({ ref }) => having.every((list) => list.some((one) => one.ref.id === ref.id)));
  return all.length === 1 ? all : named;
}

/** The newest of each reference among some of its bookings: carriers use their references again, years later. */
function newestOfEach(lists: readonly Candidate[][], among: readonly Candidate[]): Candidate[] {
  const ids = new Set(among.map(({ ref }) => ref.id));
  return unique(lists.map((list) => list.filter(({ ref }) => ids.has(ref.id)).slice(0, 1)));
}

/** Each once, as they come: the newest of each reference first. */
function unique(lists: readonly Candidate[][]): Candidate[] {
  return [...new Map(lists.flat().map((one) => [one.ref.id, one])).values()];
}

function candidateOf(row: {
  readonly kind: SubjectKind;
  readonly id: string;
  readonly summary: Uint8Array;
}): Candidate {
  if (row.kind === SubjectKind.BOOKING) {
    const booking = fromBinary(BookingSchema, row.summary);
    return { ref: bookingRef(row.id), ended: bookingHasEnded(booking), bookingIds: [] };
  }
  const order = fromBinary(OrderSchema, row.summary);
  return { ref: orderRef(row.id), ended: orderHasEnded(order), bookingIds: order.bookingIds };
}

function several(what: string, candidates: readonly Candidate[]): Match {
  const ids = candidates.slice(0, 10).map(({ ref }) => ref.id);
  return { found: undefined, ambiguous: true, why: `${what}: ${ids.join(", ")}` };
}

function nothing(references: readonly Reference[], { carrier, orders }: MatchingScope): string {
  if (references.length === 0) return "the event names nothing that it could belong to";
  const looked = references.slice(0, 10).map(({ type, value }) => `${type} ${value}`);
  return `no booking of ${carrier}${orders ? " and no order" : ""} under way has ${looked.join(", ")}`;
}

function textOf(level: readonly Reference[]): string {
  return level
    .slice(0, 5)
    .map(({ type, value }) => `${type} ${value}`)
    .join(", ");
}
