import { create } from "@bufbuild/protobuf";
import { durationMs, type Timestamp, timestampDate, timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type EntityManager, type MikroORM, UniqueConstraintViolationException } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import {
  type Key,
  KeySchema,
  Role,
  RoleSchema,
  TenantState,
  TenantUsageSchema,
  Tier,
  TierSchema,
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
  TenantService,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import { fieldInvalid } from "../domain/field-invalid.ts";
import { orderUnknown } from "../domain/order-commands.ts";
import { Refusal } from "../domain/refusal.ts";
import { orderRef } from "../domain/subject.ts";
import { checkTimestamp } from "../domain/times.ts";
import type { JournalReader } from "../journal/journal.ts";
import {
  ApiKeyEntity,
  type ApiKeyRow,
  CodeMappingEntity,
  StatusFlowEntity,
  TenantEntity,
  type TenantRow,
} from "../store/entities.ts";
import { drawCharacters, drawId } from "../wire/draw-id.ts";
import type { PageTokens } from "../wire/page-token.ts";
import { drawKey, type KeyKind } from "./api-key.ts";
import { type Audit, actOf, auditReads } from "./audit.ts";
import type { Call, Implementation } from "./call.ts";
import { tenantOf } from "./command.ts";
import type { LinkTokens } from "./link-token.ts";
import { pageScope, pageSize } from "./paging.ts";
import { tenantClosed } from "./tenancy.ts";
import { isTenantId, tenantUnknown } from "./tenant-ids.ts";
import { tenantLife } from "./tenant-life.ts";
import {
  type Counted,
  entitlementsOf,
  flowsShown,
  historyShown,
  tenantMessage,
  type UsageHere,
} from "./tenant-view.ts";
import { forServiceOwner, forTenants } from "./unit-of-work.ts";

export interface TenantServiceParts {
  readonly orm: MikroORM;
  readonly journal: Pick<JournalReader, "subject" | "events" | "heads">;
  readonly audit: Audit;
  readonly links: LinkTokens;
  readonly pageTokens: PageTokens;
  readonly here: UsageHere;
  /** Told of a tenant whose terms were changed, once the database says so; resolves when they hold on this instance. */
  changed(tenant: string): Promise<void>;
  /** Told of a key that was revoked, once the database says so. */
  revoked(keyId: string): void;
  /** Default: the system's clock. */
  now?(): Date;
}

const dayMs = 24 * 60 * 60 * 1000;
const SUPPORT_DEFAULT_MS = 60 * 60 * 1000;
const SUPPORT_MAX_MS = 8 * 60 * 60 * 1000;

const methods = TenantService.method;

const tenantsScope = pageScope("", "ListTenants", "");

/** What a tenant is beside what it was made with. */
const newTenant = {
  state: TenantState.ACTIVE,
  stateSince: null,
  stateReason: "",
  deleteAt: null,
  defaultFlowId: "",
  settings: {},
};

const kinds: Readonly<Partial<Record<Role, KeyKind>>> = {
  [Role.OWNER]: "owner",
  [Role.OPERATOR]: "operator",
  [Role.CARRIER]: "carrier",
  [Role.VIEWER]: "viewer",
};

/** Tenants, keys and links. Who may call what is decided before, by `authorise`. */
export function createTenantService(parts: TenantServiceParts): Implementation<typeof TenantService> {
  const { audit, orm, links, pageTokens } = parts;
  const now = parts.now ?? (() => new Date());

  return {
    ...tenantLife({ audit, here: parts.here, changed: (id) => parts.changed(id), now }),
    ...auditReads(parts),

    async createTenant(request, call) {
      const tenant = {
        id: request.tenantId || drawId("ten"),
        name: request.name,
        tier: request.tier || Tier.QUICK_DEPLOY,
      };
      const row = await audit.administer(call, tenant.id, async (em, note) => {
        note({
          act: actOf(methods.createTenant),
          target: tenant.id,
          details: { name: tenant.name, tier: TierSchema.value[tenant.tier]?.localName ?? String(tenant.tier) },
        });
        return insertTenant(em, { ...tenant, createdAt: now(), ...newTenant });
      });
      return create(CreateTenantResponseSchema, { tenant: tenantMessage(row) });
    },

    async getTenant(request, call) {
      const id = tenantAsked(request, call);
      return forTenants(orm, [id], async (em) => {
        const row = await findTenant(em, id);
        const tenant = tenantMessage(row);
        // The service owner is told what is included and what of this instance is used, and sees no tenant's data.
        const counted = call.principal.kind === "service-owner" ? undefined : await countedOf(em, id, now());
        if (counted) tenant.usage = create(TenantUsageSchema, { events: counted.events, activeKeys: counted.keys });
        tenant.entitlements = entitlementsOf(row, parts.here, counted, now().getTime());
        if (counted) Object.assign(tenant, flowsShown(row), { history: historyShown(row, counted, now().getTime()) });
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
      const row = await audit.administer(call, tenant, async (em, note) => {
        const { state } = await findTenant(em, tenant);
        if (state === TenantState.CLOSED) throw tenantClosed(tenant);
        note({ act: actOf(methods.createKey), target: key.id, details: keyDetails(key) });
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
      const row = await audit.administer(call, tenant, async (em, note) => {
        const key = await em.findOne(ApiKeyEntity, { id: request.keyId, tenantId: tenant });
        if (key === null) throw keyUnknown(request.keyId);
        if (!key.revokedAt) note({ act: actOf(methods.revokeKey), target: key.id, details: { name: key.name } });
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
      const id = drawId("lnk");
      const token = links.encode({ id, tenant, orderId: request.orderId, expiresAtMs });
      const details = { order_id: request.orderId, expires_at: new Date(expiresAtMs).toISOString() };
      await audit.administer(call, tenant, async (_em, note) =>
        note({ act: actOf(methods.createLink), target: id, details }),
      );
      return create(CreateLinkResponseSchema, { token, expiresAt: timestampFromMs(expiresAtMs) });
    },
  };
}

/** The tenant that a call is about: the caller's own, or the one that the service owner names. */
function tenantAsked(request: { readonly tenantId: string }, call: Call): string {
  if (call.principal.kind !== "service-owner") return tenantOf(call);
  if (request.tenantId === "") throw fieldInvalid("tenant_id", "is needed: the service owner has no tenant of its own");
  if (!isTenantId(request.tenantId)) throw tenantUnknown(request.tenantId);
  return request.tenantId;
}

async function findTenant(em: EntityManager, id: string): Promise<TenantRow> {
  const row = await em.findOne(TenantEntity, { id });
  if (row === null) throw tenantUnknown(id);
  return row;
}

/** A tenant comes with its journal, which is empty: its head names the journal itself. */
async function insertTenant(
  em: EntityManager,
  tenant: Pick<TenantRow, "id" | "name" | "tier" | "createdAt">,
): Promise<TenantRow> {
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

interface HeadCounts {
  readonly revision: string;
  readonly floor: string;
  readonly cutSubjects: string;
  readonly cutEvents: string;
  readonly cutMs: string | null;
}

async function countedOf(em: EntityManager, tenant: string, now: Date): Promise<Counted> {
  const [head] = await em.execute<HeadCounts[]>(
    `select revision::text, floor::text, cut_subjects::text as "cutSubjects", cut_events::text as "cutEvents",
       (extract(epoch from cut_at) * 1000)::bigint::text as "cutMs" from journal_head where tenant_id = ?`,
    [tenant],
  );
  const keys = await em.count(ApiKeyEntity, {
    tenantId: tenant,
    revokedAt: null,
    $or: [{ expiresAt: null }, { expiresAt: { $gt: now } }],
  });
  const flows = await em.count(StatusFlowEntity, { tenantId: tenant });
  const mappings = await em.count(CodeMappingEntity, { tenantId: tenant });
  const cuts = {
    subjects: BigInt(head?.cutSubjects ?? 0),
    events: BigInt(head?.cutEvents ?? 0),
    lastMs: head?.cutMs ? Number(head.cutMs) : undefined,
    floor: BigInt(head?.floor ?? 0),
  };
  return { events: BigInt(head?.revision ?? 0), keys, flows, mappings, cuts };
}

function newKey(request: CreateKeyRequest, tenant: string, now: Date): Omit<ApiKeyRow, "secretSha256"> {
  const { name, role, carrier, support, reason } = request;
  if (role === Role.CARRIER && carrier === "") throw fieldInvalid("carrier", "is needed with the role CARRIER");
  if (role !== Role.CARRIER && carrier !== "") throw fieldInvalid("carrier", "is for keys with the role CARRIER only");
  checkTimestamp(request.expiresAt, "expires_at");
  const asked = request.expiresAt && timestampDate(request.expiresAt);
  if (asked && !(asked > now)) throw fieldInvalid("expires_at", "must lie in the future");
  const expiresAt = support ? supportEnd(request, asked, now) : (asked ?? null);
  const ends = { expiresAt, revokedAt: null, lastUsedAt: null };
  return { id: drawId("key"), tenantId: tenant, name, role, carrier, support, reason, createdAt: now, ...ends };
}

/** When a support key ends. Refuses what a support key cannot be. */
function supportEnd({ role, reason }: CreateKeyRequest, asked: Date | undefined, now: Date): Date {
  if (role !== Role.VIEWER) throw fieldInvalid("role", "of a support key is VIEWER: support reads");
  if (reason === "") throw fieldInvalid("reason", "is needed with a support key: the tenant reads it");
  const expiresAt = asked ?? new Date(now.getTime() + SUPPORT_DEFAULT_MS);
  if (expiresAt.getTime() - now.getTime() > SUPPORT_MAX_MS) {
    throw fieldInvalid("expires_at", "of a support key lies within eight hours");
  }
  return expiresAt;
}

/** What the audit journal says of a new key. */
function keyDetails(key: Omit<ApiKeyRow, "secretSha256">): Record<string, string> {
  const { name, role, carrier, expiresAt, support, reason } = key;
  return {
    name,
    role: RoleSchema.value[role as Role]?.localName ?? String(role),
    ...(carrier !== "" && { carrier }),
    ...(expiresAt && { expires_at: expiresAt.toISOString() }),
    ...(support && { support: "true" }),
    ...(reason !== "" && { reason }),
  };
}

function keyMessage(row: ApiKeyRow): Key {
  const { id, name, carrier, reason } = row;
  return create(KeySchema, {
    id,
    name,
    role: row.role as Role, // as with the tier
    carrier,
    reason,
    support: row.support,
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

/** What is no key's id may be a secret, and is not said again. */
function keyUnknown(id: string): Refusal {
  const isId = /^key_[0-9a-z]{1,36}$/.test(id);
  return new Refusal(
    ErrorReason.KEY_UNKNOWN,
    isId ? `key "${id}" is unknown` : "that is no key's id; send one like key_0a1b2c, and never the secret",
    { metadata: { key_id: isId ? id : "" } },
  );
}
