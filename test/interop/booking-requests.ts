import { expect } from "vitest";
import { AmendmentState, BookingState, CancellationState, SpaceVerdict } from "../../gen/leadline/v1/booking_pb.ts";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { UnitKind } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, ReportOutcome } from "../../gen/leadline/v1/report_pb.ts";
import { airRows, roadRows } from "./air-road-requests.ts";
import { ORDER } from "./order-requests.ts";
import { at, CONTAINER, oceanConfirmation, oceanLeg, oceanRequest } from "./parts.ts";
import { type Row, row } from "./rows.ts";

const bookings = BookingService.method;
const { RECEIVED, CONFIRMED, PENDING_UPDATE, UPDATE_RECEIVED, PENDING_AMENDMENT } = BookingState;

/** The booking that goes through most verbs. */
const BOOKING = "BKG-1";
const bookingId = BOOKING;
const feedbacks = [{ severity: "ERROR", code: "PROPERTY_VALUE_MUST_CHANGE", message: "name the contract" }];

export function bookingRows(): Row[] {
  return [
    ...requesting(),
    ...amending(),
    ...contents(),
    ...observing(),
    ...endings(),
    ...airRows(),
    ...roadRows(),
    ...reading(),
  ];
}

function requesting(): Row[] {
  return [
    row(
      bookings.requestBooking,
      "operator",
      { requestId: "ask", bookingId, request: oceanRequest(), requestReference: "R-1" },
      { booking: { id: bookingId, state: RECEIVED, space: SpaceVerdict.REQUESTED, requestReference: "R-1" } },
    ),
    row(bookings.requestUpdate, "carrier", { bookingId, feedbacks }, { booking: { state: PENDING_UPDATE } }),
    row(
      bookings.updateBooking,
      "operator",
      { bookingId, etag: "2", request: { ...oceanRequest(), contractReference: "SC-77" } },
      { booking: { state: UPDATE_RECEIVED, version: 3n } },
    ),
    row(
      bookings.confirmBooking,
      "carrier",
      { bookingId, confirmation: oceanConfirmation("MAEU1") },
      { booking: { state: CONFIRMED, bookingReference: "MAEU1", space: SpaceVerdict.FULL, confirmationVersion: 1 } },
    ),
  ];
}

function amending(): Row[] {
  const request = { ...oceanRequest(), contractReference: "SC-77", remark: "stow below deck" };
  const amendment = (amendmentState: AmendmentState) => ({ booking: { amendmentState } });
  return [
    row(bookings.requestAmendment, "carrier", { bookingId, feedbacks }, { booking: { state: PENDING_AMENDMENT } }),
    row(bookings.amendBooking, "operator", { bookingId, request }, amendment(AmendmentState.RECEIVED)),
    row(bookings.cancelAmendment, "operator", { bookingId, reason: "no" }, amendment(AmendmentState.CANCELLED)),
    row(bookings.amendBooking, "operator", { bookingId, request }, amendment(AmendmentState.RECEIVED)),
    row(bookings.declineAmendment, "carrier", { bookingId, reason: "full" }, amendment(AmendmentState.DECLINED)),
    row(bookings.amendBooking, "operator", { bookingId, request }, amendment(AmendmentState.RECEIVED)),
    row(
      bookings.confirmAmendment,
      "carrier",
      { bookingId, confirmation: oceanConfirmation("MAEU1") },
      { booking: { state: CONFIRMED, amendmentState: AmendmentState.CONFIRMED, confirmationVersion: 2 } },
    ),
  ];
}

function contents(): Row[] {
  return [
    row(
      bookings.addUnits,
      "carrier",
      { bookingId, units: [{ id: CONTAINER, kind: UnitKind.CONTAINER, isoEquipmentCode: "45G1" }] },
      { booking: { id: bookingId } },
    ),
    row(
      bookings.attachOrders,
      "operator",
      { bookingId, orders: [{ orderId: ORDER, unitIds: [CONTAINER] }, { orderId: "PO-2" }] },
      { booking: { orderIds: [ORDER, "PO-2"] } },
    ),
    row(bookings.detachOrders, "operator", { bookingId, orderIds: ["PO-2"] }, { booking: { orderIds: [ORDER] } }),
  ];
}

