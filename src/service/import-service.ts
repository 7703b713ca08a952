import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { MikroORM } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import {
  ImportItemsResponseSchema,
  ImportOutcome,
  type ImportResult,
  ImportResultSchema,
  type ImportService,
  ListInboundMessagesResponseSchema,
  ListWorkItemsResponseSchema,
  type RetryWorkItemsResponse,
  RetryWorkItemsResponseSchema,
  type WorkItem,
  WorkItemSchema,
} from "../../gen/leadline/v1/import_service_pb.ts";
import { Refusal, reasonName } from "../domain/refusal.ts";
import type { Journal } from "../journal/journal.ts";
import type { WorkItemRow } from "../store/entities.ts";
import { pageOfInbound } from "../store/inbound-messages.ts";
import type { WorkListPlace } from "../store/work-list.ts";
import type { PageTokens } from "../wire/page-token.ts";
import type { Call, Implementation } from "./call.ts";
import { tenantOf } from "./command.ts";
import { readOwnMeanings } from "./flows/mappings.ts";
import { importParsed } from "./import/importing.ts";
import { inboundCursor, inboundMessage, inboundPlace, keepReceived, type Received } from "./import/inbound.ts";
import { formatFrom, type Item, parseItem } from "./import/items.ts";
import { refused } from "./import/outcomes.ts";
import type { Alongside, Outcome, Tried, WorkList } from "./import/work-list.ts";
import { PAGE_BYTES_MAX, pageScope, pageSize } from "./paging.ts";
import { forTenants } from "./unit-of-work.ts";

/** What the ImportService is made of. */
export interface ImportServiceParts {
  readonly orm: MikroORM;
  readonly journal: Journal;
  readonly workList: WorkList;
  readonly pageTokens: PageTokens;
  /** Whether the caller's tier keeps items as they came. */
  keepsInbound(call: Call): boolean;
  /** Told of a fault of ours that answers one item with INTERNAL, or keeps items from being kept; by default it is dropped. */
  readonly onFault?: (error: unknown, call: Call) => void;
  /** Default: the system's clock. */
  readonly now?: () => Date;
}

/** Work items that one call tries again at most, and how many of them are in memory at a time. */
const RETRIED_MAX = 500;
const RETRIED_AT_ONCE = 50;

/**
 * The RPCs of leadline.v1.ImportService. Who may call what is checked before; that a carrier's key imports as itself alone, and
 * that it meets no orders, is checked here.
 */
