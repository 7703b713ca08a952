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
export function milestoneKeysOf(report: Report): MilestoneKey[] {
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

/** The milestones of a subject from its kept reports alone, in the order first heard of. */
export function milestonesOf(kept: readonly RecordedReport[]): Milestone[] {
  const keys = new Map<string, MilestoneKey>();
  for (const recorded of kept) if (counts(recorded)) addKeys(keys, recorded.report);
  const values = valuesByKey(kept, keys);
  return [...keys].map(([text, key]) => milestoneFrom(key, values.get(text) ?? [], []));
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
  const keys = new Map<string, MilestoneKey>();
  addKeys(keys, move.was?.report);
  addKeys(keys, move.is?.report);
  const values = valuesByKey(kept, keys);
  const after: Milestone[] = [];
  for (const milestone of before) {
    const text = keyText(milestone);
    const key = keys.get(text);
    if (key === undefined) {
      after.push(milestone);
      continue;
    }
    keys.delete(text);
    const present = values.get(text);
    if (present !== undefined) after.push(milestoneFrom(key, present, correctedValues(milestone, present, move)));
  }
  for (const [text, key] of keys) {
    const present = values.get(text);
    if (present !== undefined) after.push(milestoneFrom(key, present, []));
  }
  return after;
}

function addKeys(keys: Map<string, MilestoneKey>, report: Report | undefined): void {
  if (report === undefined) return;
  for (const key of milestoneKeysOf(report)) keys.set(keyText(key), key);
}

/** Only the place may contain spaces, so it stands last. */
function keyText(key: MilestoneKey): string {
  return `${key.kind} ${key.leg} ${key.unitId} ${key.place}`;
}

/** The values that the counting reports give to some milestones, in the order of recording. */
function valuesByKey(
  kept: readonly RecordedReport[],
  keys: ReadonlyMap<string, MilestoneKey>,
): Map<string, MilestoneTime[]> {
  const kinds = new Set([...keys.values()].map((key) => key.kind));
  const values = new Map<string, MilestoneTime[]>();
  for (const recorded of kept) {
    const report = recorded.report;
    if (report === undefined || !counts(recorded) || !kinds.has(report.milestone || report.status)) continue;
    const value = milestoneTime(report, recorded);
    for (const key of milestoneKeysOf(report)) {
      const text = keyText(key);
      if (!keys.has(text)) continue;
      const list = values.get(text);
      if (list) list.push(value);
      else values.set(text, [value]);
    }
  }
  return values;
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
  return [milestone.planned, milestone.estimated, milestone.actual, ...milestone.history]
    .filter((value) => value !== undefined)
    .filter((value) => !(value.sourceId === gone?.sourceId && value.source === gone.source))
    .filter((value) => !present.some((other) => isSameValue(value, other)));
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
