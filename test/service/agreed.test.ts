import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { TenantSettingsSchema, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import {
  agreedOf,
  historyTermsOf,
  inboundDaysOf,
  restingOf,
  SPARED_DAYS,
  settingsIn,
} from "../../src/service/agreed.ts";
import { nothingAgreed } from "../../src/service/tenancy.ts";

const DAY = 86_400_000;
type Row = Parameters<typeof agreedOf>[0];
const moved = (row: Row, tier: Tier, nowMs: number, asked?: { historyDays?: number; streams?: number }): Row => ({
  tier,
  settings: settingsIn(row, tier, asked && create(TenantSettingsSchema, asked), nowMs),
});
const adaptive: Row = { tier: Tier.ADAPTIVE, settings: { streams: 7, historyDays: 1_000, inboundDays: 400 } };

test("what is agreed rests in a lower tier, and holds again when it is raised", () => {
  const agreed = { callsPerSecond: 0, streams: 7, historyDays: 1_000, inboundDays: 400 };
  const lowered = moved(adaptive, Tier.ASSISTED, 0);
  expect([agreedOf(adaptive), restingOf(adaptive)]).toEqual([agreed, nothingAgreed]);
  expect([agreedOf(lowered), restingOf(lowered)]).toEqual([nothingAgreed, agreed]);
  expect(inboundDaysOf(lowered, 90)).toBe(400);
  const raised = moved(moved(lowered, Tier.QUICK_DEPLOY, DAY), Tier.ADAPTIVE, 2 * DAY);
  expect([agreedOf(raised), restingOf(raised)]).toEqual([agreed, nothingAgreed]);
  const anew = moved(raised, Tier.ADAPTIVE, 0, { streams: 8 });
  expect(anew.settings).toEqual({ streams: 8 });
});

test("history stays as it did for a month after a tier was lowered, however often it is", () => {
  const daysAt = (row: Row, day: number) => historyTermsOf(row, day * DAY).days;
  const lowered = moved(adaptive, Tier.ASSISTED, 0);
  expect(historyTermsOf(lowered, 0)).toEqual({ days: 1_000, afterwards: { days: 365, fromMs: SPARED_DAYS * DAY } });
  expect([daysAt(lowered, 29), daysAt(lowered, 30)]).toEqual([1_000, 365]);
  const lower = moved(lowered, Tier.QUICK_DEPLOY, 10 * DAY);
  expect([daysAt(lower, 39), daysAt(lower, 40)]).toEqual([1_000, 90]);
  const late = moved(lowered, Tier.QUICK_DEPLOY, 31 * DAY);
  expect([daysAt(late, 31), daysAt(late, 60), daysAt(late, 61)]).toEqual([365, 365, 90]);
  // Raised in part, what was spared is for its time; said again, nothing begins anew; raised wholly, nothing is spared.
  const part = moved(lower, Tier.ASSISTED, 20 * DAY);
  expect([daysAt(part, 39), daysAt(part, 40)]).toEqual([1_000, 365]);
  expect(moved(part, Tier.ASSISTED, 25 * DAY)).toEqual(part);
  expect(moved(part, Tier.ADAPTIVE, 25 * DAY)).toEqual(adaptive);
});

test("fewer days that are agreed in the same tier hold at once: they were meant", () => {
  const fewer = moved(adaptive, Tier.ADAPTIVE, 0, { historyDays: 10 });
  expect(historyTermsOf(fewer, 0)).toEqual({ days: 10, afterwards: undefined });
});
