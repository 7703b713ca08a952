import type { Leg } from "../../gen/leadline/v1/booking_pb.ts";
import type { Place } from "../../gen/leadline/v1/place_pb.ts";

/** At which end of the transport plan a milestone tells something of the order's status. */
type Where =
  /** Anywhere. */
  | "anywhere"
  /** Only where the plan begins. */
  | "first departure"
  /** Only where the plan ends. */
  | "last arrival";

interface MilestoneKind {
  /** The status of the standard flow that an order takes from it; empty: none, only the milestone moves. */
  readonly status: string;
  readonly where: Where;
}

const milestoneOnly: MilestoneKind = { status: "", where: "anywhere" };

/**
 * The transport milestones and the order status in the standard flow that follows from each.
 *
 * The rule for journeys of several legs: the first departure puts the order IN_TRANSIT, and departures from places on the
 * way leave it there. Only an arrival at the end of the last leg is the order's ARRIVED; arrivals, discharges and gate-ins
 * at transhipment places move their milestones and nothing else.
 */
export const MILESTONE_KINDS: Readonly<Record<string, MilestoneKind>> = {
  // At origin.
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
  TRANSFERRED: milestoneOnly,
  // At destination.
  ARRIVED: { status: "ARRIVED", where: "last arrival" },
  DISCHARGED: { status: "ARRIVED", where: "last arrival" },
  RECEIVED_FROM_FLIGHT: { status: "ARRIVED", where: "last arrival" },
  AVAILABLE_FOR_PICK_UP: { status: "ARRIVED", where: "last arrival" },
  CONSIGNEE_NOTIFIED: { status: "ARRIVED", where: "last arrival" },
  GATE_OUT: { status: "OUT_FOR_DELIVERY", where: "last arrival" },
  OUT_FOR_DELIVERY: { status: "OUT_FOR_DELIVERY", where: "anywhere" },
  DELIVERED: { status: "DELIVERED", where: "anywhere" },
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
  DISCREPANCY: milestoneOnly,
  WAYPOINT_PASSED: milestoneOnly,
  LOCATED: milestoneOnly,
  DOOR_OPENED: milestoneOnly,
  DOOR_CLOSED: milestoneOnly,
  REEFER_MEASURED: milestoneOnly,
  REEFER_ADJUSTED: milestoneOnly,
};

/** Where a milestone happened, as far as its source said. */
export interface MilestoneSite {
  readonly kind: string;
  /** The leg's sequence number; 0: not said. */
  readonly leg: number;
  readonly place?: Place | undefined;
}

/**
 * The order status in the standard flow that follows from a milestone; empty: none. A kind that is not in the table gives
 * none. `legs` is the transport plan as it stands; without a plan every place counts as its beginning and its end. A site
 * that names neither leg nor place tells nothing of a journey of several legs.
 */
export function statusFor(site: MilestoneSite, legs: readonly Leg[]): string {
  const kind = Object.hasOwn(MILESTONE_KINDS, site.kind) ? MILESTONE_KINDS[site.kind] : undefined;
  if (kind === undefined || kind.where === "anywhere") return kind?.status ?? "";
  const ordered = inOrder(legs);
  const end = kind.where === "first departure" ? ordered[0] : ordered.at(-1);
  if (end === undefined) return kind.status;
  return isAtEnd(site, end, kind.where, ordered) ? kind.status : "";
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

function isAtEnd(site: MilestoneSite, end: Leg, where: Where, legs: readonly Leg[]): boolean {
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
