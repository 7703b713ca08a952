/** How a tenant is suspended, resumed and closed, and how its tier changes: the service owner's business. */
import { create, type DescMethod } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { LockMode } from "@mikro-orm/postgresql";
import { type Tenant, TenantState, Tier, TierSchema } from "../../gen/leadline/v1/tenant_pb.ts";
import {
  CloseTenantResponseSchema,
  ResumeTenantResponseSchema,
  SetTierResponseSchema,
  SuspendTenantResponseSchema,
  TenantService,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import { fieldInvalid } from "../domain/field-invalid.ts";
import { checkTimestamp } from "../domain/times.ts";
import { TenantEntity, type TenantRow } from "../store/entities.ts";
import { agreedIn, settingsIn } from "./agreed.ts";
import { type Audit, actOf } from "./audit.ts";
import type { Call, Implementation } from "./call.ts";
import { tenantClosed } from "./tenancy.ts";
import { isTenantId, tenantUnknown } from "./tenant-ids.ts";
import { entitlementsOf, tenantMessage, type UsageHere } from "./tenant-view.ts";
import { tierTerms } from "./tiers.ts";

export interface TenantLifeParts {
  readonly audit: Audit;
  readonly here: UsageHere;
  /** Told of a tenant whose terms were changed, once the database says so; resolves when they hold on this instance. */
  changed(tenant: string): Promise<void>;
  now(): Date;
}

const methods = TenantService.method;

const dayMs = 24 * 60 * 60 * 1000;
/** When a closed tenant's data is deleted unless another day is named, and the earliest day that may be. */
const DELETED_AFTER_DAYS = 90;
const DELETED_AFTER_DAYS_MIN = 1;

type Life = Pick<Implementation<typeof TenantService>, "suspendTenant" | "resumeTenant" | "closeTenant" | "setTier">;

export function tenantLife(parts: TenantLifeParts): Life {
  /** Changes the row under its lock; the change says whether there was anything to change. An act that changes is audited. */
  async function alter(
    call: Call,
    method: DescMethod,
    id: string,
    change: (row: TenantRow) => boolean,
    details: (row: TenantRow) => Readonly<Record<string, string>>,
  ): Promise<Tenant> {
    if (!isTenantId(id)) throw tenantUnknown(id);
    let altered = false;
    const row = await parts.audit.administer(call, id, async (em, note) => {
      const found = await em.findOne(TenantEntity, { id }, { lockMode: LockMode.PESSIMISTIC_WRITE });
      if (found === null) throw tenantUnknown(id);
      altered = change(found);
      if (altered) note({ act: actOf(method), target: id, details: details(found) });
      return found;
    });
    if (altered) await parts.changed(id);
    const tenant = tenantMessage(row);
    tenant.entitlements = entitlementsOf(row, parts.here, undefined, parts.now().getTime());
    return tenant;
  }

  function enter(row: TenantRow, state: TenantState, reason: string): boolean {
    if (row.state === TenantState.CLOSED) throw tenantClosed(row.id);
    if (row.state === state) return false;
    Object.assign(row, { state, stateSince: parts.now(), stateReason: reason });
    return true;
  }

  return {
    async suspendTenant({ tenantId, reason }, call) {
      const suspend = (row: TenantRow) => enter(row, TenantState.SUSPENDED, reason);
      const tenant = await alter(call, methods.suspendTenant, tenantId, suspend, () => ({ reason }));
      return create(SuspendTenantResponseSchema, { tenant });
    },

    async resumeTenant({ tenantId, reason }, call) {
      const resume = (row: TenantRow) => enter(row, TenantState.ACTIVE, reason);
      const tenant = await alter(call, methods.resumeTenant, tenantId, resume, () => ({ reason }));
      return create(ResumeTenantResponseSchema, { tenant });
    },

    async closeTenant({ tenantId, reason, deleteAt: asked }, call) {
      checkTimestamp(asked, "delete_at");
      const earliest = parts.now().getTime() + DELETED_AFTER_DAYS_MIN * dayMs;
      if (asked && timestampDate(asked).getTime() < earliest)
        throw fieldInvalid("delete_at", "must be a day away at least");
      const close = (row: TenantRow) => {
        const again = row.state === TenantState.CLOSED;
        if (again && row.name === "") throw tenantClosed(row.id); // its data is deleted already
        if (!again) enter(row, TenantState.CLOSED, reason);
        const deleteAt = asked ? timestampDate(asked) : inDays(parts.now(), DELETED_AFTER_DAYS);
        if (again && (asked === undefined || deleteAt.getTime() === row.deleteAt?.getTime())) return false;
        if (again && row.deleteAt && deleteAt < row.deleteAt) {
          throw fieldInvalid("delete_at", `may only be moved to later than ${row.deleteAt.toISOString()}`);
        }
        row.deleteAt = deleteAt;
        return true;
      };
      const details = ({ deleteAt }: TenantRow) => ({ reason, delete_at: deleteAt?.toISOString() ?? "" });
      const tenant = await alter(call, methods.closeTenant, tenantId, close, details);
      return create(CloseTenantResponseSchema, { tenant });
    },

    async setTier({ tenantId, tier, settings }, call) {
      const mayAgree = tierTerms(tier).features.tenant_settings;
      if (settings !== undefined && !mayAgree) {
        throw fieldInvalid(
          "settings",
          `are for ${tierTerms(Tier.ADAPTIVE).name} only; leave them out, or set that tier`,
        );
      }
      const set = (row: TenantRow) => {
        if (row.state === TenantState.CLOSED) throw tenantClosed(row.id);
        const before = JSON.stringify([row.tier, row.settings]);
        row.settings = settingsIn(row, tier, settings, parts.now().getTime());
        row.tier = tier;
        return JSON.stringify([row.tier, row.settings]) !== before;
      };
      const agreed = settings && { settings: JSON.stringify(agreedIn(settings)) };
      const details = { tier: TierSchema.value[tier]?.localName ?? String(tier), ...agreed };
      const tenant = await alter(call, methods.setTier, tenantId, set, () => details);
      return create(SetTierResponseSchema, { tenant });
    },
  };
}

function inDays(from: Date, days: number): Date {
  return new Date(from.getTime() + days * dayMs);
}
