/** A subject's history as far as it is kept: its first events may have been cut, and a checkpoint stands in their place. */
import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema, timestampDate } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { type HistoryCut, HistoryCutSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { StoredEvent } from "../domain/stored-event.ts";
import type { SubjectRef } from "../domain/subject.ts";
import type { Checkpoint, JournalReader } from "../journal/journal.ts";

/** A page of a history. */
export interface KeptPage {
  /** By version, without a hole. */
  readonly events: readonly StoredEvent[];
  /** Where the history was cut; undefined: it was not, or that is of no matter because the page begins where it was asked to. */
  readonly cut: Checkpoint | undefined;
}

/** What of a history is asked for. */
export interface HistoryQuery {
  readonly tenant: string;
  readonly ref: SubjectRef;
  /** A version; what is cut is left out. */
  readonly from: bigint;
  readonly limit: number;
  readonly maxBytes: number;
}

/**
 * Reads a page. While it is read its events may be cut: that they begin where they should, without a hole, shows that they were
 * not, and otherwise it is read again from behind the checkpoint.
 */
export async function readKept(journal: JournalReader, query: HistoryQuery): Promise<KeptPage> {
  const { tenant, ref, limit, maxBytes } = query;
  let cut: Checkpoint | undefined;
  for (let { from } = query; ; ) {
    const events = await journal.history(tenant, ref, from, limit, maxBytes);
    const isWhole = events.length > 0 && events.every(({ version }, i) => version === from + BigInt(i));
    // Whose first event is there has all of them. Who asks for a later page has to be told that earlier ones are gone.
    if (isWhole && from === 1n) return { events, cut: undefined };
    const known = await journal.checkpoint(tenant, ref);
    if (known === undefined || known.version < from) {
      if (!isWhole && events.length > 0) throw new Error(`the history of ${ref.id} has a hole after ${from}`);
      return { events, cut: known };
    }
    cut = known;
    from = cut.version + 1n;
  }
}

/** As it is told. */
export function cutMessage({ version, recordedUs, cutUs, historyDays }: Checkpoint): HistoryCut {
  return create(HistoryCutSchema, {
    throughVersion: version,
    throughRecordedAt: timestampOf(recordedUs),
    cutAt: timestampOf(cutUs),
    historyDays,
  });
}

/** Microseconds since the epoch as a timestamp. */
export function timestampOf(us: bigint): Timestamp {
  return create(TimestampSchema, { seconds: us / 1_000_000n, nanos: Number(us % 1_000_000n) * 1_000 });
}

/** Of a read as of a moment before the checkpoint. */
export function historyCut(id: string, cut: Checkpoint): Refusal {
  const [keptFrom, cutAt] = [cut.recordedUs, cut.cutUs].map((us) => timestampDate(timestampOf(us)).toISOString());
  const days = String(cut.historyDays);
  return new Refusal(
    ErrorReason.HISTORY_CUT,
    `what "${id}" was before ${keptFrom} is no longer kept: at ${cutAt} its journey had ended more than ${days} days before,` +
      " and its history was cut; ask as of that time or later, or read it as it is now. More days keep more of what is not cut yet",
    {
      metadata: {
        ...{ subject_id: id, limit: "history_days", allowed: days },
        ...{ kept_from: keptFrom ?? "", kept_from_version: String(cut.version), cut_at: cutAt ?? "" },
      },
    },
  );
}