export function createImportService(parts: ImportServiceParts): Implementation<typeof ImportService> {
  const { orm, workList, pageTokens } = parts;
  const longest = shared<RetryWorkItemsResponse>();
  const now = parts.now ?? (() => new Date());
  return {
    async importItems({ format, items: texts, carrier }, call) {
      const receivedAt = now();
      const items = texts.map((text): Item => ({ format, carrier, text }));
      const outcomes = await importAll(parts, call, items);
      const read = outcomes.filter((one): one is ItemOutcome & Outcome => one.item !== undefined);
      const received = (settled: readonly ImportResult[]): Received[] => {
        const byOutcome = new Map<ItemOutcome, ImportResult | undefined>(read.map((one, i) => [one, settled[i]]));
        return outcomes.map((one) => ({ item: one.received, result: byOutcome.get(one) ?? one.result }));
      };
      const onFault = (error: unknown) => parts.onFault?.(error, call);
      const keep: Alongside | undefined = parts.keepsInbound(call)
        ? (em, settled) => keepReceived(em, call, received(settled), receivedAt, onFault)
        : undefined;
      const settled = await workList.settle(tenantOf(call), read, keep);
      return create(ImportItemsResponseSchema, { results: received(settled).map(({ result }) => result) });
    },

    async listInboundMessages({ pageSize: asked, pageToken, sourceId }, call) {
      const tenant = tenantOf(call);
      const scope = pageScope(tenant, "ListInboundMessages", sourceId);
      const after = pageToken === "" ? undefined : inboundPlace(pageTokens.decode(scope, pageToken));
      const query = { sourceId, maxBytes: PAGE_BYTES_MAX };
      return forTenants(orm, [tenant], async (em) => {
        const rows = await pageOfInbound(em, tenant, { ...query, after, limit: pageSize(asked) });
        const last = rows.at(-1);
        // A page may be cut short by its bytes, so only the lack of a next message tells the end.
        const more = last === undefined ? [] : await pageOfInbound(em, tenant, { ...query, after: last, limit: 1 });
        const nextPageToken = last && more.length > 0 ? pageTokens.encode(scope, inboundCursor(last)) : "";
        return create(ListInboundMessagesResponseSchema, { messages: rows.map(inboundMessage), nextPageToken });
      });
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

    async retryWorkItems({ ids }, call) {
      if (ids.length > 0) return retryAll(parts, call, ids);
      // Each would wait for the rows of the others, to try the same items once more than needed.
      return longest(`${tenantOf(call)} ${call.principal.id}`, () => retryAll(parts, call, []));
    },
  };
}

/** Tries items again by their ids; none: those that were tried the longest ago. */
async function retryAll(
  parts: ImportServiceParts,
  call: Call,
  asked: readonly string[],
): Promise<RetryWorkItemsResponse> {
  const tenant = tenantOf(call);
  const ids = asked.length > 0 ? [...new Set(asked)] : await parts.workList.longestUntried(tenant, RETRIED_MAX);
  const results = new Map<string, ImportResult>();
  for (let from = 0; from < ids.length; from += RETRIED_AT_ONCE) {
    const some = await retry(parts, call, tenant, ids.slice(from, from + RETRIED_AT_ONCE));
    for (const [id, result] of some) results.set(id, result);
  }
  const answered = (asked.length > 0 ? asked : ids).map((id) => results.get(id) ?? unknownWorkItem(id));
  return create(RetryWorkItemsResponseSchema, { results: answered });
}

/**
 * Runs work of one key one at a time. Whoever comes while it runs shares the next run with all who wait: that begins after they
 * came, and so knows all that they know.
 */
function shared<T>(): (key: string, work: () => Promise<T>) => Promise<T> {
  const running = new Map<string, { readonly now: Promise<unknown>; next: Promise<T> | undefined }>();
  const run = (key: string, work: () => Promise<T>): Promise<T> => {
    const now = work();
    const turn = { now, next: undefined };
    running.set(key, turn);
    const over = () => void (running.get(key) === turn && running.delete(key));
    now.then(over, over);
    return now;
  };
  return (key, work) => {
    const turn = running.get(key);
    if (turn === undefined) return run(key, work);
    turn.next ??= turn.now.then(
      () => run(key, work),
      () => run(key, work),
    );
    return turn.next;
  };
}

/** An item as far as it could be read, and what became of it. Without `item` it could not be read. */
type ItemOutcome = { readonly received: Item } & (Outcome | (Tried & { readonly item: undefined }));

/** What became of each item, in their order. */
async function importAll(parts: ImportServiceParts, call: Call, items: readonly Item[]): Promise<ItemOutcome[]> {
  const onFault = (error: unknown) => parts.onFault?.(error, call);
  const parsed = items.map((item) => {
    try {
      return parseItem(item);
    } catch (error) {
      return refused(error, "", onFault);
    }
  });
  const readable = parsed.filter((one) => "json" in one);
  const readMeanings = () => readOwnMeanings(parts.orm, tenantOf(call));
  const results = await importParsed(parts.journal, call, readable, readMeanings, onFault);
  const byItem = new Map(readable.map((item, i) => [item, results[i]]));
  return items.map((received, i) => {
    const one = parsed[i];
    if (one === undefined) throw new Error("an item was not parsed");
    if (!("json" in one)) return { received, item: undefined, result: one };
    const imported = byItem.get(one);
    if (imported === undefined) throw new Error("an item was imported without a result");
    return { received: one, item: one, ...imported };
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
  const tried = new Map<string, Tried>();
  for (const [i, { id }] of rows.entries()) {
    const outcome = outcomes[i];
    if (outcome === undefined) continue;
    const stays = outcome.result.outcome === ImportOutcome.UNMATCHED;
    const result = stays ? { ...outcome.result, workItemId: id } : outcome.result;
    tried.set(id, { result, unmapped: outcome.unmapped });
  }
  await parts.workList.tried(tenant, tried);
  return new Map([...tried].map(([id, { result }]) => [id, result]));
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

function cursorOf({ createdAt, id }: WorkListPlace): string {
  return `${createdAt.toISOString()} ${id}`;
}

function placeFrom(cursor: string): WorkListPlace {
  const [at = "", id = ""] = cursor.split(" ");
  const createdAt = new Date(at);
  if (!Number.isNaN(createdAt.getTime()) && id !== "") return { createdAt, id };
  throw new Refusal(ErrorReason.PAGE_TOKEN_INVALID, "the page token belongs to another list");
}
