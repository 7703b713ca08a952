/** A tenant as it is told: what its tier includes, what is agreed, and what is used. */
import { create } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Entitlement,
  EntitlementSchema,
  type Tenant,
  type TenantHistory,
  TenantHistorySchema,
  TenantSchema,
  TenantSettingsSchema,
  type TenantState,
  type Tier,
} from "../../gen/leadline/v1/tenant_pb.ts";
import { STANDARD_FLOW_ID } from "../domain/standard-flow.ts";
import type { TenantRow } from "../store/entities.ts";
import { historyTermsOf, restingOf } from "./agreed.ts";
import { OWN_MAPPINGS_MAX } from "./flows/mappings.ts";
import { flowsOfTenant } from "./flows/records.ts";
import { termsOf } from "./key-records.ts";
import type { Used } from "./limits.ts";
import type { Agreed, TenantTerms } from "./tenancy.ts";
import {
  type Allowance,
  type Feature,
  featureTexts,
  reserveText,
  type TierTerms,
  tiersWith,
  tierTerms,
} from "./tiers.ts";

/** The part of the limits that tells what a tenant may use of this instance, and what it uses now. */
export interface UsageHere {
  allowanceOf(terms: TenantTerms): Allowance;
  usedBy(tenant: string): Used;
  /** The part of each bound on streams that is kept for watches that resume, in percent. */
  readonly resumeReservePercent: number;
}

/** What is counted in the database; undefined: it is not told to the one who asks. */
export interface Counted {
  readonly flows: number;
  readonly mappings: number;
  readonly keys: number;
  readonly events: bigint;
  /** What of its history has been cut, and the resume floor. */
  readonly cuts: {
    readonly subjects: bigint;
    readonly events: bigint;
    /** When the last cut was made. */
    readonly lastMs: number | undefined;
    readonly floor: bigint;
  };
}

/** A tenant without what takes counting. */
export function tenantMessage(row: TenantRow): Tenant {
  const { id, name, stateReason } = row;
  const { agreed } = termsOf(row);
  const resting = restingOf(row);
  const some = (one: Agreed) => Object.values(one).some((value) => value > 0);
  return create(TenantSchema, {
    id,
    name,
    // Numbers of a later release pass through: enums are open.
    tier: row.tier as Tier,
    state: row.state as TenantState,
    createdAt: timestampFromDate(row.createdAt),
    stateSince: timestampFromDate(row.stateSince ?? row.createdAt),
    stateReason,
    ...(row.deleteAt && { deleteAt: timestampFromDate(row.deleteAt) }),
    ...(some(agreed) && { settings: create(TenantSettingsSchema, agreed) }),
    ...(some(resting) && { restingSettings: create(TenantSettingsSchema, resting) }),
  });
}

/** The flow that new orders start in, and the one that rests. */
export function flowsShown(row: TenantRow): Pick<Tenant, "startingFlowId" | "restingFlowId"> {
  const { starting, resting } = flowsOfTenant(row);
  return { startingFlowId: starting || STANDARD_FLOW_ID, restingFlowId: resting };
}

/** How long history is kept, and what of it has been cut. */
export function historyShown(row: TenantRow, { cuts }: Counted, nowMs: number): TenantHistory {
  const { days, afterwards } = historyTermsOf(row, nowMs);
  return create(TenantHistorySchema, {
    days,
    ...(afterwards && { daysThen: afterwards.days, thenFrom: timestampFromMs(afterwards.fromMs) }),
    cutSubjects: cuts.subjects,
    cutEvents: cuts.events,
    ...(cuts.lastMs !== undefined && { lastCutAt: timestampFromMs(cuts.lastMs) }),
    resumeFloor: cuts.floor,
  });
}

