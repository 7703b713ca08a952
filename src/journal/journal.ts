import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Place, StoredEvent } from "../domain/stored-event.ts";
import type { Decide, SubjectKind, SubjectRef } from "../domain/subject.ts";
import type { FlowLibrary } from "../store/flow-library.ts";

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

/** A subject as it was after the last of its events that are no longer kept: where the fold of the others starts. */
export interface Checkpoint {
  /** Of the last event that is gone. */
  readonly version: bigint;
  readonly revision: bigint;
  readonly recordedUs: bigint;
  /** When it was cut, microseconds since the epoch. */
  readonly cutUs: bigint;
  /** Days that history stayed after a journey's end then. */
  readonly historyDays: number;
  /** Encodings as in the subject's row. */
  readonly summary: Uint8Array;
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
  /** Orders: those of one flow. Beside it only `ids` may be set. */
  readonly flow?: FlowQuery | undefined;
  /** Orders: bookings that carry them. Bookings: orders that they carry. */
  readonly related?: readonly string[] | undefined;
  /** Rows created before this revision (a page's continuation); undefined: from the newest. */
  readonly createdBefore?: bigint | undefined;
  readonly limit: number;
}

/** Orders of one flow. */
export interface FlowQuery {
  /** Empty: the standard flow. */
  readonly id: string;
  /** In this version only. */
  readonly version?: number | undefined;
  /** In any version but this one. */
  readonly notVersion?: number | undefined;
  /** Only those whose journey has not ended. */
  readonly open: boolean;
}

/** The flow that a new order starts in. */
export interface StartingFlow {
  /** Empty: the standard flow. */
  readonly id: string;
  /** Its newest published version; 0: none is. Undefined: there is no such flow in the table, as with the standard flow. */
  readonly published: number | undefined;
}

/** What a stretch is asked for: see `JournalReader.stretch`. */
export interface StretchQuery {
  readonly tenant: string;
  readonly kind: SubjectKind;
  readonly after: bigint;
  readonly upTo: bigint;
  readonly limit: number;
  readonly maxBytes: number;
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
  /** Their payloads: the encoding of `repeated Event events = 1`, in memory that nothing else is in. */
  readonly payloads: Uint8Array;
}

/** Reading the journal. Every read sees every write that was answered before it was asked, on any instance. */
export interface JournalReader {
  /** The flows that orders go through. */
  readonly flows: FlowLibrary;
  /** The flow that a new order starts in: the named one, or with an empty id the tenant's default. */
  startingFlow(tenant: string, flowId: string): Promise<StartingFlow>;
  /** One row with its details. */
  subject(tenant: string, ref: SubjectRef): Promise<SubjectRow | undefined>;
  /** A page of rows, newest created first, without details. */
  rows(query: RowQuery): Promise<SubjectRow[]>;
  /** How many rows a query has, whatever its limit. */
  count(query: Omit<RowQuery, "limit">): Promise<bigint>;
  /** The heads of several tenants in one query; unknown tenants are left out. */
  heads(tenants: readonly string[]): Promise<Map<string, Head>>;
  /** Events from a revision on, that one included, at most `limit` and about `maxBytes`; always at least one if there is one. */
  events(tenant: string, from: bigint, limit: number, maxBytes: number): Promise<StoredEvent[]>;
  /**
   * The events after a revision and up to another, that one included, at most `limit` of all kinds. Undefined: there is
   * none, the journal ends or has a hole where the last of them should be, or those of the kind take more than `maxBytes`.
   */
  stretch(query: StretchQuery): Promise<Stretch | undefined>;
  /**
   * The same as `events`, but only each subject's last event, of one kind (mode LATEST), from a revision on and up to another, both
   * included.
   */
  latest(tenant: string, kind: SubjectKind, from: bigint, to: bigint, limit: number): Promise<StoredEvent[]>;
  /**
   * The last event of each of these subjects, of one kind, up to a revision, that one included. A subject that has none, or
   * none any more, is left out.
   */
  before(tenant: string, kind: SubjectKind, ids: readonly string[], upTo: bigint): Promise<StoredEvent[]>;
  /**
   * One subject's events by version, from `fromVersion` on, that one included. Of a history that has been cut the first ones, or
   * any up to the checkpoint's version, are missing: see `service/kept-history.ts`.
   */
  history(
    tenant: string,
    ref: SubjectRef,
    fromVersion: bigint,
    limit: number,
    maxBytes: number,
  ): Promise<StoredEvent[]>;
  /** Where a subject's history was cut; undefined: it was not. */
  checkpoint(tenant: string, ref: SubjectRef): Promise<Checkpoint | undefined>;
}

/** The journal as services use it. */
export interface Journal extends JournalReader {
  /** Resolves once the command's events are durable, or its refusal is certain (rejects with a Refusal). */
  submit<O extends DescMessage>(command: Command<O>): Promise<MessageShape<O>>;
}
