import type { Extension } from "../domain/stored-event.ts";
import type { QueueBounds } from "./command-queue.ts";

/**
 * What one order or booking may take: with it an answer stays below the 4 MiB that gRPC's clients receive at most, unless they are
 * told otherwise.
 */
export const SUBJECT_MAX_BYTES = 3.5 * 1024 * 1024;

export interface GroupCommitOptions extends QueueBounds {
  /** Times that a tenant's head is skipped before it is waited for. Default 3. */
  readonly skipsBeforeWaiting?: number;
  /** How long a command may be tried for when the database fails. Then: DATABASE_UNAVAILABLE. Default 10,000. */
  readonly giveUpAfterMs?: number;
  /** Pause before trying again after the database failed. Default 50. */
  readonly retryPauseMs?: number;
  /** What one order or booking may take in bytes; what would make it larger is refused. Default 3.5 MiB. */
  readonly maxSubjectBytes?: number;
  /** Told of what was committed, before the commands are answered. */
  readonly onCommit: (extensions: readonly Extension[]) => void;
  /** Told of what went wrong and was mended or given up. */
  readonly onTrouble?: (what: string, error: unknown) => void;
}

/** What each lane goes by. */
export type LaneOptions = Required<Omit<GroupCommitOptions, keyof QueueBounds | "skipsBeforeWaiting">>;
