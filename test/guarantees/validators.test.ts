import { clone } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WatchBookingsResponseSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { viewFor } from "../../src/wire/event-view.ts";
import {
  carrierSeats,
  latestSeats,
  linkSeats,
  playStage,
  type Seat,
  type Stage,
  staffSeats,
} from "../interop/stage.ts";
import { faultsOf, type MessageTrace as Trace, type WatchMessage } from "./messages.ts";
import type { PromiseName } from "./validators.ts";

/*
 * The validators find nothing in recorded traces, and find each fault that is put into one. A trace is spread to one change
 * per message first, so that a fault can be put in anywhere.
 */

const [allOrders, allBookings] = staffSeats;
const [ours] = carrierSeats;
const [linked] = linkSeats;
const [latest] = latestSeats;

let stage: Stage;
beforeAll(async () => {
  stage = await playStage([allOrders, allBookings, ours, linked, latest].filter((seat) => seat !== undefined));
});
afterAll(() => stage[Symbol.asyncDispose]());

function traceOf(seat: Seat | undefined): Trace {
  const recording = seat && stage.recordings.get(seat);
  if (seat === undefined || recording === undefined) throw new Error("nobody sat there");
  const trace = recording.trace(stage.readerOf(seat), stage.head);
  return { ...trace, messages: trace.messages.flatMap(spread) };
}

function spread(message: WatchMessage): WatchMessage[] {
  if (message.events.length > 1) return message.events.map((event) => ({ ...message, events: [event] }));
  if (message.left.length > 1) return message.left.map((left) => ({ ...message, left: [left] }));
  return [message];
}

/** A copy that can be spoilt. */
function copy(message: WatchMessage): WatchMessage {
  return message.$typeName === "leadline.v1.WatchOrdersResponse"
    ? clone(WatchOrdersResponseSchema, message)
    : clone(WatchBookingsResponseSchema, message);
}

type Spoil = (messages: WatchMessage[]) => void;

function spoilt(trace: Trace, spoil: Spoil): Trace {
  const messages = trace.messages.map(copy);
  spoil(messages);
  return { ...trace, messages };
}

/** What one validator says. */
function textsOf(faults: readonly string[], promise: PromiseName): string[] {
  return faults.filter((fault) => fault.startsWith(`${promise}: `)).map((fault) => fault.slice(promise.length + 2));
}

const isEvent = (message: WatchMessage) => message.events.length > 0;

/** The index of the n-th message that fits. */
function nth(messages: readonly WatchMessage[], n: number, fits: (message: WatchMessage) => boolean): number {
  const found = messages.flatMap((message, i) => (fits(message) ? [i] : []))[n];
  return found ?? expect.fail("the trace has no such message");
}

function eventAt(messages: readonly WatchMessage[], at: number): Event {
  return messages[at]?.events[0] ?? expect.fail("there is no event");
}

function swap(messages: WatchMessage[], a: number, b: number): void {
  const [first, second] = [messages[a], messages[b]];
  if (first && second) [messages[a], messages[b]] = [second, first];
}

/** What a foreign tenant's or another carrier's event looks like to the reader. */
function foreignEvent(tenant: string, fits: (event: Event) => boolean): Event {
  return stage.truth.journals.get(tenant)?.find(fits) ?? expect.fail("there is no such event");
}

test.each([
  ["all orders", allOrders],
  ["all bookings", allBookings],
  ["a carrier's bookings", ours],
  ["a link's order", linked],
  ["the latest of all orders", latest],
])("nothing is wrong with %s", (_name, seat) => {
  const trace = traceOf(seat);
  expect(trace.messages.filter(isEvent).length).toBeGreaterThan(5);
  expect(faultsOf(trace, stage.truth)).toEqual([]);
});

