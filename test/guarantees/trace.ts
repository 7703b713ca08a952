import type { Booking } from "../../gen/leadline/v1/booking_pb.ts";
import type { Order } from "../../gen/leadline/v1/order_pb.ts";
import type { Visibility } from "../../src/domain/principal.ts";

/*
 * What a watcher saw, written down as plain data: steps that can be kept as lines of JSON, made one at a time and validated
 * one at a time. Nothing here knows a transport. `messages.ts` makes steps of the messages of a watch; `history.ts` is what
 * they are held against; `validators.ts` says what is wrong.
 */

/** A place in a journal: a revision and the id of the event there; revision 0 carries the journal's own id. */
export interface Place {
  readonly revision: number;
  readonly eventId: string;
}

/** Who watched, and, in plain words of its own, what it should therefore see. Validators keep what they work out by identity. */
export type Reader = {
  readonly tenant: string;
  readonly visibility: Visibility;
} & (
  | { readonly of: "orders"; sees(order: Order): boolean }
  | { readonly of: "bookings"; sees(booking: Booking): boolean }
  | { readonly of: "audit" }
);

/** What was asked for. */
export interface Watch {
  readonly reader: Reader;
  readonly mode: "ALL" | "LATEST";
}

/** One watcher, over one stream or over several of which each continues where it says. */
export interface Trace extends Watch {
  readonly steps: Iterable<Step>;
}

/**
 * One thing that a watcher did or was told, in the order in which it happened to it. `atMs`: when, milliseconds since the
 * epoch, by the watcher's clock. Contents are digests: see `contentOf` in `history.ts`.
 */
export type Step = { readonly atMs: number } & (
  | /** A stream is opened: from now, with a snapshot, or after a place. */ {
      readonly what: "open";
      readonly from: "now" | "snapshot" | Place;
    }
  | /** A message came; what it says follows. */ { readonly what: "message"; readonly bytes: number }
  | { readonly what: "started"; readonly head: Place; readonly messageMaxBytes: number }
  | { readonly what: "row"; readonly id: string; readonly version: number; readonly content: string }
  | { readonly what: "synced"; readonly at: Place }
  | {
      readonly what: "event";
      readonly at: Place;
      readonly id: string;
      readonly version: number;
      readonly content: string;
      /** What it shows that outside carriers may not see: `revision`, `command`, `cause`, `position`, `actor`, `orders`. */
      readonly shows: readonly string[];
    }
  | { readonly what: "left"; readonly at: Place; readonly id: string }
  | { readonly what: "bookmark"; readonly at: Place; readonly verifiedAtMs: number | undefined }
  | /** The server announced the end. `at` is missing while nothing can be promised. */ {
      readonly what: "end";
      readonly reason: string;
      readonly at: Place | undefined;
      readonly verifiedAtMs: number | undefined;
    }
  | { readonly what: "reset"; readonly reason: ResetName; readonly head: Place | undefined }
  | /** The stream broke, or was left. */ { readonly what: "cut" }
  | /** Every text of the last message, for what may not be in any field of it. Optional. */ {
      readonly what: "words";
      readonly words: readonly string[];
    }
  | /** Something with a limit was looked at. */ {
      readonly what: "gauge";
      readonly name: string;
      readonly value: number;
      readonly limit: number;
    }
  | /** From here on nothing disturbs the watcher, its instances, the bus or the database. */ {
      readonly what: "healed";
    }
  | /** Something is disturbed again. */ { readonly what: "hurt" }
  | /** The last step: the watcher was waited for until everything up to this revision should have come. */ {
      readonly what: "done";
      readonly upTo: number;
    }
);

export type ResetName = "HISTORY_DIVERGED" | "POSITION_AHEAD" | "POSITION_TOO_OLD" | "OTHER_JOURNAL" | "UNSPECIFIED";

/** A step about a change: an event, or a subject that left. */
export type Told = Extract<Step, { what: "event" | "left" }>;

export function isTold(step: Step): step is Told {
  return step.what === "event" || step.what === "left";
}

export function samePlace(a: Place | undefined, b: Place | undefined): boolean {
  return a !== undefined && b !== undefined && a.revision === b.revision && a.eventId === b.eventId;
}
