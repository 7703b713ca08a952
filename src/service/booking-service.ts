import {
  BookingService,
  type ReportMilestoneRequest,
  type RequestBookingRequest,
  type RetractMilestoneRequest,
} from "../../gen/leadline/v1/booking_service_pb.ts";
import { decideAppointment } from "../domain/booking-appointments.ts";
import { decideAddUnits, decideAttach, decideDetach } from "../domain/booking-contents.ts";
import { decideMilestone, decideMilestoneRetraction } from "../domain/booking-milestones.ts";
import { decideRequest } from "../domain/booking-requesting.ts";
import { decideSchedule } from "../domain/booking-schedule.ts";
import { fieldInvalid } from "../domain/field-invalid.ts";
import { orderRef } from "../domain/subject.ts";
import { checkTimestamp } from "../domain/times.ts";
import type { Journal } from "../journal/journal.ts";
import { drawId } from "../wire/draw-id.ts";
import type { PageTokens } from "../wire/page-token.ts";
import type { Positions } from "../wire/position.ts";
import { bookingAlone, submitOnBooking } from "./booking-commands.ts";
import { bookingReads } from "./booking-reads.ts";
import { bookingVerbs } from "./booking-verbs.ts";
import type { Call, Implementation } from "./call.ts";
import { roleOf, visibilityOf } from "./command.ts";
import { identified, sourceOf } from "./report-identity.ts";

/** What the BookingService is made of. */
export interface BookingServiceParts {
  readonly journal: Journal;
  readonly positions: Positions;
  readonly pageTokens: PageTokens;
}

const rpc = BookingService.method;

/** The BookingService: every command is one command of the journal. Who may call what is checked before. */
export function createBookingService(parts: BookingServiceParts): Implementation<typeof BookingService> {
  const { journal } = parts;
  return {
    ...bookingReads(parts),
    ...bookingVerbs(journal),
    ...contents(journal),
    requestBooking: (request, call) => requestBooking(journal, request, call),
    reportMilestone: (request, call) => reportMilestone(journal, request, call),
    retractMilestone: (request, call) => retractMilestone(journal, request, call),
  };
}

type Contents = Pick<
  Implementation<typeof BookingService>,
  "attachOrders" | "detachOrders" | "addUnits" | "setAppointment" | "reportSchedule"
>;

function contents(journal: Journal): Contents {
  return {
    attachOrders: (request, call) =>
      submitOnBooking(journal, call, rpc.attachOrders, request, {
        bookingId: request.bookingId,
        etag: request.etag,
        alsoNamed: request.orders.map((order) => orderRef(order.orderId)),
        decide: (load, now, on) => decideAttach(load, now, { ...on, orders: request.orders }),
        answer: bookingAlone<typeof rpc.attachOrders.output>,
      }),
    detachOrders: (request, call) =>
      submitOnBooking(journal, call, rpc.detachOrders, request, {
        bookingId: request.bookingId,
        etag: request.etag,
        alsoNamed: request.orderIds.map(orderRef),
        decide: (load, now, on) => decideDetach(load, now, { ...on, orderIds: request.orderIds }),
        answer: bookingAlone<typeof rpc.detachOrders.output>,
      }),
    addUnits: (request, call) =>
      submitOnBooking(journal, call, rpc.addUnits, request, {
        bookingId: request.bookingId,
        etag: request.etag,
        decide: (load, _now, on) => decideAddUnits(load, { ...on, units: request.units, identifiers: "strict" }),
        answer: bookingAlone<typeof rpc.addUnits.output>,
      }),
    setAppointment: async (request, call) => {
      const { appointment } = request;
      if (appointment === undefined) throw fieldInvalid("appointment", "must be set");
      return await submitOnBooking(journal, call, rpc.setAppointment, request, {
        bookingId: request.bookingId,
        etag: request.etag,
        decide: (load, _now, on) => decideAppointment(load, { ...on, appointment }),
        answer: bookingAlone<typeof rpc.setAppointment.output>,
      });
    },
    reportSchedule: (request, call) =>
      submitOnBooking(journal, call, rpc.reportSchedule, request, {
        bookingId: request.bookingId,
        etag: request.etag,
        decide: (load, now, on) => {
          const { legs, cutOffs, reasonCode } = request;
          return decideSchedule(load, now, { ...on, legs, cutOffs, reasonCode });
        },
        answer: bookingAlone<typeof rpc.reportSchedule.output>,
      }),
  };
}

async function requestBooking(journal: Journal, asked: RequestBookingRequest, call: Call) {
  const { request, orders, requestReference } = asked;
  if (request === undefined) throw fieldInvalid("request", "must be set");
  const bookingId = asked.bookingId || drawId("bkg");
  return await submitOnBooking(journal, call, rpc.requestBooking, asked, {
    bookingId,
    alsoNamed: orders.map((order) => orderRef(order.orderId)),
    decide: (load, now) =>
      decideRequest(load, now, { bookingId, request, orders, requestReference, identifiers: "strict" }),
    answer: bookingAlone<typeof rpc.requestBooking.output>,
  });
}

async function reportMilestone(journal: Journal, request: ReportMilestoneRequest, call: Call) {
  if (request.report === undefined) throw fieldInvalid("report", "must be set");
  const report = identified(request.report, call.principal);
  const hidesOrders = visibilityOf(call.principal).class !== "staff";
  const role = roleOf(call.principal);
  return await submitOnBooking(journal, call, rpc.reportMilestone, request, {
    bookingId: request.bookingId,
    decide: (load, now, on) => decideMilestone(load, now, { ...on, report, strict: true, flags: [], role }),
    answer: (booking, { outcome, flags, orderIds }) => ({
      outcome,
      flags: [...flags],
      booking,
      orderIds: hidesOrders ? [] : [...orderIds],
      sourceId: report.sourceId,
    }),
  });
}

async function retractMilestone(journal: Journal, request: RetractMilestoneRequest, call: Call) {
  const { sourceId, sourceUpdatedAt, reason } = request;
  checkTimestamp(sourceUpdatedAt, "source_updated_at");
  const source = sourceOf(call.principal, request.source);
  return await submitOnBooking(journal, call, rpc.retractMilestone, request, {
    bookingId: request.bookingId,
    decide: (load, now, on) =>
      decideMilestoneRetraction(load, now, { ...on, retraction: { source, sourceId, sourceUpdatedAt, reason } }),
    answer: (booking, { outcome }) => ({ outcome, booking }),
  });
}
