import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import type { EndReason, ResetReason } from "../../gen/leadline/v1/watch_pb.ts";

/** What a watch tells that does not depend on what is watched. */
export type WatchItem =
  /** The snapshot is complete: the rows since the start, or since the last `restart` or `reset`, are all that match. */
  | { readonly type: "synced"; readonly position: string }
  /** Something happened. `event.after` is the subject as it is then, so nothing has to be folded. */
  | { readonly type: "event"; readonly event: Event }
  /** The subject no longer matches, or can no longer be seen. */
  | { readonly type: "left"; readonly id: string; readonly position: string }
  /**
   * The journal cannot be continued from the position: drop everything held. With `includeSnapshot` a new snapshot follows,
   * without it the watch goes on from the journal's head and what lies between is not told.
   */
  | { readonly type: "reset"; readonly reason: ResetReason }
  /** The stream broke inside a snapshot, which now starts anew: drop the rows that the unfinished one gave. */
  | { readonly type: "restart" }
  /** Everything that matches up to `position` was delivered; the server compared itself with the database at `verifiedAt`. */
  | { readonly type: "bookmark"; readonly position: string; readonly verifiedAt: Date | undefined };

/** How the watch is connected. */
export type ConnectionState =
  /** A stream is being opened. `attempt` counts the attempts in a row that brought nothing, from 0. */
  | { readonly state: "connecting"; readonly attempt: number }
  /** The server has answered. */
  | { readonly state: "open"; readonly head: string; readonly heartbeatMs: number }
  /** The stream is over and the next is opened after `delayMs`. `end`: the server announced it. `error`: it broke. */
  | {
      readonly state: "waiting";
      readonly delayMs: number;
      readonly error: unknown;
      readonly end: EndReason | undefined;
    };
