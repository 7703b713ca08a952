import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type BookingDetails, LegSchema } from "../../../gen/leadline/v1/booking_pb.ts";
import type { Order } from "../../../gen/leadline/v1/order_pb.ts";
import { type Unit, UnitKind, UnitSchema } from "../../../gen/leadline/v1/place_pb.ts";
import { type Flag, type Report, ReportOutcome, ReportSchema } from "../../../gen/leadline/v1/report_pb.ts";
import { Role } from "../../../gen/leadline/v1/tenant_pb.ts";
import { decideAddUnits } from "../booking-contents.ts";
import { type BookingCall, calledBooking, type Effects } from "../booking-effects.ts";
import { decideMilestone, decideMilestoneRetraction } from "../booking-milestones.ts";
import { partOf } from "../booking-orders.ts";
import { looksLikeContainer } from "../identifiers.ts";
import { statusFor } from "../milestone-kinds.ts";
import { loadOrder } from "../order-commands.ts";
import { reportOnOrder, retractOnOrder } from "../order-reports.ts";
import { findReport, type Retraction } from "../reports.ts";
import type { BookingSubject, Load } from "../subject.ts";
import { compareTimestamps } from "../times.ts";
import { legOf } from "./leg-hints.ts";
import type { CarrierObservation } from "./tracking-event.ts";

/** An observation is the carrier's word, whoever hands it on: what a flow lets a carrier report counts, and nothing else. */
const REPORTER = Role.CARRIER;

/** What became of an observation, whatever it was matched to. */
export interface ObservedResult {
  readonly outcome: ReportOutcome;
  readonly flags: readonly Flag[];
  /** The orders that it was reported to. */
  readonly orderIds: readonly string[];
}

/**
 * Takes a carrier's observation into a booking, and through it to the attached orders. Units that the booking does not have yet are
 * added to it, and the report says so by UNIT_UNKNOWN.
 *
 * A shipment event about the booking itself (BKG_CONFIRMED, BKG_REJECTED, ...) is kept as a milestone and moves none of the
 * booking's axes: those move by verbs alone, for an event carries no confirmation document, and one that arrives late or twice
 * must not undo what the carrier has said since.
 *
 * @param source who said it: the observation's own source, or the carrier where it names none
 */
export function decideObservation(
  load: Load,
  now: Timestamp,
  on: BookingCall,
  observation: CarrierObservation,
  source: string,
): Effects<ObservedResult> {
  const subject = calledBooking(load, on);
  const report = reportFor(subject, observation, source);
  const { flags, part } = observation;
  const effects = decideMilestone(load, now, { ...on, report, strict: false, flags, part, role: REPORTER });
  if ("needs" in effects || effects.outcome !== ReportOutcome.APPLIED) return effects;
  const units = unknownUnits(subject.details, report.unitIds, observation.isoEquipmentCode);
  if (units.length === 0) return effects;
  const added = decideAddUnits(load, { ...on, units, identifiers: "as they came" });
  return "needs" in added ? added : { ...effects, drafts: [...added.drafts, ...effects.drafts] };
}

/** Takes an observation into an order that no booking carries. */
export function decideOrderObservation(
  load: Load,
  now: Timestamp,
  orderId: string,
  observation: CarrierObservation,
  source: string,
): Effects<ObservedResult> {
  const subject = loadOrder(load, orderId);
  const { milestone, place } = observation;
  const status = statusFor({ kind: milestone, leg: 0, place }, [wholeLeg(subject.order)], subject.flow);
  const units = observation.ofTransport ? [] : observation.unitIds;
  const whole = create(ReportSchema, { ...contentOf(observation, source), unitIds: [...units], status });
  const report = partOf(whole, subject, observation.part);
  const taking = { strict: false, refuseIfUnfit: false, flags: observation.flags, role: REPORTER };
  const { outcome, flags, drafts } = reportOnOrder(subject, report, now, taking);
  return { outcome, flags, drafts, orderIds: [orderId] };
}

/** Takes what a source said back from a booking and its orders; from an order alone. It waits when it comes first. */
export function decideRetraction(
  load: Load,
  now: Timestamp,
  on: BookingCall,
  retraction: Retraction,
): Effects<{ readonly outcome: ReportOutcome }> {
  return decideMilestoneRetraction(load, now, { ...on, retraction });
}

export function decideOrderRetraction(
  load: Load,
  now: Timestamp,
  orderId: string,
  retraction: Retraction,
): Effects<{ readonly outcome: ReportOutcome }> {
  return retractOnOrder(loadOrder(load, orderId), retraction, now);
}

/**
 * The report of an observation in its booking. Leg and units follow from the plan and the units as they stand; where the same was
 * said before they stay as they were told then, so that a second import finds nothing new when plan or units have moved since.
 */
function reportFor({ details }: BookingSubject, observation: CarrierObservation, source: string): Report {
  const content = contentOf(observation, source);
  const known = findReport(details.reports, content)?.report;
  const saidBefore =
    known?.sourceUpdatedAt !== undefined &&
    observation.sourceUpdatedAt !== undefined &&
    compareTimestamps(known.sourceUpdatedAt, observation.sourceUpdatedAt) === 0;
  if (saidBefore) {
    const unitIds = observation.ofTransport ? known.unitIds : [...observation.unitIds];
    return create(ReportSchema, { ...content, leg: known.leg, unitIds });
  }
  const leg = observation.legNumber || legOf(observation.leg, observation.place, details.legs);
  return create(ReportSchema, { ...content, leg, unitIds: unitsMoved(details, observation) });
}

/** What a report says by itself, wherever it belongs. */
function contentOf(observation: CarrierObservation, source: string) {
  const { sourceId, sourceUpdatedAt, classifier, milestone, occurredAt, place, reasonCode, remark, exception } =
    observation;
  return {
    source,
    sourceId,
    classifier,
    milestone,
    occurredAt,
    reasonCode,
    remark,
    exception,
    lines: [...observation.lines],
    ...(sourceUpdatedAt && { sourceUpdatedAt }),
    ...(place && { place }),
  };
}

/**
 * The units of a report; none: everything. A movement of the transport that names all that the booking has moves everything, so
 * that it stands beside what the plan says of the leg; one that names some of them moves those.
 */
function unitsMoved(details: BookingDetails, { ofTransport, unitIds }: CarrierObservation): string[] {
  if (!ofTransport) return [...unitIds];
  const named = new Set(unitIds);
  const all = details.units.every(({ id }) => named.has(id)) && named.size >= unitsExpected(details);
  return all ? [] : [...unitIds];
}

/** How many units travel in a booking, as far as it is known. */
function unitsExpected(details: BookingDetails): number {
  const equipment = (details.confirmations.at(-1) ?? details.request)?.equipment ?? [];
  const asked = equipment.reduce((sum, one) => sum + one.units, 0);
  return Math.max(asked, details.units.length);
}

function unknownUnits(details: BookingDetails, unitIds: readonly string[], isoEquipmentCode: string): Unit[] {
  const known = new Set(details.units.map(({ id }) => id));
  return unitIds
    .filter((id) => !known.has(id))
    .map((id) => {
      const kind = looksLikeContainer(id) ? UnitKind.CONTAINER : UnitKind.UNSPECIFIED;
      return create(UnitSchema, { id, kind, isoEquipmentCode });
    });
}

/** An order without a booking travels as if by one leg. */
function wholeLeg({ origin, destination }: Order) {
  return create(LegSchema, { sequence: 1, ...(origin && { from: origin }), ...(destination && { to: destination }) });
}
