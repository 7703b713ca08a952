import { create, fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import {
  type Booking,
  type BookingDetails,
  BookingDetailsSchema,
  BookingSchema,
} from "../../gen/leadline/v1/booking_pb.ts";
import {
  BookingContentsChangedSchema,
  type Event,
  EventSchema,
  type Facets,
  FacetsSchema,
} from "../../gen/leadline/v1/event_pb.ts";
import { OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { type ListOrderEventsResponse, ListOrderEventsResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import type { Milestone, RecordedReport } from "../../gen/leadline/v1/report_pb.ts";
import type { Visibility } from "../domain/principal.ts";
import { SubjectKind } from "../domain/subject.ts";
import { fieldsOf, lengthTag, writerOf, written } from "./encode.ts";
import type { Positions } from "./position.ts";

/*
 * An event is stored as the encoding of the field `repeated Event events = 1` with one element. Stored events laid end to
 * end are therefore the encoding of any message that has that field and nothing else, and a reader of many events decodes
 * nothing.
 */

const EVENTS_FIELD = 1;
const AFTER_ORDER_FIELD = 60;
const AFTER_BOOKING_FIELD = 61;

/** The stored encoding of one event. `summary` is the encoding of the subject after it, which goes in as it is. */
export function storedEncoding(event: Event, kind: SubjectKind, summary: Uint8Array): Uint8Array {
  const after = kind === SubjectKind.ORDER ? AFTER_ORDER_FIELD : AFTER_BOOKING_FIELD;
  const payload = written((out) => {
    out.varint(lengthTag(EVENTS_FIELD));
    const start = out.open();
    writerOf(EventSchema).write(out, fieldsOf(event));
    out.varint(lengthTag(after));
    out.varint(summary.length);
    out.raw(summary);
    out.close(start);
  });
  return payload.finish(); // rings keep it
}

/** The field of `Event.change` that says that personal data was removed. */
export const PERSONAL_DATA_REDACTED_FIELD = EventSchema.field.personalDataRedacted.number;
const FIRST_CHANGE_FIELD = EventSchema.field.orderCreated.number;

/** The number of the field in which a stored event's change stands, without decoding it; 0: it has none that is known. */
export function changeField(payload: Uint8Array): number {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; at < payload.length; scale *= 0x80) {
      const byte = payload[at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    return value;
  };
  varint(); // the tag of `events`
  varint(); // its length
  while (at < payload.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    if (number >= FIRST_CHANGE_FIELD) return number < AFTER_ORDER_FIELD ? number : 0;
    const wireType = tag & 7;
    const value = varint();
    if (wireType === 2) at += value;
    else if (wireType !== 0) return 0; // an event has no such field
  }
  return 0;
}

/** The encoding of the subject as one stored event left it: its row's summary then. */
export function summaryAfter(payload: Uint8Array): Uint8Array {
  const { after } = decodeEvents(payload)[0] ?? {};
  if (after?.case === "order") return toBinary(OrderSchema, after.value);
  if (after?.case === "booking") return toBinary(BookingSchema, after.value);
  throw new Error("an event without a subject");
}

/** Reads stored events laid end to end. */
export function decodeEvents(payloads: Uint8Array): Event[] {
  // Any message whose field 1 is `repeated Event` reads them; this one has no field that could be mistaken for another.
  const message: ListOrderEventsResponse = fromBinary(ListOrderEventsResponseSchema, payloads);
  return message.events;
}

/** Lays events end to end in the stored encoding. */
export function encodeEvents(events: readonly Event[]): Uint8Array {
  return toBinary(ListOrderEventsResponseSchema, create(ListOrderEventsResponseSchema, { events: [...events] }));
}

/** An event in protobuf JSON, to be joined with others by commas. */
export function eventJson(event: Event): string {
  return toJsonString(EventSchema, event);
}

/** An event as a reader may see it. Staff and links see it whole; the caller has checked that it is theirs to see. */
export function viewFor(event: Event, tenant: string, visibility: Visibility, positions: Positions): Event {
  if (visibility.class !== "carrier") return event;
  const place = positions.decode(tenant, event.position, { class: "staff" });
  const view = create(EventSchema, {
    ...event,
    revision: 0n,
    position: positions.encode(tenant, place, visibility),
    actor: "",
    change: carrierChange(event.change, visibility.carrier),
  });
  delete view.cause; // names a revision
  delete view.command; // counts the orders that changed with it
  if (event.before) view.before = carrierFacets(event.before);
  if (event.after.case === "booking")
    view.after = { case: "booking", value: bookingView(event.after.value, visibility) };
  return view;
}

/** A booking without what only the shipper's side may see: the orders it carries. */
export function bookingView(booking: Booking, visibility: Visibility): Booking {
  return visibility.class === "carrier" ? create(BookingSchema, { ...booking, orderIds: [] }) : booking;
}

/** A booking's details without the orders it carries, and without the names of others' sources. */
export function bookingDetailsView(details: BookingDetails, visibility: Visibility): BookingDetails {
  if (visibility.class !== "carrier") return details;
  const { carrier } = visibility;
  return create(BookingDetailsSchema, {
    ...details,
    orders: [],
    reports: details.reports.map((one) => carrierReport(one, carrier)),
    milestones: details.milestones.map((one) => carrierMilestone(one, carrier)),
  });
}

function carrierFacets(facets: Facets): Facets {
  return create(FacetsSchema, { ...facets, orderIds: [] });
}

function carrierChange(change: Event["change"], carrier: string): Event["change"] {
  switch (change.case) {
    case "bookingContentsChanged":
      return { case: change.case, value: create(BookingContentsChangedSchema, { units: change.value.units }) };
    case "reported": {
      const { report } = change.value;
      return {
        case: change.case,
        value: { ...change.value, ...(report && { report: carrierReport(report, carrier) }) },
      };
    }
    case "reportRetracted":
      return { case: change.case, value: ownSource(change.value, carrier) };
    case "personalDataRedacted": // which request it answers is the shipper's own affair
      return { case: change.case, value: { ...change.value, reason: "" } };
    default:
      return change;
  }
}

function carrierReport(recorded: RecordedReport, carrier: string): RecordedReport {
  return recorded.report ? { ...recorded, report: ownSource(recorded.report, carrier) } : recorded;
}

function carrierMilestone(milestone: Milestone, carrier: string): Milestone {
  const { planned, estimated, actual, history } = milestone;
  return {
    ...milestone,
    ...(planned && { planned: ownSource(planned, carrier) }),
    ...(estimated && { estimated: ownSource(estimated, carrier) }),
    ...(actual && { actual: ownSource(actual, carrier) }),
    history: history.map((time) => ownSource(time, carrier)),
  };
}

/** Who else reported is the shipper's own affair: a source can be the name of one of its keys. */
function ownSource<T extends { readonly source: string }>(said: T, carrier: string): T {
  return said.source === carrier ? said : { ...said, source: "" };
}
