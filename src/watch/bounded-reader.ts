import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { JournalReader } from "../journal/journal.ts";
import type { Clock } from "./clock.ts";

/** The part of the journal that watches read. */
export type WatchReader = Pick<JournalReader, "heads" | "events" | "stretch" | "latest" | "rows" | "before">;

/**
 * A reader whose reads end in a bounded time: a read that has not answered by then fails, and its answer is dropped. A
 * connection that went silent holds up neither comparisons nor those who wait for a permit.
 */
export function boundReader(reader: WatchReader, clock: Clock, timeoutMs: number): WatchReader {
  const within = <T>(read: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const late = () => reject(tooLate(timeoutMs));
      const cancel = clock.after(timeoutMs, late);
      read.then(resolve, reject).finally(cancel);
    });
  return {
    heads: (tenants) => within(reader.heads(tenants)),
    events: (tenant, from, limit, maxBytes) => within(reader.events(tenant, from, limit, maxBytes)),
    stretch: (query) => within(reader.stretch(query)),
    latest: (tenant, kind, from, to, limit) => within(reader.latest(tenant, kind, from, to, limit)),
    rows: (query) => within(reader.rows(query)),
    before: (tenant, kind, ids, upTo) => within(reader.before(tenant, kind, ids, upTo)),
  };
}

function tooLate(timeoutMs: number): Refusal {
  return new Refusal(
    ErrorReason.DATABASE_UNAVAILABLE,
    `a read of the journal has not answered in ${timeoutMs} ms; come back in a moment`,
  );
}
