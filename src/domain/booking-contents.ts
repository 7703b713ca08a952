import { create, equals } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type BookingOrder, BookingOrderSchema } from "../../gen/leadline/v1/booking_pb.ts";
import {
  BookingAttachedSchema,
  BookingContentsChangedSchema,
  BookingDetachedSchema,
} from "../../gen/leadline/v1/event_pb.ts";
import { OrderBookingSchema } from "../../gen/leadline/v1/order_pb.ts";
import { type Unit, UnitSchema } from "../../gen/leadline/v1/place_pb.ts";
import { mergeUnits } from "./booking-acted.ts";
import {
  type BookingCall,
  bookingDraft,
  calledBooking,
  checkBound,
  type Effects,
  NO_EFFECTS,
} from "./booking-effects.ts";
import {
  type AttachedOrder,
  arrivalDrafts,
  bookedDrafts,
  isNamedByBooking,
  loadOrders,
  namingDrafts,
  withdrawnDrafts,
} from "./booking-orders.ts";
import { checkContainers, type Identifiers, refuseFields, unitViolations } from "./booking-request-rules.ts";
import { hasEnded, isHeld, verbIllegal } from "./booking-transitions.ts";
import { repeated } from "./cut-offs.ts";
import { evolveOrder } from "./order.ts";
import type { Violation } from "./refusal.ts";
import { type BookingSubject, type Change, type Draft, type Load, orderRef } from "./subject.ts";

/**
 * Puts orders into a booking, or changes their units in it. Orders that stand in it so already change nothing. When the
 * booking is confirmed the orders that are new in it are reported BOOKED.
 */
export function decideAttach(
  load: Load,
  now: Timestamp,
  call: BookingCall & { readonly orders: readonly BookingOrder[] },
): Effects {
  const subject = calledBooking(load, call);
  if (hasEnded(subject.booking)) throw verbIllegal(subject.booking, "ATTACH_ORDERS", "shipper");
  return attachmentOf(load, now, subject, call.orders);
}

/** The drafts that put orders into a booking as it stands: of the booking, then of each order. */
export function attachmentOf(
  load: Load,
  now: Timestamp,
  subject: BookingSubject,
  entries: readonly BookingOrder[],
): Effects {
  const { booking, details } = subject;
  refuseFields(orderViolations(entries, details.units));
  const standing = new Map(details.orders.map((entry) => [entry.orderId, entry]));
  const changed = entries.filter((entry) => {
    const was = standing.get(entry.orderId);
    return was === undefined || !equals(BookingOrderSchema, was, entry);
  });
  const loaded = loadOrders(load, changed);
  if ("needs" in loaded) return loaded;
  if (changed.length === 0) return NO_EFFECTS;
  checkBound(booking, "orders", new Set([...standing.keys(), ...changed.map((entry) => entry.orderId)]).size);
  const contents = create(BookingContentsChangedSchema, { attached: [...changed] });
  const own = bookingDraft(booking.id, { case: "bookingContentsChanged", value: contents });
  const drafts = loaded.orders.flatMap((order) =>
    attachedDrafts(subject, order, !standing.has(order.order.order.id), now),
  );
  return { drafts: [own, ...drafts] };
}

/** Takes orders out of a booking. Those that are not in it change nothing. */
export function decideDetach(
  load: Load,
  now: Timestamp,
  call: BookingCall & { readonly orderIds: readonly string[] },
): Effects {
  const subject = calledBooking(load, call);
  const { booking, details } = subject;
  const attached = new Set(details.orders.map((entry) => entry.orderId));
  const entries = call.orderIds.map((orderId) => create(BookingOrderSchema, { orderId }));
  const loaded = loadOrders(load, entries);
  if ("needs" in loaded) return loaded;
  const detached = call.orderIds.filter((id) => attached.has(id));
  if (detached.length === 0) return NO_EFFECTS;
  const contents = create(BookingContentsChangedSchema, { detached });
  const change: Change = {
    case: "bookingDetached",
    value: create(BookingDetachedSchema, { bookingId: booking.id }),
  };
  const own = bookingDraft(booking.id, { case: "bookingContentsChanged", value: contents });
  const leaving = loaded.orders.filter(({ entry }) => attached.has(entry.orderId));
  const withdrawn = withdrawnDrafts(subject, leaving, now, `taken out of booking ${booking.id}`);
  return { drafts: [own, ...withdrawn, ...detached.map((id): Draft => ({ ref: orderRef(id), change }))] };
}

/** Tells the units that travel in a booking, or corrects them. Units that stand so already change nothing. */
export function decideAddUnits(
  load: Load,
  call: BookingCall & { readonly units: readonly Unit[]; readonly identifiers: Identifiers },
): Effects {
  const subject = calledBooking(load, call);
  const { booking, details } = subject;
  refuseFields(unitViolations(call.units));
  if (call.identifiers === "strict") checkContainers(call.units, "units");
  const standing = new Map(details.units.map((unit) => [unit.id, unit]));
  const units = call.units.filter((unit) => {
    const was = standing.get(unit.id);
    return was === undefined || !equals(UnitSchema, was, unit);
  });
  if (units.length === 0) return NO_EFFECTS;
  const merged = mergeUnits(details.units, units);
  checkBound(booking, "units", merged.length);
  const attached = loadOrders(load, details.orders);
  if ("needs" in attached) return attached;
  const contents = create(BookingContentsChangedSchema, { units });
  const after: BookingSubject = { ...subject, details: { ...details, units: merged } };
  const own = bookingDraft(booking.id, { case: "bookingContentsChanged", value: contents });
  return { drafts: [own, ...namingDrafts(after, attached.orders)] };
}

/** Orders that are named twice, and units that the booking does not have. */
function orderViolations(entries: readonly BookingOrder[], units: readonly Unit[]): Violation[] {
  const known = new Set(units.map((unit) => unit.id));
  const twice = repeated(
    entries.map((entry) => entry.orderId),
    (i, id) => ({ field: `orders[${i}].order_id`, description: `"${id}" stands twice` }),
  );
  const unknown = entries.flatMap((entry, i) =>
    entry.unitIds.flatMap((id, j): Violation[] => {
      const description = `"${id}" is not a unit of the booking; tell the unit first`;
      return known.has(id) ? [] : [{ field: `orders[${i}].unit_ids[${j}]`, description }];
    }),
  );
  return [...twice, ...unknown];
}

/** The order's side of an attachment; one that is new in a confirmed booking hears what the booking's other orders did. */
function attachedDrafts(
  subject: BookingSubject,
  { entry, order }: AttachedOrder,
  isNew: boolean,
  now: Timestamp,
): Draft[] {
  const { booking, details } = subject;
  const unitIds = isNamedByBooking(entry, order) ? details.units.map((unit) => unit.id) : entry.unitIds;
  const value = create(OrderBookingSchema, { bookingId: booking.id, carrier: booking.carrier, unitIds });
  const change: Change = { case: "bookingAttached", value: create(BookingAttachedSchema, { booking: value }) };
  const draft: Draft = { ref: orderRef(entry.orderId), change };
  if (!isNew || !isHeld(booking) || booking.confirmationVersion === 0) return [draft];
  const recorded = { version: order.order.version + 1n, recordedAt: now };
  const attached = [{ entry, order: evolveOrder(order, change, recorded, entry.orderId, () => order.flow) }];
  return [draft, ...bookedDrafts(subject, attached, now), ...arrivalDrafts(undefined, subject, attached, now)];
}
