/** The API keys as the authentication of calls needs them: found before their tenant is known, re-read, and marked used. */
import type { MikroORM } from "@mikro-orm/postgresql";
import { Role, TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { ApiKeyEntity, type ApiKeyRow, TenantEntity, type TenantRow } from "../store/entities.ts";
import { agreedOf } from "./agreed.ts";
import type { TenantTerms } from "./tenancy.ts";
import { forTenants, orUnavailable } from "./unit-of-work.ts";

/** One key with its tenant's terms. Its secret is the SHA-256 only. */
export interface KeyRecord {
  readonly id: string;
  readonly tenant: string;
  readonly terms: TenantTerms;
  readonly name: string;
  readonly role: Role;
  readonly carrier: string;
  readonly hash: Uint8Array;
  readonly expiresAtMs: number | undefined;
  readonly revoked: boolean;
  /** It is the service owner's, to help the tenant. */
  readonly support: boolean;
}

/** A key and the tenant whose it is. */
export interface KeyOfTenant {
  readonly tenant: string;
  readonly id: string;
}

/** Reads and marks keys. Rejects with DATABASE_UNAVAILABLE when the database cannot be asked. */
export interface KeyRecords {
  find(keyId: string): Promise<KeyRecord | undefined>;
  /** The terms of those of these tenants that there are. */
  terms(tenants: ReadonlySet<string>): Promise<Map<string, TenantTerms>>;
  /** Which of these keys still hold: neither revoked nor gone. */
  holding(keys: readonly KeyOfTenant[]): Promise<Set<string>>;
  /** Notes when keys were last used; an older time than the one noted changes nothing. */
  used(keys: readonly (KeyOfTenant & { readonly atMs: number })[]): Promise<void>;
}

/** How many keys one statement re-reads or marks. */
const chunk = 500;

/** The keys in the database. */
export function keyRecords(orm: MikroORM): KeyRecords {
  return {
    async find(keyId) {
      const tenant = await orUnavailable(() => tenantOf(orm, keyId));
      if (tenant === undefined) return undefined;
      return forTenants(orm, [tenant], async (em) => {
        const key = await em.findOne(ApiKeyEntity, { id: keyId, tenantId: tenant });
        const owner = await em.findOne(TenantEntity, { id: tenant });
        return key && owner ? recordOf(key, owner) : undefined;
      });
    },
    async terms(tenants) {
      const terms = new Map<string, TenantTerms>();
      for (const part of chunksOf([...tenants])) {
        const rows = await forTenants(orm, part, (em) => em.find(TenantEntity, { id: { $in: [...part] } }));
        for (const row of rows) terms.set(row.id, termsOf(row));
      }
      return terms;
    },
    async holding(keys) {
      const holding = new Set<string>();
      for (const part of chunksOf(keys)) {
        await forTenants(orm, tenantsOf(part), async (em) => {
          const rows = await em.find(
            ApiKeyEntity,
            { id: { $in: part.map((key) => key.id) }, revokedAt: null },
            { fields: ["id"] },
          );
          for (const row of rows) holding.add(row.id);
        });
      }
      return holding;
    },
    async used(keys) {
      for (const part of chunksOf(keys)) {
        const values = part.map(() => "(?, ?::timestamptz)").join(", ");
        await forTenants(orm, tenantsOf(part), (em) =>
          em.execute(
            `update api_key set last_used_at = greatest(last_used_at, used.at) from (values ${values}) as used (id, at)
             where api_key.id = used.id`,
            part.flatMap((key) => [key.id, new Date(key.atMs)]),
          ),
        );
      }
    },
  };
}

/** Row-level security hides keys while their tenant is not known; the database's own function finds that one thing. */
async function tenantOf(orm: MikroORM, keyId: string): Promise<string | undefined> {
  const rows = await orm.em.fork().execute<{ tenant: string | null }[]>("select tenant_of_key(?) as tenant", [keyId]);
  return rows[0]?.tenant ?? undefined;
}

/** What a tenant's row says. A tier or state of a later release counts as the lowest tier, and as suspended: nothing is lost. */
export function termsOf(row: TenantRow): TenantTerms {
  return {
    tenant: row.id,
    tier: oneOf(Tier, row.tier) ?? Tier.UNSPECIFIED,
    state: oneOf(TenantState, row.state) ?? TenantState.SUSPENDED,
    agreed: agreedOf(row),
  };
}

function recordOf(row: ApiKeyRow, owner: TenantRow): KeyRecord {
  return {
    id: row.id,
    tenant: row.tenantId,
    terms: termsOf(owner),
    name: row.name,
    role: oneOf(Role, row.role) ?? Role.UNSPECIFIED,
    carrier: row.carrier,
    hash: row.secretSha256,
    expiresAtMs: row.expiresAt?.getTime(),
    revoked: row.revokedAt != null,
    support: row.support,
  };
}

/** The enum's value with this number; undefined for a number of a later release. */
function oneOf<E extends Record<string, string | number>>(
  values: E,
  number: number,
): Extract<E[keyof E], number> | undefined {
  return Object.values(values).find((value): value is Extract<E[keyof E], number> => value === number);
}

function tenantsOf(keys: readonly KeyOfTenant[]): string[] {
  return [...new Set(keys.map((key) => key.tenant))];
}

function* chunksOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += chunk) yield items.slice(at, at + chunk);
}
