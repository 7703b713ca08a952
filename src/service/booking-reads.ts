import { create, fromBinary } from "@bufbuild/protobuf";
import { BookingDetailsSchema, type BookingFilter, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import {
  type BookingService,
  type GetBookingRequest,
  GetBookingResponseSchema,
  type ListBookingEventsRequest,
  ListBookingEventsResponseSchema,
  type ListBookingsRequest,
  ListBookingsResponseSchema,
  type WatchBookingsRequest,
} from "../../gen/leadline/v1/booking_service_pb.ts";
import { WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import { bookingUnknown, isVisible } from "../domain/booking-effects.ts";
import { fieldInvalid } from "../domain/field-invalid.ts";
import { compileBookingFilter } from "../domain/filter.ts";
import type { Visibility } from "../domain/principal.ts";
import { type BookingSubject, bookingRef, SubjectKind } from "../domain/subject.ts";
import type { JournalReader, RowQuery, SubjectRow } from "../journal/journal.ts";
import type { WatchSpec } from "../watch/spec.ts";
import { bookingDetailsView, bookingView, decodeEvents, viewFor } from "../wire/event-view.ts";
import type { PageTokens } from "../wire/page-token.ts";
import type { Positions } from "../wire/position.ts";
import { type Moment, subjectAsOf } from "./as-of.ts";
import type { Call, Implementation } from "./call.ts";
import { tenantOf, visibilityOf } from "./command.ts";
import { cutMessage, readKept } from "./kept-history.ts";
import { numericCursor, PAGE_BYTES_MAX, pageOf, pageScope, pageSize } from "./paging.ts";
import { eventsReply, listReply, subjectReply } from "./stored-reply.ts";

/** What the reads are made of. */
export interface BookingReadsParts {
  readonly journal: JournalReader;
  readonly positions: Positions;
  readonly pageTokens: PageTokens;
}

type BookingReads = Pick<
  Implementation<typeof BookingService>,
  "getBooking" | "listBookings" | "listBookingEvents" | "watchBookings"
>;

/** Stands in a list's cursor where a position has its event. */
const NO_EVENT = "0".repeat(13);

/** The reading RPCs of the BookingService. Staff's replies are laid together from stored bytes; carriers' are made anew. */
export function bookingReads(parts: BookingReadsParts): BookingReads {
  return {
    getBooking: (request, call) => getBooking(parts, request, call),
    listBookings: (request, call) => listBookings(parts, request, call),
    listBookingEvents: (request, call) => listBookingEvents(parts, request, call),
    watchBookings: async (request, call) => watchSpec(request, call),
  };
}

async function getBooking({ journal }: BookingReadsParts, { bookingId, asOf }: GetBookingRequest, call: Call) {
  const tenant = tenantOf(call);
  const visibility = visibilityOf(call.principal);
  const row = await visibleRow(journal, tenant, bookingId, visibility);
  const moment = momentOf(asOf);
  if (moment !== undefined) {
    const subject = await subjectAsOf(journal, tenant, bookingRef(bookingId), moment);
    if (subject?.kind !== SubjectKind.BOOKING) throw bookingUnknown(bookingId);
    return bookingReply(subject, visibility);
  }
  if (visibility.class === "staff") return subjectReply(row.summary, row.details);
  const booking = fromBinary(BookingSchema, row.summary);
  const details = fromBinary(BookingDetailsSchema, row.details);
  return bookingReply({ kind: SubjectKind.BOOKING, booking, details }, visibility);
}

async function listBookings(parts: BookingReadsParts, request: ListBookingsRequest, call: Call) {
  const tenant = tenantOf(call);
  const visibility = visibilityOf(call.principal);
  const query = rowQuery(request.filter, visibility);
  if (query === undefined) return create(ListBookingsResponseSchema);
  const cursors = listCursors(parts, tenant, visibility, compileBookingFilter(request.filter).key);
  const createdBefore = request.pageToken === "" ? undefined : cursors.decode(request.pageToken);
  const size = pageSize(request.pageSize);
  // One more than the page holds tells whether there is another page.
  const rows = await parts.journal.rows({ ...query, tenant, createdBefore, limit: size + 1 });
  const page = pageOf(rows, size);
  const last = rows.length > page.length ? page.at(-1) : undefined;
  const next = last === undefined ? [] : [cursors.encode(last.createdRevision)];
  const summaries = page.map((row) => row.summary);
  if (visibility.class === "staff") return listReply(summaries, next);
  const bookings = summaries.map((summary) => bookingView(fromBinary(BookingSchema, summary), visibility));
  return create(ListBookingsResponseSchema, { bookings, nextPageToken: next[0] ?? "" });
}

async function listBookingEvents(parts: BookingReadsParts, request: ListBookingEventsRequest, call: Call) {
  const tenant = tenantOf(call);
  const visibility = visibilityOf(call.principal);
  const { journal, positions, pageTokens } = parts;
  const { bookingId, pageToken } = request;
  const row = await visibleRow(journal, tenant, bookingId, visibility);
  const scope = pageScope(tenant, "ListBookingEvents", bookingId);
  const from = pageToken === "" ? 1n : numericCursor(pageTokens.decode(scope, pageToken));
  const limit = pageSize(request.pageSize);
  const query = { tenant, ref: bookingRef(bookingId), from, limit, maxBytes: PAGE_BYTES_MAX };
  const { events: stored, cut } = await readKept(journal, query);
  const historyCut = cut && cutMessage(cut);
  const last = stored.at(-1);
  const more = last !== undefined && last.version < row.version;
  const nextPageToken = more ? pageTokens.encode(scope, String(last.version + 1n)) : "";
  const payloads = stored.map((event) => event.payload);
  if (visibility.class === "staff") return eventsReply(payloads, nextPageToken, historyCut);
  const events = payloads.flatMap(decodeEvents).map((event) => viewFor(event, tenant, visibility, positions));
  return create(ListBookingEventsResponseSchema, { events, nextPageToken, ...(historyCut && { historyCut }) });
}

function watchSpec({ filter, position, includeSnapshot, mode }: WatchBookingsRequest, call: Call): WatchSpec {
  const { principal } = call;
  if (position !== "" && includeSnapshot) {
    throw fieldInvalid("include_snapshot", "cannot stand together with position; send one of the two");
  }
  const anew = { from: includeSnapshot ? "snapshot" : "now" } as const;
  return {
    tenant: tenantOf(call),
    credential: principal.id,
    expiresAtMs: principal.kind === "service-owner" ? undefined : principal.expiresAtMs,
    kind: SubjectKind.BOOKING,
    visibility: visibilityOf(principal),
    filter: compileBookingFilter(filter),
    start: position === "" ? anew : { from: "position", position },
    mode: mode === WatchMode.LATEST ? "LATEST" : "ALL",
  };
}

/** The row of a booking that the caller may see. Throws BOOKING_UNKNOWN, the same for one that there is not. */
async function visibleRow(
  journal: JournalReader,
  tenant: string,
  bookingId: string,
  visibility: Visibility,
): Promise<SubjectRow> {
  const row = await journal.subject(tenant, bookingRef(bookingId));
  if (row === undefined || !isVisible(row.carrier, visibility)) throw bookingUnknown(bookingId);
  return row;
}

function momentOf(asOf: GetBookingRequest["asOf"]): Moment | undefined {
  if (asOf.case === "asOfRevision") return { revision: asOf.value };
  if (asOf.case === "asOfTime") return { time: asOf.value };
  return undefined;
}

function bookingReply({ booking, details }: BookingSubject, visibility: Visibility) {
  return create(GetBookingResponseSchema, {
    booking: bookingView(booking, visibility),
    details: bookingDetailsView(details, visibility),
  });
}

/** Page tokens of a list: as positions they are opaque to carriers, whom revisions would show the tenant's volume. */
function listCursors(
  { positions, pageTokens }: BookingReadsParts,
  tenant: string,
  visibility: Visibility,
  key: string,
) {
  const scope = pageScope(tenant, "ListBookings", JSON.stringify([visibility, key]));
  return {
    encode: (revision: bigint) =>
      pageTokens.encode(scope, positions.encode(tenant, { revision, eventId: NO_EVENT }, visibility)),
    decode: (token: string) => positions.decode(tenant, pageTokens.decode(scope, token), visibility).revision,
  };
}

/** The rows of a filter that the caller may see; undefined: there can be none. */
function rowQuery(
  filter: BookingFilter | undefined,
  visibility: Visibility,
): Omit<RowQuery, "tenant" | "limit"> | undefined {
  const carriers = visibleCarriers(filter?.carriers ?? [], visibility);
  if (carriers === undefined) return undefined;
  return {
    kind: SubjectKind.BOOKING,
    ids: filter?.ids,
    references: filter?.references,
    stages: filter?.states,
    carriers,
    spaces: filter?.spaces,
    related: filter?.orderIds,
  };
}

/** The carriers whose bookings are asked for and may be seen; empty: all; undefined: there are none. */
function visibleCarriers(asked: readonly string[], visibility: Visibility): readonly string[] | undefined {
  if (visibility.class === "staff") return asked;
  if (visibility.class !== "carrier") return undefined;
  return asked.length === 0 || asked.includes(visibility.carrier) ? [visibility.carrier] : undefined;
}
