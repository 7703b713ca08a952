import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ListOrdersRequestSchema, OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { Role, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { helpful } from "../../src/service/limit-help.ts";
import { Limits } from "../../src/service/limits.ts";
import { type Agreed, nothingAgreed, type TenantTerms } from "../../src/service/tenancy.ts";
import { type Allowance, tierTerms } from "../../src/service/tiers.ts";

const peer = "192.0.2.1";
const key: Principal = {
  ...{ kind: "key", tenant: "acme", id: "key_1", name: "one", role: Role.OPERATOR, carrier: "" },
  ...{ expiresAtMs: undefined, support: false },
} as Principal;

const boundsOf = (tier: Tier, instead: Partial<Allowance> = {}, agreed: Partial<Agreed> = {}) => {
  const terms: TenantTerms = {
    tenant: "acme",
    tier,
    state: TenantState.ACTIVE,
    agreed: { ...nothingAgreed, ...agreed },
  };
  return helpful(new Limits({ termsOf: () => terms, instead, now: () => 0 }), () => terms);
};

function refusedBy(ask: () => unknown): Refusal {
  for (let i = 0; i < 100_000; i++) {
    try {
      ask();
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }
  throw new Error("it is never refused");
}

describe("who is refused past a limit of its tier", () => {
  test.each([
    ["calls", "key_calls_per_second", (b: ReturnType<typeof boundsOf>) => b.call(key, peer)],
    ["opens", "key_stream_opens_per_second", (b) => b.watch(key, { peer, resumes: false })()],
    ["streams", "key_streams", (b) => b.wait(key, peer)],
    [
      "filter",
      "filter_terms",
      (b) => {
        const references = Array.from({ length: 5_000 }, (_, i) => ({ type: "PO", value: String(i) }));
        b.request(key, OrderService.method.listOrders, create(ListOrdersRequestSchema, { filter: { references } }));
      },
    ],
  ] as const satisfies readonly (readonly [string, string, (b: ReturnType<typeof boundsOf>) => unknown])[])(
    "%s: is told the tier, and which have more",
    (_what, limit, ask) => {
      const bounds = boundsOf(Tier.QUICK_DEPLOY);
      const refusal = refusedBy(() => ask(bounds));
      expect(refusal.metadata).toMatchObject({ limit, tier: "QUICK_DEPLOY", tiers: "ASSISTED,ADAPTIVE" });
      expect(Number(refusal.metadata.used)).toBeGreaterThanOrEqual(Number(refusal.metadata.allowed));
      expect(refusal.message).toMatch(/; Assisted or Adaptive has more than Quick Deploy$/);
      expect(refusal.retryAfterMs).toBeGreaterThan(0);
    },
  );

  test("in the highest tier is told the tier alone", () => {
    const bounds = boundsOf(Tier.ADAPTIVE);
    const { metadata, message } = refusedBy(() => bounds.call(key, peer));
    expect([metadata.tier, metadata.tiers]).toEqual(["ADAPTIVE", undefined]);
    expect(message).not.toContain("has more");
    expect(Number(metadata.allowed)).toBe(tierTerms(Tier.ADAPTIVE).allowance.callsPerSecond);
  });

  test("by a setting of the instance, or by what was agreed, is told of no tier", () => {
    const set = boundsOf(Tier.QUICK_DEPLOY, { callsPerSecond: 3 });
    expect(refusedBy(() => set.call(key, peer)).metadata).toEqual({
      limit: "key_calls_per_second",
      allowed: "3",
      used: "4",
    });
    const agreed = boundsOf(Tier.ADAPTIVE, {}, { callsPerSecond: 4 });
    expect(refusedBy(() => agreed.call(key, peer)).metadata).toEqual({
      ...{ limit: "key_calls_per_second", allowed: "4", used: "5" },
    });
  });
});
