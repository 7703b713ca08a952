import type { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Filter } from "../domain/filter.ts";
import type { Visibility } from "../domain/principal.ts";
import type { Refusal } from "../domain/refusal.ts";
import type { SubjectKind } from "../domain/subject.ts";

/** What is to be watched, by whom, from where: the answer of a watch RPC's service function. */
export interface WatchSpec {
  readonly tenant: string;
  /** The key or link that opened it: revocation ends the watches of a credential. */
  readonly credential: string;
  /** When the credential expires, milliseconds since the epoch. */
  readonly expiresAtMs: number | undefined;
  readonly kind: SubjectKind;
  readonly visibility: Visibility;
  readonly filter: Filter;
  readonly start:
    | { readonly from: "now" }
    | { readonly from: "snapshot" }
    | { readonly from: "position"; readonly position: string };
  readonly mode: "ALL" | "LATEST";
  /** Rows that its snapshot may have; more end it with LIMIT_EXCEEDED. Default: no bound. */
  readonly snapshotRowsMax?: number;
  /** Its caller's address, as limits count it (IPv6: one /64 network). Default: one that all have together. */
  readonly network?: string;
}

export type Codec = "proto" | "json";

/**
 * How a watch ended: "reset" ends with OK, "ended" with the code that `EndReason` documents and, where a limit was reached,
 * its name; `why` says it more exactly than the reason does; "refused" without a last message, with the refusal.
 */
export type WatchOutcome =
  | { readonly how: "reset" }
  | {
      readonly how: "ended";
      readonly reason: EndReason;
      readonly retryAfterMs: number;
      readonly limit?: Reached | undefined;
      readonly why?: Refusal | undefined;
    }
  | { readonly how: "refused"; readonly refusal: Refusal };

/** A limit that was reached. */
export interface Reached {
  readonly limit: `${"watch" | "key" | "tenant" | "address" | "instance"}_buffered_bytes`;
  readonly allowed: number;
  readonly used: number;
}

/**
 * Where a watcher writes. A door makes one for each stream; it only puts its envelope around the bytes.
 * Messages that several watchers share are the same Uint8Array, so a door may cache its envelope by identity.
 */
export interface Sink {
  readonly codec: Codec;
  /**
   * Takes one whole message. False: the stream wants no more until `Subscription.drained` is called; the message is taken
   * all the same. `isLast`: nobody uses the message afterwards, and it is alone in its memory, which may be given back.
   */
  write(message: Uint8Array, isLast: boolean): boolean;
  /** Bytes taken and not handed to the network yet. */
  unsentBytes(): number;
  /** The watch is over: the stream is ended with the outcome's status. Called at most once, and never after `cancel`. */
  finish(outcome: WatchOutcome): void;
}

/** A watch that runs. */
export interface Subscription {
  /** The stream takes more again. Not called from within `Sink.write`. */
  drained(): void;
  /** The stream is gone: everything is released. Idempotent. */
  cancel(): void;
}
