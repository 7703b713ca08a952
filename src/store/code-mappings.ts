import { type EntityManager, LockMode } from "@mikro-orm/postgresql";
import { CodeMappingEntity, type CodeMappingRow, TenantEntity } from "./entities.ts";

/*
 * What partners' codes mean to a tenant itself. All of it runs in the caller's unit of work, which row-level security limits to
 * its tenant.
 */

/** Which mapping: a tenant has one for each list, code and carrier. */
export type MappingKey = Pick<CodeMappingRow, "codeList" | "code" | "carrier">;

/** A mapping as it is read. */
export type OwnMapping = Omit<CodeMappingRow, "tenantId">;

/**
 * All own mappings of a tenant, in no order. How many there may be is bounded where they are written. Every import of events reads
 * them, so they are read as plain rows, which costs a fraction of entities.
 */
export async function ownMappings(em: EntityManager, tenant: string): Promise<OwnMapping[]> {
  return em.execute<OwnMapping[]>(
    `select code_list as "codeList", code, carrier, milestone, exception from code_mapping where tenant_id = ?`,
    [tenant],
  );
}

/** The same to change them: nobody else does before the transaction ends. */
export async function ownMappingsToChange(em: EntityManager, tenant: string): Promise<OwnMapping[]> {
  await em.findOneOrFail(TenantEntity, { id: tenant }, { lockMode: LockMode.PESSIMISTIC_WRITE, fields: ["id"] });
  return ownMappings(em, tenant);
}

export async function setMappings(em: EntityManager, rows: readonly CodeMappingRow[]): Promise<void> {
  if (rows.length > 0) await em.upsertMany(CodeMappingEntity, [...rows]);
}

export async function removeMappings(em: EntityManager, tenant: string, keys: readonly MappingKey[]): Promise<void> {
  if (keys.length === 0) return;
  const $or = keys.map(({ codeList, code, carrier }) => ({ codeList, code, carrier }));
  await em.nativeDelete(CodeMappingEntity, { tenantId: tenant, $or });
}

/** How many items of the work list wait, for the reason given, for one of these codes. A key without carrier is of all. */
export async function countWaiting(
  em: EntityManager,
  tenant: string,
  reason: string,
  keys: readonly MappingKey[],
): Promise<number> {
  if (keys.length === 0) return 0;
  const wanted = keys.map(({ codeList, code, carrier }) => ({ code_list: codeList, code, carrier }));
  const rows = await em.execute<{ count: string }[]>(
    `select count(distinct w.id) as count
     from jsonb_to_recordset(?::jsonb) as k (code_list smallint, code text, carrier text)
     join work_item w on w.tenant_id = ? and w.code_list = k.code_list and w.code = k.code and w.code <> ''
       and w.reason = ? and (k.carrier = '' or k.carrier = w.code_carrier)`,
    [JSON.stringify(wanted), tenant, reason],
  );
  return Number(rows[0]?.count ?? 0);
}
