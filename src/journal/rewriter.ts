import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Extension } from "../domain/stored-event.ts";
import type { Decide, SubjectKind, SubjectRef } from "../domain/subject.ts";
import { type Connection, ConnectionLost, sqlState } from "../store/connection.ts";
import type { Answer, Statement } from "../store/flight.ts";
import type { FlowLibrary } from "../store/flow-library.ts";
import { Fields, type Question } from "../store/question.ts";
import { drawCharacters } from "../wire/draw-id.ts";
import { decodeEvents, encodeEvents } from "../wire/event-view.ts";
import type { SubjectBytes } from "../wire/subject-row.ts";
import type { Run } from "./audit-append.ts";
import { Batch } from "./batch.ts";
import type { Pending } from "./command-queue.ts";
import { SUBJECT_MAX_BYTES } from "./group-commit-options.ts";
import type { Command } from "./journal.ts";
import { OpeningFlight } from "./opening-flight.ts";
import { Portion } from "./portion.ts";
import { questions } from "./questions.ts";
import { scoped } from "./scoped.ts";
import * as sql from "./sql.ts";

/*
 * A command that goes back over its subject's history: the one case in which stored events change. It has a transaction and a
 * connection of its own, and is decided as every command is, under the lock of its journal's head. Where each event stands
 * (revision, id, version, time) stays as it is, so positions and resumes do not notice.
 *
 * The lock is held for as long as the subject's history takes to be read and written, some milliseconds a thousand events;
 * the stored answers, which no index finds by their subject, are searched before it is taken, and what was stored meanwhile
 * is looked at under it.
 */

/** A command of one subject that rewrites its events. */
export interface Rewrite<O extends DescMessage>
  extends Pick<Command<O>, "tenant" | "actor" | "request" | "bytes" | "answer"> {
  readonly ref: SubjectRef;
  /** An event as it shall be from now on; the same one: as it is. Called for each, the oldest first, before `decide`. */
  event(event: Event): Event;
  /** The state that stands for events that were cut, as it shall be from now on; the same one: as it is. Called first. */
  checkpoint(state: SubjectBytes): SubjectBytes;
  /** An answer that names the subject as it shall be; undefined: as it is. Absent: none has to be looked at. */
  reply?(answer: Uint8Array): Uint8Array | undefined;
  /** @param rewritten how many events have changed; a checkpoint counts as one */
  decide(rewritten: number): Decide<MessageShape<O>>;
  /** What else belongs to it, in the same transaction. @returns what is to be told with its own event */
  finish(run: Run): Promise<Extension>;
}

export interface RewriterOptions {
  readonly maxSubjectBytes?: number | undefined;
  readonly onCommit: (extensions: readonly Extension[]) => void;
  readonly onTrouble?: (what: string, error: unknown) => void;
}

const PAGE_EVENTS = 500;
const PAGE_BYTES = 4 * 1024 * 1024;
/** Answers that one statement searches. */
const SEARCHED = 5_000;
/** Answers that one statement reads and writes. */
const REPLIES = 200;
/** No transaction takes as long from its clock to its commit. */
const SLACK = "1 minute";

/** What it searches stored answers with. */
interface Search {
  readonly tenant: string;
  readonly needle: Uint8Array;
  /** The database's clock before the search. */
  readonly since: string;
  readonly keys: readonly Uint8Array[];
}

export class Rewriter {
  readonly #connection: Connection;
  readonly #flows: FlowLibrary;
  readonly #options: RewriterOptions;
  #last: Promise<unknown> = Promise.resolve();

  constructor(connection: Connection, flows: FlowLibrary, options: RewriterOptions) {
    this.#connection = connection;
    this.#flows = flows;
    this.#options = options;
  }

  /**
   * Resolves once all of it is durable; one after another. Rejects with a Refusal, and then nothing has changed, unless it is
   * DATABASE_UNAVAILABLE: then it may have.
   */
  rewrite<O extends DescMessage>(rewrite: Rewrite<O>): Promise<MessageShape<O>> {
    const done = this.#last.then(() => this.#try(rewrite));
    this.#last = done.catch(() => undefined);
    return done;
  }

