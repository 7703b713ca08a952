import { CodeList } from "../../../gen/leadline/v1/status_flow_pb.ts";
import type { CodeMeaning, ListedBy, OwnMeanings } from "../code-meanings.ts";
import {
  DOCUMENT_TYPES,
  EQUIPMENT_CODES,
  equipmentConditions,
  IOT_CODES,
  REEFER_CODES,
  SHIPMENT_CODES,
  shipmentCode,
  shipmentMapping,
  TRANSPORT_CODES,
} from "../dcsa/codes.ts";
import { MILESTONE_KINDS } from "../milestone-kinds.ts";

/*
 * What the codes of partners' lists mean, as they ship. A tenant's own mappings go before these; a code that neither has is
 * not guessed at: its message goes to the work list.
 */

/** What one code of a list means. */
export interface ListedCode extends CodeMeaning {
  readonly code: string;
  /** What the list says that it means. */
  readonly meaning: string;
}

type Entry = readonly [code: string, milestone: string, meaning: string, exception?: "exception"];

/** IATA Cargo-IMP, FSU status codes (ONE Record code list of status codes). */
const IATA_FSU: readonly Entry[] = [
  ["BKD", "BOOKED", "booked"],
  ["FOH", "ON_HAND", "freight on hand"],
  ["RCS", "RECEIVED_BY_CARRIER", "received from shipper, ready for carriage"],
  ["DOC", "DOCUMENTS_RECEIVED", "documents received by the handler"],
  ["PRE", "PREPARED_FOR_LOADING", "prepared for loading"],
  ["MAN", "MANIFESTED", "manifested on a flight"],
  ["DEP", "DEPARTED", "departed on a flight"],
  ["ARR", "ARRIVED", "arrived on a flight"],
  ["RCF", "RECEIVED_FROM_FLIGHT", "received from a flight"],
  ["RCT", "RECEIVED_FROM_CARRIER", "received from another carrier"],
  ["TFD", "TRANSFERRED", "transferred to another carrier"],
  ["TRM", "TO_BE_TRANSFERRED", "to be transferred to another carrier"],
  ["TGC", "GOVERNMENT_CONTROL", "transferred to customs or government control"],
  ["AWR", "ARRIVAL_DOCUMENTS_RECEIVED", "arrival documents received"],
  ["NFD", "CONSIGNEE_NOTIFIED", "consignee or agent notified"],
  ["CRC", "CUSTOMS_REPORTED", "reported to customs"],
  ["CCD", "CUSTOMS_RELEASED", "cleared by customs"],
  ["AWD", "DOCUMENTS_DELIVERED", "arrival documents delivered"],
  ["DLV", "DELIVERED", "delivered to consignee or agent"],
  ["DPU", "PICKED_UP", "picked up at the door"],
  ["DDL", "DELIVERED", "delivered to the door"],
  ["FIW", "INTO_WAREHOUSE", "into the warehouse"],
  ["FOW", "OUT_OF_WAREHOUSE", "out of the warehouse"],
  ["OCI", "", "customs information"],
  ["OSI", "", "other service information"],
  ["DIS", "DISCREPANCY", "discrepancy", "exception"],
  // The discrepancies, where a partner gives one as a code of its own.
  ["FDAV", "DISCREPANCY", "found: mail document", "exception"],
  ["FDAW", "DISCREPANCY", "found: air waybill", "exception"],
  ["FDCA", "DISCREPANCY", "found: cargo", "exception"],
  ["FDMB", "DISCREPANCY", "found: mailbag", "exception"],
  ["MSAV", "NOT_FOUND", "missing: mail document", "exception"],
  ["MSAW", "NOT_FOUND", "missing: air waybill", "exception"],
  ["MSCA", "NOT_FOUND", "missing: cargo", "exception"],
  ["MSMB", "NOT_FOUND", "missing: mailbag", "exception"],
  ["OFLD", "OFFLOADED", "offloaded", "exception"],
  ["OVCD", "OVERCARRIED", "overcarried", "exception"],
  ["SSPD", "SHORT_SHIPPED", "short-shipped", "exception"],
  ["DFLD", "LOADED", "definitely loaded"],
];

