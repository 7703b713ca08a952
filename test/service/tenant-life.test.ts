import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role, type Tenant, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import {
  CloseTenantRequestSchema,
  CreateKeyRequestSchema,
  CreateTenantRequestSchema,
  GetTenantRequestSchema,
  ListTenantsRequestSchema,
  ResumeTenantRequestSchema,
  SetTierRequestSchema,
  SuspendTenantRequestSchema,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import { callWith, message, refusalOf, type Service, serviceOwner, startService } from "./support.ts";

const dayMs = 86_400_000;

let service: Service;
let tenantId = "";
let made = 0;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service[Symbol.asyncDispose]());
beforeEach(async () => {
  tenantId = `t${made++}`;
  const request = create(CreateTenantRequestSchema, { tenantId, name: "Acme", tier: Tier.ASSISTED });
  await service.tenants.createTenant(request, serviceOwner);
  service.changed.length = 0;
});

const suspend = async (reason = "unpaid") =>
  message(await service.tenants.suspendTenant(create(SuspendTenantRequestSchema, { tenantId, reason }), serviceOwner))
    .tenant;
const resume = async () =>
  message(await service.tenants.resumeTenant(create(ResumeTenantRequestSchema, { tenantId }), serviceOwner)).tenant;
const close = async (deleteInDays?: number) => {
  const deleteAt =
    deleteInDays === undefined ? {} : { deleteAt: timestampFromMs(service.nowMs + deleteInDays * dayMs) };
  const request = create(CloseTenantRequestSchema, { tenantId, reason: "done", ...deleteAt });
  return message(await service.tenants.closeTenant(request, serviceOwner)).tenant;
};
const setTier = async (tier: Tier, settings?: { callsPerSecond?: number; historyDays?: number }) => {
  const request = create(SetTierRequestSchema, { tenantId, tier, ...(settings && { settings }) });
  return message(await service.tenants.setTier(request, serviceOwner)).tenant;
};
const get = async () =>
  message(await service.tenants.getTenant(create(GetTenantRequestSchema, {}), callWith(tenantId))).tenant;

/** Days from now until its data is deleted. */
function daysLeft(tenant: Tenant | undefined): number {
  return (timestampMs(tenant?.deleteAt ?? expect.fail("it is not deleted")) - service.nowMs) / dayMs;
}

describe("suspended and resumed", () => {
  test("it says since when and why, and again nothing changes", async () => {
    expect(await suspend()).toMatchObject({ state: TenantState.SUSPENDED, stateReason: "unpaid" });
    service.nowMs += 1_000;
    const again = await suspend("another reason");
    expect(again).toMatchObject({ stateReason: "unpaid" });
    expect(timestampMs(again?.stateSince ?? expect.fail("it is not told"))).toBe(service.nowMs - 1_000);
    expect(await resume()).toMatchObject({ state: TenantState.ACTIVE, stateReason: "" });
    expect(service.changed).toEqual([tenantId, tenantId]);
    const { tenants } = message(
      await service.tenants.listTenants(create(ListTenantsRequestSchema, { pageSize: 1000 }), serviceOwner),
    );
    expect(tenants.find(({ id }) => id === tenantId)?.state).toBe(TenantState.ACTIVE);
  });

  test("what is nobody's is unknown", async () => {
    tenantId = "nobody";
    for (const work of [suspend, resume, close, () => setTier(Tier.ADAPTIVE)]) {
      expect((await refusalOf(work)).reason).toBe(ErrorReason.TENANT_UNKNOWN);
    }
    expect(service.changed).toEqual([]);
  });
});

