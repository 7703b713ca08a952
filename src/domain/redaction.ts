/*
 * What of an order or a booking is personal data, and a subject, an answer or an event without it. Pure: nothing is touched,
 * and what holds none is shared.
 *
 * A place's name stays: it is a place in the transport network, and milestones are known by it. References, units, goods, means
 * of transport and the codes of statuses, carriers and reasons stay as well; so do a report's source and its id there, which
 * make it repeatable.
 */
import { create, type DescField, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { BookingDetailsSchema, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import {
  type Event,
  EventSchema,
  type PersonalDataRedacted,
  PersonalDataRedactedSchema,
} from "../../gen/leadline/v1/event_pb.ts";
import { OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { PartySchema } from "../../gen/leadline/v1/place_pb.ts";
import type { BookingSubject, OrderSubject } from "./subject.ts";

const personal = "personal";
const kept = "kept";

/** Every text in orders' and bookings' rows and in their events' changes, by message and field. A test finds one that is missing. */
export const TEXTS: Readonly<Record<string, Readonly<Record<string, typeof personal | typeof kept>>>> = {
  Order: {
    ...{ id: kept, status: kept, hold_reason: personal, booking_ids: kept, carriers: kept, flow_id: kept },
  },
  OrderDetails: { cancel_reason: personal },
  OrderBooking: { booking_id: kept, carrier: kept, unit_ids: kept },
  OrderLine: { id: kept, sku: kept, description: kept, unit_of_measure: kept },
  UnitProgress: { unit_id: kept, status: kept },
  LocalTime: { time_zone: kept },
  LineQuantity: { line_id: kept },
  Milestone: { kind: kept, place: kept, unit_id: kept },
  MilestoneTime: { source: kept, source_id: kept, reason_code: kept },
  Party: { role: kept, name: personal, code: personal, code_list: kept, address: personal, contact: personal },
  Place: {
    ...{ unlocode: kept, facility: kept, facility_code_list: kept, facility_type: kept, name: kept },
    ...{ address: personal, country_code: kept },
  },
  Reference: { type: kept, value: kept },
  Report: {
    ...{ source: kept, source_id: kept, status: kept, milestone: kept, unit_ids: kept, reason_code: kept },
    remark: personal,
  },
  Unit: { id: kept, iso_equipment_code: kept },
  OrderCreated: { flow_id: kept },
  ReportRetracted: { source: kept, source_id: kept, reason: personal },
  OrderHeld: { reason: personal },
  OrderReleased: { remark: personal },
  OrderCancelled: { reason: personal },
  BookingDetached: { booking_id: kept },
  OrderMoved: { from_flow_id: kept, to_flow_id: kept },
  MovedStatus: { from: kept, to: kept },
  PersonalDataRedacted: { fields: kept, party_roles: kept, reason: kept },
  RedactedText: { path: kept },
  Booking: {
    ...{ id: kept, carrier: kept, space_code: kept, request_reference: kept, booking_reference: kept, order_ids: kept },
  },
  BookingDetails: { reason: personal },
  BookingOrder: { order_id: kept, unit_ids: kept },
  BookingRequest: {
    ...{
      carrier: kept,
      carrier_code_list: kept,
      routing_reference: kept,
      contract_reference: kept,
      receipt_type: kept,
    },
    ...{ delivery_type: kept, movement_type: kept, space_action: kept, remark: personal },
  },
  BookingPlace: { type: kept },
  Equipment: { iso_equipment_code: kept },
  Commodity: { type: kept, hs_codes: kept, dangerous_goods: kept },
  TransportMeans: {
    ...{ vessel: kept, vessel_imo: kept, voyage: kept, service: kept, flight: kept, flight_date: kept },
    licence_plate: kept,
  },
  CutOff: { code: kept },
  Confirmation: { booking_reference: kept, remark: personal },
  Difference: { path: kept, from: kept, to: kept },
  Feedback: { severity: kept, code: kept, message: personal, path: kept },
  Appointment: { reference: kept },
  BookingRequested: { request_reference: kept },
  BookingActed: { reason: personal, space_code: kept, request_reference: kept },
  ScheduleReported: { reason_code: kept },
  BookingContentsChanged: { detached: kept },
  Facets: { status: kept, carriers: kept, booking_ids: kept, order_ids: kept },
};

/** A text that may have to go. */
export interface PersonalText {
  /** Its path with places from 0: `parties[1].contact`. */
  readonly path: string;
  readonly text: string;
  /** The name of the party that it is of; undefined: it is of none. */
  readonly party: string | undefined;
}

/** Which personal texts have to go. */
export type Chosen = (personal: PersonalText) => boolean;

/** Told of each text that is emptied. */
export type OnEmptied = (emptied: PersonalText) => void;

const nobody: OnEmptied = () => undefined;

/** Everything that is personal. */
export const everything: Chosen = () => true;

/** What is said of the party of this name, and every other personal text in which the name stands as words of its own. */
export function naming(name: string): Chosen {
  return ({ text, party }) => party === name || standsIn(name, text);
}

const WORD = /[\p{L}\p{N}]/u;

/** Whether a name stands in a text, letter by letter, and not as a part of a longer word: Ann does not stand in Annabel. */
export function standsIn(name: string, text: string): boolean {
  if (name === "") return false;
  const goesOn = (one: string | undefined, other: string | undefined) =>
    one !== undefined && other !== undefined && WORD.test(one) && WORD.test(other);
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const [first, last] = [[...name].at(0), [...name].at(-1)];
    const [before, after] = [[...text.slice(0, at)].at(-1), [...text.slice(at + name.length)].at(0)];
    if (!goesOn(before, first) && !goesOn(last, after)) return true;
  }
  return false;
}

/** What a redaction was of in its subject's event of a version, or in the subject after it. */
export function chosenIn(said: PersonalDataRedacted, version?: bigint): Chosen {
  const { parties, texts, partial } = said;
  if (!partial && parties.length === 0) return everything;
  const paths = new Set(
    texts
      .filter(({ versions }) => (version === undefined ? versions.length === 0 : versions.includes(version)))
      .map(({ path }) => path),
  );
  const places = new Set(parties);
  return ({ path }) => paths.has(path) || places.has(orderPartyAt(path) ?? -1);
}

/** The place of an order's party that a text is of, in the order or in its events; undefined: it is of none. */
export function orderPartyAt(path: string): number | undefined {
  const place = /^(?:order_created\.)?parties\[(\d+)\]/.exec(path)?.[1];
  return place === undefined ? undefined : Number(place);
}

/** An order without what is chosen. */
export function redactOrder<O extends Pick<OrderSubject, "order" | "details">>(
  subject: O,
  chosen: Chosen,
  onEmptied: OnEmptied = nobody,
): O {
  const order = emptied(OrderSchema, subject.order, { chosen, onEmptied });
  const details = emptied(OrderDetailsSchema, subject.details, { chosen, onEmptied });
  return order === subject.order && details === subject.details ? subject : { ...subject, order, details };
}

/** A booking without what is chosen. */
export function redactBooking<B extends Pick<BookingSubject, "booking" | "details">>(
  subject: B,
  chosen: Chosen,
  onEmptied: OnEmptied = nobody,
): B {
  const booking = emptied(BookingSchema, subject.booking, { chosen, onEmptied });
  const details = emptied(BookingDetailsSchema, subject.details, { chosen, onEmptied });
  return booking === subject.booking && details === subject.details ? subject : { ...subject, booking, details };
}

/** An event without what is chosen; the same one: it has nothing of it. */
export function redactEvent(event: Event, chosen: Chosen, onEmptied: OnEmptied = nobody): Event {
  return emptied(EventSchema, event, { chosen, onEmptied });
}

/** A message without what is chosen; the same one: it has nothing of it. */
export function redactMessage<D extends DescMessage>(
  desc: D,
  message: MessageShape<D>,
  chosen: Chosen,
): MessageShape<D> {
  return emptied(desc, message, { chosen, onEmptied: nobody });
}

/** The paths of the personal texts that a message has. */
export function personalPaths<D extends DescMessage>(desc: D, message: MessageShape<D>): Set<string> {
  const paths = new Set<string>();
  emptied(desc, message, { chosen: everything, onEmptied: ({ path }) => paths.add(path) });
  return paths;
}

/** The path of a field, whatever the places in lists. */
export function fieldPath(path: string): string {
  return path.replaceAll(/\[\d+\]/g, "");
}

/** The change that says so. */
export function personalDataRedacted(
  said: Partial<Omit<PersonalDataRedacted, "$typeName" | "fields">> & { readonly fields: Iterable<string> },
): PersonalDataRedacted {
  return create(PersonalDataRedactedSchema, { ...said, fields: [...new Set(said.fields)].sort() });
}

/** A message as it is looked through: its fields by their names. */
type Fields = Record<string, unknown>;

/** How a message is looked through. */
interface Look {
  readonly chosen: Chosen;
  readonly onEmptied: OnEmptied;
  /** Where it stands; absent: it is the whole. */
  readonly path?: string;
  /** The name of the party that it is. */
  readonly party?: string | undefined;
}

function emptied<D extends DescMessage>(desc: D, message: MessageShape<D>, look: Look): MessageShape<D> {
  const fields = message as unknown as Fields;
  const party = desc.typeName === PartySchema.typeName ? String(fields.name) : undefined;
  let copy: Fields | undefined;
  const put = (name: string, was: unknown, is: unknown) => {
    if (was === is) return;
    copy ??= { ...fields };
    copy[name] = is;
  };
  for (const field of desc.fields) {
    const path = look.path === undefined ? field.name : `${look.path}.${field.name}`;
    const inner = { ...look, path, party };
    if (field.oneof === undefined) {
      const was = fields[field.localName];
      put(field.localName, was, without(field, was, inner));
      continue;
    }
    const was = fields[field.oneof.localName] as { readonly case?: string; readonly value?: unknown };
    if (was.case !== field.localName) continue;
    const value = without(field, was.value, inner);
    put(field.oneof.localName, was, value === was.value ? was : { ...was, value });
  }
  return (copy ?? message) as MessageShape<D>;
}

/** A field's value without what is chosen. */
function without(field: DescField, value: unknown, look: Look & { readonly path: string }): unknown {
  if (value === undefined) return value;
  if (field.fieldKind === "message") return emptied(field.message, value as never, look);
  if (field.fieldKind === "list" && field.listKind === "message") {
    const was = value as readonly never[];
    const is = was.map((one, i) => emptied(field.message, one, { ...look, path: `${look.path}[${i}]` }));
    return is.every((one, i) => one === was[i]) ? was : is;
  }
  if (field.fieldKind !== "scalar" || value === "") return value;
  if (TEXTS[field.parent.name]?.[field.name] !== personal) return value;
  const text: PersonalText = { path: look.path, text: value as string, party: look.party };
  if (!look.chosen(text)) return value;
  look.onEmptied(text);
  return "";
}
