import { toJson } from "@bufbuild/protobuf";
import {
  AmendmentStateSchema,
  type Booking,
  BookingSchema,
  BookingStateSchema,
  CancellationStateSchema,
  SpaceVerdictSchema,
} from "../../gen/leadline/v1/booking_pb.ts";
import { BookingVerbSchema, type Event, EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { type Order, OrderSchema, PhaseSchema } from "../../gen/leadline/v1/order_pb.ts";
import type { Place } from "../../gen/leadline/v1/place_pb.ts";
import { ClassifierSchema, type RecordedReport } from "../../gen/leadline/v1/report_pb.ts";
import { ResetReasonSchema } from "../../gen/leadline/v1/watch_pb.ts";
import type { BookingSnapshot, OrderSnapshot } from "../client/watch.ts";
import type { WatchItem } from "../client/watch-item.ts";
import { plain } from "./table.ts";
import { shownLocalTime, shownTimestamp } from "./times.ts";
import { wordOf } from "./words.ts";

/** What a watch of either kind gives. */
export type Item = WatchItem | OrderSnapshot | BookingSnapshot;

/** A subject as the view and the lines show it. All texts are safe for a terminal. */
export interface Shown {
  readonly id: string;
  readonly version: bigint;
  /** An order's status, or a booking's state, with what stands beside it. */
  readonly status: string;
  /** An order's phase, or a booking's verdict on the space. */
  readonly stage: string;
  /** When delivery or arrival is expected. */
  readonly eta: string;
  readonly route: string;
  /** When it last changed. */
  readonly changed: string;
}

/** The state that an event or a snapshot row carries; undefined: none. */
export function shownOf(item: Item): Shown | undefined {
  if (item.type === "snapshot") return "order" in item ? shownOrder(item.order) : shownBooking(item.booking);
  if (item.type !== "event") return undefined;
  const { after } = item.event;
  if (after.case === "order") return shownOrder(after.value);
  return after.case === "booking" ? shownBooking(after.value) : undefined;
}

function shownOrder(order: Order): Shown {
  const beside = [order.onHold ? "on hold" : "", order.exception ? "exception" : ""];
  return {
    id: plain(order.id),
    version: order.version,
    status: [plain(order.status), ...beside].filter((word) => word !== "").join(", "),
    stage: wordOf(PhaseSchema, order.phase),
    eta: shownLocalTime(order.estimatedDelivery) || "-",
    route: route(order.origin, order.destination),
    changed: shownTimestamp(order.updatedAt),
  };
}

function shownBooking(booking: Booking): Shown {
  const { amendmentState, cancellationState } = booking;
  const beside = [
    amendmentState === 0 ? "" : `amendment ${wordOf(AmendmentStateSchema, amendmentState)}`,
    cancellationState === 0 ? "" : `cancellation ${wordOf(CancellationStateSchema, cancellationState)}`,
  ];
  return {
    id: plain(booking.id),
    version: booking.version,
    status: [wordOf(BookingStateSchema, booking.state), ...beside].filter((word) => word !== "").join(", "),
    stage: wordOf(SpaceVerdictSchema, booking.space),
    eta: shownLocalTime(booking.arrival) || "-",
    route: route(booking.origin, booking.destination),
    changed: shownTimestamp(booking.updatedAt),
  };
}

function route(from: Place | undefined, to: Place | undefined): string {
  if (from === undefined && to === undefined) return "-";
  return `${placeName(from)} → ${placeName(to)}`;
}

function placeName(place: Place | undefined): string {
  if (place === undefined) return "?";
  return plain(place.unlocode || place.name || place.facility) || "?";
}

/** What an event did, in a few words. */
export function changeOf(event: Event): string {
  const { change } = event;
  switch (change.case) {
    case undefined:
      return "a change of a newer release";
    case "reported":
      return reportWords(change.value.report);
    case "bookingActed":
      return wordOf(BookingVerbSchema, change.value.verb).toLowerCase().replaceAll("_", " ");
    case "orderHeld":
    case "orderCancelled":
      return plain(`${words(change.case)}: ${change.value.reason}`);
    default:
      return words(change.case);
  }
}

function reportWords(recorded: RecordedReport | undefined): string {
  const report = recorded?.report;
  if (report === undefined) return "reported";
  const what = [report.status, report.milestone].filter((word) => word !== "").join("/");
  const where = report.place === undefined ? "" : ` at ${placeName(report.place)}`;
  const flagged = (recorded?.flags.length ?? 0) > 0 ? ", flagged" : "";
  return plain(
    `${wordOf(ClassifierSchema, report.classifier).toLowerCase()} ${what}${where}, ` +
      `${shownLocalTime(report.occurredAt)}${flagged}`,
  );
}

/** `orderCreated` -> `order created`. */
function words(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** One line for people; undefined for what only tells that nothing happened. */
export function lineOf(item: Item): string | undefined {
  switch (item.type) {
    case "snapshot":
    case "event": {
      const shown = shownOf(item);
      const what = item.type === "event" ? changeOf(item.event) : "is";
      const when = item.type === "event" ? shownTimestamp(item.event.recordedAt) : (shown?.changed ?? "");
      if (shown === undefined) return `${when}  ${item.type === "event" ? plain(item.event.subjectId) : ""}  ${what}`;
      const { id, version, status, stage, eta } = shown;
      return `${when}  ${id}  v${version}  ${status} (${stage})${eta === "-" ? "" : `  ETA ${eta}`}  ${what}`;
    }
    case "synced":
      return `-- all that is there; position ${item.position}`;
    case "left":
      return `${plain(item.id)}  no longer matches`;
    case "reset":
      return `-- the journal was reset (${wordOf(ResetReasonSchema, item.reason)}): forget what was shown before`;
    case "restart":
      return "-- the list starts anew: forget what was shown before";
    case "bookmark":
      return undefined;
  }
}

/** One JSON object for programs: `type` and what belongs to it, messages in their protobuf JSON form. */
export function jsonOf(item: Item): unknown {
  switch (item.type) {
    case "snapshot":
      return "order" in item
        ? { type: item.type, order: toJson(OrderSchema, item.order) }
        : { type: item.type, booking: toJson(BookingSchema, item.booking) };
    case "event":
      return { type: item.type, position: item.event.position, event: toJson(EventSchema, item.event) };
    case "reset":
      return { type: item.type, reason: wordOf(ResetReasonSchema, item.reason) };
    default:
      return item;
  }
}
