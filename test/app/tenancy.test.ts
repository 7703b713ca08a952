import { pino } from "pino";
import { expect, test } from "vitest";
import { Role, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import { openTenancy } from "../../src/app/tenancy.ts";
import { readConfig } from "../../src/config.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Limits } from "../../src/service/limits.ts";
import { nothingAgreed, type Tenancy } from "../../src/service/tenancy.ts";
import type { WatchOutcome } from "../../src/watch/spec.ts";
import { Instance, orders } from "../watch/instance.ts";

const key: Principal = {
  ...{ kind: "key", tenant: "t1", id: "key_1", name: "one", role: Role.VIEWER, carrier: "", expiresAtMs: undefined },
};

/** How the streams of an Adaptive tenant end when its tier is lowered to Quick Deploy with so many of them open. */
async function lowered(open: number): Promise<(WatchOutcome | undefined)[]> {
  await using started = new AsyncDisposableStack();
  const instance = new Instance();
  started.defer(() => instance.hubs.close());
  let tier: Tier = Tier.ADAPTIVE;
  const terms = () => ({ tenant: "t1", tier, state: TenantState.ACTIVE, agreed: nothingAgreed });
  const limits = new Limits({ termsOf: () => tenancy.of("t1") });
  const tenancy: Tenancy = openTenancy(readConfig({}), {
    ...{ bus: instance.bus, hubs: instance.hubs, limits: () => limits, log: pino({ enabled: false }), started },
    records: { terms: () => Promise.resolve(new Map([["t1", terms()]])) },
  });
  await tenancy.look("t1");
  const watches = Array.from({ length: open }, () => {
    limits.watch(key, { peer: "192.0.2.1", resumes: true });
    return instance.open({ filter: orders({ ids: ["o1"] }) });
  });
  await instance.clock.settle();
  tier = Tier.QUICK_DEPLOY;
  await tenancy.changed("t1");
  await instance.clock.settle();
  return watches.map(({ sink }) => sink.outcome);
}

test("streams that a lowered tier ends are told the tier, which have more, and what would help", async () => {
  const outcomes = await lowered(230);
  expect(outcomes.slice(0, 200)).toEqual(Array(200).fill(undefined));
  for (const outcome of outcomes.slice(200)) {
    expect(outcome).toMatchObject({
      how: "ended",
      reason: EndReason.TIER,
      why: {
        metadata: {
          ...{ limit: "tenant_streams", allowed: "200", used: "230" },
          ...{ tier: "QUICK_DEPLOY", tiers: "ASSISTED,ADAPTIVE" },
        },
        message: expect.stringMatching(/; end some .+; Assisted or Adaptive has more than Quick Deploy$/),
      },
    });
  }
});
