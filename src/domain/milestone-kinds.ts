import type { Leg } from "../../gen/leadline/v1/booking_pb.ts";
import type { Place } from "../../gen/leadline/v1/place_pb.ts";
import { STANDARD_FLOW } from "./standard-flow.ts";
import { type MilestoneRule, type MilestoneWhere, type StatusFlow, statusOfPhase } from "./status-flow.ts";

const milestoneOnly: MilestoneRule = { status: "", where: "anywhere" };

/**
 * The transport milestones and the order status in the standard flow that follows from each.
 *
 * The rule for journeys of several legs: the first departure puts the order IN_TRANSIT, and departures from places on the
 * way leave it there. Only an arrival at the end of the last leg is the order's ARRIVED; arrivals, discharges and gate-ins
 * at transhipment places move their milestones and nothing else.
 */
export const MILESTONE_KINDS: Readonly<Record<string, MilestoneRule>> = {
  // At origin.
  BOOKED: { status: "BOOKED", where: "anywhere" },
  ARRIVED_AT_PICK_UP: milestoneOnly,
  ON_HAND: milestoneOnly,
  PREPARED_FOR_LOADING: milestoneOnly,
  EMPTY_PICKED_UP: milestoneOnly,
  STUFFED: milestoneOnly,
  PICKED_UP: { status: "READY", where: "first departure" },
  RECEIVED_BY_CARRIER: { status: "READY", where: "first departure" },
  GATE_IN: { status: "READY", where: "first departure" },
  LOADED: { status: "READY", where: "first departure" },
  MANIFESTED: milestoneOnly,
  // On the way.
  DEPARTED: { status: "IN_TRANSIT", where: "anywhere" },
  BORDER_CROSSED: { status: "IN_TRANSIT", where: "anywhere" },
  EN_ROUTE: { status: "IN_TRANSIT", where: "anywhere" },
  LOADED_ON_RAIL: milestoneOnly,
  RAIL_ARRIVED: milestoneOnly,
  ARRIVED_AT_TERMINAL: milestoneOnly,
  DEPARTED_TERMINAL: milestoneOnly,
  RECEIVED_FROM_CARRIER: milestoneOnly,
  TO_BE_TRANSFERRED: milestoneOnly,
  TRANSFERRED: milestoneOnly,
  // At destination.
  ARRIVED: { status: "ARRIVED", where: "last arrival" },
  DISCHARGED: { status: "ARRIVED", where: "last arrival" },
  RECEIVED_FROM_FLIGHT: { status: "ARRIVED", where: "last arrival" },
  AVAILABLE_FOR_PICK_UP: { status: "ARRIVED", where: "last arrival" },
  CONSIGNEE_NOTIFIED: { status: "ARRIVED", where: "last arrival" },
  GATE_OUT: { status: "OUT_FOR_DELIVERY", where: "last arrival" },
  OUT_FOR_DELIVERY: { status: "OUT_FOR_DELIVERY", where: "anywhere" },
  ARRIVED_AT_DELIVERY: { status: "OUT_FOR_DELIVERY", where: "last arrival" },
  DELIVERED: { status: "DELIVERED", where: "anywhere" },
  DELIVERY_NOT_COMPLETED: milestoneOnly,
  REFUSED_BY_CONSIGNEE: milestoneOnly,
  RETURNED_TO_SHIPPER: milestoneOnly,
  STRIPPED: milestoneOnly,
  EMPTY_RETURNED: milestoneOnly,
  // Anywhere.
  DROPPED_OFF: milestoneOnly,
  AVAILABLE_FOR_DROP_OFF: milestoneOnly,
  INSPECTED: milestoneOnly,
  RESEALED: milestoneOnly,
  REMOVED: milestoneOnly,
  CUSTOMS_SELECTED_FOR_SCAN: milestoneOnly,
  CUSTOMS_SELECTED_FOR_INSPECTION: milestoneOnly,
  CUSTOMS_RELEASED: milestoneOnly,
  DOCUMENTS_RECEIVED: milestoneOnly,
  DOCUMENTS_DELIVERED: milestoneOnly,
  CUSTOMS_REPORTED: milestoneOnly,
  CUSTOMS_HELD: milestoneOnly,
  CUSTOMS_REFUSED: milestoneOnly,
  GOVERNMENT_CONTROL: milestoneOnly,
  CARRIER_RELEASED: milestoneOnly,
  BILL_RELEASED: milestoneOnly,
  RELEASED: milestoneOnly,
  FREE_TIME_EXPIRES: milestoneOnly,
  FREE_TIME_EXPIRED: milestoneOnly,
  ARRIVAL_DOCUMENTS_RECEIVED: milestoneOnly,
  INTO_WAREHOUSE: milestoneOnly,
  OUT_OF_WAREHOUSE: milestoneOnly,
  DISCREPANCY: milestoneOnly,
  DAMAGED: milestoneOnly,
  DELAYED: milestoneOnly,
  DEPARTURE_DELAYED: milestoneOnly,
  MISROUTED: milestoneOnly,
  NOT_FOUND: milestoneOnly,
  OFFLOADED: milestoneOnly,
  OVERCARRIED: milestoneOnly,
  SHORT_SHIPPED: milestoneOnly,
  BOOKING_CANCELLED: milestoneOnly,
  WAYPOINT_PASSED: milestoneOnly,
  LOCATED: milestoneOnly,
  DOOR_OPENED: milestoneOnly,
  DOOR_CLOSED: milestoneOnly,
  REEFER_MEASURED: milestoneOnly,
  REEFER_ADJUSTED: milestoneOnly,
};