describe("a fault in a trace is found", () => {
  const spoils: readonly (readonly [what: string, promise: PromiseName, spoil: Spoil, fault: RegExp])[] = [
    ["an event is lost", "reliable", (m) => m.splice(nth(m, 4, isEvent), 1), /^event \d+ is due and was not told$/],
    [
      "an event is lost before a bookmark",
      "bookmarkable",
      (m) => m.splice(nth(m, 4, isEvent), 1),
      /^bookmark \d+ comes before change/,
    ],
    [
      "the last event of an order is lost",
      "convergent",
      (m) => m.splice(m.findLastIndex(isEvent), 1),
      /is not as its row$/,
    ],
    ["a row is lost", "convergent", dropRow, /is not as its row$/],
    [
      "two events change places",
      "ordered",
      (m) => swap(m, nth(m, 4, isEvent), nth(m, 5, isEvent)),
      /^event \d+ comes after/,
    ],
    ["an event is from before the start", "ordered", (m) => m.push(...before(m)), /^event \d+ comes after/],
    ["an event is repeated", "unique", (m) => repeat(m, nth(m, 4, isEvent)), /^change \d+ is told again$/],
    ["a row is repeated", "unique", (m) => repeat(m, nth(m, 0, hasRows)), /^row .* is told again$/],
    [
      "an event is told that is not due",
      "filterCorrect",
      (m) => m.push(...strangeLeft(m)),
      /^left \d+ is told and is not due$/,
    ],
    [
      "an event is told with another state",
      "reliable",
      (m) => falsify(eventAt(m, nth(m, 4, isEvent))),
      /is not as it is stored/,
    ],
    ["a bookmark comes too early", "bookmarkable", tooEarly, /^bookmark \d+ comes before change/],
    ["a bookmark goes back", "bookmarkable", bookmarkBack, /^bookmark \d+ comes after/],
    ["a bookmark was not verified", "bookmarkable", unverified, /does not say when it was verified/],
    [
      "an event leaks from another tenant",
      "tenantIsolated",
      (m) => m.push(leak(m)),
      /^"FOREIGN-\d" is not for this reader$/,
    ],
    ["a command is broken up", "atomic", breakUp, /comes apart from \d+ of the same command$/],
    ["a command's parts change places", "atomic", turnAround, /comes apart from \d+ of the same command$/],
  ];

  test.each(spoils)("%s", (_what, promise, spoil, fault) => {
    const faults = faultsOf(spoilt(traceOf(allOrders), spoil), stage.truth);
    expect(textsOf(faults, promise)).toContainEqual(expect.stringMatching(fault));
  });

  test("a subject that left is kept", () => {
    const trace = traceOf(allOrders);
    const open = { ...trace.reader, sees: (order: { phase: number }) => order.phase < 8 };
    const reader = { ...trace.reader, ...open } as Trace["reader"];
    const faults = textsOf(faultsOf({ ...trace, reader }, stage.truth), "convergent");
    expect(faults).toContainEqual(expect.stringMatching(/is held and does not match$/));
  });
});

describe("to a carrier it is a fault", () => {
  const visibility = { class: "carrier", carrier: "MAEU" } as const;
  const shown =
    (change: (event: Event) => void): Spoil =>
    (messages) =>
      change(eventAt(messages, nth(messages, 3, isEvent)));
  const spoils: readonly (readonly [what: string, spoil: Spoil, fault: RegExp])[] = [
    ["that a revision shows", shown((event) => Object.assign(event, { revision: 7n })), /shows its revision/],
    ["that an order shows", shown((event) => showOrders(event)), /^"PO-4711" is not for this reader$/],
    ["that another carrier's booking comes", (m) => m.push(rivals(m)), /^"BKG-RIVAL" is not for this reader$/],
    ["that an order's event comes", (m) => m.push(orderTo(m)), /^"PO-4711" is not for this reader$/],
  ];

  function rivals(messages: readonly WatchMessage[]): WatchMessage {
    return withEvent(
      messages,
      foreignEvent("acme", ({ subjectId }) => subjectId === "BKG-RIVAL"),
    );
  }

  function orderTo(messages: readonly WatchMessage[]): WatchMessage {
    return withEvent(
      messages,
      foreignEvent("acme", ({ subjectId }) => subjectId === "PO-4711"),
    );
  }

  function withEvent(messages: readonly WatchMessage[], event: Event): WatchMessage {
    const message = copy(messages[nth(messages, 0, isEvent)] ?? expect.fail("there is no message"));
    message.events = [viewFor(event, "acme", visibility, stage.truth.positions)];
    return message;
  }

  test.each(spoils)("%s", (_what, spoil, fault) => {
    const faults = faultsOf(spoilt(traceOf(ours), spoil), stage.truth);
    expect(textsOf(faults, "carrierIsolated")).toContainEqual(expect.stringMatching(fault));
  });
});

