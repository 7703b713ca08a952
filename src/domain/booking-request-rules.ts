import type { BookingRequest, Equipment } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { TransportMode, type Unit, UnitKind } from "../../gen/leadline/v1/place_pb.ts";
import { coolsCargo } from "./booking-equipment.ts";
import { repeated } from "./cut-offs.ts";
import { isContainerNumber, isImoNumber } from "./identifiers.ts";
import { Refusal, type Violation } from "./refusal.ts";
import { checkPlace } from "./report-rules.ts";
import { checkLocalTime, compareLocalTimes } from "./times.ts";

/** How identifiers are taken: what a person types must be right, what a feed brings is kept as it came. */
export type Identifiers = "strict" | "as they came";

/** The party roles that may stand several times: those who are notified. */
const REPEATABLE_ROLES: ReadonlySet<string> = new Set(["NI", "NOTIFY"]);
/** The places of which a booking has at most one each. */
const SINGLE_PLACES: ReadonlySet<string> = new Set(["PRE", "POL", "POD", "PDE"]);

/**
 * Refuses a request that breaks the rules between its fields: FIELD_INVALID with every violation, then TIME_ZONE_UNKNOWN
 * and CHECK_DIGIT_WRONG. Rules of single fields stand in the contract and are checked before. `field` is the path of the
 * request.
 */
export function checkRequest(request: BookingRequest, identifiers: Identifiers, field = "request"): void {
  const violations = [
    ...placeViolations(request),
    ...routingViolations(request),
    ...minimumViolations(request),
    ...arrivalViolations(request),
    ...partyViolations(request),
    ...equipmentViolations(request.equipment),
    ...unitViolations(request.units),
    ...modeViolations(request),
  ];
  refuseFields(violations.map((one) => ({ ...one, field: `${field}.${one.field}` })));
  for (const [i, { place }] of request.places.entries()) checkPlace(place, `${field}.places[${i}].place`);
  for (const name of ["expectedDeparture", "expectedArrivalFrom", "expectedArrivalTo"] as const) {
    checkLocalTime(request[name], `${field}.${SNAKE[name]}`);
  }
  if (identifiers === "strict") {
    checkVesselImo(request.means?.vesselImo ?? "", `${field}.means.vessel_imo`);
    checkContainers(request.units, `${field}.units`);
  }
}

/** Refuses an update or an amendment that would change the mode or the carrier: that is another booking. */
export function checkSameBooking(standing: BookingRequest, request: BookingRequest): void {
  const violations: Violation[] = [];
  const fixed = (name: string, same: boolean) => {
    if (!same) violations.push({ field: `request.${name}`, description: "cannot change; request another booking" });
  };
  fixed("mode", request.mode === standing.mode);
  fixed("carrier", request.carrier === standing.carrier);
  fixed("carrier_code_list", request.carrierCodeList === standing.carrierCodeList);
  if (request.spaceAction === "SS" || request.spaceAction === "CA") {
    violations.push({ field: "request.space_action", description: "SS and CA hold space with a new request only" });
  }
  refuseFields(violations);
}

/** Refuses with FIELD_INVALID when there are violations; the message names the first. */
export function refuseFields(violations: readonly Violation[]): void {
  const [first] = violations;
  if (first === undefined) return;
  const more = violations.length > 1 ? `, and ${violations.length - 1} more` : "";
  throw new Refusal(ErrorReason.FIELD_INVALID, `${first.field} ${first.description}${more}`, { violations });
}

/** Refuses with CHECK_DIGIT_WRONG a vessel number that is not one; an empty one passes. */
export function checkVesselImo(imo: string, field: string): void {
  if (imo !== "" && !isImoNumber(imo)) throw checkDigitWrong(field, imo, "an IMO number");
}

/** Refuses with CHECK_DIGIT_WRONG the container numbers that are none. Units of other kinds are marked as their owners like. */
export function checkContainers(units: readonly Unit[], field: string): void {
  for (const [i, unit] of units.entries()) {
    if (unit.kind === UnitKind.CONTAINER && !isContainerNumber(unit.id)) {
      throw checkDigitWrong(`${field}[${i}].id`, unit.id, "a container number (ISO 6346)");
    }
  }
}

/** Units that are named twice. */
export function unitViolations(units: readonly Unit[], field = "units"): Violation[] {
  return repeated(
    units.map((unit) => unit.id),
    (i, id) => ({ field: `${field}[${i}].id`, description: `"${id}" stands twice` }),
  );
}

