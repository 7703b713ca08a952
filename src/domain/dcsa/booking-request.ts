import { create } from "@bufbuild/protobuf";
import {
  type BookingPlace,
  BookingPlaceSchema,
  type BookingRequest,
  BookingRequestSchema,
  BookingState,
  type TransportMeans,
  TransportMeansSchema,
} from "../../../gen/leadline/v1/booking_pb.ts";
import { TransportMode } from "../../../gen/leadline/v1/place_pb.ts";
import { Flag } from "../../../gen/leadline/v1/report_pb.ts";
import { isContainerNumber, isImoNumber, looksLikeContainer } from "../identifiers.ts";
import type { Violation } from "../refusal.ts";
import { bookingStateOf } from "./codes.ts";
import { readEquipment } from "./equipment.ts";
import { type JsonObject, type Note, readJson } from "./json-reader.ts";
import { readParties, readReferences } from "./parties.ts";
import { readPlace } from "./places.ts";
import { readLocalTime } from "./times.ts";

/** A DCSA Booking 2.0 request as it was read. */
export interface BookingRequestReading {
  /** What is asked for. */
  readonly request: BookingRequest;
  /** The carrier's reference of the request, if the message carries one; at most 100 characters. */
  readonly requestReference: string;
  /** The state that the message claims; UNSPECIFIED: none. It is told and not taken over: only verbs move a booking. */
  readonly claimedState: BookingState;
  /** CHECK_DIGIT_WRONG: a vessel's or container's number is kept although its check digit is wrong. */
  readonly flags: readonly Flag[];
  /** What was read and is not kept. */
  readonly notes: readonly Note[];
}

export interface Malformed {
  readonly violations: readonly Violation[];
}

/** Bounds of leadline.v1.BookingRequest. */
const PLACES_MAX = 30;

const SERVICE_TYPE = { pattern: /^(CY|SD|CFS)$/, expected: "CY, SD or CFS" } as const;
const MOVEMENT_TYPE = { pattern: /^(FCL|LCL)$/, expected: "FCL or LCL" } as const;
const LOCATION_TYPE = {
  pattern: /^(PRE|POL|POD|PDE|PCF|OIR|ORI|IEL|PTP|RTP|FCD|ROU)$/,
  expected: "a location type of DCSA Booking 2.0",
} as const;

/**
 * Reads a booking request (POST /v2/bookings), or a booking as the carrier shows it (GET /v2/bookings/...).
 *
 * @param message the parsed JSON
 * @param carrier the code of the carrier that it goes to; empty: the message's own `carrierCode`
 */
export function readBookingRequest(message: unknown, carrier: string): BookingRequestReading | Malformed {
  const reading = readJson(message);
  const { root } = reading;
  if (!root.present) return { violations: reading.violations };
  const means = readMeans(root);
  const { equipment, units } = readEquipment(root);
  const to = readCarrier(root, carrier);
  const request = create(BookingRequestSchema, {
    mode: TransportMode.OCEAN,
    carrier: to.carrier,
    carrierCodeList: to.list,
    parties: readParties(root.object("documentParties")),
    references: readReferences(root),
    places: readPlaces(root),
    equipment,
    units,
    ...means,
    ...readDates(root),
    partialLoadAllowed: root.flag("isPartialLoadAllowed"),
    equipmentSubstitutionAllowed: root.flag("isEquipmentSubstitutionAllowed"),
    routingReference: root.text("routingReference"),
    contractReference: root.text("serviceContractReference", { max: 35 }),
    receiptType: root.text("receiptTypeAtOrigin", SERVICE_TYPE),
    deliveryType: root.text("deliveryTypeAtDestination", SERVICE_TYPE),
    movementType: readMovementType(root),
  });
  checkWhole(root, request);
  const references = readOwnReferences(root);
  if (reading.violations.length > 0) return { violations: reading.violations };
  return { request, ...references, flags: checkDigitFlags(request), notes: reading.notes() };
}

function readCarrier(root: JsonObject, carrier: string): { carrier: string; list: string } {
  const own = root.text("carrierCode", { max: 20 });
  const list = root.text("carrierCodeListProvider", { max: 20 });
  if (carrier === "" && own === "")
    root.violation("carrierCode", "is needed when the import does not name the carrier");
  if (carrier === "" || carrier === own) return { carrier: own, list };
  if (own !== "") root.note("carrierCode", `"${own}" is not kept: the request goes to "${carrier}"`);
  return { carrier, list: "" };
}

function readMeans(root: JsonObject): { means?: TransportMeans } {
  const vessel = root.object("vessel");
  const means = create(TransportMeansSchema, {
    vessel: vessel.text("name", { max: 50 }),
    vesselImo: vessel.text("vesselIMONumber", { pattern: /^\d{7,8}$/, expected: "an IMO number of seven digits" }),
    voyage: root.text(["carrierExportVoyageNumber", "universalExportVoyageReference"], { max: 50 }),
    service: root.text(["carrierServiceCode", "universalServiceReference", "carrierServiceName"], { max: 50 }),
  });
  return means.vessel || means.vesselImo || means.voyage || means.service ? { means } : {};
}

