import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Place, StoredEvent } from "../domain/stored-event.ts";
import type { Decide, SubjectKind, SubjectRef } from "../domain/subject.ts";

/**
 * What a service asks the journal to do. Commands of all tenants are committed in groups; each is decided, accepted or
 * refused by itself, and its events are contiguous.
 */
export interface Command<O extends DescMessage> {
  readonly tenant: string;
  /** The key or link that acts. */
  readonly actor: string;
  /** What has to be loaded to decide; `decide` may ask for more. */
  readonly subjects: readonly SubjectRef[];
  /** Makes it repeatable: see `requestOf`. */
  readonly request: RequestIdentity | undefined;
  /** Size of the request in bytes, for the bound of a batch. */
  readonly bytes: number;
  readonly decide: Decide<MessageShape<O>>;
  /** The answer's message; the answer is stored with the request's identity. */
  readonly answer: O;
  /** What it follows from; undefined: a call. */
  readonly cause?: { readonly revision: bigint; readonly depth: number };
}

/** A `request_id` in its scope (tenant, principal, method), and what was asked under it. */
export interface RequestIdentity {
  /** 16 bytes: a hash of principal, method and request id. */
  readonly key: Uint8Array;
  /** 16 bytes: a hash of the request. */
  readonly hash: Uint8Array;
}

/** The head of a journal and the floor below which no watch may start. */
export interface Head extends Place {
  readonly journalId: string;
  readonly floor: bigint;
}

/** A subject's row. */
export interface SubjectRow {
  readonly kind: SubjectKind;
  readonly id: string;
  readonly version: bigint;
  readonly createdRevision: bigint;
  readonly changedRevision: bigint;
  readonly changedEventId: string;
  readonly carrier: string;
  /** Encoding of Order or Booking. */
  readonly summary: Uint8Array;
  /** Encoding of OrderDetails or BookingDetails; empty in lists. */
  readonly details: Uint8Array;
}

/** What rows a page takes. Everything set must hold. */
export interface RowQuery {
  readonly tenant: string;
  readonly kind: SubjectKind;
  readonly ids?: readonly string[] | undefined;
  readonly references?: readonly { readonly type: string; readonly value: string }[] | undefined;
  /** Orders: status codes. */
  readonly statuses?: readonly string[] | undefined;
  /** Orders: phases. Bookings: states. */
  readonly stages?: readonly number[] | undefined;
  readonly carriers?: readonly string[] | undefined;
  /** Bookings: verdicts on the space. */
  readonly spaces?: readonly number[] | undefined;
  /** Orders: bookings that carry them. Bookings: orders that they carry. */
  readonly related?: readonly string[] | undefined;
  /** Rows created before this revision (a page's continuation); undefined: from the newest. */
  readonly createdBefore?: bigint | undefined;
  /** Rows whose last change is not after this revision, and that existed then (a snapshot). */
  readonly changedUpTo?: bigint | undefined;
  readonly limit: number;
}

/** Events of one kind in a stretch of the journal, laid end to end. */
export interface Stretch {
  /** The id of the event before the stretch; undefined: there is none. */
  readonly predecessor: string | undefined;
  /** The last event of the stretch, of whatever kind. */
  readonly last: Place;
  /** Events of all kinds. */
  readonly all: number;
  /** Events of the kind that was asked for. */
  readonly events: number;
  /** Their payloads: the encoding of `repeated Event events = 1`. */
  readonly payloads: Uint8Array;
}

/** Reading the journal. Every read sees every write that was answered before it was asked, on any instance. */
export interface JournalReader {
  /** One row with its details. */
  subject(tenant: string, ref: SubjectRef): Promise<SubjectRow | undefined>;
  /** A page of rows, newest created first, without details. */
  rows(query: RowQuery): Promise<SubjectRow[]>;
  /** The heads of several tenants in one query; unknown tenants are left out. */
  heads(tenants: readonly string[]): Promise<Map<string, Head>>;
  /** Events from a revision on, that one included, at most `limit` and about `maxBytes`; always at least one if there is one. */
  events(tenant: string, from: bigint, limit: number, maxBytes: number): Promise<StoredEvent[]>;
  /**
   * The events after a revision and up to another, that one included, at most `limit` of all kinds. Undefined: there is
   * none, or all kinds together take more than `maxBytes`.
   */
  stretch(
    tenant: string,
    kind: SubjectKind,
    after: bigint,
    upTo: bigint,
    limit: number,
    maxBytes: number,
  ): Promise<Stretch | undefined>;
  /**
   * The same as `events`, but only each subject's last event, of one kind (mode LATEST), from a revision on and up to another, both
   * included.
   */
  latest(tenant: string, kind: SubjectKind, from: bigint, to: bigint, limit: number): Promise<StoredEvent[]>;
  /** One subject's events by version, from `fromVersion` on, that one included. */
  history(
    tenant: string,
    ref: SubjectRef,
    fromVersion: bigint,
    limit: number,
    maxBytes: number,
  ): Promise<StoredEvent[]>;
}

/** The journal as services use it. */
export interface Journal extends JournalReader {
  /** Resolves once the command's events are durable, or its refusal is certain (rejects with a Refusal). */
  submit<O extends DescMessage>(command: Command<O>): Promise<MessageShape<O>>;
}
