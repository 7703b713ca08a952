import { create } from "@bufbuild/protobuf";
import type { CodedEvent } from "../../../gen/leadline/v1/import_service_pb.ts";
import { type LocalTime, type Reference, ReferenceSchema, TransportMode } from "../../../gen/leadline/v1/place_pb.ts";
import { Classifier, Flag } from "../../../gen/leadline/v1/report_pb.ts";
import { CodeListSchema } from "../../../gen/leadline/v1/status_flow_pb.ts";
import type { PartOfPieces } from "../booking-orders.ts";
import type { OwnMeanings } from "../code-meanings.ts";
import { unitIdFrom } from "../dcsa/equipment.ts";
import { inPrecedence } from "../dcsa/event-references.ts";
import type { LegHints } from "../dcsa/leg-hints.ts";
import type { EventIdentity, TrackingReading } from "../dcsa/tracking-event.ts";
import { fieldInvalid } from "../field-invalid.ts";
import {
  isAirWaybill,
  isContainerNumber,
  looksLikeContainer,
  waybillSpellings,
  withCheckDigit,
} from "../identifiers.ts";
import { legEndOf } from "../milestone-kinds.ts";
import { checkPlace } from "../report-rules.ts";
import { checkLocalTime, checkTimestamp } from "../times.ts";
import { meaningOf } from "./code-lists.ts";

/** Characters of `Report.remark`. */
const REMARK_MAX = 2_000;

/**
 * Reads a coded event: what its code means here, and what it speaks of. The event keeps the rules of its contract. Throws
 * FIELD_INVALID and TIME_ZONE_UNKNOWN for what those rules cannot say.
 *
 * @param own what the tenant itself says of codes
 * @param carrier the carrier that sent it; empty: nobody says
 */
export function readCodedEvent(event: CodedEvent, own: OwnMeanings, carrier: string): TrackingReading {
  const { codeList: list, code, occurredAt, place } = event;
  if (occurredAt === undefined) throw fieldInvalid("occurred_at", "must be set");
  checkLocalTime(occurredAt, "occurred_at");
  checkTimestamp(event.sourceUpdatedAt, "source_updated_at");
  checkPlace(place, "place");
  const part = partIn(event);
  const units = event.unitIds.map((id) => withCheckDigit(unitIdFrom(id)));
  const identity = identityOf(event, units);
  const name = `${CodeListSchema.value[list]?.localName ?? list} ${code}`;
  const listed = { list, code, carrier };
  const meaning = meaningOf(listed, own);
  if (meaning === undefined) return { what: "unmapped", identity, code: name, listed };
  if (meaning.milestone === "") return { what: "silent", identity, code: name };
  const observation = {
    ...identity,
    classifier: event.classifier || Classifier.ACTUAL,
    milestone: meaning.milestone,
    occurredAt,
    place,
    leg: { ...NO_HINTS, end: legEndOf(meaning.milestone) },
    legNumber: event.leg,
    unitIds: units,
    ofTransport: false,
    lines: event.lines,
    part,
    isoEquipmentCode: "",
    reasonCode: event.reasonCode,
    remark: remarkOf(event, part),
    exception: meaning.exception,
    flags: flagsOf(event, occurredAt, units),
    notes: [],
  };
  return { what: "observation", observation };
}

const NO_HINTS: LegHints = {
  end: undefined,
  mode: TransportMode.UNSPECIFIED,
  vessel: "",
  vesselImo: "",
  voyages: [],
  service: "",
  callSequence: 0,
};

/** A coded event names no sender of its own: who imports it says who sent it. */
function identityOf({ sourceId, sourceUpdatedAt, references }: CodedEvent, units: readonly string[]): EventIdentity {
  const equipment = units.map((value) => create(ReferenceSchema, { type: "EQ", value }));
  const named = [...references.flatMap(spellings), ...equipment];
  return { source: "", sender: "", sourceId, sourceUpdatedAt, references: inPrecedence(named) };
}

/** Partners write one air waybill with and without its hyphen. */
function spellings(reference: Reference): Reference[] {
  if (reference.type !== "AWB") return [reference];
  return waybillSpellings(reference.value).map((value) => create(ReferenceSchema, { type: "AWB", value }));
}

function partIn({ pieces, totalPieces }: CodedEvent): PartOfPieces | undefined {
  if (pieces > 0 && totalPieces === 0) throw fieldInvalid("total_pieces", "must be set together with pieces");
  if (pieces > totalPieces) throw fieldInvalid("pieces", `are ${pieces}, more than the ${totalPieces} of total_pieces`);
  return pieces === 0 || pieces === totalPieces ? undefined : { pieces, total: totalPieces };
}

/** What a report has no field for stands in its remark. */
function remarkOf({ remark }: CodedEvent, part: PartOfPieces | undefined): string {
  if (part === undefined) return remark;
  const text = [`${part.pieces} of ${part.total} pieces`, remark].filter((one) => one !== "").join("; ");
  const characters = [...text];
  return characters.length <= REMARK_MAX ? text : `${characters.slice(0, REMARK_MAX - 1).join("")}…`;
}

function flagsOf({ references }: CodedEvent, occurredAt: LocalTime, units: readonly string[]): Flag[] {
  const wrongUnit = units.some((id) => looksLikeContainer(id) && !isContainerNumber(id));
  const wrongWaybill = references.some(({ type, value }) => type === "AWB" && !isAirWaybill(value));
  const flags: Flag[] = [];
  if (occurredAt.zoneUnknown) flags.push(Flag.ZONE_UNKNOWN);
  if (wrongUnit || wrongWaybill) flags.push(Flag.CHECK_DIGIT_WRONG);
  return flags;
}
