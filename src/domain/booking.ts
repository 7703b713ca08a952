import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type Appointment,
  BookingDetailsSchema,
  type BookingRequest,
  BookingSchema,
  BookingState,
  type Confirmation,
  ConfirmationSchema,
  LegSchema,
  LegStage,
  SpaceVerdict,
} from "../../gen/leadline/v1/booking_pb.ts";
import type {
  BookingContentsChanged,
  BookingRequested,
  ReportRetracted,
  ScheduleReported,
} from "../../gen/leadline/v1/event_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { afterVerb, mergeUnits, withConfirmation } from "./booking-acted.ts";
import { destinationOf, originOf, withPlannedTimes, withRecorded, withRoute } from "./booking-plan.ts";
import { mergeCutOffs } from "./cut-offs.ts";
import { inOrder } from "./milestone-kinds.ts";
import { moveMilestones } from "./milestones.ts";
import { chosenIn, redactBooking } from "./redaction.ts";
import { findReport, withRetraction } from "./reports.ts";
import { holdsAtOnce, spaceRequested } from "./space.ts";
import { type BookingSubject, type Change, type Recorded, SubjectKind } from "./subject.ts";

/**
 * The booking after a change. Pure; `before` is not touched and shares what did not change with what is returned. Throws
 * when the change is not one of a booking's, or does not follow from `before`.
 */
export function evolveBooking(
  before: BookingSubject | undefined,
  change: Change,
  recorded: Recorded,
  id: string,
): BookingSubject {
  if (change.case === "bookingRequested") {
    if (before !== undefined) throw new Error(`booking ${id} was requested before`);
    return begin(change.value, recorded, id);
  }
  if (before === undefined) throw new Error(`booking ${id} was not requested`);
  const after = applied(before, change, recorded.recordedAt);
  return { ...after, booking: { ...after.booking, version: recorded.version, updatedAt: recorded.recordedAt } };
}

function applied(before: BookingSubject, change: Change, recordedAt: Timestamp): BookingSubject {
  switch (change.case) {
    case "bookingActed":
      return afterVerb(before, change.value, recordedAt);
    case "scheduleReported":
      return afterSchedule(before, change.value, recordedAt);
    case "bookingContentsChanged":
      return afterContents(before, change.value);
    case "appointmentChanged":
      return change.value.appointment ? afterAppointment(before, change.value.appointment) : before;
    case "reported":
      return change.value.report ? routed(before, withRecorded(before.details, change.value.report)) : before;
    case "reportRetracted":
      return afterRetraction(before, change.value, recordedAt);
    case "personalDataRedacted":
      return redactBooking(before, chosenIn(change.value));
    default:
      throw new Error(`${change.case} is not a change of a booking`);
  }
}

function begin(requested: BookingRequested, recorded: Recorded, id: string): BookingSubject {
  const { request, requestReference } = requested;
  if (request === undefined) throw new Error(`booking ${id} was requested without a request`);
  const space = spaceRequested(request);
  const held = holdsAtOnce(request);
  const booking = create(BookingSchema, {
    id,
    version: recorded.version,
    mode: request.mode,
    carrier: request.carrier,
    state: held ? BookingState.CONFIRMED : BookingState.RECEIVED,
    space: space.verdict,
    spaceCode: space.code,
    requestReference,
    references: request.references,
    createdAt: recorded.recordedAt,
    updatedAt: recorded.recordedAt,
  });
  const details = create(BookingDetailsSchema, { request, units: mergeUnits([], request.units) });
  const asked: BookingSubject = { kind: SubjectKind.BOOKING, booking, details };
  const begun = held ? withConfirmation(asked, heldConfirmation(request), recorded.recordedAt) : asked;
  return { ...begun, booking: withRoute(begun.booking, begun.details) };
}

/** What an air request that holds its space at once confirms: itself. */
function heldConfirmation(request: BookingRequest): Confirmation {
  const { means, cargo, expectedDeparture: departure } = request;
  const [from, to] = [originOf(request, []), destinationOf(request, [])];
  const leg = create(LegSchema, {
    sequence: 1,
    stage: LegStage.MAIN_CARRIAGE,
    mode: request.mode,
    ...(from && { from }),
    ...(to && { to }),
    ...(means && { means }),
    ...(departure && { departure }),
  });
  return create(ConfirmationSchema, {
    equipment: request.equipment,
    ...(cargo && { cargo }),
    legs: [leg],
    units: request.units,
    space: SpaceVerdict.FULL,
  });
}

function afterSchedule(before: BookingSubject, said: ScheduleReported, recordedAt: Timestamp): BookingSubject {
  const legs = new Map(before.details.legs.map((leg) => [leg.sequence, leg]));
  for (const leg of said.legs) legs.set(leg.sequence, leg);
  const track = withPlannedTimes(before, said.legs, [Classifier.ESTIMATED], recordedAt);
  const details = {
    ...before.details,
    ...track,
    legs: inOrder([...legs.values()]),
    cutOffs: mergeCutOffs(before.details.cutOffs, said.cutOffs),
  };
  return { ...before, booking: withRoute(before.booking, details), details };
}

function afterContents(before: BookingSubject, changed: BookingContentsChanged): BookingSubject {
  const orders = new Map(before.details.orders.map((order) => [order.orderId, order]));
  for (const order of changed.attached) orders.set(order.orderId, order);
  for (const id of changed.detached) orders.delete(id);
  return {
    ...before,
    booking: { ...before.booking, orderIds: [...orders.keys()] },
    details: {
      ...before.details,
      orders: [...orders.values()],
      units: mergeUnits(before.details.units, changed.units),
    },
  };
}

function afterAppointment(before: BookingSubject, appointment: Appointment): BookingSubject {
  const others = before.details.appointments.filter((one) => one.stop !== appointment.stop);
  const appointments = [...others, appointment].sort((a, b) => a.stop - b.stop);
  return { ...before, details: { ...before.details, appointments } };
}

function afterRetraction(before: BookingSubject, retracted: ReportRetracted, recordedAt: Timestamp): BookingSubject {
  const was = findReport(before.details.reports, retracted);
  const reports = withRetraction(before.details.reports, retracted, recordedAt);
  const is = findReport(reports, retracted);
  return routed(before, { reports, milestones: moveMilestones(before.details.milestones, reports, { was, is }) });
}

/** The booking with other reports and milestones: what is expected of its departure and arrival may have moved. */
function routed(
  before: BookingSubject,
  track: Pick<BookingSubject["details"], "reports" | "milestones">,
): BookingSubject {
  const details = { ...before.details, ...track };
  return { ...before, booking: withRoute(before.booking, details), details };
}