  /** In which of these subjects' rows, checkpoints or events a text stands, byte by byte. */
  naming(tenant: string, kind: SubjectKind, ids: readonly string[], text: string): Promise<string[]> {
    const done = this.#last.then(() =>
      scoped(this.#connection, [tenant], {
        name: "subjects-naming",
        text: `select asked.id from unnest($3::text[]) as asked (id)
               where exists (select from event e where e.tenant_id = $1 and e.kind = $2 and e.subject_id = asked.id
                   and position($4::bytea in e.payload) > 0)
                 or exists (select from subject s where s.tenant_id = $1 and s.kind = $2 and s.id = asked.id
                   and (position($4::bytea in s.summary) > 0 or position($4::bytea in s.details) > 0))
                 or exists (select from history_checkpoint c where c.tenant_id = $1 and c.kind = $2 and c.id = asked.id
                   and (position($4::bytea in c.summary) > 0 or position($4::bytea in c.details) > 0))`,
        values: [tenant, kind, ids, Buffer.from(text, "utf8")],
        row: (fields) => fields.text(),
      }),
    );
    this.#last = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#connection.close();
  }

  async #try<O extends DescMessage>(rewrite: Rewrite<O>): Promise<MessageShape<O>> {
    try {
      const search = rewrite.reply && (await this.#search(rewrite));
      return await this.#transact(rewrite, search);
    } catch (error) {
      if (error instanceof ConnectionLost) throw unavailable(error);
      await this.#connection.flight([sql.ROLLBACK]).catch(() => this.#connection.discard());
      throw PASSING.test(sqlState(error) ?? "") ? unavailable(error) : error;
    }
  }

  async #transact<O extends DescMessage>(rewrite: Rewrite<O>, search: Search | undefined): Promise<MessageShape<O>> {
    const { tenant } = rewrite;
    let rewritten = 0;
    const pending = pendingOf(rewrite, (load, now) => rewrite.decide(rewritten)(load, now));
    const flight = new OpeningFlight([pending], new Portion([pending]), true);
    const { locked, nowUs, first } = flight.read(await this.#connection.flight(flight.statements));
    if (!locked.has(tenant)) throw new Refusal(ErrorReason.TENANT_UNKNOWN, `tenant "${tenant}" does not exist`);
    const maxBytes = this.#options.maxSubjectBytes ?? SUBJECT_MAX_BYTES;
    const batch = new Batch(locked, nowUs, () => drawCharacters(13), maxBytes, this.#flows);
    batch.take(first);
    rewritten = await this.#events(rewrite);
    let needs = batch.decide(pending);
    if (needs.flows.length > 0) {
      await this.#flows.fetch(tenant, needs.flows);
      needs = batch.decide(pending);
    }
    if (needs.subjects.length + needs.flows.length > 0) throw new Error("a rewriting needs more than its own subject");
    const outcome = batch.verdicts[0]?.outcome;
    if (outcome === undefined || "error" in outcome) throw outcome?.error ?? new Error("a rewriting was not decided");
    const extensions = batch.extensions();
    if (batch.isEmpty) await this.#connection.flight([sql.ROLLBACK]);
    else {
      await this.#connection.flight([...batch.statements(), ...batch.moveHeads()], true);
      if (extensions.length > 0) {
        if (search) await this.#replies(rewrite, search);
        extensions.push(await rewrite.finish((text, values) => this.#run(text, values)));
      }
      const [committed] = await this.#connection.flight([sql.COMMIT], true);
      if (committed?.command !== "COMMIT") throw new Error("the transaction was rolled back at its commit");
      if (extensions.length > 0) this.#tell(extensions);
    }
    return outcome.answer as MessageShape<O>; // made by its own decision
  }

  #tell(extensions: readonly Extension[]): void {
    try {
      this.#options.onCommit(extensions);
    } catch (error) {
      // It is committed all the same: followers find in the journal what they were not told.
      this.#options.onTrouble?.("what was rewritten could not be told", error);
    }
  }

  /** Rewrites the events that there are. @returns how many have changed */
  async #events(whole: Rewrite<DescMessage>): Promise<number> {
    const { tenant, ref } = whole;
    const cut = await this.#checkpoint(whole);
    let count = cut.rewritten;
    for (let next = cut.version + 1n; ; ) {
      const page = await this.#ask(questions.history(tenant, ref, next, PAGE_EVENTS, PAGE_BYTES));
      const last = page.at(-1);
      if (last === undefined) return count;
      const [revisions, payloads]: [bigint[], Uint8Array[]] = [[], []];
      for (const { payload, revision } of page) {
        const [event] = decodeEvents(payload);
        if (event?.change.case === undefined) throw shapeUnknown(ref.id, event?.position ?? "");
        const is = whole.event(event);
        if (is === event) continue;
        revisions.push(revision);
        payloads.push(encodeEvents([is]));
      }
      count += revisions.length;
      if (revisions.length > 0) {
        await this.#connection.flight([sql.rewriteEvents([revisions.map(() => tenant), revisions, payloads])], true);
      }
      next = last.version + 1n;
    }
  }

  /** Rewrites the checkpoint, if there is one, and removes what is left of the events that it stands for. */
  async #checkpoint({ tenant, ref, checkpoint: rewrite }: Rewrite<DescMessage>) {
    const [cut] = await this.#ask(questions.checkpoint(tenant, ref));
    if (cut === undefined) return { version: 0n, rewritten: 0 };
    const { version } = cut;
    const is = rewrite(cut);
    await this.#connection.flight([sql.removeEvents(tenant, ref, version)], true);
    if (is === cut) return { version, rewritten: 0 };
    await this.#connection.flight([sql.rewriteCheckpoint(tenant, ref, is)], true);
    return { version, rewritten: 1 };
  }

  /** Finds the stored answers in which the subject's id stands. */
  async #search({ tenant, ref }: Rewrite<DescMessage>): Promise<Search> {
    const needle = Buffer.from(ref.id, "utf8");
    const [now] = await scoped(this.#connection, [tenant], {
      ...{ name: "rewrite-clock", text: `select (clock_timestamp() - interval '${SLACK}')::text`, values: [] },
      row: (fields) => fields.text(),
    });
    const keys: Uint8Array[] = [];
    for (let after: Uint8Array | undefined = new Uint8Array(); after !== undefined; ) {
      const page: { key: Uint8Array; names: boolean }[] = await scoped(this.#connection, [tenant], {
        name: "search-answers",
        text: `select key, (position($3::bytea in answer) > 0)::int from request
               where tenant_id = $1 and key > $2 order by key limit ${SEARCHED}`,
        values: [tenant, after, needle],
        row: (fields) => ({ key: fields.bytes(), names: fields.integer() === 1 }),
      });
      for (const { key, names } of page) if (names) keys.push(key);
      after = page.at(-1)?.key;
    }
    return { tenant, needle, since: now ?? "", keys };
  }

  /** Rewrites the answers that were found, and those that were stored since. */
  async #replies({ reply }: Rewrite<DescMessage>, { tenant, needle, since, keys }: Search): Promise<void> {
    const recent = await this.#ask({
      name: "recent-answers",
      text: `select key from request where tenant_id = $1 and recorded_at >= $2::timestamptz
             and position($3::bytea in answer) > 0`,
      values: [tenant, since, needle],
      row: (fields) => fields.bytes(),
    });
    const all = [...keys, ...recent];
    for (let from = 0; from < all.length; from += REPLIES) {
      const part = all.slice(from, from + REPLIES);
      const [loaded] = await this.#connection.flight([sql.loadRequests([part.map(() => tenant), part])], true);
      const [changed, answers]: [Uint8Array[], Uint8Array[]] = [[], []];
      for (const { key, answer } of repliesOf(loaded)) {
        const is = reply?.(answer);
        if (is === undefined) continue;
        changed.push(key);
        answers.push(is);
      }
      if (changed.length === 0) continue;
      await this.#connection.flight([sql.rewriteAnswers([changed.map(() => tenant), changed, answers])], true);
    }
  }

  async #ask<T>({ name, text, values, row }: Question<T>): Promise<T[]> {
    const [answer] = await this.#connection.flight([{ name, text, values }], true);
    return (answer?.rows ?? []).map((columns) => row(new Fields(columns)));
  }

  async #run(text: string, values: readonly (string | number)[]): Promise<readonly (readonly string[])[]> {
    let place = 0;
    const statement: Statement = { text: text.replaceAll("?", () => `$${++place}`), values };
    const [answer] = await this.#connection.flight([statement], true);
    return (answer?.rows ?? []).map((row) => row.map((column) => column ?? ""));
  }
}

