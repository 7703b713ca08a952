import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { PlaceSchema } from "../../gen/leadline/v1/place_pb.ts";
import {
  Flag,
  type RecordedReport,
  RecordedReportSchema,
  type Report,
  ReportOutcome,
  ReportSchema,
} from "../../gen/leadline/v1/report_pb.ts";
import { everything, redactMessage } from "../../src/domain/redaction.ts";
import {
  NAMED_PER_REPORT_MAX,
  takeReport,
  takeRetraction,
  withReport,
  withRetraction,
} from "../../src/domain/reports.ts";
import { at, report, retraction } from "./order-desk.ts";

const { APPLIED, ALREADY_KNOWN, SUPERSEDED, RETRACTED } = ReportOutcome;
const MAX = 10;

/** A report of READY, told apart by its remark, that its source said at a minute; undefined: it did not say when. */
function said(saidAt: number | undefined, remark: string, sourceId = "r1"): Report {
  const one = report(sourceId, "READY", 1, { remark });
  const { sourceUpdatedAt: _, ...untimed } = one;
  return saidAt === undefined ? untimed : { ...untimed, sourceUpdatedAt: at(saidAt) };
}

/** Takes reports and retractions one after another, a minute apart; answers the outcomes and what is kept. */
function takeAll(...items: (Report | ReturnType<typeof retraction>)[]) {
  let kept: RecordedReport[] = [];
  const outcomes = items.map((item, i) => {
    const now = at(100 + i);
    if ("reason" in item) {
      const { outcome, retracted } = takeRetraction(kept, item, now, MAX);
      if (retracted) kept = withRetraction(kept, retracted, now);
      return outcome;
    }
    const { outcome, recorded } = takeReport(kept, item, now, MAX, () => []);
    if (recorded) kept = withReport(kept, recorded);
    return outcome;
  });
  const shown = kept.map((one) => (one.retracted ? "retracted" : one.report?.remark));
  return { outcomes, shown, kept };
}

describe("one identity, said several times", () => {
  test("what the source says later replaces what it said earlier", () => {
    expect(takeAll(said(1, "a"), said(2, "b"))).toMatchObject({ outcomes: [APPLIED, APPLIED], shown: ["b"] });
  });

  test("what the source said earlier and arrives later is superseded", () => {
    expect(takeAll(said(2, "b"), said(1, "a"))).toMatchObject({ outcomes: [APPLIED, SUPERSEDED], shown: ["b"] });
  });

  test("the same again is known already", () => {
    expect(takeAll(said(1, "a"), said(1, "a"))).toMatchObject({ outcomes: [APPLIED, ALREADY_KNOWN], shown: ["a"] });
  });

  test("of two with one time the same one stays, whichever arrives first", () => {
    const forth = takeAll(said(1, "a"), said(1, "b"));
    const back = takeAll(said(1, "b"), said(1, "a"));
    expect(forth.shown).toEqual(back.shown);
    expect([forth.outcomes[1], back.outcomes[1]].sort()).toEqual([APPLIED, SUPERSEDED]);
  });

  test("without a time of the source the time of recording is the order", () => {
    expect(takeAll(said(undefined, "a"), said(undefined, "b")).shown).toEqual(["b"]);
    expect(takeAll(said(undefined, "a"), said(undefined, "a")).outcomes).toEqual([APPLIED, ALREADY_KNOWN]);
    expect(takeAll(said(undefined, "a"), said(99, "b")).outcomes).toEqual([APPLIED, SUPERSEDED]);
  });

  test("the same id of another source is another report", () => {
    const other = { ...said(1, "b"), source: "carrier" };
    expect(takeAll(said(1, "a"), other).shown).toEqual(["a", "b"]);
  });

  test("a replaced report moves to the end: reports stand in the order of recording", () => {
    expect(takeAll(said(1, "a", "r1"), said(1, "b", "r2"), said(2, "c", "r1")).shown).toEqual(["b", "c"]);
  });
});

