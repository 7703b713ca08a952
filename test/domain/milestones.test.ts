import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { PlaceSchema } from "../../gen/leadline/v1/place_pb.ts";
import {
  Classifier,
  type Milestone,
  type RecordedReport,
  type Report,
  ReportOutcome,
  type ReportSchema,
} from "../../gen/leadline/v1/report_pb.ts";
import {
  comesAfterActual,
  MILESTONE_HISTORY_MAX,
  milestonesOf,
  moveMilestones,
  placeText,
} from "../../src/domain/milestones.ts";
import { findReport, takeReport, takeRetraction, withReport, withRetraction } from "../../src/domain/reports.ts";
import { at, localAt, report, retraction } from "./order-desk.ts";

const { PLANNED, ESTIMATED, ACTUAL } = Classifier;

/** A report of a departure: its classifier, when the source said so, and the time it gives. */
function departure(
  sourceId: string,
  classifier: Classifier,
  saidAt: number,
  time: number,
  more: MessageInitShape<typeof ReportSchema> = {},
): Report {
  return report(sourceId, "", time, { milestone: "DEPARTED", classifier, sourceUpdatedAt: at(saidAt), ...more });
}

interface Kept {
  readonly reports: RecordedReport[];
  readonly milestones: Milestone[];
}

function take({ reports, milestones }: Kept, one: Report, now: number): Kept {
  const { outcome, recorded } = takeReport(reports, one, at(now), 1_000, () => []);
  if (outcome !== ReportOutcome.APPLIED || recorded === undefined) return { reports, milestones };
  const after = withReport(reports, recorded);
  const move = { was: findReport(reports, one), is: recorded };
  return { reports: after, milestones: moveMilestones(milestones, after, move) };
}

function retract({ reports, milestones }: Kept, sourceId: string, minute: number): Kept {
  const { retracted } = takeRetraction(reports, retraction(sourceId, minute), at(minute), 1_000);
  if (retracted === undefined) return { reports, milestones };
  const after = withRetraction(reports, retracted, at(minute));
  const move = { was: findReport(reports, retracted), is: findReport(after, retracted) };
  return { reports: after, milestones: moveMilestones(milestones, after, move) };
}

const NOTHING: Kept = { reports: [], milestones: [] };
const takeAll = (...reports: Report[]) => reports.reduce((kept, one, i) => take(kept, one, 500 + i), NOTHING);
const only = ({ milestones }: Kept) => {
  expect(milestones).toHaveLength(1);
  const [milestone] = milestones;
  if (milestone === undefined) throw new Error("there is no milestone");
  return milestone;
};

describe("the three values of a milestone", () => {
  test("planned, estimated and actual stand beside each other", () => {
    const milestone = only(
      takeAll(departure("p", PLANNED, 1, 100), departure("e", ESTIMATED, 2, 110), departure("a", ACTUAL, 3, 120)),
    );
    expect(milestone.planned?.time).toEqual(localAt(100));
    expect(milestone.estimated?.time).toEqual(localAt(110));
    expect(milestone.actual?.time).toEqual(localAt(120));
    expect(milestone.history).toEqual([]);
  });

  test("the newest by the source's time is present, the others are history, oldest first", () => {
    const milestone = only(
      takeAll(
        departure("e3", ESTIMATED, 3, 130),
        departure("e1", ESTIMATED, 1, 110),
        departure("e2", ESTIMATED, 2, 120),
      ),
    );
    expect(milestone.estimated?.sourceId).toBe("e3");
    expect(milestone.history.map((value) => value.sourceId)).toEqual(["e1", "e2"]);
    expect(milestone.firstEstimate).toEqual(localAt(110));
  });

  test("an estimate after the actual is kept beside it and does not displace it", () => {
    const before = takeAll(departure("a", ACTUAL, 3, 120));
    const late = departure("e", ESTIMATED, 9, 140);
    expect(comesAfterActual(before.milestones, late)).toBe(true);
    const milestone = only(take(before, late, 600));
    expect(milestone.actual?.time).toEqual(localAt(120));
    expect(milestone.estimated?.time).toEqual(localAt(140));
  });

  test("an actual, and an estimate of another place, do not come after the actual", () => {
    const { milestones } = takeAll(
      departure("a", ACTUAL, 3, 120, { place: create(PlaceSchema, { unlocode: "NLRTM" }) }),
    );
    expect(comesAfterActual(milestones, departure("a2", ACTUAL, 4, 121))).toBe(false);
    const elsewhere = create(PlaceSchema, { unlocode: "SGSIN" });
    expect(comesAfterActual(milestones, departure("e", ESTIMATED, 4, 121, { place: elsewhere }))).toBe(false);
  });
});

