import { create } from "@bufbuild/protobuf";
import { durationMs, type Timestamp, timestampDate, timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type EntityManager, type MikroORM, UniqueConstraintViolationException } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import {
  type Key,
  KeySchema,
  Role,
  type Tenant,
  TenantSchema,
  type TenantUsage,
  TenantUsageSchema,
  Tier,
} from "../../gen/leadline/v1/tenant_pb.ts";
import {
  type CreateKeyRequest,
  CreateKeyResponseSchema,
  CreateLinkResponseSchema,
  CreateTenantResponseSchema,
  GetTenantResponseSchema,
  ListKeysResponseSchema,
  ListTenantsResponseSchema,
  RevokeKeyResponseSchema,
  type TenantService,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import { fieldInvalid } from "../domain/field-invalid.ts";
import { orderUnknown } from "../domain/order-commands.ts";
import { Refusal } from "../domain/refusal.ts";
import { orderRef } from "../domain/subject.ts";
import { checkTimestamp } from "../domain/times.ts";
import type { JournalReader } from "../journal/journal.ts";
import { ApiKeyEntity, type ApiKeyRow, TenantEntity, type TenantRow } from "../store/entities.ts";
import { drawCharacters, drawId } from "../wire/draw-id.ts";
import type { PageTokens } from "../wire/page-token.ts";
import { drawKey, type KeyKind } from "./api-key.ts";
import type { Call, Implementation } from "./call.ts";
import { tenantOf } from "./command.ts";
import type { LinkTokens } from "./link-token.ts";
import { pageScope, pageSize } from "./paging.ts";
import { forServiceOwner, forTenants } from "./unit-of-work.ts";

export interface TenantServiceParts {
  readonly orm: MikroORM;
  readonly journal: Pick<JournalReader, "subject">;
  readonly links: LinkTokens;
  readonly pageTokens: PageTokens;
  /** Told of a key that was revoked, once the database says so. */
  revoked(keyId: string): void;
  /** Default: the system's clock. */
  now?(): Date;
}

const dayMs = 24 * 60 * 60 * 1000;

const tenantsScope = pageScope("", "ListTenants", "");

/** The ids that tenants can have; anything else is nobody's. */
const tenantId = /^[a-z0-9][a-z0-9_-]{0,39}$/;

const kinds: Readonly<Partial<Record<Role, KeyKind>>> = {
  [Role.OWNER]: "owner",
  [Role.OPERATOR]: "operator",
  [Role.CARRIER]: "carrier",
  [Role.VIEWER]: "viewer",
};

/** Tenants, keys and links. Who may call what is decided before, by `authorise`. */
export function createTenantService(parts: TenantServiceParts): Implementation<typeof TenantService> {
  const { orm, links, pageTokens } = parts;
  const now = parts.now ?? (() => new Date());

  return {
    async createTenant(request) {
      const tenant = {
        id: request.tenantId || drawId("ten"),
        name: request.name,
        tier: request.tier || Tier.QUICK_DEPLOY,
      };
      const row = await forTenants(orm, [tenant.id], (em) => insertTenant(em, { ...tenant, createdAt: now() }));
      return create(CreateTenantResponseSchema, { tenant: tenantMessage(row) });
    },

    async getTenant(request, call) {
      const id = tenantAsked(request, call);
      return forTenants(orm, [id], async (em) => {
        const tenant = tenantMessage(await findTenant(em, id));
        if (call.principal.kind !== "service-owner") tenant.usage = await usageOf(em, id, now());
        return create(GetTenantResponseSchema, { tenant });
      });
    },

    async listTenants(request) {
      const limit = pageSize(request.pageSize);
      const after = request.pageToken === "" ? "" : pageTokens.decode(tenantsScope, request.pageToken);
      const rows = await forServiceOwner(orm, (em) =>
        em.find(TenantEntity, { id: { $gt: after } }, { orderBy: { id: "asc" }, limit: limit + 1 }),
      );
      const page = rows.slice(0, limit);
      return create(ListTenantsResponseSchema, {
        tenants: page.map(tenantMessage),
        nextPageToken: rows.length > limit ? pageTokens.encode(tenantsScope, page.at(-1)?.id ?? "") : "",
      });
    },

    async createKey(request, call) {
      const tenant = tenantAsked(request, call);
      const key = newKey(request, tenant, now());
      const { text, hash } = drawKey(kinds[request.role] ?? "viewer", key.id);
      const row = await forTenants(orm, [tenant], async (em) => {
        await findTenant(em, tenant);
        return em.create(ApiKeyEntity, { ...key, secretSha256: hash });
      });
      return create(CreateKeyResponseSchema, { key: keyMessage(row), secret: text });
    },

    async listKeys(request, call) {
      const tenant = tenantAsked(request, call);
      const limit = pageSize(request.pageSize);
      const scope = pageScope(tenant, "ListKeys", "");
      const before = request.pageToken === "" ? undefined : keyCursor(pageTokens.decode(scope, request.pageToken));
      const older = before && {
        $or: [{ createdAt: { $lt: before.createdAt } }, { createdAt: before.createdAt, id: { $gt: before.id } }],
      };
      const rows = await forTenants(orm, [tenant], async (em) => {
        await findTenant(em, tenant);
        return em.find(
          ApiKeyEntity,
          { tenantId: tenant, ...older },
          { orderBy: { createdAt: "desc", id: "asc" }, limit: limit + 1 },
        );
      });
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      return create(ListKeysResponseSchema, {
        keys: page.map(keyMessage),
        nextPageToken:
          rows.length > limit && last ? pageTokens.encode(scope, `${last.createdAt.getTime()}|${last.id}`) : "",
      });
    },

    async revokeKey(request, call) {
      const tenant = tenantAsked(request, call);
      const row = await forTenants(orm, [tenant], async (em) => {
        const key = await em.findOne(ApiKeyEntity, { id: request.keyId, tenantId: tenant });
        if (key === null) throw keyUnknown(request.keyId);
        key.revokedAt ??= now();
        return key;
      });
      parts.revoked(row.id);
      return create(RevokeKeyResponseSchema, { key: keyMessage(row) });
    },

    async createLink(request, call) {
      const tenant = tenantOf(call);
      if ((await parts.journal.subject(tenant, orderRef(request.orderId))) === undefined) {
        throw orderUnknown(request.orderId);
      }
      const lifetimeMs = request.lifetime === undefined ? dayMs : durationMs(request.lifetime);
      // The token keeps whole seconds.
      const expiresAtMs = Math.floor((now().getTime() + lifetimeMs) / 1000) * 1000;
      const token = links.encode({ id: drawId("lnk"), tenant, orderId: request.orderId, expiresAtMs });
      return create(CreateLinkResponseSchema, { token, expiresAt: timestampFromMs(expiresAtMs) });
    },
  };
}

/** The tenant that a call is about: the caller's own, or the one that the service owner names. */
function tenantAsked(request: { readonly tenantId: string }, call: Call): string {
  if (call.principal.kind !== "service-owner") return tenantOf(call);
  if (request.tenantId === "") throw fieldInvalid("tenant_id", "is needed: the service owner has no tenant of its own");
  if (!tenantId.test(request.tenantId)) throw tenantUnknown(request.tenantId);
  return request.tenantId;
}

async function findTenant(em: EntityManager, id: string): Promise<TenantRow> {
  const row = await em.findOne(TenantEntity, { id });
  if (row === null) throw tenantUnknown(id);
  return row;
}

/** A tenant comes with its journal, which is empty: its head names the journal itself. */
async function insertTenant(em: EntityManager, tenant: TenantRow): Promise<TenantRow> {
  try {
    const row = em.create(TenantEntity, tenant);
    await em.flush();
    await em.execute(
      `insert into journal_head (tenant_id, journal_id, revision, event_id, recorded_at)
       select ?, journal.id, 0, journal.id, clock_timestamp() from (values (?)) as journal (id)`,
      [tenant.id, drawCharacters(13)],
    );
    return row;
  } catch (error) {
    if (!(error instanceof UniqueConstraintViolationException)) throw error;
    throw new Refusal(ErrorReason.TENANT_EXISTS, `tenant "${tenant.id}" exists already; choose another id`, {
      metadata: { tenant_id: tenant.id },
    });
  }
}

async function usageOf(em: EntityManager, tenant: string, now: Date): Promise<TenantUsage> {
  const [head] = await em.execute<{ revision: string }[]>(
    "select revision::text from journal_head where tenant_id = ?",
    [tenant],
  );
  const activeKeys = await em.count(ApiKeyEntity, {
    tenantId: tenant,
    revokedAt: null,
    $or: [{ expiresAt: null }, { expiresAt: { $gt: now } }],
  });
  return create(TenantUsageSchema, { events: BigInt(head?.revision ?? 0), activeKeys });
}

function newKey(request: CreateKeyRequest, tenant: string, now: Date): Omit<ApiKeyRow, "secretSha256"> {
  const { name, role, carrier } = request;
  if (role === Role.CARRIER && carrier === "") throw fieldInvalid("carrier", "is needed with the role CARRIER");
  if (role !== Role.CARRIER && carrier !== "") throw fieldInvalid("carrier", "is for keys with the role CARRIER only");
  checkTimestamp(request.expiresAt, "expires_at");
  const expiresAt = request.expiresAt && timestampDate(request.expiresAt);
  if (expiresAt && !(expiresAt > now)) throw fieldInvalid("expires_at", "must lie in the future");
  const ends = { expiresAt: expiresAt ?? null, revokedAt: null, lastUsedAt: null };
  return { id: drawId("key"), tenantId: tenant, name, role, carrier, createdAt: now, ...ends };
}

function tenantMessage(row: TenantRow): Tenant {
  // A number of a later release's tier passes through: enums are open.
  return create(TenantSchema, {
    id: row.id,
    name: row.name,
    tier: row.tier as Tier,
    createdAt: timestampFromDate(row.createdAt),
  });
}

function keyMessage(row: ApiKeyRow): Key {
  const { id, name, carrier } = row;
  return create(KeySchema, {
    id,
    name,
    role: row.role as Role, // as with the tier
    carrier,
    createdAt: timestampFromDate(row.createdAt),
    ...timeIfAny("expiresAt", row.expiresAt),
    ...timeIfAny("revokedAt", row.revokedAt),
    ...timeIfAny("lastUsedAt", row.lastUsedAt),
  });
}

function timeIfAny<N extends string>(name: N, at: Date | null | undefined): { [K in N]?: Timestamp } {
  return at ? ({ [name]: timestampFromDate(at) } as { [K in N]: Timestamp }) : {};
}

function keyCursor(cursor: string): { createdAt: Date; id: string } {
  const [ms = "", id = ""] = cursor.split("|");
  return { createdAt: new Date(Number(ms)), id };
}

function tenantUnknown(id: string): Refusal {
  return new Refusal(ErrorReason.TENANT_UNKNOWN, `tenant "${id}" is unknown`, { metadata: { tenant_id: id } });
}

function keyUnknown(id: string): Refusal {
  return new Refusal(
    ErrorReason.KEY_UNKNOWN,
    id.startsWith("lead_") ? "that is a secret; send the key's id (key_...)" : `key "${id}" is unknown`,
    {
      metadata: { key_id: id.startsWith("lead_") ? "" : id },
    },
  );
}
