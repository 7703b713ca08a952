import { equals, toJsonString } from "@bufbuild/protobuf";
import { type Booking, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { WatchBookingsResponseSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { type Event, EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { type Order, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { bookingView } from "../../src/wire/event-view.ts";
import { baseOf, dueOf, type Reader, type Step, stepsOf, type Trace, type Truth, type WatchMessage } from "./trace.ts";

/*
 * The promises of the design's section 8 over what a watcher received. Each validator answers with what is wrong, one line
 * each; nothing: the promise was kept.
 */

export type Validator = (trace: Trace, truth: Truth) => string[];

/** What is told of changes: events, and subjects that left. */
type Told = Extract<Step, { what: "event" | "left" }>;

function toldOf(steps: readonly Step[]): Told[] {
  return steps.filter((step) => step.what === "event" || step.what === "left");
}

function name({ what, revision }: { readonly what: string; readonly revision: bigint }): string {
  return `${what} ${revision}`;
}

/** Changes come in the order of their revisions, and none from before the start. */
export const ordered: Validator = (trace, truth) => {
  const steps = stepsOf(trace, truth);
  const faults: string[] = [];
  let last = baseOf(trace, steps, truth);
  for (const told of toldOf(steps)) {
    if (told.revision < last) faults.push(`${name(told)} comes after ${last}`);
    else last = told.revision;
  }
  return faults;
};

/** Nothing is told twice: no change, and no row of a snapshot. */
export const unique: Validator = (trace, truth) => {
  const steps = stepsOf(trace, truth);
  const seen = new Set<string>();
  return steps.flatMap((step) => {
    if (step.what !== "row" && step.what !== "event" && step.what !== "left") return [];
    const key = step.what === "row" ? `row ${step.subject.id}` : `change ${step.revision}`;
    if (seen.has(key)) return [`${key} is told again`];
    seen.add(key);
    return [];
  });
};

/** Every change that is due is told, as what it is and with what the journal has; nothing is told that is not due. */
export const reliable: Validator = (trace, truth) => {
  const steps = stepsOf(trace, truth);
  const base = baseOf(trace, steps, truth);
  const told = new Map(toldOf(steps).map((step) => [step.revision, step]));
  const due = journalDue(trace, truth).filter(({ revision }) => revision > base && revision <= trace.upTo);
  const faults = due.flatMap((one) => {
    const step = told.get(one.revision);
    if (step?.what !== one.what) return [`${name(one)} is due and was ${step ? `told as ${step.what}` : "not told"}`];
    return step.what === "event" ? differences(trace.reader, step.event, one.event) : [];
  });
  const expected = new Set(due.map(({ revision }) => revision));
  const others = [...told.values()].filter(({ revision }) => revision <= trace.upTo && !expected.has(revision));
  return [...faults, ...others.map((step) => `${name(step)} is told and is not due`)];
};

/** A bookmark, an end and a snapshot's end come after everything that is due up to them, and name a time of comparison. */
export const bookmarked: Validator = (trace, truth) => {
  const steps = stepsOf(trace, truth);
  const base = baseOf(trace, steps, truth);
  const due = journalDue(trace, truth).filter(({ revision }) => revision > base);
  const told = new Set<bigint>();
  let last = base;
  return steps.flatMap((step) => {
    if (step.what === "event" || step.what === "left") {
      told.add(step.revision);
      last = step.revision;
    }
    if (step.what !== "bookmark" && step.what !== "end") return [];
    const owed = due.filter(({ revision }) => revision <= step.revision && !told.has(revision));
    const faults = owed.map((one) => `${name(step)} comes before ${name(one)}`);
    if (step.revision < last) faults.push(`${name(step)} comes after change ${last}`);
    if (!step.verified) faults.push(`${name(step)} does not say when it was verified`);
    return faults;
  });
};

/** Nothing of another tenant, of another carrier's booking or of another order than a link's, and to carriers no revision. */
export const isolated: Validator = (trace, truth) => {
  const { tenant, visibility } = trace.reader;
  const own = new Set((truth.journals.get(tenant) ?? []).map((event) => `${event.subjectId} ${event.version}`));
  const foreign = foreignWords(trace.reader, truth);
  const faults = stepsOf(trace, truth).flatMap((step) => {
    if (step.what === "row")
      return own.has(`${step.subject.id} ${step.subject.version}`) ? [] : [`row ${step.subject.id}`];
    if (step.what !== "event") return [];
    const { event } = step;
    const mine = own.has(`${event.subjectId} ${event.version}`) ? [] : [`${name(step)} is not the tenant's`];
    if (visibility.class !== "carrier") return mine;
    const shown = event.revision !== 0n || event.cause !== undefined || /^[0-9]/.test(event.position);
    return shown ? [...mine, `${name(step)} shows its revision`] : mine;
  });
  const texts = trace.messages.map(jsonOf);
  const leaks = foreign.filter((word) => texts.some((text) => text.includes(`"${word}"`)));
  return [...faults, ...leaks.map((word) => `"${word}" is not for this reader`)];
};

/** Rows and changes, folded, give the rows that match now. Only of traces that start with a snapshot, or at revision 0. */
export const convergent: Validator = (trace, truth) => {
  const held = new Map<string, Order | Booking>();
  for (const step of stepsOf(trace, truth)) {
    if (step.what === "row") held.set(step.subject.id, step.subject);
    if (step.what === "event" && step.event.after.value) held.set(step.event.subjectId, step.event.after.value);
    if (step.what === "left") held.delete(step.id);
  }
  const rows = matchingRows(trace.reader, truth);
  const faults = rows.filter((row) => !same(held.get(row.id), row)).map((row) => `${row.id} is not as its row`);
  const matching = new Set(rows.map(({ id }) => id));
  const over = [...held.keys()].filter((id) => !matching.has(id));
  return [...faults, ...over.map((id) => `${id} is held and does not match`)];
};

/** The events of one command come one after another, in the order of their parts. */
export const atomic: Validator = (trace, truth) => {
  const events = toldOf(stepsOf(trace, truth)).flatMap((step) => (step.what === "event" ? [step.event] : []));
  const closed = new Set<string>();
  let open: Event["command"];
  return events.flatMap(({ command, subjectId, version }) => {
    const faults: string[] = [];
    const what = `part ${command?.index} of a command (${subjectId} v${version})`;
    if (command && open?.id === command.id) {
      if (command.index <= open.index) faults.push(`${what} comes after part ${open.index}`);
    } else {
      if (open) closed.add(open.id);
      if (command && closed.has(command.id)) faults.push(`${what} comes apart from the others`);
    }
    open = command;
    return faults;
  });
};

/** The validators that hold for a trace. */
export function validatorsFor({ mode, start }: Trace): Readonly<Record<string, Validator>> {
  const whole = start === "snapshot" || (typeof start === "object" && start.position.startsWith("0-"));
  return {
    ...{ ordered, unique, isolated },
    // States in between may be missing in mode LATEST.
    ...(mode === "ALL" && { reliable, bookmarked, atomic }),
    ...(whole && { convergent }),
  };
}

/** All that is wrong with a trace. */
export function faultsOf(trace: Trace, truth: Truth): string[] {
  return Object.entries(validatorsFor(trace)).flatMap(([promise, validate]) =>
    validate(trace, truth).map((fault) => `${promise}: ${fault}`),
  );
}

function journalDue({ reader }: Trace, truth: Truth) {
  return dueOf(reader, truth.journals.get(reader.tenant) ?? []);
}

/** What a reader was told of an event against what the journal has. Carriers have a view of their own. */
function differences({ visibility }: Reader, told: Event, stored: Event): string[] {
  const what = `event ${stored.revision}`;
  if (visibility.class !== "carrier")
    return equals(EventSchema, told, stored) ? [] : [`${what} is not as it is stored`];
  const alike =
    told.subjectId === stored.subjectId &&
    told.version === stored.version &&
    told.change.case === stored.change.case &&
    told.after.case === "booking" &&
    stored.after.case === "booking" &&
    equals(BookingSchema, told.after.value, bookingView(stored.after.value, visibility));
  return alike ? [] : [`${what} is not as it is stored`];
}

function matchingRows(reader: Reader, truth: Truth): (Order | Booking)[] {
  const { tenant, visibility } = reader;
  if (reader.of === "orders") {
    const visible = (order: Order) => visibility.class !== "link" || visibility.orderId === order.id;
    return (truth.orders.get(tenant) ?? []).filter((order) => visible(order) && reader.sees(order));
  }
  const visible = (booking: Booking) => visibility.class !== "carrier" || visibility.carrier === booking.carrier;
  const seen = (truth.bookings.get(tenant) ?? []).filter((booking) => visible(booking) && reader.sees(booking));
  return seen.map((booking) => bookingView(booking, visibility));
}

function same(held: Order | Booking | undefined, row: Order | Booking): boolean {
  if (held?.$typeName === "leadline.v1.Order" && row.$typeName === "leadline.v1.Order") {
    return equals(OrderSchema, held, row);
  }
  if (held?.$typeName !== "leadline.v1.Booking" || row.$typeName !== "leadline.v1.Booking") return false;
  return equals(BookingSchema, held, row);
}

/** Ids that no message to the reader may contain. Orders know their bookings, and bookings, to staff, their orders. */
function foreignWords({ tenant, visibility }: Reader, truth: Truth): string[] {
  const ids = ([, list]: readonly [string, readonly { id: string }[]]) => list.map(({ id }) => id);
  const ours = new Set(
    [...(truth.orders.get(tenant) ?? []), ...(truth.bookings.get(tenant) ?? [])].map(({ id }) => id),
  );
  const others = [...truth.orders, ...truth.bookings].filter(([owner]) => owner !== tenant).flatMap(ids);
  const foreign = others.filter((id) => !ours.has(id));
  if (visibility.class === "staff") return foreign;
  const orders = (truth.orders.get(tenant) ?? []).map(({ id }) => id);
  if (visibility.class === "link") return [...foreign, ...orders.filter((id) => id !== visibility.orderId)];
  const bookings = (truth.bookings.get(tenant) ?? []).filter(({ carrier }) => carrier !== visibility.carrier);
  return [...foreign, ...orders, ...bookings.map(({ id }) => id)];
}

function jsonOf(message: WatchMessage): string {
  return message.$typeName === "leadline.v1.WatchOrdersResponse"
    ? toJsonString(WatchOrdersResponseSchema, message)
    : toJsonString(WatchBookingsResponseSchema, message);
}
