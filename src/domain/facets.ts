import { create } from "@bufbuild/protobuf";
import type { Booking } from "../../gen/leadline/v1/booking_pb.ts";
import { type Facets, FacetsSchema } from "../../gen/leadline/v1/event_pb.ts";
import type { Order } from "../../gen/leadline/v1/order_pb.ts";
import { type Reference, ReferenceSchema } from "../../gen/leadline/v1/place_pb.ts";
import { type Subject, SubjectKind } from "./subject.ts";

/** The fields of a subject that filters ask for. Shares its arrays with the subject. */
function facetsOf(subject: Subject): Facets {
  return subject.kind === SubjectKind.ORDER ? facetsOfOrder(subject.order) : facetsOfBooking(subject.booking);
}

export function facetsOfOrder(order: Order): Facets {
  return create(FacetsSchema, {
    status: order.status,
    phase: order.phase,
    carriers: order.carriers,
    bookingIds: order.bookingIds,
    references: order.references,
  });
}

/** A booking's own references stand among the others: `CBR` for the request, `BKG` for the booking. */
export function facetsOfBooking(booking: Booking): Facets {
  return create(FacetsSchema, {
    carriers: [booking.carrier],
    references: bookingReferences(booking),
    state: booking.state,
    space: booking.space,
    orderIds: booking.orderIds,
  });
}

function bookingReferences(booking: Booking): Reference[] {
  const own: Reference[] = [];
  if (booking.requestReference) own.push(create(ReferenceSchema, { type: "CBR", value: booking.requestReference }));
  if (booking.bookingReference) own.push(create(ReferenceSchema, { type: "BKG", value: booking.bookingReference }));
  return own.length > 0 ? [...own, ...booking.references] : booking.references;
}

/** What filters saw of a subject before a change; undefined: they see the same after it. */
export function facetsLeft(before: Subject, after: Subject): Facets | undefined {
  if (before.kind === SubjectKind.ORDER && after.kind === SubjectKind.ORDER && sameOrder(before.order, after.order)) {
    return undefined;
  }
  const facets = facetsOf(before);
  return sameFacets(facets, facetsOf(after)) ? undefined : facets;
}

/** Whether filters see the same in both, told without their facets. False may also be the same. */
function sameOrder(a: Order, b: Order): boolean {
  return (
    a.status === b.status &&
    a.carriers === b.carriers &&
    a.bookingIds === b.bookingIds &&
    a.references === b.references &&
    a.phase === b.phase
  );
}

/** Whether filters see the same in both. */
export function sameFacets(a: Facets, b: Facets): boolean {
  return (
    a.status === b.status &&
    a.phase === b.phase &&
    a.state === b.state &&
    a.space === b.space &&
    sameList(a.carriers, b.carriers) &&
    sameList(a.bookingIds, b.bookingIds) &&
    sameList(a.orderIds, b.orderIds) &&
    sameReferences(a.references, b.references)
  );
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a === b || (a.length === b.length && a.every((value, i) => value === b[i]));
}

function sameReferences(a: readonly Reference[], b: readonly Reference[]): boolean {
  if (a === b) return true;
  return a.length === b.length && a.every((r, i) => r.type === b[i]?.type && r.value === b[i]?.value);
}

/**
 * What a subject can be found by, beside its id: references, and equipment under `EQ`; and under reserved types that no
 * reference can have, `@CARRIER`, `@BOOKING` and `@ORDER`.
 */
export function lookupKeys(subject: Subject): ReadonlySet<string> {
  const facets = facetsOf(subject);
  const keys = new Set<string>();
  for (const r of facets.references) keys.add(lookupKey(r.type, r.value));
  for (const unit of subject.details.units) keys.add(lookupKey("EQ", unit.id));
  for (const carrier of facets.carriers) keys.add(lookupKey("@CARRIER", carrier));
  for (const id of facets.bookingIds) keys.add(lookupKey("@BOOKING", id));
  for (const id of facets.orderIds) keys.add(lookupKey("@ORDER", id));
  return keys;
}

/** Whether two states of a subject share what their lookup keys are made of, by identity. False may also be the same. */
export function sameLookups(a: Subject, b: Subject): boolean {
  if (a.details.units !== b.details.units) return false;
  if (a.kind === SubjectKind.ORDER) {
    if (b.kind !== SubjectKind.ORDER) return false;
    const [x, y] = [a.order, b.order];
    return x.references === y.references && x.bookingIds === y.bookingIds && x.carriers === y.carriers;
  }
  if (b.kind !== SubjectKind.BOOKING) return false;
  const [x, y] = [a.booking, b.booking];
  return (
    x.references === y.references &&
    x.orderIds === y.orderIds &&
    x.carrier === y.carrier &&
    x.requestReference === y.requestReference &&
    x.bookingReference === y.bookingReference
  );
}

/** Types contain no colon, so the key splits at its first one. */
export function lookupKey(type: string, value: string): string {
  return `${type}:${value}`;
}
