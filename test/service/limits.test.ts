import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ListOrdersRequestSchema, OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { Role, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { networkOf } from "../../src/service/address.ts";
import { linkAllowance } from "../../src/service/limit-table.ts";
import { Limits, type LimitsOptions } from "../../src/service/limits.ts";
import { nothingAgreed, type TenantTerms } from "../../src/service/tenancy.ts";
import { tierTerms } from "../../src/service/tiers.ts";

function key(id: string, tenant = "t"): Extract<Principal, { kind: "key" }> {
  return { kind: "key", id, name: "test", tenant, role: Role.OPERATOR, carrier: "", expiresAtMs: undefined };
}
const link: Principal = { kind: "link", id: "lnk_1", tenant: "t", orderId: "o", expiresAtMs: 0 };
const token: Principal = { ...key("jwt_1"), kind: "token", expiresAtMs: 1e15, signer: "k1" };

const here = "192.0.2.1";
const fresh = { peer: here, resumes: false };
const resuming = { peer: here, resumes: true };

function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const terms = (tier: Tier, agreed: Partial<TenantTerms["agreed"]> = {}): TenantTerms => ({
  ...{ tenant: "t", tier, state: TenantState.ACTIVE },
  agreed: { ...nothingAgreed, ...agreed },
});

/** Limits on a clock that stands at 400 ms after a full second. */
function limits(options: Partial<LimitsOptions> = {}) {
  const clock = { nowMs: 1_000_000_400 };
  return { clock, limits: new Limits({ termsOf: () => terms(Tier.ADAPTIVE), now: () => clock.nowMs, ...options }) };
}

/** Does it until it is refused. */
function untilRefused(work: () => unknown, most = 100_000): { times: number; refusal: Refusal } {
  for (let times = 0; times < most; times++) {
    try {
      work();
    } catch (error) {
      if (error instanceof Refusal) return { times, refusal: error };
      throw error;
    }
  }
  throw new Error("nothing was refused");
}

describe("calls in a second", () => {
  test.each<[string, Partial<LimitsOptions>, Principal]>([
    ["key_calls_per_second", { instead: { callsPerSecond: 3 } }, key("key_b")],
    ["tenant_calls_per_second", { instead: { tenantCallsPerSecond: 3 } }, key("key_a", "u")],
    ["address_calls_per_second", { address: { callsPerSecond: 3 } }, key("key_a")],
    ["instance_calls_per_second", { instance: { callsPerSecond: 3 } }, key("key_a")],
  ])("%s: the fourth of three waits for the next second, and who is not meant does not", (limit, options, other) => {
    const { limits: counted, clock } = limits(options);
    const { times, refusal } = untilRefused(() => counted.call(key("key_a"), here));
    expect(times).toBe(3);
    expect(refusal).toMatchObject({
      reason: ErrorReason.RATE_LIMITED,
      retryAfterMs: 600,
      metadata: { limit, allowed: "3", used: "4" },
    });
    if (limit !== "instance_calls_per_second") counted.call(other, "198.51.100.1");
    else expect(refusalOf(() => counted.call(other, "198.51.100.1")).metadata.limit).toBe(limit);
    clock.nowMs += 599;
    expect(refusalOf(() => counted.call(key("key_a"), here)).retryAfterMs).toBe(1);
    clock.nowMs += 1;
    counted.call(key("key_a"), here);
  });

  test("what is refused to a key takes nothing from its tenant", () => {
    const { limits: counted } = limits({ instead: { callsPerSecond: 1, tenantCallsPerSecond: 2 } });
    counted.call(key("key_a"), here);
    for (let i = 0; i < 5; i++) refusalOf(() => counted.call(key("key_a"), here));
    counted.call(key("key_b"), here);
  });

  test("a larger tier allows more of everything", () => {
    const [small, larger, largest] = [Tier.QUICK_DEPLOY, Tier.ASSISTED, Tier.ADAPTIVE].map(
      (tier) => tierTerms(tier).allowance,
    );
    if (!small || !larger || !largest) throw new Error("there are three tiers");
    for (const name of Object.keys(small) as (keyof typeof small)[]) {
      expect(small[name], name).toBeLessThan(larger[name]);
      expect(larger[name], name).toBeLessThan(largest[name]);
    }
  });

  test("what was agreed with a tenant goes before its tier and before the settings", () => {
    const agreed = terms(Tier.ADAPTIVE, { callsPerSecond: 3, streams: 2 });
    const { limits: counted } = limits({ termsOf: () => agreed, instead: { callsPerSecond: 10 } });
    expect(untilRefused(() => counted.call(key("key_a"), here)).times).toBe(3);
    expect(untilRefused(() => counted.watch(key("key_a"), resuming)).refusal.metadata).toMatchObject({ allowed: "2" });
    expect(counted.usedBy("t")).toEqual({ calls: 3, streams: 2, opens: 2 });
  });

  test("other terms hold from the next call on, and streams that are open stay counted", () => {
    let now = terms(Tier.ADAPTIVE);
    const { limits: counted } = limits({ termsOf: () => now });
    for (let i = 0; i < 300; i++) counted.watch(key("key_a"), resuming);
    now = terms(Tier.QUICK_DEPLOY);
    const refusal = refusalOf(() => counted.watch(key("key_a"), resuming));
    expect(refusal.metadata).toMatchObject({ limit: "key_streams", allowed: "50", used: "300" });
    expect(counted.usedBy("t").streams).toBe(300);
  });

  test.each([Tier.QUICK_DEPLOY, Tier.ASSISTED])("tier %i decides when nothing is configured", (tier) => {
    const { limits: counted } = limits({ termsOf: () => terms(tier), instead: { callsPerSecond: 0 } });
    expect(untilRefused(() => counted.call(key("key_a"), here)).times).toBe(tierTerms(tier).allowance.callsPerSecond);
  });

  test("a link is allowed little, whatever is configured for keys", () => {
    const { limits: counted } = limits({ instead: { callsPerSecond: 1_000 } });
    expect(untilRefused(() => counted.call(link, here)).times).toBe(linkAllowance.callsPerSecond);
  });

  test("all addresses of one IPv6 network are one", () => {
    expect(["2001:db8::1", "2001:db8:0:0:ffff::9", "2001:0db8:0000::%eth0"].map(networkOf)).toEqual(
      Array(3).fill("2001:db8:0:0::/64"),
    );
    expect(networkOf("2001:db8:0:1::1")).toBe("2001:db8:0:1::/64");
    expect(["::ffff:192.0.2.1", "192.0.2.1", "", "::1"].map(networkOf)).toEqual([
      "192.0.2.1",
      "192.0.2.1",
      "",
      "0:0:0:0::/64",
    ]);
  });
});

describe("streams", () => {
  const scopes: [string, (bound: number) => Partial<LimitsOptions>, Principal, string][] = [
    ["key", (streams) => ({ instead: { streams } }), key("key_b"), here],
    ["tenant", (tenantStreams) => ({ tenantStreams }), key("key_a", "u"), here],
    ["address", (streams) => ({ address: { streams } }), key("key_a"), "198.51.100.1"],
    ["instance", (streams) => ({ instance: { streams } }), key("key_a"), here],
  ];

  test.each(scopes)("%s_streams: one more than allowed is refused until another ends", (of, options, other, peer) => {
    const { limits: counted } = limits(options(2));
    const first = counted.watch(key("key_a"), fresh);
    counted.watch(key("key_a"), fresh);
    const refusal = refusalOf(() => counted.watch(key("key_a"), fresh));
    expect(refusal).toMatchObject({
      reason: ErrorReason.RATE_LIMITED,
      retryAfterMs: 5_000,
      metadata: { limit: `${of}_streams`, allowed: "2", used: "2" },
    });
    if (of !== "instance") counted.watch(other, { ...fresh, peer })();
    first();
    first(); // counts once
    counted.watch(key("key_a"), fresh);
    expect(refusalOf(() => counted.watch(key("key_a"), fresh)).metadata.limit).toBe(`${of}_streams`);
  });

  test.each(scopes)("%s_streams: those that open new ones leave a fifth to those that resume", (of, options) => {
    const { limits: counted } = limits(options(10));
    const storm = untilRefused(() => counted.watch(key("key_a"), fresh));
    expect(storm.times).toBe(8);
    expect(storm.refusal.metadata).toEqual({
      ...{ limit: `${of}_streams`, allowed: "8", used: "8", kept_for_resuming: "2" },
    });
    expect(storm.refusal.message).toMatch(/8 streams open here, beside 2 kept for watches that resume, and 8 are; /);
    expect(untilRefused(() => counted.watch(key("key_a"), resuming)).times).toBe(2);
  });

  test.each<[string, Partial<LimitsOptions>]>([
    ["key", { instead: { streamOpensPerSecond: 10 } }],
    ["tenant", { instead: { tenantStreamOpensPerSecond: 10 } }],
    ["address", { address: { streamOpensPerSecond: 10 } }],
    ["instance", { instance: { streamOpensPerSecond: 10 } }],
  ])(
    "%s_stream_opens_per_second: a storm of new ones leaves a fifth of each second to those that resume",
    (of, options) => {
      const { limits: counted, clock } = limits(options);
      const storm = untilRefused(() => counted.watch(key("key_a"), fresh)());
      const limit = `${of}_stream_opens_per_second`;
      expect(storm.times).toBe(8);
      expect(storm.refusal).toMatchObject({
        reason: ErrorReason.RATE_LIMITED,
        retryAfterMs: 600,
        metadata: { limit, allowed: "8", used: "9", kept_for_resuming: "2" },
        message: expect.stringMatching(/more than 8 .+, beside 2 kept for watches that resume; spread them$/),
      });
      const resumed = untilRefused(() => counted.watch(key("key_a"), resuming)());
      expect(resumed.times).toBe(2);
      expect(resumed.refusal.metadata).toEqual({ limit, allowed: "10", used: "11" });
      clock.nowMs += 600;
      counted.watch(key("key_a"), fresh)();
    },
  );

  test("who has streams open is told, each once, and links are not among them", () => {
    const { limits: counted } = limits();
    const ends = [key("key_a"), key("key_a"), key("key_b"), link, token].map((who) => counted.watch(who, fresh));
    const holder = { kind: "key", tenant: "t", signer: "" };
    const ofToken = { kind: "token", tenant: "t", id: "jwt_1", signer: "k1" };
    expect([...counted.streamHolders()]).toEqual([{ ...holder, id: "key_a" }, { ...holder, id: "key_b" }, ofToken]);
    ends[0]?.();
    ends[2]?.();
    expect([...counted.streamHolders()]).toEqual([{ ...holder, id: "key_a" }, ofToken]);
  });

  test("a tenant's keys and tokens share a bound, which other tenants and the tenant's links do not take from", () => {
    const { tenantStreams } = tierTerms(Tier.QUICK_DEPLOY).allowance;
    const { limits: slow, clock } = limits({ termsOf: () => terms(Tier.QUICK_DEPLOY) });
    let opened = 0;
    const full = untilRefused(() => {
      clock.nowMs += 1_000;
      slow.watch(key(`key_${Math.floor(opened++ / 20)}`), resuming);
    });
    expect([full.times, full.refusal.metadata.limit]).toEqual([tenantStreams, "tenant_streams"]);
    expect(refusalOf(() => slow.watch(token, resuming)).metadata.limit).toBe("tenant_streams");
    slow.watch(key("key_other", "u"), fresh);
    slow.watch(link, fresh);
  });
});

describe("sizes", () => {
  const { listOrders, getOrder } = OrderService.method;
  const filter = { ids: ["a", "b"], statuses: ["BOOKED"], carriers: ["MAEU"] };

  test("filter_terms: the values of all fields of a filter together", () => {
    const { limits: counted } = limits({ instead: { filterTerms: 4 } });
    const request = create(ListOrdersRequestSchema, { filter });
    counted.request(key("key_a"), listOrders, request);
    counted.request(key("key_a"), listOrders, create(ListOrdersRequestSchema));
    counted.request(key("key_a"), getOrder, create(getOrder.input, { orderId: "a" }));
    const larger = create(ListOrdersRequestSchema, { filter: { ...filter, bookingIds: ["x"] } });
    expect(refusalOf(() => counted.request(key("key_a"), listOrders, larger))).toMatchObject({
      reason: ErrorReason.LIMIT_EXCEEDED,
      retryAfterMs: 3_600_000, // only another limit would help
      metadata: { limit: "filter_terms", allowed: "4", used: "5" },
    });
  });

  test("snapshot_rows: what the tier says, or the setting", () => {
    expect(limits().limits.snapshotRows(key("key_a"))).toBe(tierTerms(Tier.ADAPTIVE).allowance.snapshotRows);
    expect(limits({ instead: { snapshotRows: 7 } }).limits.snapshotRows(token)).toBe(7);
    expect(limits({ instead: { snapshotRows: 7 } }).limits.snapshotRows(link)).toBe(1);
  });
});
