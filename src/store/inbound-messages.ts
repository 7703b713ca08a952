import type { EntityManager } from "@mikro-orm/postgresql";
import { InboundMessageEntity, type InboundMessageRow } from "./entities.ts";

/*
 * Items as they came in. All of it runs in the caller's unit of work, which row-level security limits to its tenants.
 */

/** Where a page begins: after this message, the newest first. */
export interface InboundPlace {
  readonly receivedAt: Date;
  readonly id: string;
}

/** What of the messages is asked for. */
export interface InboundQuery {
  /** Empty: whatever their source's id. */
  readonly sourceId: string;
  readonly after: InboundPlace | undefined;
  readonly limit: number;
  /** About how many bytes of items; at least one message if there is one. */
  readonly maxBytes: number;
}

/** Rows that one statement removes. */
const REMOVED_AT_ONCE = 10_000;

export async function addInbound(em: EntityManager, rows: readonly InboundMessageRow[]): Promise<void> {
  if (rows.length > 0) await em.insertMany(InboundMessageEntity, [...rows]);
}

/** A page of the messages, the newest first. */
export async function pageOfInbound(
  em: EntityManager,
  tenant: string,
  query: InboundQuery,
): Promise<InboundMessageRow[]> {
  const { sourceId, after, limit, maxBytes } = query;
  const ofSource = sourceId === "" ? "" : "and source_id = ?";
  const from = after === undefined ? "" : "and (received_at, id) < (?, ?)";
  const given = [...(sourceId === "" ? [] : [sourceId]), ...(after === undefined ? [] : [after.receivedAt, after.id])];
  const rows = await em.execute<{ id: string }[]>(
    `select id from (
       select id, received_at, sum(bytes) over (order by received_at desc, id desc) - bytes as before from (
         select id, received_at, octet_length(item) as bytes from inbound_message
         where tenant_id = ? ${ofSource} ${from} order by received_at desc, id desc limit ?) page) sized
     where before < ?`,
    [tenant, ...given, limit, maxBytes],
  );
  const id = { $in: rows.map((row) => row.id) };
  const orderBy = [{ receivedAt: "desc" as const }, { id: "desc" as const }];
  return em.find(InboundMessageEntity, { tenantId: tenant, id }, { orderBy });
}

/** How many days the messages of a tenant are kept. */
export interface KeptDays {
  readonly tenant: string;
  readonly days: number;
}

/** Removes some of the messages that are older than that. @returns whether there may be more */
export async function removeOldInbound(em: EntityManager, kept: readonly KeptDays[]): Promise<boolean> {
  const rows = await em.execute<{ count: string }[]>(
    `with gone as (
       delete from inbound_message where id in (
         select m.id from jsonb_to_recordset(?::jsonb) as k (tenant text, days int)
         join inbound_message m on m.tenant_id = k.tenant
           and m.received_at < clock_timestamp() - make_interval(days => k.days)
         limit ?)
       returning 1)
     select count(*) as count from gone`,
    [JSON.stringify(kept), REMOVED_AT_ONCE],
  );
  return Number(rows[0]?.count ?? 0) === REMOVED_AT_ONCE;
}
