import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ListOrdersRequestSchema, OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { Role, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { helpful } from "../../src/service/limit-help.ts";
import { Limits, type LimitsOptions } from "../../src/service/limits.ts";
import { type Agreed, nothingAgreed, type TenantTerms } from "../../src/service/tenancy.ts";
import { type Allowance, tierTerms } from "../../src/service/tiers.ts";

const peer = "192.0.2.1";
const key: Principal = {
  ...{ kind: "key", tenant: "acme", id: "key_1", name: "one", role: Role.OPERATOR, carrier: "" },
  ...{ expiresAtMs: undefined, support: false },
} as Principal;

const boundsOf = (
  tier: Tier,
  instead: Partial<Allowance> = {},
  agreed: Partial<Agreed> = {},
  options: Partial<LimitsOptions> = {},
) => {
  const terms: TenantTerms = {
    tenant: "acme",
    tier,
    state: TenantState.ACTIVE,
    agreed: { ...nothingAgreed, ...agreed },
  };
  return helpful(new Limits({ termsOf: () => terms, instead, now: () => 0, ...options }), () => terms);
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
      "snapshot",
      "snapshot_rows",
      (b) => {
        // It is held where the rows are sent.
        const most = b.snapshotRows(key);
        const metadata = { limit: "snapshot_rows", allowed: String(most), used: String(most + 1) };
        throw b.explained(key, new Refusal(ErrorReason.LIMIT_EXCEEDED, "filter the watch", { metadata }));
      },
    ],
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

  test("in the highest tier is told the tier alone, and that more can be agreed", () => {
    const bounds = boundsOf(Tier.ADAPTIVE);
    const { metadata, message } = refusedBy(() => bounds.call(key, peer));
    expect([metadata.tier, metadata.tiers]).toEqual(["ADAPTIVE", undefined]);
    expect(message).toMatch(/; more can be agreed \(SetTier\)$/);
    expect(Number(metadata.allowed)).toBe(tierTerms(Tier.ADAPTIVE).allowance.callsPerSecond);
  });

  test("by a setting of the instance, or by what was agreed, is told of no tier", () => {
    const set = boundsOf(Tier.QUICK_DEPLOY, { callsPerSecond: 3 });
    expect(refusedBy(() => set.call(key, peer)).metadata).toEqual({
      limit: "key_calls_per_second",
      allowed: "3",
      used: "4",
    });
    const rows = { limit: "snapshot_rows", allowed: "3", used: "more than 3" };
    const ended = new Refusal(ErrorReason.LIMIT_EXCEEDED, "filter the watch", { metadata: rows });
    expect(boundsOf(Tier.QUICK_DEPLOY, { snapshotRows: 3 }).explained(key, ended)).toBe(ended);
    const agreed = boundsOf(Tier.ADAPTIVE, {}, { callsPerSecond: 4 });
    expect(refusedBy(() => agreed.call(key, peer)).metadata).toEqual({
      ...{ limit: "key_calls_per_second", allowed: "4", used: "5" },
    });
  });

  test("by what the instance takes of any tenant is told of no tier, whatever the tier and the agreement allow", () => {
    for (const agreed of [{}, { streams: 30 }]) {
      const bounds = boundsOf(Tier.ADAPTIVE, {}, agreed, { tenantStreams: 20 });
      const { metadata, message } = refusedBy(() => bounds.wait(key, peer));
      expect(metadata).toEqual({ limit: "tenant_streams", allowed: "20", used: "20" });
      expect(message).toMatch(/; end some that are not needed, or open it on another instance$/);
    }
  });

  test("with a link is told of no tier", () => {
    const metadata = { limit: "snapshot_rows", allowed: "1", used: "more than 1" };
    const ended = new Refusal(ErrorReason.LIMIT_EXCEEDED, "filter the watch", { metadata });
    const link: Principal = { kind: "link", id: "lnk_1", tenant: "acme", orderId: "o", expiresAtMs: 0 };
    expect(boundsOf(Tier.QUICK_DEPLOY).explained(link, ended)).toBe(ended);
  });
});