function readPlaces(root: JsonObject): BookingPlace[] {
  const listed = root.objects("shipmentLocations");
  if (listed.length > PLACES_MAX) {
    root.violation("shipmentLocations", `has ${listed.length} elements; at most ${PLACES_MAX} are kept`);
    return [];
  }
  const places: BookingPlace[] = [];
  for (const one of listed) {
    const type = one.text("locationTypeCode", { ...LOCATION_TYPE, needed: true });
    const location = one.object("location");
    const { place } = readPlace(location);
    if (place === undefined)
      one.violation("location", "names no place: it has no UN/LOCODE, name, facility or address");
    else if (type !== "") places.push(create(BookingPlaceSchema, { type, place }));
  }
  return places;
}

function readDates(
  root: JsonObject,
): Pick<Partial<BookingRequest>, "expectedDeparture" | "expectedArrivalFrom" | "expectedArrivalTo"> {
  const departure = readLocalTime(root, ["expectedDepartureDate", "expectedDepartureFromPlaceOfReceiptDate"]);
  const start = "expectedArrivalAtPlaceOfDeliveryStartDate";
  const end = "expectedArrivalAtPlaceOfDeliveryEndDate";
  const from = readLocalTime(root, start);
  const to = readLocalTime(root, end);
  if (root.has(start) !== root.has(end)) {
    root.violation(root.has(start) ? end : start, "is needed: the window of arrival has two ends or none");
  }
  return {
    ...(departure ? { expectedDeparture: departure } : {}),
    ...(from && to ? { expectedArrivalFrom: from, expectedArrivalTo: to } : {}),
  };
}

function readMovementType(root: JsonObject): string {
  const atOrigin = root.text("cargoMovementTypeAtOrigin", MOVEMENT_TYPE);
  const atDestination = root.text("cargoMovementTypeAtDestination", MOVEMENT_TYPE);
  if (atOrigin !== atDestination && atDestination !== "" && atOrigin !== "") {
    root.note("cargoMovementTypeAtDestination", `"${atDestination}" is not kept: it differs from the one at origin`);
  }
  return atOrigin || atDestination;
}

/** The rules that span fields (DCSA conformance of Booking 2.0: what makes a booking request complete). */
function checkWhole(root: JsonObject, request: BookingRequest): void {
  const { means } = request;
  if (request.routingReference !== "") {
    const ports = request.places.some(({ type }) => type === "POL" || type === "POD");
    if (ports)
      root.violation("shipmentLocations", "names POL or POD beside a routing reference, which stands in their place");
    if (means?.vessel || means?.vesselImo)
      root.violation("vessel", "stands beside a routing reference, which stands in its place");
    if (means?.voyage)
      root.violation("carrierExportVoyageNumber", "stands beside a routing reference, which stands in its place");
    return;
  }
  const has = (...types: string[]) => request.places.some(({ type }) => types.includes(type));
  if (!has("POL", "PRE")) root.violation("shipmentLocations", "names no origin: POL or PRE is needed");
  if (!has("POD", "PDE")) root.violation("shipmentLocations", "names no destination: POD or PDE is needed");
  const sailing = means !== undefined && means.voyage !== "" && (means.vessel !== "" || means.service !== "");
  const dated = root.has("expectedDepartureDate") || root.has("expectedDepartureFromPlaceOfReceiptDate");
  if (!sailing && !dated && !root.has("expectedArrivalAtPlaceOfDeliveryStartDate")) {
    const description =
      "is needed, or a window of arrival, a voyage with its vessel or service, or a routing reference";
    root.violation("expectedDepartureDate", description);
  }
}

function readOwnReferences(root: JsonObject): Pick<BookingRequestReading, "requestReference" | "claimedState"> {
  const status = root.text("bookingStatus", { max: 50 });
  const claimedState = status === "" ? BookingState.UNSPECIFIED : bookingStateOf(status);
  if (claimedState === undefined) root.violation("bookingStatus", `"${status}" is not a booking status`);
  else if (status !== "") root.note("bookingStatus", `"${status}" is not taken over: only verbs move a booking`);
  return {
    requestReference: root.text("carrierBookingRequestReference"),
    claimedState: claimedState ?? BookingState.UNSPECIFIED,
  };
}

function checkDigitFlags(request: BookingRequest): Flag[] {
  const imo = request.means?.vesselImo ?? "";
  const units = request.units.some(({ id }) => looksLikeContainer(id) && !isContainerNumber(id));
  return units || (imo !== "" && !isImoNumber(imo)) ? [Flag.CHECK_DIGIT_WRONG] : [];
}
