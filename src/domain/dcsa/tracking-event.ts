import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { LineQuantity, LocalTime, Place, Reference } from "../../../gen/leadline/v1/place_pb.ts";
import { type Classifier, Flag } from "../../../gen/leadline/v1/report_pb.ts";
import type { PartOfPieces } from "../booking-orders.ts";
import { type ListedBy, nothingOwn, type OwnMeanings } from "../code-meanings.ts";
import { isContainerNumber, isImoNumber, looksLikeContainer } from "../identifiers.ts";
import { legEndOf } from "../milestone-kinds.ts";
import type { Violation } from "../refusal.ts";
import { CLASSIFIERS, type CodeMapping, EVENT_TYPES, type EventType, lookUp } from "./codes.ts";
import { type EventParts, eventParts, type ReadCode, readCode, readIdentity, type Sender } from "./event-parts.ts";
import { readEventReferences } from "./event-references.ts";
import { type Note, readJson } from "./json-reader.ts";
import { type LegHints, readLegHints } from "./leg-hints.ts";
import { readPlace } from "./places.ts";
import { readRemark } from "./remarks.ts";
import { readLocalTime, readSourceTime } from "./times.ts";

/** Who said something, and under which id: what the merge rule of Track & Trace 3.0 calls an event's identity. */
export interface EventIdentity {
  /** The originating party, see `Sender.source`; empty: the event does not name it. At most 100 characters. */
  readonly source: string;
  /** The event's id at its source, at most 500 characters. */
  readonly sourceId: string;
  /** The originating party's code; empty: not named. */
  readonly sender: string;
  /** When the source last said so. A retraction may come without. */
  readonly sourceUpdatedAt: Timestamp | undefined;
  /** What the event says it belongs to, in the order of `REFERENCE_PRECEDENCE`. */
  readonly references: readonly Reference[];
}

/** What a carrier observed, whatever standard and version of it it was said in. */
export interface CarrierObservation extends EventIdentity {
  readonly classifier: Classifier;
  /** The kind of milestone, see domain/milestone-kinds.ts. */
  readonly milestone: string;
  /** When, with its offset; `zone_unknown` when the source gave none. */
  readonly occurredAt: LocalTime;
  readonly place: Place | undefined;
  /** What tells which leg it belongs to. */
  readonly leg: LegHints;
  /** The sequence number of the leg, where the source knows it; 0: the hints tell. */
  readonly legNumber: number;
  /** The units it speaks of, as their ids; none: everything that the references name. */
  readonly unitIds: readonly string[];
  /** It is a movement of the transport itself, so the units are those on board as far as the source named them. */
  readonly ofTransport: boolean;
  /** The quantities that it speaks of by order line, where the source knows them. */
  readonly lines: readonly LineQuantity[];
  /** It speaks of some of the pieces; undefined: of all, as far as it says. */
  readonly part: PartOfPieces | undefined;
  /** ISO 6346 size and type of the unit; empty: not said. */
  readonly isoEquipmentCode: string;
  /** A reason code of the source's list; empty: none. */
  readonly reasonCode: string;
  readonly remark: string;
  /** Something went wrong: a document or the cargo is held. */
  readonly exception: boolean;
  /** ZONE_UNKNOWN, CHECK_DIGIT_WRONG and CODE_OBSOLETE, ascending. */
  readonly flags: readonly Flag[];
  readonly notes: readonly Note[];
}

/** What an event was read as. */
export type TrackingReading =
  | { readonly what: "observation"; readonly observation: CarrierObservation }
  /** What the source said under this identity shall count for nothing; everything else in the event is irrelevant. */
  | { readonly what: "retraction"; readonly identity: EventIdentity }
  /** It carries a code that is not in the tables; `code` names it for people, `listed` where a tenant may map it. */
  | {
      readonly what: "unmapped";
      readonly identity: EventIdentity;
      readonly code: string;
      readonly listed?: ListedBy | undefined;
    }
  /** Its code is known and moves nothing; `code` names it for people. */
  | { readonly what: "silent"; readonly identity: EventIdentity; readonly code: string }
  | { readonly what: "malformed"; readonly violations: readonly Violation[]; readonly sourceId: string };

/** Any other data of a retraction is irrelevant, so only in these can it be malformed. */
const IDENTIFYING =
  /\.(eventID|retractedEventID|isRetracted|eventRouting|publisher|eventUpdatedDateTime|eventCreatedDateTime)\b/;

/**
 * Reads one DCSA Track & Trace event: 2.2 (flat), 3.0.0-Beta-1 (metadata and payload) or 3.0.0 (details by subject). The versions
 * are told apart by their fields, and a field is taken under any version's name. Never throws for any JSON.
 *
 * @param message the parsed JSON of one event
 * @param own what the tenant itself says of codes; it goes before the tables
 * @param named the carrier that sent it; empty: the event's own sender
 */
