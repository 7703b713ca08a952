import type { MikroORM } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import { ImportOutcome, type ImportResult } from "../../../gen/leadline/v1/import_service_pb.ts";
import { Refusal } from "../../domain/refusal.ts";
import type { WorkItemRow } from "../../store/entities.ts";
import {
  addWorkItems,
  countWorkItems,
  findByIds,
  findWorkItems,
  noteTried,
  oldestWorkItems,
  pageOfWorkItems,
  removeByHash,
  removeWorkItems,
  type WorkListPlace,
} from "../../store/work-list.ts";
import { drawId } from "../../wire/draw-id.ts";
import { forTenants } from "../unit-of-work.ts";
import type { ParsedItem } from "./items.ts";

export interface WorkListOptions {
  /** Items that a tenant may have on its list; an item more is refused with SUBJECT_FULL. Default 100,000. */
  readonly maxItems?: number;
  /** Default: the system's clock. */
  readonly now?: () => Date;
}

/** An item with what became of it. */
export interface Outcome {
  readonly item: ParsedItem;
  readonly result: ImportResult;
}

/** What the import does with the work list. Each function is one unit of work of its tenant. */
export interface WorkList {
  /**
   * Puts the unmatched items on the list and takes off it those that have found their place. Returns the results, those of
   * unmatched items with their `work_item_id`, or refused where the list is full.
   */
  settle(tenant: string, outcomes: readonly Outcome[]): Promise<ImportResult[]>;
  page(tenant: string, after: WorkListPlace | undefined, limit: number, maxBytes: number): Promise<WorkItemRow[]>;
  oldest(tenant: string, limit: number): Promise<string[]>;
  find(tenant: string, ids: readonly string[]): Promise<WorkItemRow[]>;
  /** Takes off the list what was taken, and notes of the others that they were tried. */
  tried(tenant: string, results: ReadonlyMap<string, ImportResult>): Promise<void>;
}

const ITEMS_MAX = 100_000;

/** Outcomes after which an item has no more business on the list. */
const SETTLED: ReadonlySet<ImportOutcome> = new Set([
  ImportOutcome.APPLIED,
  ImportOutcome.WARNED,
  ImportOutcome.ALREADY_KNOWN,
  ImportOutcome.SUPERSEDED,
]);

/** The work list in Postgres. */
export function createWorkList(orm: MikroORM, options: WorkListOptions = {}): WorkList {
  const now = options.now ?? (() => new Date());
  const maxItems = options.maxItems ?? ITEMS_MAX;
  return {
    settle: (tenant, outcomes) => {
      const done = outcomes.filter(({ result }) => SETTLED.has(result.outcome));
      const left = outcomes.filter(({ result }) => result.outcome === ImportOutcome.UNMATCHED);
      if (done.length === 0 && left.length === 0) return Promise.resolve(outcomes.map(({ result }) => result));
      return forTenants(orm, [tenant], async (em) => {
        await removeByHash(em, tenant, hashesOf(done));
        const ids = await findWorkItems(em, tenant, hashesOf(left));
        const fresh = uniqueByHash(left.filter(({ item }) => !ids.has(hex(item.hash))));
        const room = fresh.length === 0 ? 0 : maxItems - (await countWorkItems(em, tenant, maxItems));
        const rows = fresh.slice(0, Math.max(room, 0)).map((outcome) => rowOf(tenant, outcome, now()));
        await addWorkItems(em, rows);
        // Another import may have put the same item there first: what is on the list now tells.
        const added = await findWorkItems(
          em,
          tenant,
          rows.map((row) => row.itemSha256),
        );
        return outcomes.map(({ item, result }) => {
          if (result.outcome !== ImportOutcome.UNMATCHED) return result;
          const workItemId = ids.get(hex(item.hash)) ?? added.get(hex(item.hash));
          return workItemId === undefined ? listFull(result, maxItems) : { ...result, workItemId };
        });
      });
    },
    page: (tenant, after, limit, maxBytes) =>
      forTenants(orm, [tenant], (em) => pageOfWorkItems(em, tenant, after, limit, maxBytes)),
    oldest: (tenant, limit) => forTenants(orm, [tenant], (em) => oldestWorkItems(em, tenant, limit)),
    find: (tenant, ids) => forTenants(orm, [tenant], (em) => findByIds(em, tenant, ids)),
    tried: (tenant, results) =>
      forTenants(orm, [tenant], async (em) => {
        const [gone, left] = partition([...results], ([, result]) => SETTLED.has(result.outcome));
        await removeWorkItems(
          em,
          tenant,
          gone.map(([id]) => id),
        );
        const at = now();
        for (const [id, { reason, message }] of left) await noteTried(em, tenant, id, { reason, message, at });
      }),
  };
}

function rowOf(tenant: string, { item, result }: Outcome, at: Date): WorkItemRow {
  return {
    id: drawId("wrk"),
    tenantId: tenant,
    format: item.format,
    carrier: item.carrier,
    sourceId: result.sourceId,
    reason: result.reason,
    message: result.message,
    item: item.text,
    itemSha256: Buffer.from(item.hash),
    createdAt: at,
    triedAt: at,
    tries: 1,
  } as WorkItemRow;
}

function listFull(result: ImportResult, max: number): ImportResult {
  const refusal = new Refusal(ErrorReason.SUBJECT_FULL, `${result.message}; and the work list has its ${max} items`);
  return { ...result, outcome: ImportOutcome.REFUSED, reason: refusal.reasonName, message: refusal.message };
}

function uniqueByHash(outcomes: readonly Outcome[]): Outcome[] {
  return [...new Map(outcomes.map((one) => [hex(one.item.hash), one])).values()];
}

function hashesOf(outcomes: readonly Outcome[]): Uint8Array[] {
  return outcomes.map(({ item }) => item.hash);
}

function hex(hash: Uint8Array): string {
  return Buffer.from(hash).toString("hex");
}

function partition<T>(all: readonly T[], is: (one: T) => boolean): [T[], T[]] {
  return [all.filter(is), all.filter((one) => !is(one))];
}
