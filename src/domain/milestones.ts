import { create } from "@bufbuild/protobuf";
import type { Place } from "../../gen/leadline/v1/place_pb.ts";
import {
  Classifier,
  type Milestone,
  MilestoneSchema,
  type MilestoneTime,
  MilestoneTimeSchema,
  type RecordedReport,
  type Report,
} from "../../gen/leadline/v1/report_pb.ts";
import { compareIdentities, counts } from "./reports.ts";
import { compareLocalTimes, compareTimestamps } from "./times.ts";

/*
 * Milestones follow from the kept reports: of every classifier the value that its source gave last is the present one, the
 * others are history. Beside them the history remembers what a source has corrected under one identity, which the kept
 * reports no longer tell; so only the history depends on what arrived when. What was retracted vanishes from both.
 */

/** How many values a milestone remembers beside its present ones. */
export const MILESTONE_HISTORY_MAX = 32;

/** What tells one milestone from another. `place` is a UN/LOCODE, a facility or a name. */
export interface MilestoneKey {
  readonly kind: string;
  readonly place: string;
  readonly leg: number;
  readonly unitId: string;
}

/** What a report was before an event and is after it: what was corrected, retracted or new. */
export interface ReportMove {
  readonly was: RecordedReport | undefined;
  readonly is: RecordedReport | undefined;
}

/** The milestones that a report moves: one for each unit it names, or one for all of it. None when it is of no kind. */
function milestoneKeysOf(report: Report): MilestoneKey[] {
  const kind = report.milestone || report.status;
  if (kind === "") return [];
  const place = placeText(report.place);
  if (report.unitIds.length === 0) return [{ kind, place, leg: report.leg, unitId: "" }];
  return report.unitIds.map((unitId) => ({ kind, place, leg: report.leg, unitId }));
}

/** How a milestone names its place: UN/LOCODE, else facility, else name; empty: not said. */
export function placeText(place: Place | undefined): string {
  return place?.unlocode || place?.facility || place?.name || "";
}

function findMilestone(milestones: readonly Milestone[], key: MilestoneKey): Milestone | undefined {
  return milestones.find(
    (m) => m.kind === key.kind && m.unitId === key.unitId && m.leg === key.leg && m.place === key.place,
  );
}

/** Whether a report is an estimate or a plan of something that another report says has happened (Flag.AFTER_ACTUAL). */
export function comesAfterActual(milestones: readonly Milestone[], report: Report): boolean {
  if (report.classifier === Classifier.ACTUAL) return false;
  return milestoneKeysOf(report).some((key) => {
    const actual = findMilestone(milestones, key)?.actual;
    return actual !== undefined && !(actual.sourceId === report.sourceId && actual.source === report.source);
  });
}

/** A milestone that is made anew: its key, and the values that the counting reports give to it, in the order of recording. */
interface Touched {
  readonly key: MilestoneKey;
  readonly values: MilestoneTime[];
}

/** The milestones of a subject from its kept reports alone, in the order first heard of. */
export function milestonesOf(kept: readonly RecordedReport[]): Milestone[] {
  const touched = new Map<string, Touched>();
  for (const recorded of kept) if (counts(recorded)) touch(touched, recorded.report);
  for (const recorded of kept) addValue(touched, recorded);
  return [...touched.values()].map(({ key, values }) => milestoneFrom(key, values, []));
}

/**
 * The milestones after one report was recorded, corrected or retracted; `kept` are the reports after it. Those that the
 * report does not touch are the same objects.
 */
export function moveMilestones(
  before: readonly Milestone[],
  kept: readonly RecordedReport[],
  move: ReportMove,
): Milestone[] {
  const touched = new Map<string, Touched>();
  touch(touched, move.was?.report);
  touch(touched, move.is?.report);
  const [was, is] = [kindOf(move.was?.report), kindOf(move.is?.report)];
  for (const recorded of kept) {
    const kind = kindOf(recorded.report);
    if (kind === was || kind === is) addValue(touched, recorded);
  }
  const after: Milestone[] = [];
  for (const milestone of before) {
    const text = milestone.kind === was || milestone.kind === is ? keyText(milestone) : "";
    const moved = touched.get(text);
    if (moved === undefined) {
      after.push(milestone);
      continue;
    }
    touched.delete(text);
    const { key, values } = moved;
    if (values.length > 0) after.push(milestoneFrom(key, values, correctedValues(milestone, values, move)));
  }
  for (const { key, values } of touched.values()) if (values.length > 0) after.push(milestoneFrom(key, values, []));
  return after;
}