export function readTrackingEvent(message: unknown, own: OwnMeanings = nothingOwn, named = ""): TrackingReading {
  const reading = readJson(message);
  const parts = eventParts(reading.root);
  const { identity, retracted } = readWho(parts);
  if (retracted) {
    const wrong = reading.violations.filter(({ field }) => IDENTIFYING.test(field));
    return identity.sourceId === "" || wrong.length > 0
      ? { what: "malformed", violations: reading.violations, sourceId: identity.sourceId }
      : { what: "retraction", identity };
  }
  const carrier = named || identity.sender;
  const content = readContent(parts, identity.references, (list, code) => own({ list, code, carrier }));
  if (reading.violations.length > 0 || content === undefined) {
    return { what: "malformed", violations: reading.violations, sourceId: identity.sourceId };
  }
  if (typeof content === "string") return { what: "unmapped", identity, code: content };
  if ("mapping" in content) {
    const { name: code, listed } = content;
    if (content.mapping !== undefined) return { what: "silent", identity, code };
    return { what: "unmapped", identity, code, listed: listed && { ...listed, carrier } };
  }
  return { what: "observation", observation: { ...identity, ...content, notes: reading.notes() } };
}

function readWho(parts: EventParts): { identity: EventIdentity; retracted: boolean } {
  const { sourceId, retracted } = readIdentity(parts);
  const sender: Sender = parts.sender();
  const updated = ["eventUpdatedDateTime", "eventCreatedDateTime"];
  const sourceUpdatedAt = readSourceTime(parts.metadata, updated, !retracted);
  const references = readEventReferences({
    event: parts.event,
    shipment: parts.shipment,
    equipment: parts.equipmentId,
  });
  return { identity: { source: sender.source, sourceId, sender: sender.code, sourceUpdatedAt, references }, retracted };
}

type Content = Omit<CarrierObservation, keyof EventIdentity | "notes">;

/**
 * What the event says. A code that is not mapped, or moves nothing, or a text that names what is in none of our tables; undefined:
 * something is wrong with it.
 */
function readContent(
  parts: EventParts,
  references: readonly Reference[],
  own: Parameters<typeof readCode>[3],
): Content | ReadCode | string | undefined {
  const typeText = parts.eventType;
  const type = EVENT_TYPES.find((one) => one === typeText);
  if (type === undefined) return typeText === "" ? undefined : `eventType ${typeText}`;
  const classifier = readClassifier(parts, type);
  const where = readPlace(...parts.places);
  const code = readCode(parts, type, where.place?.facilityType ?? "", own);
  const occurredAt = readLocalTime(parts.event, "eventDateTime", true);
  const leg = readLegHints(parts.call, code?.mapping && legEndOf(code.mapping.kind));
  const units = unitsOf(parts, type, references);
  const { remark, reasonCode } = readRemark(parts, type, leg);
  if (occurredAt === undefined || code === undefined || classifier === undefined) return undefined;
  if (typeof classifier === "string") return classifier;
  if (code.mapping === undefined || code.mapping.kind === "") return code;
  return {
    classifier,
    milestone: code.mapping.kind,
    occurredAt,
    place: where.place,
    leg,
    legNumber: 0,
    unitIds: units,
    ofTransport: type === "TRANSPORT",
    lines: [],
    part: undefined,
    isoEquipmentCode: parts.isoEquipmentCode,
    reasonCode,
    remark,
    exception: code.mapping.exception === true,
    flags: flagsOf(code.mapping, occurredAt, leg, units, where.obsolete),
  };
}

/** Undefined: absent where it is needed; a text: a classifier that is none of ours. */
function readClassifier(parts: EventParts, type: EventType): Classifier | string | undefined {
  const happened = type === "SHIPMENT" || type === "IOT" || type === "REEFER";
  const code =
    parts.classification.text("eventClassifierCode", { max: 10, needed: !happened }) || (happened ? "ACT" : "");
  if (code === "") return undefined;
  return lookUp(CLASSIFIERS, code) ?? `eventClassifierCode ${code}`;
}

/**
 * The units an event speaks of. A movement of the transport speaks of the equipment that it refers to, so that of three
 * containers only those move that were on board; a document speaks of all of it.
 */
function unitsOf(parts: EventParts, type: EventType, references: readonly Reference[]): string[] {
  if (parts.equipmentId !== "") return [parts.equipmentId];
  if (type !== "TRANSPORT") return [];
  return references.filter((one) => one.type === "EQ" && UNIT.test(one.value)).map((one) => one.value);
}

/** `Unit.id`. */
const UNIT = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,34}$/;

function flagsOf(
  mapping: CodeMapping,
  occurredAt: LocalTime,
  leg: LegHints,
  units: readonly string[],
  obsoletePlace: boolean,
): Flag[] {
  const wrongUnit = units.some((id) => looksLikeContainer(id) && !isContainerNumber(id));
  const wrongVessel = leg.vesselImo !== "" && !isImoNumber(leg.vesselImo);
  const flags: Flag[] = [];
  if (occurredAt.zoneUnknown) flags.push(Flag.ZONE_UNKNOWN);
  if (wrongUnit || wrongVessel) flags.push(Flag.CHECK_DIGIT_WRONG);
  if (mapping.obsolete || obsoletePlace) flags.push(Flag.CODE_OBSOLETE);
  return flags;
}