describe("the key of a milestone", () => {
  test("the status is the kind when no milestone is named", () => {
    expect(only(takeAll(report("r", "ARRIVED", 5))).kind).toBe("ARRIVED");
  });

  test("a place is its UN/LOCODE, else its facility, else its name", () => {
    expect(placeText(create(PlaceSchema, { unlocode: "NLRTM", facility: "ECTDD", name: "Delta" }))).toBe("NLRTM");
    expect(placeText(create(PlaceSchema, { facility: "ECTDD", name: "Delta" }))).toBe("ECTDD");
    expect(placeText(create(PlaceSchema, { name: "Delta" }))).toBe("Delta");
    expect(placeText(undefined)).toBe("");
  });

  test("two legs through one port are two milestones", () => {
    const port = { place: create(PlaceSchema, { unlocode: "SGSIN" }) };
    const { milestones } = takeAll(
      departure("a", ACTUAL, 1, 100, { ...port, leg: 1 }),
      departure("b", ACTUAL, 2, 200, { ...port, leg: 2 }),
    );
    expect(milestones.map((m) => [m.leg, m.actual?.sourceId])).toEqual([
      [1, "a"],
      [2, "b"],
    ]);
  });

  test("a report of several units moves one milestone for each", () => {
    const { milestones } = takeAll(
      departure("a", ACTUAL, 1, 100, { unitIds: ["U1", "U2"] }),
      departure("b", ACTUAL, 2, 110),
    );
    expect(milestones.map((m) => [m.unitId, m.actual?.sourceId])).toEqual([
      ["U1", "a"],
      ["U2", "a"],
      ["", "b"],
    ]);
  });
});

describe("corrections and retractions", () => {
  test("a corrected time is history, and the first estimate stays the anchor", () => {
    const milestone = only(takeAll(departure("e", ESTIMATED, 1, 110), departure("e", ESTIMATED, 2, 150)));
    expect(milestone.estimated?.time).toEqual(localAt(150));
    expect(milestone.history.map((value) => value.time)).toEqual([localAt(110)]);
    expect(milestone.firstEstimate).toEqual(localAt(110));
  });

  test("an estimate that becomes the actual under the same id is no longer expected", () => {
    const milestone = only(takeAll(departure("x", ESTIMATED, 1, 110), departure("x", ACTUAL, 2, 115)));
    expect(milestone.estimated).toBeUndefined();
    expect(milestone.actual?.time).toEqual(localAt(115));
    expect(milestone.firstEstimate).toEqual(localAt(110));
  });

  test("a report that is corrected to another place leaves no milestone at the first", () => {
    const { milestones } = takeAll(
      departure("a", ACTUAL, 1, 100, { place: create(PlaceSchema, { unlocode: "NLRTM" }) }),
      departure("a", ACTUAL, 2, 100, { place: create(PlaceSchema, { unlocode: "BEANR" }) }),
    );
    expect(milestones.map((m) => m.place)).toEqual(["BEANR"]);
  });

  test("a retracted value vanishes, from the history too, and the value before it is present again", () => {
    const kept = takeAll(
      departure("e1", ESTIMATED, 1, 110),
      departure("e2", ESTIMATED, 2, 120),
      departure("e2", ESTIMATED, 3, 130),
    );
    const milestone = only(retract(kept, "e2", 600));
    expect(milestone.estimated?.sourceId).toBe("e1");
    expect(milestone.history).toEqual([]);
    expect(milestone.firstEstimate).toEqual(localAt(110));
  });

  test("a milestone that nothing tells of any more is gone", () => {
    expect(retract(takeAll(departure("a", ACTUAL, 1, 100)), "a", 600).milestones).toEqual([]);
  });

  test("a milestone that a report does not touch is the same object", () => {
    const before = takeAll(report("r", "READY", 1));
    const after = take(before, departure("a", ACTUAL, 2, 100), 600);
    expect(after.milestones[0]).toBe(before.milestones[0]);
  });
});

describe("the bound of the history", () => {
  const estimates = Array.from({ length: 50 }, (_, i) => departure(`e${i}`, ESTIMATED, i, 200 + i));

  test(`${MILESTONE_HISTORY_MAX} values are remembered: the newest, and the first estimate`, () => {
    const milestone = only(takeAll(...estimates));
    expect(milestone.estimated?.sourceId).toBe("e49");
    expect(milestone.firstEstimate).toEqual(localAt(200));
    const newest = Array.from(
      { length: MILESTONE_HISTORY_MAX - 1 },
      (_, i) => `e${49 - MILESTONE_HISTORY_MAX + 1 + i}`,
    );
    expect(milestone.history.map((value) => value.sourceId)).toEqual(["e0", ...newest]);
  });

  test("built at once or moved report by report they are the same", () => {
    const kept = takeAll(...estimates, departure("p", PLANNED, 1, 190), departure("a", ACTUAL, 70, 260));
    expect(milestonesOf(kept.reports)).toEqual(kept.milestones);
  });
});
