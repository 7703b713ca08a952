import { CodeList } from "../../../gen/leadline/v1/status_flow_pb.ts";
import type { CodeMeaning } from "../code-meanings.ts";
import {
  type CodeMapping,
  type EventType,
  equipmentMapping,
  IOT_CODES,
  lookUp,
  ownOr,
  REEFER_CODES,
  shipmentCode,
  shipmentMapping,
  TRANSPORT_CODES,
} from "./codes.ts";
import { UNIT_ID, unitIdFrom } from "./equipment.ts";
import { documentTypeOf } from "./event-references.ts";
import type { JsonObject } from "./json-reader.ts";
import type { TextRule } from "./json-rules.ts";

/*
 * Where each version of Track & Trace puts what. 2.2 is flat. 3.0.0-Beta-1 has `metadata` and `payload`, the payload much like
 * 2.2. 3.0.0 keeps the id and times flat and has one object for each subject: eventRouting, eventClassification,
 * shipmentDetails, transportDetails, equipmentDetails, iotDetails, reeferDetails.
 */

/** An event taken apart, whatever its version. Parts that a version puts into one object are the same object here. */
export interface EventParts {
  /** Its id, times and retraction. */
  readonly metadata: JsonObject;
  /** What happened when. */
  readonly event: JsonObject;
  /** Its type, classifier and code. */
  readonly classification: JsonObject;
  readonly shipment: JsonObject;
  /** The delay and its remark. */
  readonly transport: JsonObject;
  readonly call: JsonObject;
  readonly equipment: JsonObject;
  readonly iot: JsonObject;
  readonly reefer: JsonObject;
  /** What tells where it happened, the best first. */
  readonly places: readonly JsonObject[];
  /** `SHIPMENT`, `TRANSPORT`, ... as it was written; empty: a violation. */
  readonly eventType: string;
  /** The unit's id; empty: it names none. */
  readonly equipmentId: string;
  /** ISO 6346 size and type; empty: not said. */
  readonly isoEquipmentCode: string;
  sender(): Sender;
}

/** The party with which an event originated. */
export interface Sender {
  /** Its code; empty: the event does not say. */
  readonly code: string;
  /**
   * The code with who keeps it and in which list, parted by slashes (`EXCO/SMDG/LCL`), for a code means nothing without its
   * list; the code alone when neither is named; empty: the event does not say.
   */
  readonly source: string;
}

/** The parts of `source` together are at most 100 characters, and none contains the slash between them. */
const PARTY_CODE: TextRule = { max: 60, pattern: /^[^/]+$/, expected: "a party code" };
const CODE_LIST: TextRule = { max: 19, pattern: /^[^/]+$/, expected: "a code list" };

const SOURCE_ID_MAX = 500;

export function eventParts(root: JsonObject): EventParts {
  const event = root.has("payload") ? root.object("payload") : root;
  const metadata = root.has("metadata") ? root.object("metadata") : root;
  const nested = (name: string) => (root.has(name) ? root.object(name) : event);
  const classification = nested("eventClassification");
  const transport = nested("transportDetails");
  const call = transport.object("transportCall");
  const equipment = nested("equipmentDetails");
  const typeNames = ["eventTypeCode", "eventType"];
  const typed = [classification, metadata, event].find((part) => part.has("eventType")) ?? classification;
  const retracted = isRetracted(metadata);
  return {
    metadata,
    event,
    classification,
    shipment: root.object("shipmentDetails"),
    transport,
    call,
    equipment,
    iot: nested("iotDetails"),
    reefer: nested("reeferDetails"),
    places: placesOf(event, call),
    eventType: typed.text(typed.has("eventType") ? "eventType" : typeNames, { max: 20, needed: !retracted }),
    equipmentId: unitIdFrom(equipment.text("equipmentReference", UNIT_ID)),
    isoEquipmentCode: equipment.text("ISOEquipmentCode", { max: 20 }),
    sender: () => senderOf(root, metadata),
  };
}

/**
 * The event's own location is better than the call's, and a location is better than the call's flat fields. The facility's type
 * may also stand in the event itself.
 */
function placesOf(event: JsonObject, call: JsonObject): JsonObject[] {
  return [event.object("eventLocation"), call.object("location"), call, event];
}

function isRetracted(metadata: JsonObject): boolean {
  return metadata.flag("isRetracted") || metadata.has("retractedEventID");
}

/**
 * Which event it is, and whether it takes it back. 3.0.0 takes an event back under its own id with `isRetracted`; 3.0.0-Beta-1 by
 * another event that names it in `retractedEventID`.
 */