describe("a report of which personal data was removed", () => {
  const dock = (address: string) => create(PlaceSchema, { unlocode: "NLRTM", address });
  const texted = (saidAt: number | undefined) => ({ ...said(saidAt, "left with Ann"), place: dock("3 Dock Road") });
  /** What comes of reports when a known one has lost the texts that are chosen. */
  function outcomeWithout(known: Report, incoming: Report, chosen = everything) {
    const kept = [
      create(RecordedReportSchema, { report: redactMessage(ReportSchema, known, chosen), recordedAt: at(50) }),
    ];
    return takeReport(kept, incoming, at(100), MAX, () => []).outcome;
  }

  test("is known already when it is delivered again", () => {
    expect(outcomeWithout(texted(1), texted(1))).toBe(ALREADY_KNOWN);
    const exception = { ...texted(1), exception: true };
    expect(outcomeWithout(exception, exception)).toBe(ALREADY_KNOWN);
  });

  test("is replaced by what is said without times: that is said when it is recorded", () => {
    expect(outcomeWithout(texted(undefined), texted(undefined))).toBe(APPLIED);
    const remark = said(undefined, "a remark");
    expect(takeAll(said(undefined, ""), remark).kept[0]?.report).toMatchObject({ remark: "a remark" });
  });

  test("is known already when only some of its texts were removed", () => {
    const [known, remark] = [texted(1), ({ path }: { path: string }) => path === "remark"];
    expect(outcomeWithout(known, known, remark)).toBe(ALREADY_KNOWN);
    const other = { ...known, place: dock("4 Dock Road") };
    expect(outcomeWithout(known, other, remark)).not.toBe(ALREADY_KNOWN);
  });

  test("is replaced by what the source says later, or otherwise", () => {
    expect(outcomeWithout(texted(1), texted(2))).toBe(APPLIED);
    expect(outcomeWithout(texted(1), said(2, "left with Bob"))).toBe(APPLIED);
    const corrected = { ...texted(undefined), status: "IN_TRANSIT" };
    expect(outcomeWithout(texted(undefined), corrected)).toBe(APPLIED);
  });

  test("of two with one time that differ in texts the same one stays, whichever arrives first", () => {
    const versions = [said(1, ""), said(1, "a"), texted(1), { ...texted(1), exception: true }, said(1, "b")];
    const left = versions.flatMap((one) => versions.map((other) => takeAll(one, other, one).kept[0]?.report));
    const right = versions.flatMap((one) => versions.map((other) => takeAll(other, one, other).kept[0]?.report));
    expect(left).toEqual(right);
    const all = versions.map((_, i) => takeAll(...versions.slice(i), ...versions.slice(0, i)).kept[0]?.report);
    for (const one of all) expect(one).toEqual(all[0]);
  });
});