/** Equipment rules that hold for what is asked for. */
function equipmentViolations(equipment: readonly Equipment[]): Violation[] {
  return equipment.flatMap((one, i) => {
    const at = `equipment[${i}]`;
    const violations: Violation[] = [];
    if (coolsCargo(one) && one.temperatureMillicelsius === undefined) {
      const description = "is needed for a reefer that cools; or set non_operating_reefer";
      violations.push({ field: `${at}.temperature_millicelsius`, description });
    }
    for (const [j, goods] of one.commodities.entries()) {
      if (goods.dangerousGoods.length > 0 && goods.packages === 0) {
        violations.push({ field: `${at}.commodities[${j}].packages`, description: "is needed for dangerous goods" });
      }
    }
    return violations;
  });
}

function placeViolations(request: BookingRequest): Violation[] {
  const types = request.places.map((place) => place.type);
  const violations = types.flatMap((type, i): Violation[] => {
    const twice = SINGLE_PLACES.has(type) && types.indexOf(type) < i;
    return twice ? [{ field: `places[${i}].type`, description: `${type} stands twice` }] : [];
  });
  if (request.routingReference !== "") return violations;
  if (!types.includes("POL") && !types.includes("PRE")) {
    violations.push({ field: "places", description: "need an origin: POL or PRE" });
  }
  if (!types.includes("POD") && !types.includes("PDE")) {
    violations.push({ field: "places", description: "need a destination: POD or PDE" });
  }
  return violations;
}

/** A routing reference stands in the place of the vessel, the voyage and the ports. */
function routingViolations(request: BookingRequest): Violation[] {
  if (request.routingReference === "") return [];
  const description = "is to be left out: the routing reference tells it";
  const violations: Violation[] = [];
  if (request.means?.vessel) violations.push({ field: "means.vessel", description });
  if (request.means?.vesselImo) violations.push({ field: "means.vessel_imo", description });
  if (request.means?.voyage) violations.push({ field: "means.voyage", description });
  for (const [i, place] of request.places.entries()) {
    if (place.type === "POL" || place.type === "POD") violations.push({ field: `places[${i}]`, description });
  }
  return violations;
}

/** What else says when it shall travel, by mode. */
const ALSO_ENOUGH: ReadonlyMap<TransportMode, string> = new Map([
  [TransportMode.OCEAN, ", or a voyage with its vessel or service"],
  [TransportMode.AIR, ", or a flight and its date"],
]);

/** DCSA's minimum: something must say when it shall travel. */
function minimumViolations(request: BookingRequest): Violation[] {
  const { means } = request;
  const sailing = means?.voyage && (means.vessel || means.vesselImo || means.service);
  const flight = means?.flight && means.flightDate;
  const window = request.expectedArrivalFrom && request.expectedArrivalTo;
  if (request.routingReference || request.expectedDeparture || window) return [];
  if (request.mode === TransportMode.OCEAN && sailing) return [];
  if (request.mode === TransportMode.AIR && flight) return [];
  const description = `is needed, or an arrival window, or a routing reference${ALSO_ENOUGH.get(request.mode) ?? ""}`;
  return [{ field: "expected_departure", description }];
}

function arrivalViolations(request: BookingRequest): Violation[] {
  const { expectedArrivalFrom: from, expectedArrivalTo: to } = request;
  if (from === undefined && to === undefined) return [];
  if (from === undefined)
    return [{ field: "expected_arrival_from", description: "is needed with expected_arrival_to" }];
  if (to === undefined) return [{ field: "expected_arrival_to", description: "is needed with expected_arrival_from" }];
  if (compareLocalTimes(from, to) <= 0) return [];
  return [{ field: "expected_arrival_to", description: "lies before expected_arrival_from" }];
}

function partyViolations(request: BookingRequest): Violation[] {
  const roles = request.parties.map((party) => party.role);
  return roles.flatMap((role, i): Violation[] => {
    const twice = !REPEATABLE_ROLES.has(role) && roles.indexOf(role) < i;
    return twice ? [{ field: `parties[${i}].role`, description: `${role} stands twice; only NI and NOTIFY may` }] : [];
  });
}

function modeViolations(request: BookingRequest): Violation[] {
  if (request.spaceAction === "" || request.mode === TransportMode.AIR) return [];
  return [{ field: "space_action", description: "is of air bookings only" }];
}

const SNAKE = {
  expectedDeparture: "expected_departure",
  expectedArrivalFrom: "expected_arrival_from",
  expectedArrivalTo: "expected_arrival_to",
} as const;

function checkDigitWrong(field: string, value: string, expected: string): Refusal {
  return new Refusal(
    ErrorReason.CHECK_DIGIT_WRONG,
    `${field} "${value}" is not ${expected}: its check digit is wrong`,
    {
      metadata: { field, value },
      violations: [{ field, description: `is not ${expected}: its check digit is wrong` }],
    },
  );
}
