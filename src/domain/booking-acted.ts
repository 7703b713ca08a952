import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type BookingDetails, type Confirmation, ConfirmationSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { type BookingActed, BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import type { Unit } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { withoutLegs, withPlannedTimes, withRoute } from "./booking-plan.ts";
import { ALL_VERBS, axesAfter, axesOf, VERBS, type Verb } from "./booking-transitions.ts";
import { compare } from "./confirmation.ts";
import { spaceAfter } from "./space.ts";
import type { BookingSubject } from "./subject.ts";

/** The verbs whose reason is kept as why the booking, its amendment or its cancellation came to nothing. */
const ENDING: ReadonlySet<Verb> = new Set([
  BookingVerb.REJECT,
  BookingVerb.DECLINE_AMENDMENT,
  BookingVerb.CANCEL_AMENDMENT,
  BookingVerb.DECLINE,
  BookingVerb.CANCEL,
  BookingVerb.REQUEST_CANCELLATION,
  BookingVerb.CONFIRM_CANCELLATION,
  BookingVerb.DECLINE_CANCELLATION,
]);

/** The booking after a verb. The verb was legal when it was decided. */
export function afterVerb(before: BookingSubject, acted: BookingActed, recordedAt: Timestamp): BookingSubject {
  const verb = ALL_VERBS.find((one) => one === acted.verb);
  if (verb === undefined) throw new Error(`booking verb ${acted.verb} is not known`);
  const { state, amendment, cancellation } = axesAfter(axesOf(before.booking), verb);
  const given = acted.confirmation;
  const { booking } = before;
  const space = spaceAfter(
    { verdict: booking.space, code: booking.spaceCode },
    booking.mode,
    verb,
    given?.space ?? booking.space,
    acted.spaceCode,
  );
  const details = textsAfter(before.details, acted, verb);
  const moved: BookingSubject = {
    ...before,
    booking: {
      ...booking,
      state,
      amendmentState: amendment,
      cancellationState: cancellation,
      space: space.verdict,
      spaceCode: space.code,
      references: details.request?.references ?? [],
    },
    details,
  };
  const confirmed = given === undefined ? moved : withConfirmation(moved, given, recordedAt);
  const requestReference = booking.requestReference || acted.requestReference;
  return { ...confirmed, booking: withRoute({ ...confirmed.booking, requestReference }, confirmed.details) };
}

/** The request, the amendment, the carrier's remarks and the reason. */
function textsAfter(before: BookingDetails, acted: BookingActed, verb: Verb): BookingDetails {
  const { amendmentText } = VERBS[verb];
  const becomes = amendmentText === "becomes the request" ? before.amendment : undefined;
  const request = verb === BookingVerb.UPDATE ? acted.request : (becomes ?? before.request);
  const amendment = verb === BookingVerb.AMEND ? acted.request : amendmentText ? undefined : before.amendment;
  const asks = verb === BookingVerb.REQUEST_UPDATE || verb === BookingVerb.REQUEST_AMENDMENT;
  const taken = request === before.request ? undefined : request;
  return {
    ...before,
    request,
    amendment,
    feedbacks: asks ? acted.feedbacks : before.feedbacks,
    reason: ENDING.has(verb) ? acted.reason || before.reason : before.reason,
    units: taken ? mergeUnits(before.units, taken.units) : before.units,
  };
}

/** The booking with its next confirmation, from which the plan, the cut-offs and the differences follow. */
export function withConfirmation(before: BookingSubject, given: Confirmation, recordedAt: Timestamp): BookingSubject {
  const { booking, details } = before;
  if (details.request === undefined) throw new Error("a booking has no request");
  const version = booking.confirmationVersion + 1;
  const confirmation = create(ConfirmationSchema, { ...given, version, confirmedAt: recordedAt });
  const kept = new Set(given.legs.map((leg) => leg.sequence));
  const gone = details.legs.filter((leg) => !kept.has(leg.sequence));
  const cleared: BookingSubject = { ...before, details: { ...details, ...withoutLegs(booking, details, gone) } };
  const track = withPlannedTimes(cleared, given.legs, [Classifier.PLANNED, Classifier.ESTIMATED], recordedAt);
  return {
    ...before,
    booking: {
      ...booking,
      confirmationVersion: version,
      bookingReference: given.bookingReference || booking.bookingReference,
    },
    details: {
      ...details,
      ...track,
      confirmations: [...details.confirmations, confirmation],
      differences: compare(details.request, given, details.confirmations.at(-1)).differences,
      legs: given.legs,
      cutOffs: given.cutOffs,
      units: mergeUnits(details.units, given.units),
    },
  };
}

/** The units with some told anew: found by their ids, new ones at the end. */
export function mergeUnits(standing: readonly Unit[], told: readonly Unit[]): Unit[] {
  const merged = new Map(standing.map((unit) => [unit.id, unit]));
  for (const unit of told) merged.set(unit.id, unit);
  return [...merged.values()];
}
