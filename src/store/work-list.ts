import type { EntityManager } from "@mikro-orm/postgresql";
import { WorkItemEntity, type WorkItemRow } from "./entities.ts";

/*
 * The work list: imported items that matched nothing, for people to look at and to try again. All of it runs in the caller's
 * unit of work, which row-level security limits to its tenant.
 */

/** Where a page of the list begins: after this item, in the order of coming. */
export interface WorkListPlace {
  readonly createdAt: Date;
  readonly id: string;
}

/** How many items a tenant has on its list, counted up to a bound. */
export async function countWorkItems(em: EntityManager, tenant: string, upTo: number): Promise<number> {
  const rows = await em.execute<{ count: string }[]>(
    "select count(*) as count from (select 1 from work_item where tenant_id = ? limit ?) w",
    [tenant, upTo],
  );
  return Number(rows[0]?.count ?? 0);
}

/** The ids of items that are on the list already, by the hex of their hashes. */
export async function findWorkItems(
  em: EntityManager,
  tenant: string,
  hashes: readonly Uint8Array[],
): Promise<Map<string, string>> {
  if (hashes.length === 0) return new Map();
  const rows = await em.find(
    WorkItemEntity,
    { tenantId: tenant, itemSha256: { $in: hashes.map((hash) => Buffer.from(hash)) } },
    { fields: ["id", "itemSha256"] },
  );
  return new Map(rows.map((row) => [Buffer.from(row.itemSha256).toString("hex"), row.id]));
}

/** Puts items on the list. One that another instance has put there meanwhile is left as it is. */
export async function addWorkItems(em: EntityManager, items: readonly WorkItemRow[]): Promise<void> {
  if (items.length === 0) return;
  await em.upsertMany(WorkItemEntity, [...items], {
    onConflictFields: ["tenantId", "itemSha256"],
    onConflictAction: "ignore",
  });
}

/** Takes items off the list by their hashes. */
export async function removeByHash(em: EntityManager, tenant: string, hashes: readonly Uint8Array[]): Promise<void> {
  if (hashes.length === 0) return;
  const itemSha256 = { $in: hashes.map((hash) => Buffer.from(hash)) };
  await em.nativeDelete(WorkItemEntity, { tenantId: tenant, itemSha256 });
}

/** A page of the list, the oldest first: at most `limit` items and about `maxBytes` of them; at least one if there is one. */
export async function pageOfWorkItems(
  em: EntityManager,
  tenant: string,
  after: WorkListPlace | undefined,
  limit: number,
  maxBytes: number,
): Promise<WorkItemRow[]> {
  const from = after === undefined ? "" : "and (created_at, id) > (?, ?)";
  const rows = await em.execute<{ id: string }[]>(
    `select id from (
       select id, created_at, sum(bytes) over (order by created_at, id) - bytes as before from (
         select id, created_at, octet_length(item) as bytes from work_item
         where tenant_id = ? ${from} order by created_at, id limit ?) page) sized
     where before < ? order by created_at, id`,
    [tenant, ...(after === undefined ? [] : [after.createdAt, after.id]), limit, maxBytes],
  );
  return findByIds(
    em,
    tenant,
    rows.map(({ id }) => id),
  );
}

/** The ids of the items that were tried the longest ago. */
export async function longestUntried(em: EntityManager, tenant: string, limit: number): Promise<string[]> {
  const orderBy = [{ triedAt: "asc" as const }, { id: "asc" as const }];
  const rows = await em.find(WorkItemEntity, { tenantId: tenant }, { orderBy, limit, fields: ["id"] });
  return rows.map(({ id }) => id);
}

/** Items by their ids, in the order of coming; those that are not there are left out. */
export async function findByIds(em: EntityManager, tenant: string, ids: readonly string[]): Promise<WorkItemRow[]> {
  const orderBy = [{ createdAt: "asc" as const }, { id: "asc" as const }];
  return ids.length === 0 ? [] : em.find(WorkItemEntity, { tenantId: tenant, id: { $in: [...ids] } }, { orderBy });
}

/**
 * Locks items, always in the same order: two calls that try the same ones again, and of which one takes off the list what the
 * other leaves on it, would wait for each other.
 */
export async function lockWorkItems(em: EntityManager, tenant: string, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const places = ids.map(() => "?").join(", ");
  await em.execute(`select 1 from work_item where tenant_id = ? and id in (${places}) order by id for update`, [
    tenant,
    ...ids,
  ]);
}

/** An item that was tried again, and why it stays. */
export type TriedAgain = Pick<WorkItemRow, "id" | "reason" | "message" | "codeList" | "code" | "codeCarrier">;

/** Notes that items were tried again and stay, and why: in one statement, for other retries of them wait meanwhile. */
export async function noteTried(em: EntityManager, tenant: string, at: Date, tried: TriedAgain[]): Promise<void> {
  if (tried.length === 0) return;
  await em.execute(
    `update work_item w set reason = t.reason, message = t.message, tried_at = ?, tries = tries + 1,
       code_list = t."codeList", code = t.code, code_carrier = t."codeCarrier"
     from jsonb_to_recordset(?::jsonb)
       as t(id text, reason text, message text, "codeList" smallint, code text, "codeCarrier" text)
     where w.tenant_id = ? and w.id = t.id`,
    [at, JSON.stringify(tried), tenant],
  );
}

/** Takes items off the list by their ids. */
export async function removeWorkItems(em: EntityManager, tenant: string, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) await em.nativeDelete(WorkItemEntity, { tenantId: tenant, id: { $in: [...ids] } });
}