describe("retractions", () => {
  test("a retraction marks what was said up to then", () => {
    expect(takeAll(said(1, "a"), retraction("r1", 1))).toMatchObject({
      outcomes: [APPLIED, APPLIED],
      shown: ["retracted"],
    });
  });

  test("a retraction of something the source said again later is superseded", () => {
    expect(takeAll(said(5, "a"), retraction("r1", 4))).toMatchObject({ outcomes: [APPLIED, SUPERSEDED], shown: ["a"] });
  });

  test("a retraction that comes before its report waits for it without content", () => {
    const { outcomes, kept } = takeAll(retraction("r1", 4), said(4, "a"), said(3, "b"));
    expect(outcomes).toEqual([APPLIED, RETRACTED, RETRACTED]);
    expect(kept).toHaveLength(1);
    expect(kept[0]).toMatchObject({
      retracted: true,
      report: { source: "TMS", sourceId: "r1", status: "", milestone: "" },
    });
    expect(kept[0]?.report?.sourceUpdatedAt).toEqual(at(4));
  });

  test("what the source says after its retraction counts again", () => {
    expect(takeAll(said(1, "a"), retraction("r1", 2), said(3, "b"))).toMatchObject({
      outcomes: [APPLIED, APPLIED, APPLIED],
      shown: ["b"],
    });
    expect(takeAll(retraction("r1", 2), said(3, "b")).shown).toEqual(["b"]);
  });

  test("a retraction without a time holds against everything so far, however late the source dated it", () => {
    expect(takeAll(said(500, "a"), retraction("r1", undefined)).shown).toEqual(["retracted"]);
  });

  test("retracting again is known already, unless it holds against more", () => {
    const again = takeAll(said(1, "a"), retraction("r1", 2), retraction("r1", 2), retraction("r1", undefined));
    expect(again.outcomes.slice(2)).toEqual([ALREADY_KNOWN, ALREADY_KNOWN]);
    const further = takeAll(said(1, "a"), retraction("r1", 2), retraction("r1", 5), said(4, "b"));
    expect(further.outcomes.slice(2)).toEqual([APPLIED, RETRACTED]);
  });
});

describe("bounds and flags", () => {
  const full = Array.from({ length: MAX }, (_, i) =>
    create(RecordedReportSchema, { report: said(1, "x", `r${i}`), recordedAt: at(i) }),
  );

  test("a new identity is refused when as many reports as are kept are there", () => {
    const refusal = expect.objectContaining({
      reason: ErrorReason.SUBJECT_FULL,
      metadata: { limit: "reports", allowed: String(MAX), used: String(MAX) },
    });
    expect(() => takeReport(full, said(1, "y", "new"), at(50), MAX, () => [])).toThrow(refusal);
    expect(() => takeRetraction(full, retraction("new", 1), at(50), MAX)).toThrow(refusal);
  });

  test("a known identity can still be corrected and retracted then", () => {
    expect(takeReport(full, said(2, "y", "r3"), at(50), MAX, () => []).outcome).toBe(APPLIED);
    expect(takeRetraction(full, retraction("r3", 2), at(50), MAX).outcome).toBe(APPLIED);
  });

  test("reports that name more units and lines together than one subject may hold are refused", () => {
    const naming = (sourceId: string, count: number) => ({
      ...said(1, "x", sourceId),
      unitIds: Array.from({ length: count }, (_, i) => `U${i}`),
    });
    const room = MAX * NAMED_PER_REPORT_MAX;
    const kept = [create(RecordedReportSchema, { report: naming("r1", room - 1), recordedAt: at(1) })];
    expect(takeReport(kept, naming("r2", 1), at(50), MAX, () => []).outcome).toBe(APPLIED);
    expect(() => takeReport(kept, naming("r2", 2), at(50), MAX, () => [])).toThrow(
      expect.objectContaining({
        reason: ErrorReason.SUBJECT_FULL,
        metadata: { limit: "named_in_reports", allowed: String(room), used: expect.any(String) },
      }),
    );
    const corrected = { ...naming("r1", room), sourceUpdatedAt: at(2) };
    expect(takeReport(kept, corrected, at(50), MAX, () => []).outcome).toBe(APPLIED);
  });

  test("flags are recorded in ascending order, each once", () => {
    const flags = () => [Flag.LINE_UNKNOWN, Flag.LATE, Flag.LINE_UNKNOWN, Flag.OUT_OF_FLOW];
    expect(takeReport([], said(1, "a"), at(50), MAX, flags).recorded?.flags).toEqual([
      Flag.OUT_OF_FLOW,
      Flag.LATE,
      Flag.LINE_UNKNOWN,
    ]);
  });

  test("flags are not asked for when nothing is recorded", () => {
    let asked = 0;
    takeReport(full, said(1, "x", "r1"), at(50), MAX, () => {
      asked += 1;
      return [];
    });
    expect(asked).toBe(0);
  });
});
