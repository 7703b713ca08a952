import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { Limits, tierAllowances } from "../../src/service/limits.ts";

function key(id: string): Extract<Principal, { kind: "key" }> {
  return { kind: "key", id, name: "test", tenant: "t", role: Role.OPERATOR, carrier: "", expiresAtMs: undefined };
}
const link: Principal = { kind: "link", id: "lnk_1", tenant: "t", orderId: "o", expiresAtMs: 0 };

function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("calls", () => {
  test("more calls in a second than allowed are refused with the time to wait; other keys are not touched", async () => {
    const limits = new Limits({ tierOf: () => Tier.QUICK_DEPLOY, callsPerSecond: 3 });
    for (let i = 0; i < 3; i++) await limits.call(key("key_a"));
    const refusal = await limits.call(key("key_a")).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ reason: ErrorReason.RATE_LIMITED, metadata: { calls_per_second: "3" } });
    const waitMs = (refusal as Refusal).retryAfterMs ?? 0;
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThanOrEqual(1_000);
    await expect(limits.call(key("key_b"))).resolves.toBeUndefined();
  });

  test("a larger tier allows more", () => {
    const { [Tier.QUICK_DEPLOY]: small, [Tier.ASSISTED]: larger, [Tier.ADAPTIVE]: largest } = tierAllowances;
    expect(small.callsPerSecond).toBeLessThan(larger.callsPerSecond);
    expect(larger.callsPerSecond).toBeLessThan(largest.callsPerSecond);
    expect(small.streams).toBeLessThan(larger.streams);
    expect(larger.streams).toBeLessThan(largest.streams);
  });

  test("the tier of the key's tenant decides when nothing is configured", async () => {
    const limits = new Limits({ tierOf: () => Tier.QUICK_DEPLOY });
    const calls = Array.from({ length: tierAllowances[Tier.QUICK_DEPLOY].callsPerSecond + 1 }, () =>
      limits.call(key("key_a")),
    );
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.filter((outcome) => outcome.status === "rejected")).toHaveLength(1);
  });

  test("a link is allowed little, whatever is configured for keys", async () => {
    const limits = new Limits({ tierOf: () => Tier.ADAPTIVE, callsPerSecond: 1_000 });
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => limits.call(link)));
    expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(10);
  });
});

describe("streams", () => {
  test("one more than allowed is refused until another has ended", () => {
    const limits = new Limits({ tierOf: () => Tier.ADAPTIVE, streams: 2 });
    const first = limits.watch(key("key_a"));
    limits.watch(key("key_a"));
    expect(refusalOf(() => limits.watch(key("key_a")))).toMatchObject({
      reason: ErrorReason.RATE_LIMITED,
      retryAfterMs: 5_000,
    });
    limits.watch(key("key_b"));
    first();
    limits.watch(key("key_a"));
    expect(refusalOf(() => limits.watch(key("key_a"))).reason).toBe(ErrorReason.RATE_LIMITED);
  });

  test("the keys with open streams are told, each once, and links are not among them", () => {
    const limits = new Limits({ tierOf: () => Tier.ADAPTIVE });
    const ends = [
      limits.watch(key("key_a")),
      limits.watch(key("key_a")),
      limits.watch(key("key_b")),
      limits.watch(link),
    ];
    expect([...limits.streamKeys()]).toEqual([
      { tenant: "t", id: "key_a" },
      { tenant: "t", id: "key_b" },
    ]);
    ends[0]?.();
    ends[2]?.();
    expect([...limits.streamKeys()]).toEqual([{ tenant: "t", id: "key_a" }]);
  });

  test("a stream that ends twice counts once", () => {
    const limits = new Limits({ tierOf: () => Tier.ADAPTIVE, streams: 2 });
    const first = limits.watch(key("key_a"));
    limits.watch(key("key_a"));
    first();
    first();
    limits.watch(key("key_a"));
    expect(refusalOf(() => limits.watch(key("key_a"))).reason).toBe(ErrorReason.RATE_LIMITED);
  });

  test("a tenant's keys share a bound, which other tenants and the tenant's links do not take from", () => {
    const limits = new Limits({ tierOf: () => Tier.QUICK_DEPLOY });
    const { streams, tenantStreams } = tierAllowances[Tier.QUICK_DEPLOY];
    for (let i = 0; i < tenantStreams; i++) limits.watch(key(`key_${Math.floor(i / streams)}`));
    expect(refusalOf(() => limits.watch(key("key_last"))).metadata).toEqual({ streams: String(tenantStreams) });
    limits.watch({ ...key("key_other"), tenant: "u" });
    limits.watch(link);
  });
});