function hasRows(message: WatchMessage): boolean {
  return ("orders" in message ? message.orders : message.bookings).length > 0;
}

/** An order without an event after the snapshot would be needed for every row; the demo has none, so its events go too. */
function dropRow(messages: WatchMessage[]): void {
  const at = nth(messages, 0, hasRows);
  const message = messages[at];
  const row = message && "orders" in message ? message.orders.pop() : undefined;
  const kept = messages.filter(({ events }) => events[0]?.subjectId !== row?.id);
  messages.splice(0, messages.length, ...kept);
}

function repeat(messages: WatchMessage[], at: number): void {
  const message = messages[at];
  if (message) messages.splice(at, 0, copy(message));
}

function before(messages: readonly WatchMessage[]): WatchMessage[] {
  const first = copy(messages[nth(messages, 0, isEvent)] ?? expect.fail("there is no event"));
  first.events = (stage.truth.journals.get("acme") ?? []).slice(0, 1);
  return [first];
}

function strangeLeft(messages: readonly WatchMessage[]): WatchMessage[] {
  const booking = foreignEvent("acme", ({ after, revision }) => after.case === "booking" && revision > 30n);
  const message = copy(messages[nth(messages, 0, isEvent)] ?? expect.fail("there is no event"));
  message.events = [];
  message.left = [{ $typeName: "leadline.v1.WatchLeft", id: booking.subjectId, position: booking.position }];
  return [message];
}

function falsify(event: Event): void {
  if (event.after.case === "order") event.after.value.status = "LOST";
}

function tooEarly(messages: WatchMessage[]): void {
  const bookmark = messages.findLast((message) => message.bookmark !== undefined);
  if (bookmark) messages.splice(nth(messages, 5, isEvent), 0, copy(bookmark));
}

function bookmarkBack(messages: WatchMessage[]): void {
  const bookmark = copy(messages.findLast((message) => message.bookmark !== undefined) ?? expect.fail("no bookmark"));
  if (bookmark.bookmark) bookmark.bookmark.position = eventAt(messages, nth(messages, 0, isEvent)).position;
  messages.push(bookmark);
}

function unverified(messages: WatchMessage[]): void {
  for (const { bookmark } of messages) delete bookmark?.verifiedAt;
}

function leak(messages: readonly WatchMessage[]): WatchMessage {
  const message = copy(messages[nth(messages, 0, isEvent)] ?? expect.fail("there is no event"));
  message.events = [foreignEvent("foreign", ({ after }) => after.case === "order")];
  return message;
}

/** Where two parts of one command stand side by side. */
function partsAt(messages: readonly WatchMessage[]): number {
  const command = (at: number) => messages[at]?.events[0]?.command?.id;
  const at = messages.findIndex((_message, i) => command(i) !== undefined && command(i) === command(i + 1));
  return at < 0 ? expect.fail("no command has two parts here") : at;
}

function breakUp(messages: WatchMessage[]): void {
  const at = partsAt(messages);
  const [part] = messages.splice(at, 1);
  const next = messages.findIndex(
    (message, i) => i > at && isEvent(message) && message.events[0]?.command?.id !== part?.events[0]?.command?.id,
  );
  if (part) messages.splice(next + 1, 0, part);
}

function turnAround(messages: WatchMessage[]): void {
  const at = partsAt(messages);
  swap(messages, at, at + 1);
}

function showOrders(event: Event): void {
  if (event.after.case === "booking") event.after.value.orderIds = ["PO-4711"];
}
