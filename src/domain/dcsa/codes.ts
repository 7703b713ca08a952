import { BookingState } from "../../../gen/leadline/v1/booking_pb.ts";
import { TransportMode } from "../../../gen/leadline/v1/place_pb.ts";
import { Classifier } from "../../../gen/leadline/v1/report_pb.ts";
import type { CodeMeaning } from "../code-meanings.ts";

/*
 * The codes of DCSA Track & Trace 2.2, 3.0.0-Beta-1 and 3.0.0 and of Booking 2.0, and what each is here. A code that is not in
 * these tables is not guessed at: its event goes to the work list.
 */

/** What a code is here. */
export interface CodeMapping {
  /** The kind of milestone, see domain/milestone-kinds.ts; empty: a tenant says that the code moves nothing. */
  readonly kind: string;
  /** Only older versions of the standard have it. */
  readonly obsolete?: boolean;
  /** Something went wrong. */
  readonly exception?: boolean;
}

export const EVENT_TYPES = ["SHIPMENT", "TRANSPORT", "EQUIPMENT", "IOT", "REEFER"] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** `eventClassifierCode`. `REQ`, of just-in-time port calls, is none of what a report can be. */
export const CLASSIFIERS: Readonly<Record<string, Classifier>> = {
  PLN: Classifier.PLANNED,
  EST: Classifier.ESTIMATED,
  ACT: Classifier.ACTUAL,
};

/** `transportEventTypeCode`. */
export const TRANSPORT_CODES: Readonly<Record<string, CodeMapping>> = {
  ARRI: { kind: "ARRIVED" },
  DEPA: { kind: "DEPARTED" },
};

/** `equipmentEventTypeCode`. */
export const EQUIPMENT_CODES: Readonly<Record<string, CodeMapping>> = {
  LOAD: { kind: "LOADED" },
  DISC: { kind: "DISCHARGED" },
  GTIN: { kind: "GATE_IN" },
  GTOT: { kind: "GATE_OUT" },
  STUF: { kind: "STUFFED" },
  STRP: { kind: "STRIPPED" },
  PICK: { kind: "PICKED_UP" },
  AVPU: { kind: "AVAILABLE_FOR_PICK_UP" },
  DROP: { kind: "DROPPED_OFF" },
  AVDO: { kind: "AVAILABLE_FOR_DROP_OFF" },
  INSP: { kind: "INSPECTED" },
  RSEA: { kind: "RESEALED" },
  RMVD: { kind: "REMOVED" },
  CUSS: { kind: "CUSTOMS_SELECTED_FOR_SCAN" },
  CUSI: { kind: "CUSTOMS_SELECTED_FOR_INSPECTION" },
  CUSR: { kind: "CUSTOMS_RELEASED" },
  CROS: { kind: "BORDER_CROSSED" },
  WAYP: { kind: "WAYPOINT_PASSED", obsolete: true },
};

/** `iotEventCode`. */
export const IOT_CODES: Readonly<Record<string, CodeMapping>> = {
  DRO: { kind: "DOOR_OPENED" },
  DRC: { kind: "DOOR_CLOSED" },
  LOC: { kind: "LOCATED" },
};

/** `reeferEventTypeCode`. */
export const REEFER_CODES: Readonly<Record<string, CodeMapping>> = {
  MEAS: { kind: "REEFER_MEASURED" },
  ADJU: { kind: "REEFER_ADJUSTED" },
};

interface StateWord {
  readonly word: string;
  readonly obsolete?: boolean;
  readonly exception?: boolean;
}

/** `shipmentEventTypeCode`: the second half of the kind; the first is the document that it speaks of (`BKG_CONFIRMED`). */
export const SHIPMENT_CODES: Readonly<Record<string, StateWord>> = {
  RECE: { word: "RECEIVED" },
  DRFT: { word: "DRAFTED" },
  PENA: { word: "PENDING_APPROVAL" },
  PENU: { word: "PENDING_UPDATE" },
  PENC: { word: "PENDING_CONFIRMATION", obsolete: true },
  PENM: { word: "PENDING_AMENDMENT" },
  CONF: { word: "CONFIRMED" },
  REJE: { word: "REJECTED" },
  DECL: { word: "DECLINED" },
  APPR: { word: "APPROVED" },
  ISSU: { word: "ISSUED" },
  SURR: { word: "SURRENDERED" },
  SUBM: { word: "SUBMITTED" },
  VOID: { word: "VOIDED" },
  REQS: { word: "REQUESTED" },
  CMPL: { word: "COMPLETED" },
  HOLD: { word: "ON_HOLD", exception: true },
  RELS: { word: "RELEASED" },
  CANC: { word: "CANCELLED" },
  AMRE: { word: "AMENDMENT_RECEIVED" },
  AMPR: { word: "AMENDMENT_IN_PROGRESS" },
  AMCF: { word: "AMENDMENT_CONFIRMED" },
  AMDC: { word: "AMENDMENT_DECLINED" },
  AMCN: { word: "AMENDMENT_CANCELLED" },
  CARE: { word: "CANCELLATION_RECEIVED" },
  CACF: { word: "CANCELLATION_CONFIRMED" },
  CADC: { word: "CANCELLATION_DECLINED" },
  UPRE: { word: "UPDATE_RECEIVED" },
  UPDT: { word: "UPDATE_IN_PROGRESS" },
  UPCF: { word: "UPDATE_CONFIRMED" },
  UPDC: { word: "UPDATE_DECLINED" },
  UPCN: { word: "UPDATE_CANCELLED" },
  PSAM: { word: "SURRENDER_TO_AMEND_PENDING" },
  PSDL: { word: "SURRENDER_TO_DELIVER_PENDING" },
  SUAM: { word: "SURRENDERED_TO_AMEND" },
  SUDL: { word: "SURRENDERED_TO_DELIVER" },
};

