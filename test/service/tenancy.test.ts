import { afterEach, describe, expect, test } from "vitest";
import { TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { InProcessBus, Wire } from "../../src/bus/in-process.ts";
import { nothingAgreed, Tenancy, type TenantTerms } from "../../src/service/tenancy.ts";

const running: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of running.splice(0)) await stop();
});

const termsOf = (tenant: string, tier: Tier = Tier.ASSISTED): TenantTerms => ({
  ...{ tenant, tier, state: TenantState.ACTIVE, agreed: nothingAgreed },
});

/** One instance's tenants, and someone on the bus who says what they like. `reads`: whose terms were read, one for each read. */
function instance(read: (tenants: ReadonlySet<string>) => Promise<void>, tierOf = (): Tier => Tier.ASSISTED) {
  const wire = new Wire();
  const [bus, anyone] = [new InProcessBus(wire), new InProcessBus(wire)];
  const reads: string[] = [];
  const tenancy = new Tenancy({
    async read(tenants) {
      reads.push([...tenants].join(" "));
      const terms = [...tenants].map((tenant) => [tenant, termsOf(tenant, tierOf())] as const);
      await read(tenants);
      return new Map(terms);
    },
    ...{ bus, streaming: () => [], hold: () => {} },
    onError: (error) => {
      throw error;
    },
  });
  tenancy.start();
  running.push(
    () => tenancy.stop(),
    () => bus.close(),
    () => anyone.close(),
  );
  return { tenancy, anyone, reads };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("a tenant that is told of again and again", () => {
  test("does not hold up the look at another one", async () => {
    const { tenancy, anyone, reads } = instance(async () => {
      for (let i = 0; i < 10 && reads.length < 20; i++) {
        anyone.announceTenant("other");
        await turn();
      }
    });
    tenancy.remember(termsOf("other"), tenancy.age);
    expect(await tenancy.look("acme")).toEqual(termsOf("acme"));
    expect(reads.filter((read) => read === "acme")).toEqual(["acme"]);
    expect(tenancy.fresh("acme")).toEqual(termsOf("acme"));
  });

  test("is known as the last read says, and stale", async () => {
    let tier: Tier = Tier.ASSISTED;
    const { tenancy, anyone, reads } = instance(
      async () => {
        if (reads.length >= 20) return;
        anyone.announceTenant("acme");
        await turn();
      },
      () => tier,
    );
    tenancy.remember(termsOf("acme"), tenancy.age);
    tier = Tier.ADAPTIVE;
    expect(await tenancy.look("acme")).toEqual(termsOf("acme", Tier.ADAPTIVE));
    expect(tenancy.of("acme").tier).toBe(Tier.ADAPTIVE);
    expect(tenancy.fresh("acme")).toBeUndefined();
  });

  test("is looked at anew for who comes when the last read was sent already", async () => {
    let tier: Tier = Tier.ASSISTED;
    const second: Promise<TenantTerms | undefined>[] = [];
    const { tenancy, anyone, reads } = instance(
      async () => {
        if (reads.length > 3) return;
        anyone.announceTenant("acme");
        await turn();
        if (reads.length < 3) return;
        tier = Tier.ADAPTIVE;
        second.push(tenancy.look("acme"));
      },
      () => tier,
    );
    expect(await tenancy.look("acme")).toEqual(termsOf("acme"));
    expect(await second[0]).toEqual(termsOf("acme", Tier.ADAPTIVE));
  });

  test("is read again once for all that was said while it was read", async () => {
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    const { tenancy, anyone, reads } = instance(() => gate);
    tenancy.remember(termsOf("acme"), tenancy.age);
    tenancy.remember(termsOf("other"), tenancy.age);
    for (let i = 0; i < 100; i++) {
      anyone.announceTenant("acme");
      await turn();
      anyone.announceTenant("other");
      await turn();
    }
    go();
    await tenancy.stop();
    expect(reads).toEqual(["acme", "other acme"]);
  });
});

test("what was read before a change does not take the place of what was read after it", async () => {
  const { tenancy, anyone } = instance(async () => {});
  tenancy.remember(termsOf("acme"), tenancy.age);
  const before = tenancy.age;
  anyone.announceTenant("acme");
  await turn();
  tenancy.remember(termsOf("acme", Tier.ADAPTIVE), tenancy.age);
  tenancy.remember(termsOf("acme"), before);
  expect(tenancy.fresh("acme")?.tier).toBe(Tier.ADAPTIVE);
});
