import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { ImportOutcome, type ImportResult, ImportResultSchema } from "../../../gen/leadline/v1/import_service_pb.ts";
import { ReportOutcome } from "../../../gen/leadline/v1/report_pb.ts";
import { decideRequest } from "../../domain/booking-requesting.ts";
import { readBookingRequest } from "../../domain/dcsa/booking-request.ts";
import { bookingRef, type Decide } from "../../domain/subject.ts";
import type { Journal } from "../../journal/journal.ts";
import type { Call } from "../call.ts";
import { tenantOf } from "../command.ts";
import { canonicalJson, fieldsRefused, type ParsedItem } from "./items.ts";
import { notesText, taken } from "./outcomes.ts";
import { addresseeOf } from "./senders.ts";

/** What a carrier adds to its copy of a request: it says where the booking stands, not what was asked for. */
const ANSWER_FIELDS: ReadonlySet<string> = new Set([
  "bookingStatus",
  "amendedBookingStatus",
  "bookingCancellationStatus",
  "carrierBookingReference",
  "feedbacks",
  "confirmedEquipments",
  "transportPlan",
  "shipmentCutOffTimes",
  "advanceManifestFilings",
  "charges",
  "carrierClauses",
  "termsAndConditions",
]);

/**
 * Requests the booking of an item. Its id follows from what the message asks for and of whom, so the same message is the same
 * booking however often it is imported: later imports are ALREADY_KNOWN. Two equal requests that shall be two bookings need
 * references that differ. Rejects with a Refusal.
 */
export async function importBookingRequest(journal: Journal, call: Call, item: ParsedItem): Promise<ImportResult> {
  const reading = readBookingRequest(item.json, addresseeOf(call, item.carrier));
  if ("violations" in reading) throw fieldsRefused(reading.violations);
  const { request, requestReference, flags } = reading;
  const bookingId = bookingIdOf(request.carrier, item.json);
  const ref = bookingRef(bookingId);
  const message = notesText(reading.notes);
  const decide: Decide<ImportResult> = (load, now) => {
    if (load(ref) !== undefined) return { drafts: [], answer: () => alreadyKnown(requestReference, bookingId) };
    const call = { bookingId, request, orders: [], requestReference, identifiers: "as they came" } as const;
    const effects = decideRequest(load, now, call);
    if ("needs" in effects) return effects;
    const result = {
      outcome: ReportOutcome.APPLIED,
      sourceId: requestReference,
      flags,
      target: ref,
      orderIds: [],
      message,
    };
    return { drafts: effects.drafts, answer: () => taken(result) };
  };
  return journal.submit({
    tenant: tenantOf(call),
    actor: call.principal.id,
    subjects: [ref],
    request: undefined,
    bytes: item.text.length,
    decide,
    answer: ImportResultSchema,
  });
}

/** `bkg_` and 32 hexadecimal digits: the first 128 bits of a SHA-256. */
function bookingIdOf(carrier: string, json: unknown): string {
  const asked = Object.fromEntries(Object.entries(json ?? {}).filter(([name]) => !ANSWER_FIELDS.has(name)));
  const digest = createHash("sha256")
    .update(JSON.stringify([carrier, canonicalJson(asked)]))
    .digest();
  return `bkg_${digest.subarray(0, 16).toString("hex")}`;
}

function alreadyKnown(sourceId: string, bookingId: string): ImportResult {
  return create(ImportResultSchema, { outcome: ImportOutcome.ALREADY_KNOWN, sourceId, bookingIds: [bookingId] });
}
