import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Place } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, Flag, type Report } from "../../gen/leadline/v1/report_pb.ts";
import { fieldInvalid } from "./field-invalid.ts";
import { isContainerNumber, looksLikeContainer } from "./identifiers.ts";
import { checkLocalTime, checkTimestamp, isAfterBy } from "./times.ts";

/** How far in the future an actual time may lie before it is flagged: clocks and zones differ by up to a day. */
const FUTURE_TOLERANCE_SECONDS = 86_400n;

const CLASSIFIERS: ReadonlySet<number> = new Set([Classifier.PLANNED, Classifier.ESTIMATED, Classifier.ACTUAL]);

/**
 * Refuses a report that says too little to be kept, whoever sends it: FIELD_INVALID without classifier, time, or both
 * status and milestone, with a time outside 1990 to 2100, a place that names nothing, or a line named twice;
 * TIME_ZONE_UNKNOWN. `field` is its path in the request.
 */
export function checkReport(report: Report, field = "report"): void {
  if (!CLASSIFIERS.has(report.classifier)) {
    throw fieldInvalid(`${field}.classifier`, "must be PLANNED, ESTIMATED or ACTUAL");
  }
  if (report.status === "" && report.milestone === "") {
    throw fieldInvalid(`${field}.status`, "or milestone must be set");
  }
  if (report.occurredAt === undefined) throw fieldInvalid(`${field}.occurred_at`, "must be set");
  checkLocalTime(report.occurredAt, `${field}.occurred_at`);
  checkTimestamp(report.sourceUpdatedAt, `${field}.source_updated_at`);
  checkPlace(report.place, `${field}.place`);
  const lines = new Set<string>();
  for (const [i, { lineId }] of report.lines.entries()) {
    if (lines.has(lineId)) throw fieldInvalid(`${field}.lines[${i}].line_id`, `"${lineId}" stands twice`);
    lines.add(lineId);
  }
}

/** Refuses with FIELD_INVALID a place that names nothing; an absent one passes. */
export function checkPlace(place: Place | undefined, field: string): void {
  if (place === undefined || place.unlocode || place.name || place.facility) return;
  throw fieldInvalid(field, "needs a unlocode, a name or a facility");
}

/** The flags that a report bears by itself, whatever it is about. `now` is the moment of recording. */
export function ownFlags(report: Report, now: Timestamp): Flag[] {
  const flags: Flag[] = [];
  const instant = report.occurredAt?.instant;
  if (report.occurredAt?.zoneUnknown) flags.push(Flag.ZONE_UNKNOWN);
  if (report.classifier === Classifier.ACTUAL && instant && isAfterBy(instant, now, FUTURE_TOLERANCE_SECONDS)) {
    flags.push(Flag.IN_FUTURE);
  }
  if (report.unitIds.some((id) => looksLikeContainer(id) && !isContainerNumber(id))) {
    flags.push(Flag.CHECK_DIGIT_WRONG);
  }
  return flags;
}