/** SQLSTATEs that pass: serialization, deadlock, lock timeout, cancelled, short resources, a standby. */
const PASSING = /^(40|53|57|55P03|25006)/;

function pendingOf<O extends DescMessage>(rewrite: Rewrite<O>, decide: Decide<MessageShape<O>>): Pending {
  const { tenant, actor, request, bytes, answer, ref } = rewrite;
  const command: Command<O> = { tenant, actor, request, bytes, answer, subjects: [ref], decide };
  // As in the group commit's queue: what the decision answers is of the command's own type.
  return {
    command: command as unknown as Command<DescMessage>,
    since: performance.now(),
    settle: () => undefined,
    fail: () => undefined,
  };
}

function* repliesOf(answer: Answer | undefined): Generator<{ key: Uint8Array; answer: Uint8Array }> {
  for (const row of answer?.rows ?? []) {
    const fields = new Fields(row);
    fields.text(); // the tenant
    const key = fields.bytes();
    fields.bytes(); // the request's hash
    yield { key, answer: fields.bytes() };
  }
}

function shapeUnknown(id: string, position: string): Refusal {
  return new Refusal(
    ErrorReason.EVENT_SHAPE_UNKNOWN,
    `event ${position} of "${id}" is of a newer release; ask an instance of that release`,
    { metadata: { subject_id: id, position } },
  );
}

function unavailable(cause: unknown): Refusal {
  return new Refusal(
    ErrorReason.DATABASE_UNAVAILABLE,
    "the database cannot be asked at present, and whether the change was made is not known; repeat it",
    { cause },
  );
}
