import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import {
  ImportItemsResponseSchema,
  ImportOutcome,
  type ImportResult,
  ImportResultSchema,
  type ImportService,
  ListWorkItemsResponseSchema,
  MessageFormat,
  MessageFormatSchema,
  RetryWorkItemsResponseSchema,
  type WorkItem,
  WorkItemSchema,
} from "../../gen/leadline/v1/import_service_pb.ts";
import { Refusal, reasonName } from "../domain/refusal.ts";
import type { Journal } from "../journal/journal.ts";
import type { WorkItemRow } from "../store/entities.ts";
import type { WorkListPlace } from "../store/work-list.ts";
import type { PageTokens } from "../wire/page-token.ts";
import type { Call, Implementation } from "./call.ts";
import { tenantOf } from "./command.ts";
import { importParsed } from "./import/importing.ts";
import { type Item, parseItem } from "./import/items.ts";
import { refused } from "./import/outcomes.ts";
import type { Outcome, WorkList } from "./import/work-list.ts";
import { PAGE_BYTES_MAX, pageScope, pageSize } from "./paging.ts";

/** What the ImportService is made of. */
export interface ImportServiceParts {
  readonly journal: Journal;
  readonly workList: WorkList;
  readonly pageTokens: PageTokens;
  /** Told of a fault of ours that answers one item with INTERNAL; by default it is dropped. */
  readonly onFault?: (error: unknown, call: Call) => void;
}

/** Work items that one call tries again at most, and how many of them are in memory at a time. */
const RETRIED_MAX = 500;
const RETRIED_AT_ONCE = 50;

/**
 * The RPCs of leadline.v1.ImportService. Who may call what is checked before; that a carrier's key imports as itself alone, and
 * that it meets no orders, is checked here.
 */
export function createImportService(parts: ImportServiceParts): Implementation<typeof ImportService> {
  const { workList, pageTokens } = parts;
  return {
    async importItems({ format, items, carrier }, call) {
      const outcomes = await importAll(
        parts,
        call,
        items.map((text) => ({ format, carrier, text })),
      );
      const read = outcomes.filter((one) => "item" in one);
      const settled = await workList.settle(tenantOf(call), read);
      const byOutcome = new Map(read.map((one, i) => [one, settled[i] ?? one.result]));
      const results = outcomes.map((one) => ("item" in one ? (byOutcome.get(one) ?? one.result) : one.result));
      return create(ImportItemsResponseSchema, { results });
    },

    async listWorkItems(request, call) {
      const tenant = tenantOf(call);
      const scope = pageScope(tenant, "ListWorkItems", "");
      const after = request.pageToken === "" ? undefined : placeFrom(pageTokens.decode(scope, request.pageToken));
      const size = pageSize(request.pageSize);
      const rows = await workList.page(tenant, after, size, PAGE_BYTES_MAX);
      const last = rows.at(-1);
      // A page may be cut short by its bytes, so only an empty one, or the lack of a next item, tells the end.
      const more = last !== undefined && (await workList.page(tenant, last, 1, PAGE_BYTES_MAX)).length > 0;
      const nextPageToken = last && more ? pageTokens.encode(scope, cursorOf(last)) : "";
      return create(ListWorkItemsResponseSchema, { items: rows.map(workItem), nextPageToken });
    },

    async retryWorkItems({ ids: asked }, call) {
      const tenant = tenantOf(call);
      const ids = asked.length > 0 ? [...new Set(asked)] : await workList.oldest(tenant, RETRIED_MAX);
      const results = new Map<string, ImportResult>();
      for (let from = 0; from < ids.length; from += RETRIED_AT_ONCE) {
        const some = await retry(parts, call, tenant, ids.slice(from, from + RETRIED_AT_ONCE));
        for (const [id, result] of some) results.set(id, result);
      }
      const answered = (asked.length > 0 ? asked : ids).map((id) => results.get(id) ?? unknownWorkItem(id));
      return create(RetryWorkItemsResponseSchema, { results: answered });
    },
  };
}

/** What became of each item, in their order; one that could not be read has only its result. */
async function importAll(
  parts: ImportServiceParts,
  call: Call,
  items: readonly Item[],
): Promise<(Outcome | { readonly result: ImportResult })[]> {
  const onFault = (error: unknown) => parts.onFault?.(error, call);
  const parsed = items.map((item) => {
    try {
      return parseItem(item);
    } catch (error) {
      return refused(error, "", onFault);
    }
  });
  const readable = parsed.filter((one) => "json" in one);
  const results = await importParsed(parts.journal, call, readable, onFault);
  const byItem = new Map(readable.map((item, i) => [item, results[i]]));
  return parsed.map((one) => {
    if (!("json" in one)) return { result: one };
    const result = byItem.get(one);
    if (result === undefined) throw new Error("an item was imported without a result");
    return { item: one, result };
  });
}

/** Tries some work items again: what finds its place leaves the list. */
async function retry(
  parts: ImportServiceParts,
  call: Call,
  tenant: string,
  ids: readonly string[],
): Promise<Map<string, ImportResult>> {
  const rows = await parts.workList.find(tenant, ids);
  const outcomes = await importAll(
    parts,
    call,
    rows.map((row) => ({ format: formatFrom(row.format), carrier: row.carrier, text: row.item })),
  );
  const results = new Map<string, ImportResult>();
  for (const [i, { id }] of rows.entries()) {
    const result = outcomes[i]?.result;
    if (result) results.set(id, result.outcome === ImportOutcome.UNMATCHED ? { ...result, workItemId: id } : result);
  }
  await parts.workList.tried(tenant, results);
  return results;
}

function unknownWorkItem(id: string): ImportResult {
  return create(ImportResultSchema, {
    outcome: ImportOutcome.REFUSED,
    reason: reasonName(ErrorReason.WORK_ITEM_UNKNOWN),
    message: `there is no work item "${id}"`,
  });
}

function workItem(row: WorkItemRow): WorkItem {
  const { id, carrier, sourceId, reason, message, item, tries } = row;
  return create(WorkItemSchema, {
    id,
    format: formatFrom(row.format),
    carrier,
    sourceId,
    reason,
    message,
    item,
    createdAt: timestampFromDate(row.createdAt),
    triedAt: timestampFromDate(row.triedAt),
    tries,
  });
}

/** A stored number of a format that this release does not know is told from the item anew. */
function formatFrom(stored: number): MessageFormat {
  const known = MessageFormatSchema.values.find((value) => value.number === stored);
  // The numbers of the enum's values are its type's members.
  return known === undefined ? MessageFormat.UNSPECIFIED : (known.number as MessageFormat);
}

function cursorOf({ createdAt, id }: WorkListPlace): string {
  return `${createdAt.toISOString()} ${id}`;
}

function placeFrom(cursor: string): WorkListPlace {
  const [at = "", id = ""] = cursor.split(" ");
  const createdAt = new Date(at);
  if (!Number.isNaN(createdAt.getTime()) && id !== "") return { createdAt, id };
  throw new Refusal(ErrorReason.PAGE_TOKEN_INVALID, "the page token belongs to another list");
}