/** X12 214, element 1650, shipment status code. */
const X12_214: readonly Entry[] = [
  ["X3", "ARRIVED_AT_PICK_UP", "arrived at the pick-up location"],
  ["CP", "LOADED", "completed loading at the pick-up location"],
  ["AF", "DEPARTED", "departed the pick-up location"],
  ["X6", "EN_ROUTE", "on the way to the delivery location"],
  ["X4", "ARRIVED_AT_TERMINAL", "arrived at a terminal"],
  ["P1", "DEPARTED_TERMINAL", "departed a terminal"],
  ["X1", "ARRIVED_AT_DELIVERY", "arrived at the delivery location"],
  ["D1", "DELIVERED", "completed unloading at the delivery location"],
  ["AP", "DELIVERY_NOT_COMPLETED", "delivery not completed", "exception"],
  ["A7", "REFUSED_BY_CONSIGNEE", "refused by the consignee", "exception"],
  ["A3", "RETURNED_TO_SHIPPER", "returned to the shipper", "exception"],
  ["A9", "DAMAGED", "damaged", "exception"],
  ["SD", "DELAYED", "delayed", "exception"],
];

/** The customs holds of X12 element 157: PA to PP. */
const CUSTOMS_HOLDS: readonly Entry[] = [..."ABCDEFGHIJKLMNOP"].map((kind) => [
  `P${kind}`,
  "CUSTOMS_HELD",
  "held by customs",
  "exception",
]);

/** X12 315, element 157, shipment status code of ocean carriers. */
const X12_315: readonly Entry[] = [
  ["BF", "BOOKED", "booking confirmed"],
  ["EE", "EMPTY_PICKED_UP", "empty equipment out"],
  ["I", "GATE_IN", "in-gate"],
  ["AE", "LOADED", "loaded on the vessel"],
  ["VD", "DEPARTED", "vessel departed"],
  ["VA", "ARRIVED", "vessel arrived"],
  ["UV", "DISCHARGED", "unloaded from the vessel"],
  ["AL", "LOADED_ON_RAIL", "loaded on rail"],
  ["AR", "RAIL_ARRIVED", "arrived by rail"],
  ["AV", "AVAILABLE_FOR_PICK_UP", "available"],
  ["CR", "CARRIER_RELEASED", "released by the carrier"],
  ["CT", "CUSTOMS_RELEASED", "released by customs"],
  ["CU", "RELEASED", "released by carrier and customs"],
  ["BR", "BILL_RELEASED", "bill of lading released"],
  ["NF", "FREE_TIME_EXPIRES", "free time is about to expire"],
  ["FT", "FREE_TIME_EXPIRED", "free time has expired", "exception"],
  ["OA", "GATE_OUT", "out-gate"],
  ["P", "DEPARTED_TERMINAL", "departed a terminal on the way"],
  ["X1", "ARRIVED_AT_DELIVERY", "arrived at the delivery location"],
  ["D", "DELIVERED", "delivered"],
  ...CUSTOMS_HOLDS,
  ...["A1", "A2", "A3", "A4"].map((code): Entry => [code, "GOVERNMENT_CONTROL", "under control of agriculture"]),
];

