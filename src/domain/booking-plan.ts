import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Booking, BookingDetails, BookingRequest, Leg, TransportMeans } from "../../gen/leadline/v1/booking_pb.ts";
import { type LocalTime, type Place, PlaceSchema } from "../../gen/leadline/v1/place_pb.ts";
import {
  Classifier,
  type Milestone,
  type MilestoneTime,
  type RecordedReport,
  RecordedReportSchema,
  ReportSchema,
} from "../../gen/leadline/v1/report_pb.ts";
import { mainLegs } from "./confirmation.ts";
import { inOrder, samePlace } from "./milestone-kinds.ts";
import { moveMilestones } from "./milestones.ts";
import { findReport, withReport } from "./reports.ts";
import type { BookingSubject } from "./subject.ts";
import { compareTimestamps } from "./times.ts";

/** The part of a booking's details that milestone reports make up. */
export type Track = Pick<BookingDetails, "reports" | "milestones">;

const ENDS = [
  { kind: "DEPARTED", end: "departure", place: "from" },
  { kind: "ARRIVED", end: "arrival", place: "to" },
] as const;

/** The booking's place of type `first`, else of type `second`. */
function placeOf(request: BookingRequest, first: string, second: string): Place | undefined {
  const found = (type: string) => request.places.find((one) => one.type === type)?.place;
  return found(first) ?? found(second);
}

/** The port or place of loading: the plan's where there is one, else the one asked for. */
export function originOf(request: BookingRequest, legs: readonly Leg[]): Place | undefined {
  return mainLegs(legs)[0]?.from ?? placeOf(request, "POL", "PRE");
}

/** The port or place of discharge: the plan's where there is one, else the one asked for. */
export function destinationOf(request: BookingRequest, legs: readonly Leg[]): Place | undefined {
  return mainLegs(legs).at(-1)?.to ?? placeOf(request, "POD", "PDE");
}

/**
 * The compact form with the route as the details tell it. Departure and arrival are, of the first that is known: what
 * happened, what is expected, what the plan says, what was asked for.
 */
export function withRoute(booking: Booking, details: BookingDetails): Booking {
  const request = details.request;
  if (request === undefined) throw new Error("a booking has no request");
  const ordered = inOrder(details.legs);
  const first = ordered[0];
  const last = ordered.at(-1);
  return {
    ...booking,
    origin: originOf(request, ordered),
    destination: destinationOf(request, ordered),
    means: meansOf(request, ordered),
    departure: legTime(details.milestones, first, "DEPARTED") ?? first?.departure ?? request.expectedDeparture,
    arrival: legTime(details.milestones, last, "ARRIVED") ?? last?.arrival ?? request.expectedArrivalTo,
  };
}

function meansOf(request: BookingRequest, legs: readonly Leg[]): TransportMeans | undefined {
  return mainLegs(legs)[0]?.means ?? request.means;
}

/** What the milestones of all units tell of one end of a leg: the newest actual time, else the newest estimate. */
function legTime(
  milestones: readonly Milestone[],
  leg: Leg | undefined,
  kind: "DEPARTED" | "ARRIVED",
): LocalTime | undefined {
  if (leg === undefined) return undefined;
  const place = kind === "DEPARTED" ? leg.from : leg.to;
  const isHere = (m: Milestone) => (m.place === "" ? m.leg === leg.sequence : isCalled(place, m.place));
  const ofLeg = milestones.filter(
    (m) => m.kind === kind && m.unitId === "" && (m.leg === leg.sequence || m.leg === 0) && isHere(m),
  );
  const newest = (values: (MilestoneTime | undefined)[]) =>
    values.filter((value) => value !== undefined).reduce(laterSaid, undefined);
  return (newest(ofLeg.map((m) => m.actual)) ?? newest(ofLeg.map((m) => m.estimated)))?.time;
}

/** Whether a milestone that names its place so is at this one: its source may know it otherwise than the plan does. */
function isCalled(place: Place | undefined, text: string): boolean {
  if (place === undefined) return false;
  if (text === place.unlocode || text === place.facility) return true;
  return samePlace(place, create(PlaceSchema, { name: text }));
}

function laterSaid(best: MilestoneTime | undefined, value: MilestoneTime): MilestoneTime {
  const said = value.sourceUpdatedAt ?? value.recordedAt;
  const than = best?.sourceUpdatedAt ?? best?.recordedAt;
  if (best === undefined || said === undefined || than === undefined) return best ?? value;
  return compareTimestamps(said, than) >= 0 ? value : best;
}

/**
 * The reports and milestones with what the plan says of its legs' departures and arrivals: each a report of the carrier
 * with an identity of its own (`booking/<id>/legs/<sequence>/departed/estimated`), so that a plan that moves again
 * replaces what it said before and the milestone keeps the slip. A confirmation also says what is planned, and what it
 * no longer carries is dropped.
 */
export function withPlannedTimes(
  subject: BookingSubject,
  legs: readonly Leg[],
  classifiers: readonly Classifier[],
  recordedAt: Timestamp,
): Track {
  let track: Track = subject.details;
  for (const leg of legs) {
    for (const classifier of classifiers) {
      for (const recorded of plannedReports(subject.booking, leg, classifier, recordedAt)) {
        track = withRecorded(track, recorded);
      }
    }
  }
  return track;
}

/** The reports and milestones without what the plan said of legs that it no longer has. */
export function withoutLegs(booking: Booking, before: Track, gone: readonly Leg[]): Track {
  let track = before;
  for (const leg of gone) {
    for (const classifier of [Classifier.PLANNED, Classifier.ESTIMATED]) {
      for (const { kind } of ENDS) {
        const identity = {
          source: booking.carrier,
          sourceId: planSourceId(booking.id, leg.sequence, kind, classifier),
        };
        const was = findReport(track.reports, identity);
        if (was === undefined) continue;
        const reports = track.reports.filter((one) => one !== was);
        track = { reports, milestones: moveMilestones(track.milestones, reports, { was, is: undefined }) };
      }
    }
  }
  return track;
}

/** The reports and milestones with one more report, in the place of what was kept under its identity. */
export function withRecorded(track: Track, is: RecordedReport): Track {
  const was = is.report && findReport(track.reports, is.report);
  const reports = withReport(track.reports, is);
  return { reports, milestones: moveMilestones(track.milestones, reports, { was, is }) };
}

function plannedReports(booking: Booking, leg: Leg, classifier: Classifier, recordedAt: Timestamp): RecordedReport[] {
  return ENDS.flatMap(({ kind, end, place }) => {
    const occurredAt = leg[end];
    if (occurredAt === undefined) return [];
    const report = create(ReportSchema, {
      source: booking.carrier,
      sourceId: planSourceId(booking.id, leg.sequence, kind, classifier),
      classifier,
      milestone: kind,
      leg: leg.sequence,
      occurredAt,
    });
    const at = leg[place];
    if (at) report.place = at;
    return [create(RecordedReportSchema, { report, recordedAt })];
  });
}

function planSourceId(bookingId: string, sequence: number, kind: string, classifier: Classifier): string {
  const said = classifier === Classifier.PLANNED ? "planned" : "estimated";
  return `booking/${bookingId}/legs/${sequence}/${kind.toLowerCase()}/${said}`;
}