/** The milestones that belong to one end of a leg: to where it begins, or to where it ends. */
const LEG_ENDS: Readonly<Record<string, "from" | "to">> = {
  MANIFESTED: "from",
  LOADED: "from",
  DEPARTED: "from",
  ARRIVED: "to",
  DISCHARGED: "to",
  RECEIVED_FROM_FLIGHT: "to",
};

/** The end of a leg that a milestone belongs to; undefined: neither in particular. */
export function legEndOf(kind: string): "from" | "to" | undefined {
  return Object.hasOwn(LEG_ENDS, kind) ? LEG_ENDS[kind] : undefined;
}

/** Where a milestone happened, as far as its source said. */
export interface MilestoneSite {
  readonly kind: string;
  /** The leg's sequence number; 0: not said. */
  readonly leg: number;
  readonly place?: Place | undefined;
}

/**
 * The order status in a flow that follows from a milestone; empty: none. A kind that neither the flow nor the table above
 * knows gives none. `legs` is the transport plan as it stands; without a plan every place counts as its beginning and its
 * end. A site that names neither leg nor place tells nothing of a journey of several legs.
 */
export function statusFor(site: MilestoneSite, legs: readonly Leg[], flow: StatusFlow): string {
  return rulesIn(flow, site.kind).find(({ where }) => isWhere(site, where, legs))?.status ?? "";
}

function isWhere(site: MilestoneSite, where: MilestoneWhere, legs: readonly Leg[]): boolean {
  if (where === "anywhere") return true;
  const ordered = inOrder(legs);
  const end = where === "first departure" ? ordered[0] : ordered.at(-1);
  return end === undefined || isAtEnd(site, end, where, ordered);
}

/** What a milestone says in a flow: what the flow says itself, else the flow's first status of the standard flow's phase. */
function rulesIn(flow: StatusFlow, kind: string): readonly MilestoneRule[] {
  const own = flow.milestones.get(kind);
  if (own !== undefined) return own;
  const standard = Object.hasOwn(MILESTONE_KINDS, kind) ? MILESTONE_KINDS[kind] : undefined;
  if (standard === undefined) return [];
  if (standard.status === "" || flow === STANDARD_FLOW) return [standard];
  const phase = STANDARD_FLOW.byCode.get(standard.status)?.phase;
  return [{ status: statusOfPhase(flow, phase)?.code ?? "", where: standard.where }];
}

/** The legs by their sequence numbers. */
export function inOrder(legs: readonly Leg[]): Leg[] {
  return [...legs].sort((a, b) => a.sequence - b.sequence);
}

/**
 * Whether two places are the same. Decided by the first of UN/LOCODE, facility code and name that both have; places that
 * have none of them in common are not the same.
 */
export function samePlace(a: Place | undefined, b: Place | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  if (a.unlocode && b.unlocode) return a.unlocode === b.unlocode;
  if (a.facility && b.facility) return a.facility === b.facility && a.facilityCodeList === b.facilityCodeList;
  return a.name !== "" && a.name.trim().toLowerCase() === b.name.trim().toLowerCase();
}

function isAtEnd(site: MilestoneSite, end: Leg, where: MilestoneWhere, legs: readonly Leg[]): boolean {
  const place = where === "first departure" ? end.from : end.to;
  if (site.place !== undefined && place !== undefined && comparable(site.place, place)) {
    // A place that the plan passes twice (out and back) is told apart by the leg, where one is named.
    return samePlace(site.place, place) && (site.leg === 0 || site.leg === end.sequence || !isOn(legs, site));
  }
  return site.leg === 0 ? legs.length === 1 : site.leg === end.sequence;
}

function comparable(a: Place, b: Place): boolean {
  return (
    (a.unlocode !== "" && b.unlocode !== "") ||
    (a.facility !== "" && b.facility !== "") ||
    (a.name !== "" && b.name !== "")
  );
}

/** Whether the leg that the site names touches the place that it names. */
function isOn(legs: readonly Leg[], site: MilestoneSite): boolean {
  return legs.some(
    (leg) => leg.sequence === site.leg && (samePlace(leg.from, site.place) || samePlace(leg.to, site.place)),
  );
}
