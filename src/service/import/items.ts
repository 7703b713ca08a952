import { createHash } from "node:crypto";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import { MessageFormat, MessageFormatSchema } from "../../../gen/leadline/v1/import_service_pb.ts";
import { Refusal, type Violation } from "../../domain/refusal.ts";

/** Objects and lists that may stand inside one another in an item. DCSA's deepest has 8. */
const ITEM_DEPTH_MAX = 64;
/** Bytes of an item, as the contract says. */
export const ITEM_BYTES_MAX = 262_144;
/** Violations that a message lists. */
const LISTED_MAX = 10;

/** An item as it came, or as it lay on the work list. */
export interface Item {
  readonly format: MessageFormat;
  /** The carrier that the import names; empty: the item's own word counts. */
  readonly carrier: string;
  readonly text: string;
}

/** An item whose JSON was read. */
export interface ParsedItem extends Item {
  /** Told from the item where the import did not say. */
  readonly format: Exclude<MessageFormat, 0>;
  readonly json: unknown;
  /** Names what the item says, whatever its white space and order of fields: SHA-256 of format, carrier and canonical JSON. */
  readonly hash: Uint8Array;
}

/**
 * Parses an item. Throws MESSAGE_MALFORMED when it is no JSON object or of no format that is taken, and FIELD_INVALID when it is
 * too long.
 */
export function parseItem(item: Item): ParsedItem {
  if (Buffer.byteLength(item.text) > ITEM_BYTES_MAX) {
    throw new Refusal(ErrorReason.FIELD_INVALID, `the item is longer than ${ITEM_BYTES_MAX} bytes`);
  }
  const json = parseJson(item.text);
  const format = item.format === MessageFormat.UNSPECIFIED ? formatOf(json) : item.format;
  const hash = createHash("sha256")
    .update(JSON.stringify([format, item.carrier, canonicalJson(json)]))
    .digest();
  return { ...item, format, json, hash };
}

function parseJson(text: string): object {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw malformed(`the item is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw malformed("the item is no JSON object; send each message as an item of its own");
  }
  if (isDeeper(json, ITEM_DEPTH_MAX)) throw malformed(`the item is nested deeper than ${ITEM_DEPTH_MAX}`);
  if ("events" in json && Array.isArray(json.events)) {
    throw malformed("the item holds a list of events; send each event as an item of its own");
  }
  return json;
}

/** Level by level, for a value may be nested deeper than the stack reaches. */
function isDeeper(value: object, max: number): boolean {
  let level: object[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > max) return true;
    level = level.flatMap((one) => Object.values(one).filter((inner) => typeof inner === "object" && inner !== null));
  }
  return false;
}

const FIELDS_OF: readonly (readonly [Exclude<MessageFormat, 0>, readonly string[]])[] = [
  [MessageFormat.DCSA_BOOKING_2, ["requestedEquipments", "shipmentLocations", "documentParties"]],
  [MessageFormat.DCSA_TNT_3, ["eventClassification", "eventRouting", "metadata", "isRetracted"]],
  [MessageFormat.DCSA_TNT_2, ["eventType", "eventID"]],
  [MessageFormat.CODED_EVENT, ["codeList", "code_list"]],
];

/** The format that a message shows by its fields. */
function formatOf(json: object): Exclude<MessageFormat, 0> {
  const found = FIELDS_OF.find(([, fields]) => fields.some((field) => Object.hasOwn(json, field)));
  if (found) return found[0];
  throw malformed("the item is no DCSA booking request, no Track & Trace event and no coded event");
}

/** JSON with the fields of every object in the order of their names. Nested no deeper than `ITEM_DEPTH_MAX`. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, inner]) => `${JSON.stringify(name)}:${canonicalJson(inner)}`).join(",")}}`;
}

/** A stored number of a format that this release does not know is told from the item anew. */
export function formatFrom(stored: number): MessageFormat {
  const known = MessageFormatSchema.values.find((value) => value.number === stored);
  // The numbers of the enum's values are its type's members.
  return known === undefined ? MessageFormat.UNSPECIFIED : (known.number as MessageFormat);
}

/** The refusal of an item whose fields break their rules. */
export function fieldsRefused(violations: readonly Violation[]): Refusal {
  const listed = violations.slice(0, LISTED_MAX).map(({ field, description }) => `${field} ${description}`);
  const more = violations.length - listed.length;
  const message = more > 0 ? `${listed.join("; ")}; and ${more} more` : listed.join("; ");
  return new Refusal(ErrorReason.FIELD_INVALID, message, { violations });
}

function malformed(message: string): Refusal {
  return new Refusal(ErrorReason.MESSAGE_MALFORMED, message);
}
