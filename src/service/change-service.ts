/**
 * The change feed: the journal page by page, for systems that keep a position and hold no stream. Each answer is read from
 * the database; a caller that waits is woken by what watches are woken by, and asks nobody meanwhile.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type ChangeService, ReadChangesResponseSchema } from "../../gen/leadline/v1/change_service_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Place, StoredEvent } from "../domain/stored-event.ts";
import type { Head } from "../journal/journal.ts";
import type { WatchReader } from "../watch/bounded-reader.ts";
import { faultOf, isBelowFloor, readFollowing } from "../watch/page.ts";
import type { Turn } from "../watch/permits.ts";
import { placeOf } from "../watch/tail.ts";
import { type Positions, staffPosition } from "../wire/position.ts";
import type { Call, Implementation } from "./call.ts";
import { tenantOf, visibilityOf } from "./command.ts";
import { PAGE_BYTES_MAX } from "./paging.ts";
import { changesReply } from "./stored-reply.ts";

export interface ChangeServiceParts {
  readonly positions: Positions;
  /**
   * Reads the journal by the tenant's turn among its watches that are behind: one who polls takes no more of the database than
   * one who watches. Undefined: by its turn nobody wanted it.
   */
  read<T>(
    turn: Turn,
    task: (journal: WatchReader) => Promise<T>,
    sizeOf: (result: T) => number,
  ): Promise<T | undefined>;
  /**
   * Resolves when the tenant's journal has an event after a revision, or may have another history, or when the signal aborts.
   * Throws a Refusal RATE_LIMITED or DRAINING.
   */
  grown(tenant: string, after: bigint, signal: AbortSignal): Promise<void>;
  /**
   * Counts a call that waits among its caller's open streams, until the function returned is called. Throws a Refusal
   * RATE_LIMITED.
   */
  waits(call: Call): () => void;
}

const EVENTS_DEFAULT = 1_000;
const EVENTS_MAX = 10_000;
const WAIT_MAX_MS = 60_000;
/** An answer is on its way this much before the caller's deadline, but at most this part of the whole time that is left. */
const DEADLINE_LEAD_MS = 500;
const DEADLINE_LEAD_PART = 0.25;

/** What one read has found. */
type Page =
  | { readonly reset: ResetReason; readonly head: Head }
  | { readonly events: readonly StoredEvent[]; readonly head: Head; readonly askedAtMs: number };

/** The RPCs of leadline.v1.ChangeService. */
export function createChangeService(parts: ChangeServiceParts): Implementation<typeof ChangeService> {
  const { positions } = parts;
  return {
    async readChanges({ position, pageSize, wait }, call) {
      const tenant = tenantOf(call);
      const visibility = visibilityOf(call.principal);
      if (visibility.class !== "staff") throw new Error("the change feed is for staff");
      const place = position === "" ? undefined : positions.decode(tenant, position, visibility);
      const limit = pageSize <= 0 ? EVENTS_DEFAULT : Math.min(pageSize, EVENTS_MAX);
      const waitMs = wait === undefined ? 0 : waitFor(durationMs(wait), call);
      const turn = { tenant, items: limit, wanted: () => !call.signal.aborted };
      const read = async () => {
        const page = await parts.read(turn, (journal) => readPage(journal, tenant, place, limit), sizeOf);
        if (page === undefined) throw call.signal.reason;
        return page;
      };
      let page = await read();
      if (waitMs > 0 && "events" in page && page.events.length === 0) {
        const leave = parts.waits(call);
        try {
          const signal = AbortSignal.any([call.signal, AbortSignal.timeout(waitMs)]);
          await parts.grown(tenant, place?.revision ?? 0n, signal);
        } finally {
          leave();
        }
        page = await read();
      }
      return reply(page, position);
    },
  };
}

function sizeOf(page: Page): number {
  return "events" in page ? page.events.length : 0;
}

/** Reads what follows a place; undefined: from the first event that is kept. */
async function readPage(journal: WatchReader, tenant: string, place: Place | undefined, limit: number): Promise<Page> {
  if (place === undefined || place.revision === 0n) return readFirst(journal, tenant, place, limit);
  const askedAtMs = Date.now();
  const [page, head] = await Promise.all([
    readFollowing(journal, tenant, place, limit + 1, PAGE_BYTES_MAX),
    headOf(journal, tenant),
  ]);
  if (place.revision < head.floor || typeof page === "number") return { reset: ResetReason.POSITION_TOO_OLD, head };
  // The journal came further than the page, or what follows was cut while it was read.
  const isShort = page.length === 1 && head.revision > place.revision;
  if (isShort && (await isBelowFloor(journal, tenant, place))) return { reset: ResetReason.POSITION_TOO_OLD, head };
  const fault = page.length === 0 ? ResetReason.POSITION_AHEAD : faultOf(place, page);
  return fault === undefined ? { events: page.slice(1), head, askedAtMs } : { reset: fault, head };
}

/** Reads from the first event that is kept. While it is read the floor may pass by: then it is read again from there. */
async function readFirst(journal: WatchReader, tenant: string, place: Place | undefined, limit: number): Promise<Page> {
  for (;;) {
    const askedAtMs = Date.now();
    const head = await headOf(journal, tenant);
    if (place !== undefined && place.eventId !== head.journalId) return { reset: ResetReason.OTHER_JOURNAL, head };
    if (place !== undefined && head.floor > 0n) return { reset: ResetReason.POSITION_TOO_OLD, head };
    const from = head.floor > 1n ? head.floor : 1n;
    const events = await journal.events(tenant, from, limit, PAGE_BYTES_MAX);
    const isWhole = events.every(({ revision }, i) => revision === from + BigInt(i));
    if (isWhole && (events.length > 0 || head.revision < from)) return { events, head, askedAtMs };
    if ((await headOf(journal, tenant)).floor === head.floor) throw new Error(`the journal has a hole after ${from}`);
  }
}

async function headOf(journal: WatchReader, tenant: string): Promise<Head> {
  const head = (await journal.heads([tenant])).get(tenant);
  if (head === undefined) throw new Refusal(ErrorReason.DATABASE_UNAVAILABLE, "the tenant has no journal at present");
  return head;
}

/** The payloads are field 1 as they are stored; the rest is encoded beside them. */
function reply(page: Page, asked: string) {
  if ("reset" in page) {
    const reset = { reason: page.reset, head: staffPosition(placeOf(page.head)) };
    return create(ReadChangesResponseSchema, { position: asked, reset });
  }
  const { events, head, askedAtMs } = page;
  const last = events.at(-1);
  const rest = create(ReadChangesResponseSchema, {
    position: last === undefined ? asked : staffPosition(last),
    more: last !== undefined && last.revision < head.revision,
    verifiedAt: timestampFromMs(askedAtMs),
  });
  return changesReply(
    events.map(({ payload }) => payload),
    toBinary(ReadChangesResponseSchema, rest),
  );
}

/** How long it may wait and still answer before the caller gives up. */
function waitFor(askedMs: number, { deadlineMs }: Call): number {
  const most = Math.min(askedMs, WAIT_MAX_MS);
  if (deadlineMs === undefined) return most;
  const left = deadlineMs - Date.now();
  return Math.floor(Math.min(most, left - Math.min(DEADLINE_LEAD_MS, left * DEADLINE_LEAD_PART)));
}
