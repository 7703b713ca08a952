import { create } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import { ImportOutcome, type ImportResult, ImportResultSchema } from "../../../gen/leadline/v1/import_service_pb.ts";
import { Flag, ReportOutcome } from "../../../gen/leadline/v1/report_pb.ts";
import type { Note } from "../../domain/dcsa/json-reader.ts";
import { Code, type Reason, Refusal, reasonName } from "../../domain/refusal.ts";
import { SubjectKind, type SubjectRef } from "../../domain/subject.ts";

/** Notes that a message names; it counts the others. */
const NOTES_LISTED_MAX = 10;
/** Characters of a message. */
const MESSAGE_MAX = 2_000;

/** Refusals that say nothing of the item: the whole call is worth another try. */
const PASSING: ReadonlySet<Code> = new Set([Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED]);

/** What was taken of an item, and where it went. */
export interface Taken {
  readonly outcome: ReportOutcome;
  readonly sourceId: string;
  readonly flags: readonly Flag[];
  readonly target: SubjectRef;
  /** The orders that it was passed on to. Empty for carriers. */
  readonly orderIds: readonly string[];
  readonly message: string;
}

export function taken({ outcome, sourceId, flags, target, orderIds, message }: Taken): ImportResult {
  return create(ImportResultSchema, {
    outcome: importOutcome(outcome, flags),
    sourceId,
    flags: [...flags],
    bookingIds: target.kind === SubjectKind.BOOKING ? [target.id] : [],
    orderIds: [...orderIds],
    message: cut(message),
  });
}

function importOutcome(outcome: ReportOutcome, flags: readonly Flag[]): ImportOutcome {
  switch (outcome) {
    case ReportOutcome.APPLIED:
      return flags.length > 0 ? ImportOutcome.WARNED : ImportOutcome.APPLIED;
    case ReportOutcome.ALREADY_KNOWN:
      return ImportOutcome.ALREADY_KNOWN;
    // That the source has taken it back is the later thing that it said.
    case ReportOutcome.SUPERSEDED:
    case ReportOutcome.RETRACTED:
      return ImportOutcome.SUPERSEDED;
    default:
      throw new Error(`a report has no outcome ${outcome}`);
  }
}

/** An item that says nothing that moves. */
export function passedOver(sourceId: string, message: string): ImportResult {
  return create(ImportResultSchema, { outcome: ImportOutcome.PASSED_OVER, sourceId, message: cut(message) });
}

/** An item that goes to the work list, or stays on it. */
export function unmatched(sourceId: string, reason: Reason, message: string): ImportResult {
  return create(ImportResultSchema, {
    outcome: ImportOutcome.UNMATCHED,
    sourceId,
    flags: reason === ErrorReason.CODE_UNMAPPED ? [Flag.CODE_UNMAPPED] : [],
    reason: reasonName(reason),
    message: cut(message),
  });
}

/**
 * An item that is refused. Throws the error again when it says nothing of the item: the database is away, or there is too
 * much to do.
 */
export function refused(error: unknown, sourceId: string, onFault: (error: unknown) => void): ImportResult {
  if (error instanceof Refusal && PASSING.has(error.code)) throw error;
  const known = error instanceof Refusal;
  if (!known) onFault(error);
  return create(ImportResultSchema, {
    outcome: ImportOutcome.REFUSED,
    sourceId,
    reason: known ? error.reasonName : reasonName(ErrorReason.INTERNAL),
    message: known ? cut(error.message) : "a fault of ours; it is logged",
  });
}

/** What was not kept, for people; empty: nothing. */
export function notesText(notes: readonly Note[]): string {
  const listed = notes.slice(0, NOTES_LISTED_MAX).map(({ path, message }) => `${path} ${message}`);
  const more = notes.length - listed.length;
  return more > 0 ? `${listed.join("; ")}; and ${more} more` : listed.join("; ");
}

function cut(message: string): string {
  const characters = [...message.toWellFormed()];
  return characters.length <= MESSAGE_MAX
    ? message.toWellFormed()
    : `${characters.slice(0, MESSAGE_MAX - 1).join("")}…`;
}