/** `documentTypeCode`. The value is the code as the newest version has it. */
export const DOCUMENT_TYPES: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ("AMF ARN BKG CAS CBR CEA CEO CQU CRO CUC DEI DEO DGD FCE HCE ICE INV OOG PCE PFD SHI TRD TRO VCE VGM" as const)
      .split(" ")
      .map((code) => [code, code]),
  ),
  // 2.2 alone has these: the shipment release message, which 3.0 splits into DEI, DEO, TRO and CRO; customs inspection.
  SRM: "SRM",
  CUS: "CUC",
};
const OBSOLETE_DOCUMENT_TYPES: ReadonlySet<string> = new Set(["SRM", "CUS"]);

/** `facilityTypeCode`, which is kept as it is but for BOCR: older texts wrote so for a border (BORD). */
export function facilityTypeOf(code: string): { readonly code: string; readonly obsolete: boolean } {
  return code === "BOCR" ? { code: "BORD", obsolete: true } : { code, obsolete: false };
}

/** What decides which mapping an equipment code has. */
export interface EquipmentFacts {
  readonly empty: boolean;
  readonly laden: boolean;
  readonly facilityType: string;
}

/** What an equipment code is in some circumstances, in place of what it is otherwise. */
interface EquipmentCase {
  readonly kind: string;
  /** For people. */
  readonly when: string;
  holds(facts: EquipmentFacts): boolean;
}

const atCustomer = ({ facilityType }: EquipmentFacts) => facilityType === "CLOC";

const emptyOut: EquipmentCase = { kind: "EMPTY_PICKED_UP", when: "an empty container", holds: ({ empty }) => empty };
const emptyBack: EquipmentCase = {
  kind: "EMPTY_RETURNED",
  when: "an empty container, but not at the customer's (CLOC)",
  holds: (facts) => facts.empty && !atCustomer(facts),
};
const ladenAtCustomer: EquipmentCase = {
  kind: "DELIVERED",
  when: "a laden container at the customer's (CLOC)",
  holds: (facts) => facts.laden && atCustomer(facts),
};

/**
 * An empty container that leaves a depot or comes back to one is another milestone than a laden one that passes the same gate, and
 * a laden one dropped off at the customer's is delivered.
 */
const EQUIPMENT_CASES: Readonly<Record<string, readonly EquipmentCase[]>> = {
  GTOT: [emptyOut],
  PICK: [emptyOut],
  GTIN: [emptyBack],
  DROP: [emptyBack, ladenAtCustomer],
};

/** What an equipment code is. */
export function equipmentMapping(code: string, facts: EquipmentFacts): CodeMapping | undefined {
  const special = lookUp(EQUIPMENT_CASES, code)?.find(({ holds }) => holds(facts));
  return special ? { kind: special.kind } : lookUp(EQUIPMENT_CODES, code);
}

/** What an equipment code is when, for people; empty: the same whenever. */
export function equipmentConditions(code: string): string {
  const cases = lookUp(EQUIPMENT_CASES, code) ?? [];
  return cases.map(({ kind, when }) => `${kind} of ${when}`).join("; ");
}

/** How a document's type and its state are written as one code of the list DCSA_SHIPMENT. */
export function shipmentCode(documentType: string, code: string): string {
  return `${documentType}:${code}`;
}

/** What a shipment code is for a document: `BKG_CONFIRMED`, `TRD_ISSUED`. */
export function shipmentMapping(code: string, documentType: string): CodeMapping | undefined {
  const state = lookUp(SHIPMENT_CODES, code);
  const document = lookUp(DOCUMENT_TYPES, documentType);
  if (state === undefined || document === undefined) return undefined;
  return {
    kind: `${document}_${state.word}`,
    obsolete: state.obsolete === true || OBSOLETE_DOCUMENT_TYPES.has(documentType),
    exception: state.exception === true,
  };
}

/** A tenant's own meaning of a code goes before the tables; that the code is obsolete stays so. */
export function ownOr(own: CodeMeaning | undefined, shipped: CodeMapping | undefined): CodeMapping | undefined {
  if (own === undefined) return shipped;
  return { kind: own.milestone, exception: own.exception, obsolete: shipped?.obsolete === true };
}

/** `modeOfTransport`. Combined modes name none. */
export const MODES: Readonly<Record<string, TransportMode>> = {
  VESSEL: TransportMode.OCEAN,
  RAIL: TransportMode.RAIL,
  TRUCK: TransportMode.ROAD,
  BARGE: TransportMode.BARGE,
};

const BOOKING_STATES: Readonly<Record<string, BookingState>> = {
  RECEIVED: BookingState.RECEIVED,
  PENDING_UPDATE: BookingState.PENDING_UPDATE,
  UPDATE_RECEIVED: BookingState.UPDATE_RECEIVED,
  CONFIRMED: BookingState.CONFIRMED,
  PENDING_AMENDMENT: BookingState.PENDING_AMENDMENT,
  REJECTED: BookingState.REJECTED,
  DECLINED: BookingState.DECLINED,
  CANCELLED: BookingState.CANCELLED,
  COMPLETED: BookingState.COMPLETED,
};

/** `bookingStatus`: with underscores as 2.0 writes it, or with spaces as its betas did. Undefined: none of the nine. */
export function bookingStateOf(status: string): BookingState | undefined {
  return lookUp(BOOKING_STATES, status.replaceAll(/[ _]+/g, "_"));
}

/** A value of a table by a code that came from outside. */
export function lookUp<T>(table: Readonly<Record<string, T>>, code: string): T | undefined {
  return Object.hasOwn(table, code) ? table[code] : undefined;
}