function observing(): Row[] {
  return [
    row(
      bookings.reportSchedule,
      "carrier",
      { bookingId, legs: [oceanLeg(7, 34)], reasonCode: "WEA" },
      { booking: { arrival: at(34) } },
    ),
    row(
      bookings.reportMilestone,
      "carrier",
      {
        bookingId,
        report: {
          classifier: Classifier.ACTUAL,
          milestone: "GATE_IN",
          sourceId: "m1",
          occurredAt: { ...at(5), utcOffsetMinutes: 480, timeZone: "Asia/Shanghai" },
          place: { unlocode: "CNSHA" },
          unitIds: [CONTAINER],
        },
      },
      { outcome: ReportOutcome.APPLIED, sourceId: "m1", orderIds: [], booking: { id: bookingId, orderIds: [] } },
    ),
    row(
      bookings.retractMilestone,
      "carrier",
      { bookingId, sourceId: "m1", reason: "wrong gate" },
      { outcome: ReportOutcome.APPLIED },
    ),
    row(
      bookings.requestCancellation,
      "operator",
      { bookingId, bookingReference: "MAEU1", reason: "no cargo" },
      { booking: { state: CONFIRMED, cancellationState: CancellationState.RECEIVED } },
    ),
    row(
      bookings.declineCancellation,
      "carrier",
      { bookingId, reason: "too late" },
      { booking: { state: CONFIRMED, cancellationState: CancellationState.DECLINED } },
    ),
    row(bookings.completeBooking, "carrier", { bookingId }, { booking: { state: BookingState.COMPLETED } }),
  ];
}

/** The other ways in which a booking ends, each with one of its own. */
function endings(): Row[] {
  const ask = (id: string) =>
    row(bookings.requestBooking, "operator", { bookingId: id, request: oceanRequest() }, { booking: { id } });
  const confirm = (id: string) =>
    row(
      bookings.confirmBooking,
      "operator",
      { bookingId: id, confirmation: oceanConfirmation(id) },
      { booking: { bookingReference: id } },
    );
  return [
    ask("BKG-2"),
    row(
      bookings.rejectBooking,
      "carrier",
      { bookingId: "BKG-2", reason: "no space" },
      { booking: { state: BookingState.REJECTED, space: SpaceVerdict.UNABLE } },
    ),
    ask("BKG-3"),
    row(
      bookings.cancelBooking,
      "operator",
      { bookingId: "BKG-3", reason: "no cargo" },
      { booking: { state: BookingState.CANCELLED } },
    ),
    ask("BKG-4"),
    confirm("BKG-4"),
    row(
      bookings.declineBooking,
      "carrier",
      { bookingId: "BKG-4", reason: "engine" },
      { booking: { state: BookingState.DECLINED } },
    ),
    ask("BKG-5"),
    confirm("BKG-5"),
    row(
      bookings.requestCancellation,
      "owner",
      { bookingId: "BKG-5", bookingReference: "BKG-5" },
      { booking: { cancellationState: CancellationState.RECEIVED } },
    ),
    row(
      bookings.confirmCancellation,
      "carrier",
      { bookingId: "BKG-5" },
      { booking: { state: BookingState.CANCELLED, cancellationState: CancellationState.CONFIRMED } },
    ),
  ];
}

function reading(): Row[] {
  return [
    row(
      bookings.getBooking,
      "viewer",
      { bookingId },
      {
        booking: { state: BookingState.COMPLETED, orderIds: [ORDER] },
        details: { confirmations: [{ version: 1 }, { version: 2 }], units: [{ id: CONTAINER }] },
      },
    ),
    row(
      bookings.getBooking,
      "carrier",
      { bookingId },
      { booking: { state: BookingState.COMPLETED, orderIds: [] }, details: { orders: [] } },
    ),
    row(
      bookings.listBookings,
      "carrier",
      { pageSize: 1, filter: { states: [CONFIRMED] } },
      { bookings: [{ id: "BKG-ROAD" }], nextPageToken: expect.stringMatching(/./) },
    ),
    row(
      bookings.listBookings,
      "carrier",
      (answers) => ({
        filter: { states: [CONFIRMED] },
        pageToken: answers.of(bookings.listBookings).nextPageToken,
      }),
      { bookings: [{ id: "BKG-AIR" }], nextPageToken: "" },
    ),
    row(bookings.listBookings, "rival", {}, { bookings: [], nextPageToken: "" }),
    row(
      bookings.listBookingEvents,
      "carrier",
      { bookingId, pageSize: 1 },
      {
        events: [{ version: 1n, revision: 0n, position: expect.stringMatching(/^c/) }],
        nextPageToken: expect.stringMatching(/./),
      },
    ),
  ];
}
