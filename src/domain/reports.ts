import { create, toBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { type ReportRetracted, ReportRetractedSchema } from "../../gen/leadline/v1/event_pb.ts";
import {
  type Flag,
  type RecordedReport,
  RecordedReportSchema,
  type Report,
  ReportOutcome,
  ReportSchema,
} from "../../gen/leadline/v1/report_pb.ts";
import { everything, personalPaths, redactMessage } from "./redaction.ts";
import { Refusal } from "./refusal.ts";
import { compareTimestamps, laterOf } from "./times.ts";

/*
 * The reports kept of a subject, one for each identity (source, source_id): what the source said last. Saying and
 * retracting are ordered by (when the source said so; a retraction after a report of the same time; the greater encoding
 * without personal data; the fewer personal texts; the greater encoding), and the last in this order is kept, so what is kept
 * does not depend on the order of arrival. A retracted report carries the time of its retraction as `source_updated_at`, for
 * that is when the source last said something.
 *
 * A report of which personal data was removed is kept like one that never had any: nothing tells them apart. The same report
 * delivered again, with its texts, must not put them back; so of two that are alike but for personal texts, at one time, the one
 * with fewer stays. A source that adds a remark says so at a later `source_updated_at`, or without times.
 */

/** How many reports are kept of one order. */
export const ORDER_REPORTS_MAX = 1_000;
/** How many reports are kept of one booking. */
export const BOOKING_REPORTS_MAX = 5_000;
/** How many units and lines the kept reports of one subject may name, for each report that may be kept. */
export const NAMED_PER_REPORT_MAX = 20;

/** What names a report: its source and its id there. */
export interface ReportIdentity {
  readonly source: string;
  readonly sourceId: string;
}

/** What became of a report, and the report as it is to be kept, if it was taken. */
export interface TakenReport {
  readonly outcome: ReportOutcome;
  readonly recorded?: RecordedReport;
}

/** What became of a retraction, and what is to be recorded of it, if it was taken. */
export interface TakenRetraction {
  readonly outcome: ReportOutcome;
  readonly retracted?: ReportRetracted;
}

/** A retraction as it is asked for; without a time it holds against all that was said so far. */
export interface Retraction extends ReportIdentity {
  readonly sourceUpdatedAt: Timestamp | undefined;
  readonly reason: string;
}

/** The report kept under an identity; undefined: nothing was heard under it. */
export function findReport(kept: readonly RecordedReport[], of: ReportIdentity): RecordedReport | undefined {
  // Replacements and retractions mostly concern what was said last.
  return kept.findLast((one) => isOf(one, of));
}

/** When the source said it: its own time, else the time of recording. */
export function saidAt(recorded: RecordedReport): Timestamp {
  const said = recorded.report?.sourceUpdatedAt ?? recorded.recordedAt;
  if (said === undefined) throw new Error("a recorded report has no time of recording");
  return said;
}

/** Whether a kept report counts: not retracted, nor a retraction that waits for its report. */
export function counts(recorded: RecordedReport): boolean {
  return !recorded.retracted;
}

/**
 * What becomes of a report. APPLIED comes with the report as it is to be recorded; every other outcome changes nothing.
 * `flags` is asked only when the report is taken; they are recorded in ascending order, each once.
 * Refuses with SUBJECT_FULL when `max` reports of other identities are kept, or when they would name more than
 * `max * NAMED_PER_REPORT_MAX` units and lines together.
 */
export function takeReport(
  kept: readonly RecordedReport[],
  incoming: Report,
  now: Timestamp,
  max: number,
  flags: () => readonly Flag[],
): TakenReport {
  const known = findReport(kept, incoming);
  if (known === undefined) refuseWhenFull(kept, max);
  else {
    const outcome = outcomeAgainst(known, incoming, now);
    if (outcome !== ReportOutcome.APPLIED) return { outcome };
  }
  refuseWhenTooManyNamed(kept, known, incoming, max * NAMED_PER_REPORT_MAX);
  const recorded = create(RecordedReportSchema, {
    report: incoming,
    recordedAt: now,
    flags: ascending(flags()),
  });
  return { outcome: ReportOutcome.APPLIED, recorded };
}

/** Each flag once. */
function ascending(flags: readonly Flag[]): Flag[] {
  return flags.length < 2 ? [...flags] : [...new Set(flags)].sort((a, b) => a - b);
}

function outcomeAgainst(known: RecordedReport, incoming: Report, now: Timestamp): ReportOutcome {
  const later = compareTimestamps(incoming.sourceUpdatedAt ?? now, saidAt(known));
  if (known.retracted) return later > 0 ? ReportOutcome.APPLIED : ReportOutcome.RETRACTED;
  if (known.report === undefined) throw new Error("a recorded report has no report");
  const untimed = incoming.sourceUpdatedAt === undefined && known.report.sourceUpdatedAt === undefined;
  if (later !== 0 && !untimed) return later > 0 ? ReportOutcome.APPLIED : ReportOutcome.SUPERSEDED;
  // Without times of the source the order of recording is the order: what differs at all is said later.
  if (untimed) {
    return compareEncodings(incoming, known.report) === 0 ? ReportOutcome.ALREADY_KNOWN : ReportOutcome.APPLIED;
  }
  if (isRepetition(incoming, known.report)) return ReportOutcome.ALREADY_KNOWN;
  // Of two that the source gave one time the same one stays, whichever arrives first.
  return compareTied(incoming, known.report) > 0 ? ReportOutcome.APPLIED : ReportOutcome.SUPERSEDED;
}

/** Whether a report is a known one again, or is but for personal texts that the known one does not have (any more). */
function isRepetition(incoming: Report, known: Report): boolean {
  const left = personalPaths(ReportSchema, known);
  const again = redactMessage(ReportSchema, incoming, ({ path }) => !left.has(path));
  return compareEncodings(again, known) === 0;
}

/** Orders two reports of one identity and time: a total order. */
function compareTied(a: Report, b: Report): number {
  const without = (report: Report) => redactMessage(ReportSchema, report, everything);
  const texts = (report: Report) => personalPaths(ReportSchema, report).size;
  return compareEncodings(without(a), without(b)) || texts(b) - texts(a) || compareEncodings(a, b);
}

/**
 * What becomes of a retraction: APPLIED, ALREADY_KNOWN (retracted before) or SUPERSEDED (the source said something later).
 * One whose report has not arrived waits for it. Refuses with SUBJECT_FULL when there is no room to wait.
 */
export function takeRetraction(
  kept: readonly RecordedReport[],
  retraction: Retraction,
  now: Timestamp,
  max: number,
): TakenRetraction {
  const known = findReport(kept, retraction);
  if (known === undefined) refuseWhenFull(kept, max);
  else {
    const outcome = retractionAgainst(known, retraction);
    if (outcome !== ReportOutcome.APPLIED) return { outcome };
  }
  const { source, sourceId, reason } = retraction;
  const retracted = create(ReportRetractedSchema, {
    source,
    sourceId,
    reason,
    sourceUpdatedAt: retraction.sourceUpdatedAt ?? (known === undefined ? now : laterOf(now, saidAt(known))),
    waiting: known === undefined,
  });
  return { outcome: ReportOutcome.APPLIED, retracted };
}

function retractionAgainst(known: RecordedReport, retraction: Retraction): ReportOutcome {
  if (retraction.sourceUpdatedAt === undefined) {
    return known.retracted ? ReportOutcome.ALREADY_KNOWN : ReportOutcome.APPLIED;
  }
  const later = compareTimestamps(retraction.sourceUpdatedAt, saidAt(known));
  // A later retraction also holds against what was said between the two.
  if (known.retracted) return later > 0 ? ReportOutcome.APPLIED : ReportOutcome.ALREADY_KNOWN;
  return later >= 0 ? ReportOutcome.APPLIED : ReportOutcome.SUPERSEDED;
}

/** The kept reports with a recorded one: last, in the place of what was kept under its identity. */
export function withReport(kept: readonly RecordedReport[], recorded: RecordedReport): RecordedReport[] {
  const known = recorded.report && findReport(kept, recorded.report);
  return known === undefined ? [...kept, recorded] : [...kept.filter((one) => one !== known), recorded];
}

/** The kept reports with a retraction: the report where it stood, marked; or a new one without content that waits. */
export function withRetraction(
  kept: readonly RecordedReport[],
  retraction: ReportRetracted,
  recordedAt: Timestamp,
): RecordedReport[] {
  const { source, sourceId, sourceUpdatedAt = recordedAt } = retraction;
  const known = findReport(kept, retraction);
  if (known?.report === undefined) {
    const report = create(ReportSchema, { source, sourceId, sourceUpdatedAt });
    return [...kept, create(RecordedReportSchema, { report, recordedAt, retracted: true })];
  }
  const marked = { ...known, report: { ...known.report, sourceUpdatedAt }, retracted: true };
  return kept.map((one) => (one === known ? marked : one));
}

/** Orders by source, then by the id there. */
export function compareIdentities(a: ReportIdentity, b: ReportIdentity): number {
  return compareTexts(a.source, b.source) || compareTexts(a.sourceId, b.sourceId);
}

function compareTexts(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

function isOf(recorded: RecordedReport, of: ReportIdentity): boolean {
  return recorded.report?.sourceId === of.sourceId && recorded.report.source === of.source;
}

function compareEncodings(a: Report, b: Report): number {
  return Buffer.compare(encodingOf(a), encodingOf(b));
}

function encodingOf(report: Report): Uint8Array {
  return toBinary(ReportSchema, report, { writeUnknownFields: false });
}

/** Bounds what one subject may take in memory: a report of many units moves as many milestones. */
function refuseWhenTooManyNamed(
  kept: readonly RecordedReport[],
  known: RecordedReport | undefined,
  incoming: Report,
  max: number,
): void {
  let named = namedIn(incoming);
  if (named === 0) return;
  for (const one of kept) if (one !== known && one.report) named += namedIn(one.report);
  if (named <= max) return;
  throw new Refusal(
    ErrorReason.SUBJECT_FULL,
    `the reports kept would name ${named} units and lines together; at most ${max} may be named; name fewer, or correct a report that is kept so that it names fewer`,
    { metadata: { limit: "named_in_reports", allowed: String(max), used: String(named) } },
  );
}

function namedIn(report: Report): number {
  return report.unitIds.length + report.lines.length;
}

function refuseWhenFull(kept: readonly RecordedReport[], max: number): void {
  if (kept.length < max) return;
  const message = `${kept.length} reports are kept already; at most ${max} are; correct one of them, under its source and source id`;
  throw new Refusal(ErrorReason.SUBJECT_FULL, message, {
    metadata: { limit: "reports", allowed: String(max), used: String(kept.length) },
  });
}
