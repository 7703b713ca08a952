import { describe, expect, test } from "vitest";
import { type Entitlement, Role, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { OWN_MAPPINGS_MAX } from "../../src/service/flows/mappings.ts";
import { termsOf } from "../../src/service/key-records.ts";
import { Limits, type LimitsOptions } from "../../src/service/limits.ts";
import { type Counted, entitlementsOf } from "../../src/service/tenant-view.ts";
import { tiersMarkdown } from "../../src/service/tiers.ts";
import type { TenantRow } from "../../src/store/entities.ts";

const sold = [Tier.QUICK_DEPLOY, Tier.ASSISTED, Tier.ADAPTIVE];
const nowMs = Date.UTC(2026, 2, 1);
const peer = "192.0.2.1";
const key: Principal = {
  ...{ kind: "key", tenant: "acme", id: "key_1", name: "one", role: Role.VIEWER, carrier: "", expiresAtMs: undefined },
};

const rowOf = (tier: Tier, settings: Readonly<Record<string, number>> = {}): TenantRow =>
  ({
    ...{ id: "acme", name: "Acme", tier, createdAt: new Date(nowMs), state: TenantState.ACTIVE, stateSince: null },
    ...{ stateReason: "", deleteAt: null, defaultFlowId: "", settings },
  }) as TenantRow;

const counted: Counted = {
  ...{ flows: 1, mappings: 1_999, keys: 3, events: 40n },
  cuts: { subjects: 0n, events: 0n, lastMs: undefined, floor: 0n },
};

/** A tenant's limits on one instance, and what it is told of them. */
function tenant(row: TenantRow, options: Partial<LimitsOptions> = {}) {
  const limits = new Limits({ termsOf: () => termsOf(row), now: () => nowMs, ...options });
  const told = (): Map<string, Entitlement> =>
    new Map(entitlementsOf(row, limits, counted, nowMs).map((one) => [one.name, one]));
  return { limits, told };
}

function untilRefused(work: () => unknown): Refusal {
  for (let times = 0; times < 100_000; times++) {
    try {
      work();
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }
  throw new Error("nothing was refused");
}

describe("each row of the table of tiers", () => {
  const rows = tiersMarkdown()
    .trim()
    .split("\n")
    .slice(2)
    .map((line) => line.split(" | ").map((cell) => cell.replace(/^\||\|$/g, "").trim()));

  test.each(rows.map((cells) => [cells[0] ?? "", cells.slice(1)] as const))(
    "%s: is shown by GetTenant",
    (what, cells) => {
      const names = [...what.matchAll(/`([a-z_]+)`/g)].map(([, name = ""]) => name);
      expect(names, "it names its entitlement").toHaveLength(1);
      for (const [i, tier] of sold.entries()) {
        const entitlement =
          tenant(rowOf(tier))
            .told()
            .get(names[0] ?? "") ?? expect.fail(`${names[0]} is not shown`);
        const cell = (cells[i] ?? "").replaceAll(",", "");
        const [number] = /\d+$/.exec(cell) ?? [];
        expect(entitlement.included, `in tier ${tier}`).toBe(cell !== "" && cell !== "0");
        if (number !== undefined) expect(entitlement.allowed, `in tier ${tier}`).toBe(BigInt(number));
      }
    },
  );

  test("is found, and there are as many as there were", () => {
    expect(rows.length).toBeGreaterThanOrEqual(16);
  });
});

describe("what GetTenant tells of streams is what is held", () => {
  test.each<[string, Readonly<Record<string, number>>, number, Tier]>([
    ["the setting, below the tier", {}, 60, Tier.ADAPTIVE],
    ["the setting, below what was agreed", { streams: 70 }, 60, Tier.ADAPTIVE],
    ["what was agreed, below the setting", { streams: 50 }, 60, Tier.ADAPTIVE],
    ["the tier, below the setting", {}, 1_000, Tier.QUICK_DEPLOY],
  ])("%s", (_what, settings, tenantStreams, tier) => {
    const instead = { streamOpensPerSecond: 10_000, tenantStreamOpensPerSecond: 10_000 };
    const { limits, told } = tenant(rowOf(tier, settings), { tenantStreams, instead });
    const { allowed = 0n, description } = told().get("streams") ?? {};
    expect(description).toMatch(/; 20 % of them are kept for watches that resume$/);
    let n = 0;
    const next = () => ({ ...key, id: `key_${n++ % 8}` });
    const fresh = untilRefused(() => limits.watch(next(), { peer, resumes: false })).metadata;
    expect(fresh.limit).toBe("tenant_streams");
    expect(BigInt(fresh.allowed ?? 0) + BigInt(fresh.kept_for_resuming ?? 0)).toBe(allowed);
    const held = untilRefused(() => limits.wait(next(), peer)).metadata;
    expect(held).toMatchObject({ limit: "tenant_streams", allowed: String(allowed), used: String(allowed) });
    expect(told().get("streams")).toMatchObject({ used: allowed, left: 0n });
  });

  test("and none are kept where the settings keep none", () => {
    const { limits, told } = tenant(rowOf(Tier.ADAPTIVE), { tenantStreams: 5, resumeReservePercent: 0 });
    expect(told().get("streams")).toMatchObject({
      allowed: 5n,
      description: "open streams of the tenant, on this instance",
    });
    const { metadata } = untilRefused(() => limits.watch(key, { peer, resumes: false }));
    expect(metadata).toEqual({ limit: "tenant_streams", allowed: "5", used: "5" });
  });
});

describe("what is used is counted", () => {
  test("streams opened in the present second", () => {
    const { limits, told } = tenant(rowOf(Tier.QUICK_DEPLOY));
    for (let i = 0; i < 3; i++) limits.watch(key, { peer, resumes: false })();
    expect(told().get("tenant_stream_opens_per_second")).toMatchObject({ allowed: 80n, used: 3n, left: 77n });
  });

  test("mappings of its own, of those that it may have", () => {
    const allowed = BigInt(OWN_MAPPINGS_MAX);
    expect(tenant(rowOf(Tier.ASSISTED)).told().get("own_mappings")).toMatchObject({ allowed, used: 1_999n, left: 1n });
    // What a higher tier has left behind is at work, and may be removed.
    const lowered = tenant(rowOf(Tier.QUICK_DEPLOY)).told().get("own_mappings");
    expect(lowered).toMatchObject({ included: false, allowed: 0n, used: 1_999n, left: 0n });
  });
});