/** Everything that the tenant's tier includes or bounds. */
export function entitlementsOf(
  row: TenantRow,
  here: UsageHere,
  counted: Counted | undefined,
  nowMs: number,
): Entitlement[] {
  const terms = termsOf(row);
  const tier = tierTerms(terms.tier);
  const allowance = here.allowanceOf(terms);
  const used = here.usedBy(row.id);
  const number = (name: string, what: string, allowed: number, usedNow?: number | bigint): Entitlement =>
    create(EntitlementSchema, {
      name,
      included: allowed > 0,
      allowed: allowed === Infinity ? 0n : BigInt(allowed),
      used: BigInt(usedNow ?? 0),
      description: what,
      ...(usedNow !== undefined && allowed !== Infinity && { left: leftOf(BigInt(allowed), BigInt(usedNow)) }),
    });
  const feature = (name: Feature): Entitlement =>
    create(EntitlementSchema, { name, included: tier.features[name], description: described(tier, name) });
  const percent = here.resumeReservePercent;
  const kept = percent === 0 ? "" : `; ${percent} % of them are kept for watches that resume`;
  const moreFlows = tiersWith(({ ownFlows }) => ownFlows > tier.ownFlows);
  return [
    number("status_flows", `status flows of its own${named(moreFlows, "more")}`, tier.ownFlows, counted?.flows),
    // The texts have the features' names as keys.
    ...Object.keys(featureTexts).map((name) => feature(name as Feature)),
    number("calls_per_second", "calls of one key in a second, on this instance", allowance.callsPerSecond),
    number(
      "tenant_calls_per_second",
      "calls of all its keys in a second, on this instance; used: in the present second",
      allowance.tenantCallsPerSecond,
      used.calls,
    ),
    number("key_streams", `open streams of one key, on this instance${kept}`, allowance.streams),
    number(
      "key_stream_opens_per_second",
      `streams that one key opens in a second, on this instance${kept}`,
      allowance.streamOpensPerSecond,
    ),
    number(
      "tenant_stream_opens_per_second",
      `streams that the tenant opens in a second, on this instance${kept}; used: in the present second`,
      allowance.tenantStreamOpensPerSecond,
      used.opens,
    ),
    number("streams", `open streams of the tenant, on this instance${kept}`, allowance.tenantStreams, used.streams),
    number("snapshot_rows", "rows of the snapshot of one watch", allowance.snapshotRows),
    number("filter_terms", "values in one filter", allowance.filterTerms),
    number("keys", "keys that are valid now", Infinity, counted?.keys),
    number("events", "events in its journal", Infinity, counted?.events),
    number(
      "own_mappings",
      "mappings of partners' codes that it has made",
      tier.features.code_mappings ? OWN_MAPPINGS_MAX : 0,
      counted?.mappings,
    ),
    number(
      "history_days",
      "days that history stays online after a journey's end; what was cut stays cut when they are raised",
      historyTermsOf(row, nowMs).days,
    ),
    number(
      "inbound_days",
      "days that raw inbound messages are kept",
      tier.features.inbound_messages ? terms.agreed.inboundDays || tier.inboundDays : 0,
    ),
    number("weight", "its share of a saturated instance, beside other tenants'", tier.weight),
    create(EntitlementSchema, { name: "reserve", included: tier.reserve, description: reserveOf(tier) }),
  ];
}

/** More may be used than is allowed: by what a higher tier has left behind. */
function leftOf(allowed: bigint, used: bigint): bigint {
  return used < allowed ? allowed - used : 0n;
}

function described({ features }: TierTerms, name: Feature): string {
  return whereIncluded(featureTexts[name], features[name], (other) => other.features[name]);
}

function reserveOf({ reserve }: TierTerms): string {
  return whereIncluded(reserveText, reserve, (other) => other.reserve);
}

function whereIncluded(text: string, included: boolean, holds: (other: TierTerms) => boolean): string {
  return included ? text : `${text}${named(tiersWith(holds), "included")}`;
}

function named(more: readonly Tier[], what: string): string {
  return more.length === 0 ? "" : `; ${what} in ${more.map((tier) => tierTerms(tier).name).join(" and ")}`;
}
