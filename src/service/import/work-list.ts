import type { EntityManager, MikroORM } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import { ImportOutcome, type ImportResult } from "../../../gen/leadline/v1/import_service_pb.ts";
import type { ListedBy } from "../../domain/code-meanings.ts";
import { reasonName } from "../../domain/refusal.ts";
import type { WorkItemRow } from "../../store/entities.ts";
import {
  addWorkItems,
  countWorkItems,
  findByIds,
  findWorkItems,
  lockWorkItems,
  longestUntried,
  noteTried,
  pageOfWorkItems,
  removeByHash,
  removeWorkItems,
  type WorkListPlace,
} from "../../store/work-list.ts";
import { drawId } from "../../wire/draw-id.ts";
import { forTenants, forTenantsAgain } from "../unit-of-work.ts";
import type { ParsedItem } from "./items.ts";

export interface WorkListOptions {
  /** Items that a tenant may have on its list; an item more is refused with SUBJECT_FULL. Default 100,000. */
  readonly maxItems?: number;
  /** Default: the system's clock. */
  readonly now?: () => Date;
}

/** An item with what became of it. */
export interface Outcome extends Tried {
  readonly item: ParsedItem;
}

/** What became of an item, and the code that it waits for, if it waits for one. */
export interface Tried {
  readonly result: ImportResult;
  readonly unmapped?: ListedBy | undefined;
}

/** What belongs into the same unit of work. It is given the results as they are settled. */
export type Alongside = (em: EntityManager, results: readonly ImportResult[]) => Promise<void>;

/** What the import does with the work list. Each function is one unit of work of its tenant. */
export interface WorkList {
  /**
   * Puts the unmatched items on the list and takes off it those that have found their place. Returns the results, those of
   * unmatched items with their `work_item_id`, or refused where the list is full.
   */
  settle(tenant: string, outcomes: readonly Outcome[], alongside?: Alongside): Promise<ImportResult[]>;
  page(tenant: string, after: WorkListPlace | undefined, limit: number, maxBytes: number): Promise<WorkItemRow[]>;
  /** The ids of those that were tried the longest ago. */
  longestUntried(tenant: string, limit: number): Promise<string[]>;
  find(tenant: string, ids: readonly string[]): Promise<WorkItemRow[]>;
  /** Takes off the list what was taken, and notes of the others that they were tried. */
  tried(tenant: string, results: ReadonlyMap<string, Tried>): Promise<void>;
}

const ITEMS_MAX = 100_000;

/** Outcomes after which an item has no more business on the list. */
const SETTLED: ReadonlySet<ImportOutcome> = new Set([
  ImportOutcome.APPLIED,
  ImportOutcome.WARNED,
  ImportOutcome.ALREADY_KNOWN,
  ImportOutcome.SUPERSEDED,
  ImportOutcome.PASSED_OVER,
]);

/** The work list in Postgres. */
export function createWorkList(orm: MikroORM, options: WorkListOptions = {}): WorkList {
  const now = options.now ?? (() => new Date());
  const maxItems = options.maxItems ?? ITEMS_MAX;
  return {
    settle: (tenant, outcomes, alongside) => {
      const done = outcomes.filter(({ result }) => SETTLED.has(result.outcome));
      const left = outcomes.filter(({ result }) => result.outcome === ImportOutcome.UNMATCHED);
      if (done.length === 0 && left.length === 0 && alongside === undefined) {
        return Promise.resolve(outcomes.map(({ result }) => result));
      }
      // Two imports may take off and put on the same items in another order each.
      return forTenantsAgain(orm, [tenant], async (em) => {
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
        const results = outcomes.map(({ item, result }) => {
          if (result.outcome !== ImportOutcome.UNMATCHED) return result;
          const workItemId = ids.get(hex(item.hash)) ?? added.get(hex(item.hash));
          return workItemId === undefined ? listFull(result, maxItems) : { ...result, workItemId };
        });
        await alongside?.(em, results);
        return results;
      });
    },
    page: (tenant, after, limit, maxBytes) =>
      forTenants(orm, [tenant], (em) => pageOfWorkItems(em, tenant, after, limit, maxBytes)),
    longestUntried: (tenant, limit) => forTenants(orm, [tenant], (em) => longestUntried(em, tenant, limit)),
    find: (tenant, ids) => forTenants(orm, [tenant], (em) => findByIds(em, tenant, ids)),
    tried: (tenant, results) =>
      forTenantsAgain(orm, [tenant], async (em) => {
        await lockWorkItems(em, tenant, [...results.keys()]);
        const [gone, left] = partition([...results], ([, { result }]) => SETTLED.has(result.outcome));
        await removeWorkItems(
          em,
          tenant,
          gone.map(([id]) => id),
        );
        const noted = left.map(
          ([
            id,
            {
              result: { reason, message },
              unmapped,
            },
          ]) => ({
            ...{ id, reason, message },
            ...waitingFor(unmapped),
          }),
        );
        await noteTried(em, tenant, now(), noted);
      }),
  };
}

/** The columns that name the code that an item waits for. */
function waitingFor(unmapped: ListedBy | undefined): Pick<WorkItemRow, "codeList" | "code" | "codeCarrier"> {
  const { list = 0, code = "", carrier = "" } = unmapped ?? {};
  return { codeList: list, code, codeCarrier: carrier };
}

function rowOf(tenant: string, { item, result, unmapped }: Outcome, at: Date): WorkItemRow {
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
    ...waitingFor(unmapped),
  } as WorkItemRow;
}

/** An item's result has no metadata: its message says it all. */
function listFull(result: ImportResult, max: number): ImportResult {
  const message =
    `${result.message}; and the work list is full (work_items: ${max} allowed, ${max} used): ` +
    "map the codes that its items wait for (UpdateCodeMappings) or import their bookings, then RetryWorkItems, and import this item again";
  return { ...result, outcome: ImportOutcome.REFUSED, reason: reasonName(ErrorReason.SUBJECT_FULL), message };
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