export function readIdentity({ metadata }: EventParts): { sourceId: string; retracted: boolean } {
  const retractedId = metadata.text("retractedEventID", { max: SOURCE_ID_MAX });
  if (retractedId !== "") metadata.passOver("eventID");
  return {
    sourceId: retractedId || metadata.text("eventID", { max: SOURCE_ID_MAX, needed: true }),
    retracted: isRetracted(metadata),
  };
}

function senderOf(root: JsonObject, metadata: JsonObject): Sender {
  const party = root.object("eventRouting").object("originatingParty");
  const publisher = metadata.object("publisher");
  const code = party.text("partyCode", PARTY_CODE) || publisher.text("carrierCode", PARTY_CODE);
  const provider = party.text("codeListProvider", CODE_LIST) || publisher.text("carrierCodeListProvider", CODE_LIST);
  const list = party.text("codeListName", CODE_LIST);
  party.passOver("partyFunction");
  if (code === "") return { code: "", source: "" };
  return { code, source: provider === "" && list === "" ? code : `${code}/${provider}/${list}` };
}

/** A code of an event and what it is here; without a mapping it is in none of the tables. */
export interface ReadCode {
  /** For people: `equipmentEventTypeCode LOAD`. */
  readonly name: string;
  readonly mapping: CodeMapping | undefined;
  /** The list that the code is of, where tenants may map it, and the code. */
  readonly listed?: { readonly list: CodeList; readonly code: string };
}

/** What a tenant itself says of a code of a list that the sender used. */
export type OwnOfSender = (list: CodeList, code: string) => CodeMeaning | undefined;

/** Reads the code that says what happened; undefined: it is not there, which is a violation. */
export function readCode(
  parts: EventParts,
  type: EventType,
  facilityType: string,
  own: OwnOfSender,
): ReadCode | undefined {
  const listed = (
    list: CodeList,
    name: string,
    shipped: (code: string) => CodeMapping | undefined,
    inList = (code: string) => code,
  ) => {
    const read = coded(parts, name, (code) => ownOr(own(list, inList(code)), shipped(code)));
    return read && { ...read, listed: { list, code: inList(read.code) } };
  };
  switch (type) {
    case "TRANSPORT":
      return listed(CodeList.DCSA_TRANSPORT, "transportEventTypeCode", (code) => lookUp(TRANSPORT_CODES, code));
    case "EQUIPMENT": {
      const indicator = parts.equipment.text("emptyIndicatorCode", { max: 10 });
      const facts = { empty: indicator === "EMPTY", laden: indicator === "LADEN", facilityType };
      return listed(CodeList.DCSA_EQUIPMENT, "equipmentEventTypeCode", (code) => equipmentMapping(code, facts));
    }
    case "SHIPMENT": {
      const document = documentTypeOf(parts.event, parts.shipment);
      const inList = (code: string) => shipmentCode(document, code);
      const shipped = (code: string) => shipmentMapping(code, document);
      const read = listed(CodeList.DCSA_SHIPMENT, "shipmentEventTypeCode", shipped, inList);
      return read && { ...read, name: `${read.name} of documentTypeCode ${document || "(none)"}` };
    }
    case "IOT":
      return sensorCode(parts.iot.text(["iotEventCode", "iotEventTypeCode"], CODE), "iotEventCode", parts, own);
    case "REEFER":
      return listed(CodeList.DCSA_REEFER, "reeferEventTypeCode", (code) => lookUp(REEFER_CODES, code));
  }
}

const CODE: TextRule = { max: 10, pattern: /^[A-Z0-9]+$/, expected: "a code of capital letters and digits" };

function coded(
  { classification }: EventParts,
  name: string,
  map: (code: string) => CodeMapping | undefined,
): (ReadCode & { readonly code: string }) | undefined {
  // 2.2 had `eventTypeCode` for all of them before it had one for each.
  const code = classification.text([name, "eventTypeCode"], { ...CODE, needed: true });
  return code === "" ? undefined : { name: `${name} ${code}`, mapping: map(code), code };
}

/** An IoT event says `DETC` in its classification; what was detected stands in its details. */
function sensorCode(code: string, name: string, parts: EventParts, own: OwnOfSender): ReadCode | undefined {
  parts.classification.passOver("iotEventTypeCode");
  const list = CodeList.DCSA_IOT;
  if (code !== "") {
    const mapping = ownOr(own(list, code), lookUp(IOT_CODES, code));
    return { name: `${name} ${code}`, mapping, listed: { list, code } };
  }
  parts.iot.violation(name, "is needed");
  return undefined;
}
