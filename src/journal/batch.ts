import { create, type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import type { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { evolve } from "../domain/evolve.ts";
import { facetsLeft } from "../domain/facets.ts";
import { Refusal } from "../domain/refusal.ts";
import type { FlowRef } from "../domain/status-flow.ts";
import type { Extension, Place, StoredEvent } from "../domain/stored-event.ts";
import { type Draft, type Subject, SubjectKind, type SubjectRef } from "../domain/subject.ts";
import type { Statement } from "../store/flight.ts";
import { type FlowLibrary, FlowMissing } from "../store/flow-library.ts";
import { encode } from "../wire/encode.ts";
import { storedEncoding } from "../wire/event-view.ts";
import { staffPosition } from "../wire/position.ts";
import { encodeSummary } from "../wire/subject-row.ts";
import { BatchSubjects, subjectMapKey, type Working } from "./batch-subjects.ts";
import { BatchWrites } from "./batch-writes.ts";
import type { Pending } from "./command-queue.ts";
import type { Command, RequestIdentity, SubjectRow } from "./journal.ts";
import type { Loaded } from "./portion.ts";
import { Columns, moveHeads } from "./sql.ts";
import { standingAfter } from "./standing.ts";

/** A command that brings no more than this is taken whatever its subjects' size: a full one can still be cancelled. */
const SMALL_COMMAND_BYTES = 1_024;

/** The shape of the events that this release writes. */
const EVENT_SHAPE = 1;

/** A journal's head under its lock. */
export interface LockedHead extends Place {
  readonly recordedUs: bigint;
}

/** An answer that was given to a request before. */
export interface KnownRequest {
  readonly hash: Uint8Array;
  readonly answer: Uint8Array;
}

/** What a decision needs first. */
export interface Needs {
  readonly subjects: readonly SubjectRef[];
  readonly flows: readonly FlowRef[];
}

const NOTHING: Needs = { subjects: [], flows: [] };

/** What is done when the batch has been committed. */
export interface Verdict {
  readonly pending: Pending;
  readonly outcome: { readonly answer: MessageShape<DescMessage> } | { readonly error: unknown };
}

/**
 * The decisions of one transaction: commands in, rows and answers out. It holds what was read under the locks and does no
 * I/O. A command that is refused, or whose decision throws, leaves no trace and fails alone.
 */
export class Batch {
  readonly verdicts: Verdict[] = [];
  readonly #heads: Map<string, { first: Place; place: Place; now: Timestamp; nowUs: bigint; events: StoredEvent[] }>;
  readonly #subjects: BatchSubjects;
  readonly #requests = new Map<string, KnownRequest>();
  #writes = new BatchWrites();
  #isEmpty = true;
  readonly #drawId: () => string;
  readonly #maxSubjectBytes: number;
  readonly #flows: FlowLibrary;

  /**
   * @param nowUs the database's clock, microseconds since the epoch
   * @param drawId draws ids of 13 characters
   * @param maxSubjectBytes what a subject's row may take; what would make it larger is refused with SUBJECT_FULL
   * @param flows where orders' flows are found
   */
  constructor(
    heads: ReadonlyMap<string, LockedHead>,
    nowUs: bigint,
    drawId: () => string,
    maxSubjectBytes: number,
    flows: FlowLibrary,
  ) {
    this.#flows = flows;
    this.#subjects = new BatchSubjects(flows);
    this.#maxSubjectBytes = maxSubjectBytes;
    this.#drawId = drawId;
    this.#heads = new Map();
    for (const [tenant, head] of heads) {
      const us = head.recordedUs > nowUs ? head.recordedUs : nowUs; // recorded time never decreases along a journal
      const first = { revision: head.revision, eventId: head.eventId };
      this.#heads.set(tenant, { first, place: first, now: toTimestamp(us), nowUs: us, events: [] });
    }
  }

  /** Takes in what was read for a portion, as far as its heads are locked. */
  take({ asked, rows, requests }: Loaded): void {
    for (const { tenant, ref } of asked) if (this.#heads.has(tenant)) this.load(tenant, [ref], rows);
    for (const [key, request] of requests) this.#requests.set(key, request);
  }

  /** Takes in the rows that exist of the subjects that were asked for. */
  load(tenant: string, asked: readonly SubjectRef[], rows: ReadonlyMap<string, SubjectRow>): void {
    this.#subjects.load(tenant, asked, rows);
  }

  /** Whether it may write for the tenant. */
  has(tenant: string): boolean {
    return this.#heads.has(tenant);
  }

  /** Decides one command. Returns what has to be loaded first, if anything; then it is to be called again. */
  decide(pending: Pending): Needs {
    const { command } = pending;
    try {
      const repeated = this.#repeated(command);
      if (repeated) {
        this.verdicts.push({ pending, outcome: { answer: repeated } });
        return NOTHING;
      }
      const missing = command.subjects.filter((ref) => !this.#subjects.has(command.tenant, ref));
      if (missing.length > 0) return { subjects: missing, flows: [] };
      const decision = command.decide(this.#subjects.of(command.tenant), this.#head(command.tenant).now);
      if ("needs" in decision) {
        const needs = decision.needs.filter((ref) => !this.#subjects.has(command.tenant, ref));
        if (needs.length > 0) return { subjects: needs, flows: [] };
        throw new Error("a decision needs subjects that it has been given");
      }
      const answer = this.#apply(command, decision.drafts, decision.answer);
      this.verdicts.push({ pending, outcome: { answer } });
    } catch (error) {
      if (error instanceof FlowMissing)
        return { subjects: [], flows: this.#subjects.missingFlows(command.tenant, error.ref) };
      this.verdicts.push({ pending, outcome: { error } });
    }
    return NOTHING;
  }

  /**
   * The subjects that a command will need, as far as can be told before those ahead of it are decided, so that one load
   * serves many commands. Nothing is decided: what goes wrong is told in the command's turn.
   */
  foresee({ command }: Pending): readonly SubjectRef[] {
    const isMissing = (ref: SubjectRef) => !this.#subjects.has(command.tenant, ref);
    try {
      if (this.#repeated(command)) return [];
      const missing = command.subjects.filter(isMissing);
      if (missing.length > 0) return missing;
      const decision = command.decide(this.#subjects.of(command.tenant), this.#head(command.tenant).now);
      return "needs" in decision ? decision.needs.filter(isMissing) : [];
    } catch {
      return [];
    }
  }

  /** Fails a command that was not decided. */
  fail(pending: Pending, error: unknown): void {
    this.verdicts.push({ pending, outcome: { error } });
  }

  /** Whether there is nothing to write: all commands were refused, repeated, or changed nothing. */
  get isEmpty(): boolean {
    return this.#isEmpty && this.#writes.isEmpty;
  }

  /** The statements that write what was decided since the last ones. More may be decided after them. */
  statements(): Statement[] {
    this.#subjects.writeTo(this.#writes);
    const statements = this.#writes.statements();
    if (!this.#writes.isEmpty) this.#isEmpty = false;
    this.#writes = new BatchWrites();
    return statements;
  }

  /** The statement that moves the heads, after which nothing is decided any more; none: no journal has grown. */
  moveHeads(): Statement[] {
    const moved = [...this.#heads].filter(([, head]) => head.events.length > 0);
    if (moved.length === 0) return [];
    const columns = new Columns(4);
    for (const [tenant, { place, nowUs }] of moved) columns.push(tenant, place.revision, place.eventId, nowUs);
    return [moveHeads(columns.values)];
  }

  /** What the batch adds to the journals. */
  extensions(): Extension[] {
    return [...this.#heads]
      .filter(([, head]) => head.events.length > 0)
      .map(([tenant, head]) => ({ tenant, previous: head.first, events: head.events }));
  }

  #repeated(command: Command<DescMessage>): MessageShape<DescMessage> | undefined {
    if (!command.request) return undefined;
    const known = this.#requests.get(requestMapKey(command.tenant, command.request.key));
    if (!known) return undefined;
    if (Buffer.compare(known.hash, command.request.hash) === 0) return fromBinary(command.answer, known.answer);
    throw new Refusal(
      ErrorReason.REQUEST_ID_REUSED,
      "the request id was used before with another request; draw a new id for a new request",
    );
  }

  #apply(
    command: Command<DescMessage>,
    drafts: readonly Draft[],
    answerOf: (after: {
      subject(ref: SubjectRef): Subject;
      position(ref: SubjectRef): string;
    }) => MessageShape<DescMessage>,
  ): MessageShape<DescMessage> {
    const head = this.#head(command.tenant);
    const changed = new Map<string, Working>();
    const events: StoredEvent[] = [];
    let place = head.place;
    const commandId = this.#drawId();
    for (const [index, draft] of drafts.entries()) {
      const key = subjectMapKey(command.tenant, draft.ref);
      const working = changed.get(key) ?? { ...this.#subjects.working(command.tenant, draft.ref) };
      this.#grow(working, command.bytes);
      place = { revision: place.revision + 1n, eventId: this.#drawId() };
      const part = { id: commandId, index, count: drafts.length };
      events.push(this.#record(command, draft, working, place, part, head.now));
      changed.set(key, working);
    }
    const read = (ref: SubjectRef) =>
      changed.get(subjectMapKey(command.tenant, ref)) ?? this.#subjects.working(command.tenant, ref);
    const answer = answerOf({
      subject: (ref) => {
        const subject =
          changed.get(subjectMapKey(command.tenant, ref))?.subject ?? this.#subjects.current(command.tenant, ref);
        if (!subject) throw new Error(`an answer asks for ${ref.id}, which does not exist`);
        return subject;
      },
      position: (ref) => staffPosition(read(ref).place ?? { revision: 0n, eventId: "" }),
    });
    const reply = command.request && encode(command.answer, answer);
    // Nothing can fail any more: what follows is the only place where the batch changes.
    head.place = place;
    for (const event of events) {
      head.events.push(event);
      this.#writes.event(command.tenant, event, head.nowUs);
    }
    this.#subjects.keep(changed);
    if (command.request && reply) this.#note(command.tenant, command.request, reply, head.nowUs);
    return answer;
  }

  /** Every write of a subject reads and writes all of it: what it may take is bounded. */
  #grow(working: Working, bytes: number): void {
    working.bytes += bytes;
    if (working.bytes <= this.#maxSubjectBytes || bytes <= SMALL_COMMAND_BYTES) return;
    const max = this.#maxSubjectBytes;
    throw new Refusal(
      ErrorReason.SUBJECT_FULL,
      `what is kept would take more than ${max} bytes: go on with another order or booking`,
      {
        metadata: { limit: "subject_bytes", allowed: String(max), used: String(working.bytes) },
      },
    );
  }

  /** Applies one draft to its subject and encodes its event. */
  #record(
    command: Command<DescMessage>,
    draft: Draft,
    working: Working,
    place: Place,
    part: { id: string; index: number; count: number },
    now: Timestamp,
  ): StoredEvent {
    const before = this.#subjects.subjectOf(command.tenant, working);
    const version = working.version + 1n;
    const after = evolve(before, draft.change, { version, recordedAt: now }, draft.ref, this.#flows.of(command.tenant));
    const standing = standingAfter(before, after, this.#head(command.tenant).nowUs, working.standing);
    const summary = encodeSummary(after);
    const facetsBefore = before && facetsLeft(before, after);
    const event = create(EventSchema, {
      revision: place.revision,
      position: staffPosition(place),
      recordedAt: now,
      subjectId: draft.ref.id,
      version,
      actor: command.actor,
      shape: EVENT_SHAPE,
      command: part,
      ...(command.cause ? { cause: command.cause } : {}),
      ...(facetsBefore ? { before: facetsBefore } : {}),
      change: draft.change,
    });
    const createdRevision = working.createdRevision ?? place.revision;
    Object.assign(working, { subject: after, version, place, createdRevision, summary, standing });
    const entered = phaseOf(after);
    return {
      revision: place.revision,
      eventId: place.eventId,
      kind: draft.ref.kind,
      subjectId: draft.ref.id,
      version,
      carrier: after.kind === SubjectKind.BOOKING ? after.booking.carrier : "",
      payload: storedEncoding(event, draft.ref.kind, summary),
      ...(entered === phaseOf(before) || entered === undefined ? {} : { entered }),
    };
  }

  /** Keeps an answer, for who asks the same again. */
  #note(tenant: string, request: RequestIdentity, answer: Uint8Array, nowUs: bigint): void {
    this.#requests.set(requestMapKey(tenant, request.key), { hash: request.hash, answer });
    this.#writes.request(tenant, request, answer, nowUs);
  }

  #head(tenant: string) {
    const head = this.#heads.get(tenant);
    if (!head) throw new Refusal(ErrorReason.TENANT_UNKNOWN, `tenant "${tenant}" does not exist`);
    return head;
  }
}

function phaseOf(subject: Subject | undefined): Phase | undefined {
  return subject?.kind === SubjectKind.ORDER ? subject.order.phase : undefined;
}

export function requestMapKey(tenant: string, key: Uint8Array): string {
  return `${tenant}\0${Buffer.from(key).toString("latin1")}`;
}

function toTimestamp(us: bigint): Timestamp {
  return create(TimestampSchema, { seconds: us / 1_000_000n, nanos: Number(us % 1_000_000n) * 1_000 });
}
