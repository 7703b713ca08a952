import { create } from "@bufbuild/protobuf";
import { type Reference, ReferenceSchema } from "../../../gen/leadline/v1/place_pb.ts";
import { DOCUMENT_TYPES, lookUp } from "./codes.ts";
import { unitIdFrom } from "./equipment.ts";
import type { JsonObject } from "./json-reader.ts";
import { REFERENCE_TYPE } from "./parties.ts";

/** References of one event at most. */
const EVENT_REFERENCES_MAX = 200;

/** The type under which a coded event names an order of the tenant by its id. */
export const ORDER_ID = "ORDER";

/**
 * The order in which an event's references are asked for what they belong to: the carrier's booking, its request, the transport
 * document or air waybill, an order by its id, the equipment within its journey; then what the shipper's side calls it, the most particular first. Types that are
 * not listed come last, in the order of the event.
 */
const REFERENCE_PRECEDENCE: readonly string[] = [
  "BKG",
  "CBR",
  "TRD",
  "AWB",
  ORDER_ID,
  "EQ",
  "BID",
  "BPR",
  "CSI",
  "SI",
  "SHI",
  "FF",
  "PO",
  "CR",
  "ECR",
  "AAO",
];

/** References in the order of `REFERENCE_PRECEDENCE`; equal ones stay as they stand. */
export function inPrecedence(references: readonly Reference[]): Reference[] {
  return [...references].sort((a, b) => rank(a.type) - rank(b.type));
}

/** Where an event's objects may carry references. */
interface ReferenceSources {
  /** The flat event (2.2), its payload (3.0.0-Beta-1), or the event itself (3.0.0). */
  readonly event: JsonObject;
  /** `shipmentDetails` (3.0.0). */
  readonly shipment: JsonObject;
  /** `equipmentReference`, already as a unit's id; empty: none. */
  readonly equipment: string;
}

/** All references of an event, each once, in the order of `REFERENCE_PRECEDENCE`. */
export function readEventReferences({ event, shipment, equipment }: ReferenceSources): Reference[] {
  const found = new Map<string, Reference>();
  const add = (type: string, value: string) => {
    const known = type === "EQ" ? unitIdFrom(value) : value;
    if (type !== "" && value !== "") found.set(`${type}:${known}`, create(ReferenceSchema, { type, value: known }));
  };
  add("EQ", equipment);
  add(documentType(event), event.text(["documentID", "documentReference"]));
  for (const one of event.objects(["documentReferences", "relatedDocumentReferences"])) {
    add(typeOf(one, ["documentReferenceType", "type"]), one.text(["documentReferenceValue", "value"]));
  }
  for (const one of event.objects("references")) {
    add(typeOf(one, ["referenceType", "type"]), one.text(["referenceValue", "value"]));
  }
  const documents = [shipment.object("documentReference"), ...shipment.objects("additionalDocumentReferences")];
  for (const one of [...documents, ...shipment.objects("shipmentReferences")]) {
    if (one.present) add(typeOf(one, ["typeCode"]), one.text("reference"));
  }
  if (found.size > EVENT_REFERENCES_MAX) {
    event.violation("references", `are ${found.size}; at most ${EVENT_REFERENCES_MAX} are taken`);
    return [];
  }
  return inPrecedence([...found.values()]);
}

/** The document that a shipment event speaks of, as its source wrote it; empty: none. */
export function documentTypeOf(event: JsonObject, shipment: JsonObject): string {
  return (
    event.text("documentTypeCode", { max: 10 }) || shipment.object("documentReference").text("typeCode", { max: 10 })
  );
}

function documentType(event: JsonObject): string {
  const code = event.text("documentTypeCode", { max: 10 });
  return lookUp(DOCUMENT_TYPES, code) ?? "";
}

function typeOf(one: JsonObject, names: readonly string[]): string {
  return one.text(names, { ...REFERENCE_TYPE, needed: true });
}

function rank(type: string): number {
  const at = REFERENCE_PRECEDENCE.indexOf(type);
  return at < 0 ? REFERENCE_PRECEDENCE.length : at;
}