/**
 * The milestones after statuses got other codes; `kept` are the reports with the new ones. A milestone of reports that name none
 * is their status and goes with it. One that reports name themselves stays what it is, though a status had the same code: what its
 * source corrects or takes back later is found there. One of both kinds of reports becomes two; two that become one are one.
 */
export function renameMilestones(
  before: readonly Milestone[],
  kept: readonly RecordedReport[],
  codes: ReadonlyMap<string, string>,
): Milestone[] {
  const concerned = new Set([...codes.keys(), ...codes.values()]);
  const isConcerned = ({ report }: RecordedReport) => concerned.has(kindOf(report) ?? "");
  const touched = new Map<string, Touched>();
  for (const recorded of kept) if (isConcerned(recorded) && counts(recorded)) touch(touched, recorded.report);
  for (const recorded of kept) if (isConcerned(recorded)) addValue(touched, recorded);
  const named = new Set(kept.flatMap(({ report }) => (report?.milestone ? [identityText(report)] : [])));
  const corrected = new Map([...touched.keys()].map((text) => [text, [] as MilestoneTime[]]));
  /** The milestones after, in the places of those before; one that stays is followed by what its statuses became. */
  const after = new Map<string, Milestone | Touched>();
  for (const milestone of before) {
    if (!concerned.has(milestone.kind)) {
      after.set(keyText(milestone), milestone);
      continue;
    }
    const [stays, goes] = [milestone.kind, codes.get(milestone.kind) ?? milestone.kind].map((kind) =>
      keyText({ ...milestone, kind }),
    ) as [string, string];
    const became = [stays, goes].flatMap((text) => touched.get(text) ?? []);
    for (const one of became) after.set(keyText(one.key), one);
    for (const value of valuesOf(milestone)) {
      if (became.some(({ values }) => values.some((present) => isSameValue(value, present)))) continue;
      // What was corrected belongs where what replaced it does; a milestone has at least one value that holds.
      const [first, second] = named.has(identityText(value)) ? [stays, goes] : [goes, stays];
      (corrected.get(first) ?? corrected.get(second))?.push(value);
    }
  }
  // What an earlier release renamed with a status is found again by its reports.
  for (const [text, one] of touched) if (!after.has(text)) after.set(text, one);
  return [...after].map(([text, one]) =>
    "values" in one ? milestoneFrom(one.key, one.values, corrected.get(text) ?? []) : one,
  );
}

function kindOf(report: Report | undefined): string | undefined {
  return report && (report.milestone || report.status);
}

function touch(touched: Map<string, Touched>, report: Report | undefined): void {
  if (report === undefined) return;
  for (const key of milestoneKeysOf(report)) {
    const text = keyText(key);
    if (!touched.has(text)) touched.set(text, { key, values: [] });
  }
}

/** Only the place may contain spaces, so it stands last. */
function keyText(key: MilestoneKey): string {
  return `${key.kind} ${key.leg} ${key.unitId} ${key.place}`;
}

/** Adds what a counting report says to those of its milestones that are touched. */
function addValue(touched: ReadonlyMap<string, Touched>, recorded: RecordedReport): void {
  const { report } = recorded;
  if (report === undefined || !counts(recorded)) return;
  let value: MilestoneTime | undefined;
  for (const key of milestoneKeysOf(report)) {
    const one = touched.get(keyText(key));
    if (one === undefined) continue;
    value ??= milestoneTime(report, recorded);
    one.values.push(value);
  }
}