describe("closed", () => {
  test("its data is deleted in 90 days, or on a day that is named and not too soon", async () => {
    expect((await refusalOf(() => close(0.5))).violations).toMatchObject([{ field: "delete_at" }]);
    const tenant = await close();
    expect(tenant).toMatchObject({ state: TenantState.CLOSED, stateReason: "done" });
    expect(daysLeft(tenant)).toBe(90);
  });

  test("the day may be moved to a later one, and to no earlier one", async () => {
    expect(daysLeft(await close(10))).toBe(10);
    expect(daysLeft(await close())).toBe(10);
    expect(daysLeft(await close(20))).toBe(20);
    expect((await refusalOf(() => close(15))).violations).toMatchObject([{ field: "delete_at" }]);
    expect(service.changed).toHaveLength(2);
  });

  test("there is no way back, and no key is made in it", async () => {
    await close();
    const key = create(CreateKeyRequestSchema, { tenantId, name: "late", role: Role.OWNER });
    const late = () => service.tenants.createKey(key, serviceOwner);
    for (const work of [suspend, resume, () => setTier(Tier.ADAPTIVE), late]) {
      expect((await refusalOf(work)).reason).toBe(ErrorReason.TENANT_CLOSED);
    }
  });
});

describe("the tier", () => {
  test("settings go with Adaptive only, stay while nothing is said of them, and rest in other tiers", async () => {
    expect((await refusalOf(() => setTier(Tier.ASSISTED, { callsPerSecond: 5 }))).violations).toMatchObject([
      { field: "settings" },
    ]);
    expect(await setTier(Tier.ADAPTIVE, { callsPerSecond: 5 })).toMatchObject({ settings: { callsPerSecond: 5 } });
    expect(await setTier(Tier.ADAPTIVE)).toMatchObject({ settings: { callsPerSecond: 5 } });
    expect(service.changed).toHaveLength(1);
    expect(await setTier(Tier.ADAPTIVE, { historyDays: 9 })).toMatchObject({
      settings: { callsPerSecond: 0, historyDays: 9 },
    });
    const lowered = await setTier(Tier.QUICK_DEPLOY);
    expect([lowered?.settings, lowered?.restingSettings]).toMatchObject([undefined, { historyDays: 9 }]);
    expect(await setTier(Tier.ASSISTED)).toMatchObject({ restingSettings: { historyDays: 9 } });
    const raised = await setTier(Tier.ADAPTIVE);
    expect([raised?.settings, raised?.restingSettings]).toMatchObject([{ historyDays: 9 }, undefined]);
    expect((await setTier(Tier.ADAPTIVE, {}))?.settings).toBeUndefined();
    await setTier(Tier.QUICK_DEPLOY);
    const never = await setTier(Tier.ADAPTIVE);
    expect([never?.settings, never?.restingSettings]).toEqual([undefined, undefined]);
  });

  test("a tenant is shown what it includes, what is used and who has more", async () => {
    const key = create(CreateKeyRequestSchema, { name: "one", role: Role.OWNER });
    await service.tenants.createKey(key, callWith(tenantId));
    const entitlements = new Map((await get())?.entitlements.map((one) => [one.name, one]));
    expect(entitlements.get("status_flows")).toMatchObject({ included: true, allowed: 5n, used: 0n });
    expect(entitlements.get("change_feed")).toMatchObject({
      included: false,
      description: "the change feed (ReadChanges); included in Adaptive",
    });
    expect(entitlements.get("filters")).toMatchObject({ included: true });
    expect(entitlements.get("streams")).toMatchObject({ allowed: 4_000n });
    expect(entitlements.get("history_days")).toMatchObject({ allowed: 365n });
    expect(entitlements.get("keys")).toMatchObject({ included: true, allowed: 0n, used: 1n });
    await setTier(Tier.ADAPTIVE, { historyDays: 900 });
    const more = new Map((await get())?.entitlements.map((one) => [one.name, one]));
    expect(more.get("status_flows")).toMatchObject({ included: true, allowed: 0n });
    expect(more.get("history_days")).toMatchObject({ allowed: 900n });
    expect([...more.values()].filter(({ included }) => !included)).toEqual([]);
  });
});