/** UN/ECE Recommendation 24, element 9011, and what ocean carriers write in its place: the letters of X12 315. */
const IFTSTA: readonly Entry[] = [
  ["1", "ARRIVED", "arrived"],
  ["6", "BOOKED", "booked"],
  ["7", "BOOKING_CANCELLED", "booking cancelled", "exception"],
  ["12", "CUSTOMS_RELEASED", "cleared by customs"],
  ["13", "PICKED_UP", "collected"],
  ["16", "BORDER_CROSSED", "crossed a border"],
  ["17", "CUSTOMS_REFUSED", "customs clearance refused", "exception"],
  ["18", "DAMAGED", "damaged", "exception"],
  ["20", "DELAYED", "delayed", "exception"],
  ["21", "DELIVERED", "delivered"],
  ["23", "DELIVERY_NOT_COMPLETED", "delivery not completed", "exception"],
  ["24", "DEPARTED", "departed"],
  ["25", "DEPARTURE_DELAYED", "departure delayed", "exception"],
  ["31", "EN_ROUTE", "on the way"],
  ["36", "NOT_FOUND", "not found", "exception"],
  ["44", "MISROUTED", "misrouted", "exception"],
  ["45", "CONSIGNEE_NOTIFIED", "consignee informed"],
  ...X12_315,
];

/** @param conditions when a code is another milestone, which an own mapping does not look at */
const dcsa = (codes: typeof TRANSPORT_CODES, conditions: (code: string) => string = () => ""): Entry[] =>
  Object.entries(codes).map(([code, { kind, exception }]) => {
    const when = conditions(code);
    const words = kind.toLowerCase().replaceAll("_", " ");
    const meaning = when === "" ? words : `${words}; ${when}. An own mapping replaces all of these`;
    return exception ? [code, kind, meaning, "exception"] : [code, kind, meaning];
  });

/** Every state of every document, written `BKG:CONF`. */
const DCSA_SHIPMENT: readonly Entry[] = Object.keys(DOCUMENT_TYPES).flatMap((document) =>
  Object.keys(SHIPMENT_CODES).map((state): Entry => {
    const mapping = shipmentMapping(state, document);
    const words = SHIPMENT_CODES[state]?.word.toLowerCase().replaceAll("_", " ") ?? "";
    const entry = [shipmentCode(document, state), mapping?.kind ?? "", `${document}: ${words}`] as const;
    return mapping?.exception ? [...entry, "exception"] : entry;
  }),
);

/** The lists that ship with the service, each by its codes. */
export const CODE_LISTS: ReadonlyMap<CodeList, ReadonlyMap<string, ListedCode>> = new Map([
  [CodeList.DCSA_TRANSPORT, listed(dcsa(TRANSPORT_CODES))],
  [CodeList.DCSA_EQUIPMENT, listed(dcsa(EQUIPMENT_CODES, equipmentConditions))],
  [CodeList.IATA_FSU, listed(IATA_FSU)],
  [CodeList.X12_214, listed(X12_214)],
  [CodeList.X12_315, listed(X12_315)],
  [CodeList.IFTSTA, listed(IFTSTA)],
  [CodeList.DCSA_SHIPMENT, listed(DCSA_SHIPMENT)],
  [CodeList.DCSA_IOT, listed(dcsa(IOT_CODES))],
  [CodeList.DCSA_REEFER, listed(dcsa(REEFER_CODES))],
]);

/** The milestones that ship: those that give orders a status, and those that codes lead to. A tenant's flows may have others. */
export const KNOWN_MILESTONES: ReadonlySet<string> = new Set(
  [
    ...Object.keys(MILESTONE_KINDS),
    ...[...CODE_LISTS.values()].flatMap((codes) => [...codes.values()].map(({ milestone }) => milestone)),
  ].filter((milestone) => milestone !== ""),
);

/** What a code means: what the tenant says itself, else what ships with the service; undefined: nobody says. */
export function meaningOf(of: ListedBy, own: OwnMeanings): CodeMeaning | undefined {
  return own(of) ?? CODE_LISTS.get(of.list)?.get(of.code);
}

function listed(entries: readonly Entry[]): ReadonlyMap<string, ListedCode> {
  return new Map(
    entries.map(([code, milestone, meaning, exception]) => [
      code,
      { code, milestone, meaning, exception: exception !== undefined },
    ]),
  );
}
