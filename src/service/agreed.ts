/**
 * What is agreed with a tenant beside its tier, as its row keeps it. A tier without such agreements lets them rest: they hold
 * again when it is raised. And a tier that is lowered does not cut at once what the higher one had kept.
 */
import type { TenantSettings, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { TenantRow } from "../store/entities.ts";
import { type Agreed, nothingAgreed } from "./tenancy.ts";
import { tierTerms } from "./tiers.ts";

/** Days that history stays as it did before a tier was lowered: time to see that it was a mistake, or to take it away. */
export const SPARED_DAYS = 30;

type Row = Pick<TenantRow, "tier" | "settings">;

const DAY_MS = 24 * 60 * 60 * 1000;

/** What holds. */
export function agreedOf(row: Row): Agreed {
  return mayAgree(row) ? kept(row) : nothingAgreed;
}

/** What rests until the tier is raised. */
export function restingOf(row: Row): Agreed {
  return mayAgree(row) ? nothingAgreed : kept(row);
}

/** Days that history stays after a journey's end by what holds, and for how long still by what held before. */
export function historyTermsOf(row: Row, nowMs: number) {
  // Numbers of a later release pass through: enums are open.
  const agreed = agreedOf(row).historyDays || tierTerms(row.tier as Tier).historyDays;
  const { sparedDays = 0, sparedUntilMs = 0 } = row.settings;
  const isSpared = nowMs < sparedUntilMs && sparedDays > agreed;
  return {
    days: isSpared ? sparedDays : agreed,
    afterwards: isSpared ? { days: agreed, fromMs: sparedUntilMs } : undefined,
  };
}

/** Days that raw inbound messages are kept: they stay for as long when they cannot be read. */
export function inboundDaysOf({ settings }: Pick<Row, "settings">, initial: number): number {
  return settings.inboundDays || initial;
}

/** The settings of a row in another tier. @param asked what is agreed with it; undefined: what was */
export function settingsIn(row: Row, tier: Tier, asked: TenantSettings | undefined, nowMs: number) {
  const { sparedDays, sparedUntilMs, ...was } = row.settings;
  const settings: TenantRow["settings"] = asked === undefined ? was : agreedIn(asked);
  const isLowered = tierTerms(tier).historyDays < tierTerms(row.tier as Tier).historyDays;
  const before = historyTermsOf(row, nowMs);
  const after = historyTermsOf({ tier, settings }, nowMs);
  if (isLowered && before.days > after.days) {
    return { ...settings, sparedDays: before.days, sparedUntilMs: nowMs + SPARED_DAYS * DAY_MS };
  }
  // Raised in part: what was spared is for its time.
  const goesOn = sparedDays !== undefined && sparedUntilMs !== undefined && sparedUntilMs > nowMs;
  return goesOn && sparedDays > after.days ? { ...settings, sparedDays, sparedUntilMs } : settings;
}

/** What was asked for, as a row keeps it. */
export function agreedIn({ callsPerSecond, streams, historyDays, inboundDays }: TenantSettings): TenantRow["settings"] {
  const agreed = { callsPerSecond, streams, historyDays, inboundDays };
  return Object.fromEntries(Object.entries(agreed).filter(([, value]) => value > 0));
}

function mayAgree({ tier }: Row): boolean {
  return tierTerms(tier as Tier).features.tenant_settings;
}

function kept({ settings }: Row): Agreed {
  const { callsPerSecond = 0, streams = 0, historyDays = 0, inboundDays = 0 } = settings;
  const agreed = { callsPerSecond, streams, historyDays, inboundDays };
  return Object.values(agreed).some((value) => value > 0) ? agreed : nothingAgreed;
}
