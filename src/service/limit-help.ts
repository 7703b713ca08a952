/** Tells who is refused past a limit of its tier which tier that is, and which have more of it. */
import { TierSchema } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import { type LimitName, limitTable } from "./limit-table.ts";
import type { Limits } from "./limits.ts";
import type { TenantTerms } from "./tenancy.ts";
import { type Allowance, tiersWith, tierTerms } from "./tiers.ts";

/** The limits as the doors ask them. */
export interface LimitsAsked extends Pick<Limits, "call" | "watch" | "wait" | "request" | "snapshotRows"> {
  /** A refusal past a limit that is held elsewhere, with what helps this caller. */
  explained(principal: Principal, refusal: Refusal): Refusal;
}

/** The same limits; their refusals help. */
export function helpful(limits: Limits, termsOf: (tenant: string) => TenantTerms): LimitsAsked {
  const explained = (principal: Principal, refusal: Refusal): Refusal => {
    if (principal.kind !== "key" && principal.kind !== "token") return refusal;
    const terms = termsOf(principal.tenant);
    return withTiers(refusal, terms, limits.allowanceOf(terms));
  };
  const told = <T>(principal: Principal, ask: () => T): T => {
    try {
      return ask();
    } catch (error) {
      throw error instanceof Refusal ? explained(principal, error) : error;
    }
  };
  return {
    call: (principal, peer) => told(principal, () => limits.call(principal, peer)),
    watch: (principal, opening) => told(principal, () => limits.watch(principal, opening)),
    wait: (principal, peer) => told(principal, () => limits.wait(principal, peer)),
    request: (principal, method, request) => told(principal, () => limits.request(principal, method, request)),
    snapshotRows: (principal) => limits.snapshotRows(principal),
    explained,
  };
}

const agreement = "more can be agreed (SetTier)";

/** What helps where no tier has more; see leadline.v1.TenantSettings. */
const inHighest: Readonly<Partial<Record<keyof Allowance, string>>> = {
  callsPerSecond: agreement,
  tenantCallsPerSecond: agreement,
  tenantStreams: agreement,
};

/** The refusal with the tier that bounds; as it is where something else does: an agreement, a setting, an address. */
export function withTiers(refusal: Refusal, terms: TenantTerms, holds: Allowance): Refusal {
  const limit = refusal.metadata.limit as LimitName | undefined;
  const row: { readonly of: string; readonly tier?: keyof Allowance } | undefined = limit && limitTable[limit];
  const { name, allowance } = tierTerms(terms.tier);
  if (row?.tier === undefined || holds[row.tier] !== allowance[row.tier]) return refusal;
  const of = row.tier;
  const more = tiersWith((other) => other.allowance[of] > allowance[of]);
  const tiers = more.map((tier) => TierSchema.value[tier]?.localName ?? String(tier)).join(",");
  const who = more.map((tier) => tierTerms(tier).name).join(" or ");
  const help = who === "" ? inHighest[of] : `${who} has more than ${name}`;
  const message = help === undefined ? refusal.message : `${refusal.message}; ${help}`;
  const tier = TierSchema.value[terms.tier]?.localName ?? String(terms.tier);
  return new Refusal(refusal.reason, message, {
    metadata: { ...refusal.metadata, tier, ...(tiers !== "" && { tiers }) },
    ...(refusal.retryAfterMs !== undefined && { retryAfterMs: refusal.retryAfterMs }),
  });
}
