import { create, equals } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type CutOff, CutOffSchema, DifferenceBase, type Leg, LegSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { ScheduleReportedSchema } from "../../gen/leadline/v1/event_pb.ts";
import { evolveBooking } from "./booking.ts";
import { checkPlan } from "./booking-confirmation-rules.ts";
import { differencesAgainst, noteCutOffs, noteLegs } from "./booking-differences.ts";
import { type BookingCall, bookingDraft, calledBooking, type Effects, NO_EFFECTS } from "./booking-effects.ts";
import { arrivalDrafts, loadOrders } from "./booking-orders.ts";
import { refuseFields } from "./booking-request-rules.ts";
import { hasEnded, verbIllegal } from "./booking-transitions.ts";
import { withKinds } from "./cut-offs.ts";
import { inOrder } from "./milestone-kinds.ts";
import type { Violation } from "./refusal.ts";
import type { Change, Load } from "./subject.ts";

/** New times of a schedule: legs whole, and cut-offs. */
export interface ScheduleCall extends BookingCall {
  readonly legs: readonly Leg[];
  readonly cutOffs: readonly CutOff[];
  readonly reasonCode: string;
}

/**
 * Takes a schedule's new times. An observation: refused only when the booking has ended (VERB_ILLEGAL), or a leg is
 * neither of the plan nor whole enough to join it. What stands so already changes nothing. When the arrival at the end
 * of the plan moves, the attached orders are told.
 */
export function decideSchedule(load: Load, now: Timestamp, call: ScheduleCall): Effects {
  const subject = calledBooking(load, call);
  const { booking, details } = subject;
  if (hasEnded(booking)) throw verbIllegal(booking, "REPORT_SCHEDULE", "carrier");
  checkPlan(call.legs, call.cutOffs, "", "as they came");
  refuseFields(unknownLegs(details.legs, call.legs));
  const legs = newLegs(details.legs, inOrder(call.legs));
  const cutOffs = newCutOffs(details.cutOffs, withKinds(call.cutOffs));
  if (legs.length === 0 && cutOffs.length === 0) return NO_EFFECTS;
  const moved = differencesAgainst(DifferenceBase.UNSPECIFIED); // the field's own comment says against what
  noteLegs(moved.note, details.legs, legs, true);
  noteCutOffs(moved.note, details.cutOffs, cutOffs, true);
  const change: Change = {
    case: "scheduleReported",
    value: create(ScheduleReportedSchema, {
      legs,
      cutOffs,
      reasonCode: call.reasonCode,
      differences: [...moved.found],
    }),
  };
  const draft = bookingDraft(booking.id, change);
  const after = evolveBooking(subject, change, { version: booking.version + 1n, recordedAt: now }, booking.id);
  const attached = loadOrders(load, details.orders);
  if ("needs" in attached) return attached;
  return { drafts: [draft, ...arrivalDrafts(subject, after, attached.orders, now, call.reasonCode)] };
}

function unknownLegs(plan: readonly Leg[], said: readonly Leg[]): Violation[] {
  const known = new Set(plan.map((leg) => leg.sequence));
  return said.flatMap((leg, i): Violation[] => {
    if (known.has(leg.sequence) || (leg.from !== undefined && leg.to !== undefined)) return [];
    const description = `${leg.sequence} is not a leg of the plan, and a new leg needs from and to`;
    return [{ field: `legs[${i}].sequence`, description }];
  });
}

function newLegs(plan: readonly Leg[], said: readonly Leg[]): Leg[] {
  return said.filter((leg) => {
    const was = plan.find((one) => one.sequence === leg.sequence);
    return was === undefined || !equals(LegSchema, was, leg);
  });
}

function newCutOffs(standing: readonly CutOff[], said: readonly CutOff[]): CutOff[] {
  return said.filter((cutOff) => {
    const was = standing.find((one) => one.code === cutOff.code);
    return was === undefined || !equals(CutOffSchema, was, cutOff);
  });
}