function milestoneTime(report: Report, recorded: RecordedReport): MilestoneTime {
  const value = create(MilestoneTimeSchema, {
    classifier: report.classifier,
    source: report.source,
    sourceId: report.sourceId,
    reasonCode: report.reasonCode,
  });
  if (report.occurredAt) value.time = report.occurredAt;
  if (report.sourceUpdatedAt) value.sourceUpdatedAt = report.sourceUpdatedAt;
  if (recorded.recordedAt) value.recordedAt = recorded.recordedAt;
  return value;
}

/** The values of a milestone that its source has corrected since under the same identity. */
function correctedValues(milestone: Milestone, present: readonly MilestoneTime[], move: ReportMove): MilestoneTime[] {
  const gone = move.is === undefined || !counts(move.is) ? (move.is ?? move.was)?.report : undefined;
  return valuesOf(milestone)
    .filter((value) => !(value.sourceId === gone?.sourceId && value.source === gone.source))
    .filter((value) => !present.some((other) => isSameValue(value, other)));
}

function valuesOf({ planned, estimated, actual, history }: Milestone): MilestoneTime[] {
  return [planned, estimated, actual, ...history].filter((value) => value !== undefined);
}

function identityText({ source, sourceId }: { readonly source: string; readonly sourceId: string }): string {
  return JSON.stringify([source, sourceId]);
}

function isSameValue(a: MilestoneTime, b: MilestoneTime): boolean {
  return (
    a.sourceId === b.sourceId &&
    a.source === b.source &&
    a.classifier === b.classifier &&
    compareSaid(a, b) === 0 &&
    compareLocalTimes(a.time, b.time) === 0
  );
}

/** Builds a milestone: `present` are the values of kept reports, at least one; `corrected` those that were replaced. */
function milestoneFrom(
  key: MilestoneKey,
  present: readonly MilestoneTime[],
  corrected: readonly MilestoneTime[],
): Milestone {
  const milestone = create(MilestoneSchema, { ...key });
  const planned = newest(present, Classifier.PLANNED);
  const estimated = newest(present, Classifier.ESTIMATED);
  const actual = newest(present, Classifier.ACTUAL);
  if (planned) milestone.planned = planned;
  if (estimated) milestone.estimated = estimated;
  if (actual) milestone.actual = actual;
  if (present.length + corrected.length === 1) {
    if (estimated?.time) milestone.firstEstimate = estimated.time;
    return milestone;
  }
  const all = [...present, ...corrected].sort(compareValues);
  const anchor = all.find((value) => value.classifier === Classifier.ESTIMATED);
  if (anchor?.time) milestone.firstEstimate = anchor.time;
  const past = all.filter((value) => value !== planned && value !== estimated && value !== actual);
  milestone.history = bounded(past, anchor);
  return milestone;
}

function newest(values: readonly MilestoneTime[], classifier: Classifier): MilestoneTime | undefined {
  let best: MilestoneTime | undefined;
  for (const value of values) {
    if (value.classifier !== classifier) continue;
    if (best === undefined || compareValues(value, best) > 0) best = value;
  }
  return best;
}

/** Drops the oldest values over the bound, but not the first estimate: it is the anchor against which slips are measured. */
function bounded(past: MilestoneTime[], anchor: MilestoneTime | undefined): MilestoneTime[] {
  if (past.length <= MILESTONE_HISTORY_MAX) return past;
  if (anchor === undefined || !past.includes(anchor)) return past.slice(-MILESTONE_HISTORY_MAX);
  const others = past.filter((value) => value !== anchor);
  return [anchor, ...others.slice(1 - MILESTONE_HISTORY_MAX)].sort(compareValues);
}

/** By when the source said so, then by identity and time: a total order over the values of kept reports. */
function compareValues(a: MilestoneTime, b: MilestoneTime): number {
  return compareSaid(a, b) || compareIdentities(a, b) || compareLocalTimes(a.time, b.time);
}

function compareSaid(a: MilestoneTime, b: MilestoneTime): number {
  const left = a.sourceUpdatedAt ?? a.recordedAt;
  const right = b.sourceUpdatedAt ?? b.recordedAt;
  if (left === undefined || right === undefined) return Number(left !== undefined) - Number(right !== undefined);
  return compareTimestamps(left, right);
}
