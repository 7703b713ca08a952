import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { QueryResult } from "pg";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Extension } from "../domain/stored-event.ts";
import type { SubjectRef } from "../domain/subject.ts";
import { type Connection, ConnectionLost, sqlState } from "../store/connection.ts";
import { drawCharacters } from "../wire/draw-id.ts";
import { Batch, type KnownRequest, type LockedHead, requestMapKey, subjectMapKey } from "./batch.ts";
import { CommandQueue, type Pending, type QueueBounds } from "./command-queue.ts";
import type { Command, SubjectRow } from "./journal.ts";
import { toSubjectRow } from "./rows.ts";
import * as sql from "./sql.ts";

/*
 * Group commit. Commands that arrive while a transaction is in flight go into the next one together, whatever their
 * tenants. One transaction:
 *
 *   flight 1:  begin | scope | lock heads | clock | load subjects | load requests
 *   here:      decide each command, evolve its subjects, encode its events           (batch.ts)
 *   flight 2:  insert events | write subjects, references, requests | move heads | commit
 *
 * Locking and loading are separate statements, because a statement's snapshot is as old as its start: one that waited for
 * a lock would read what was there before the lock's holder committed.
 *
 * No instance can stop another. Heads are taken in one order and those that another instance holds are skipped: their
 * commands go back to the front of the queue. A tenant that was skipped several times gets a transaction of its own that
 * waits, up to lock_timeout. A stopped instance loses its session after idle_in_transaction_session_timeout.
 *
 * When the connection breaks during flight 2, whether the batch was committed is found out under the same locks, by
 * looking for its first events; only when they are not there is the batch done again.
 */

export interface GroupCommitOptions extends QueueBounds {
  /** Times that a tenant's head is skipped before it is waited for. Default 3. */
  readonly skipsBeforeWaiting?: number;
  /** How long a command may be tried for when the database fails. Then: DATABASE_UNAVAILABLE. Default 10,000. */
  readonly giveUpAfterMs?: number;
  /** Pause before trying again after the database failed. Default 50. */
  readonly retryPauseMs?: number;
  /** What one order or booking may take in bytes; what would make it larger is refused. Default 16 MiB. */
  readonly maxSubjectBytes?: number;
  /** Told of what was committed, before the commands are answered. */
  readonly onCommit: (extensions: readonly Extension[]) => void;
  /** Told of what went wrong and was mended or given up. */
  readonly onTrouble?: (what: string, error: unknown) => void;
}

/** How often one command may ask for further subjects. Each time costs a round trip under the locks. */
const MAX_LOADS = 8;

/** SQLSTATEs of what passes: serialization, deadlock, lock timeout, cancelled, and a standby that does not write. */
const PASSING: ReadonlySet<string> = new Set(["40001", "40P01", "55P03", "57014", "25006"]);

/** Whether a batch whose COMMIT got no answer is in the journal; unknown: the database did not say in time. */
type Fate = "committed" | "aborted" | "unknown";

export class GroupCommit {
  readonly #connection: Connection;
  readonly #options: Required<Omit<GroupCommitOptions, keyof QueueBounds>>;
  readonly #queue: CommandQueue;
  readonly #skips = new Map<string, number>();
  /** Commands in the next batch at most: halved while a batch fails for its data, until the culprit is alone. */
  #limit = Number.POSITIVE_INFINITY;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(connection: Connection, options: GroupCommitOptions) {
    this.#connection = connection;
    this.#queue = new CommandQueue(options);
    this.#options = {
      skipsBeforeWaiting: options.skipsBeforeWaiting ?? 3,
      giveUpAfterMs: options.giveUpAfterMs ?? 10_000,
      retryPauseMs: options.retryPauseMs ?? 50,
      maxSubjectBytes: options.maxSubjectBytes ?? 16 * 1024 * 1024,
      onCommit: options.onCommit,
      onTrouble: options.onTrouble ?? (() => undefined),
    };
  }

  /** Commands that wait for their turn. */
  get queued(): number {
    return this.#queue.size;
  }

  submit<O extends DescMessage>(command: Command<O>): Promise<MessageShape<O>> {
    return new Promise<MessageShape<O>>((resolve, reject) => {
      if (this.#closed) throw draining();
      this.#queue.push({
        // The queue holds commands of all kinds; each is settled with the answer that its own decision made.
        command: command as unknown as Command<DescMessage>,
        since: performance.now(),
        settle: (answer) => resolve(answer as MessageShape<O>),
        fail: reject,
      });
      this.#running ??= this.#run();
    });
  }

  /** Takes no more commands, and finishes those it has. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    await this.#connection.close();
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // what is submitted in the same turn goes into the first batch together
    while (this.#queue.size > 0) {
      const waitFor = this.#mostSkipped();
      const commands = this.#queue.take(this.#limit, waitFor);
      if (waitFor !== undefined) this.#skips.delete(waitFor);
      try {
        if (commands.length > 0) await this.#commit(commands, waitFor !== undefined);
      } catch (error) {
        // A fault of ours while mending another: nobody may be left waiting, and the loop must go on.
        this.#options.onTrouble("a batch could not be settled", error);
        for (const p of commands) p.fail(error);
      }
    }
    this.#running = undefined;
  }

  #mostSkipped(): string | undefined {
    for (const [tenant, skips] of this.#skips) if (skips >= this.#options.skipsBeforeWaiting) return tenant;
    return undefined;
  }

  /** Commits the commands; returns when each is settled or back in the queue. */
  async #commit(commands: readonly Pending[], wait: boolean): Promise<void> {
    let mine = commands;
    let batch: Batch | undefined;
    let sent = false;
    try {
      const opened = await this.#open(commands, wait);
      mine = this.#putBack(commands, opened.locked, wait);
      batch = opened.batch;
      await this.#decide(batch, mine);
      if (batch.isEmpty) {
        await this.#connection.flight([sql.ROLLBACK]);
      } else {
        const statements = batch.statements();
        sent = true;
        const results = await this.#connection.flight([...statements, sql.COMMIT]);
        if (results.at(-1)?.command !== "COMMIT") throw new Error("the transaction was rolled back at its commit");
      }
      this.#limit *= 2;
      this.#settle(batch);
      if (mine.length === 0 && !wait) await pause(1); // every head is held by others: let them finish
    } catch (error) {
      await this.#recover(error, mine, sent ? batch : undefined);
    }
  }

  /** Flight 1. */
  async #open(commands: readonly Pending[], wait: boolean) {
    const tenants = [...new Set(commands.map((p) => p.command.tenant))].sort();
    const asked = subjectsOf(commands);
    const requests = commands.filter((p) => p.command.request !== undefined);
    const results = await this.#connection.flight([
      sql.BEGIN,
      sql.scopeTo(tenants),
      sql.lockHeads(tenants, wait),
      sql.CLOCK,
      sql.loadSubjects(
        asked.map((a) => a.tenant),
        asked.map((a) => a.ref.kind),
        asked.map((a) => a.ref.id),
      ),
      sql.loadRequests(
        requests.map((p) => p.command.tenant),
        requests.map((p) => p.command.request?.key ?? new Uint8Array()),
      ),
    ]);
    const locked = headsOf(results[2]);
    const nowUs = BigInt(results[3]?.rows[0]?.now_us ?? 0);
    const { maxSubjectBytes } = this.#options;
    const batch = new Batch(locked, nowUs, requestsOf(results[5]), () => drawCharacters(13), maxSubjectBytes);
    const rows = rowsOf(results[4]);
    for (const { tenant, ref } of asked) if (locked.has(tenant)) batch.load(tenant, [ref], rows);
    return { batch, locked };
  }

  /**
   * Puts the commands back whose tenants' heads others hold; a head that was waited for and is not there does not exist.
   * @returns the commands that stay
   */
  #putBack(commands: readonly Pending[], locked: ReadonlyMap<string, LockedHead>, wait: boolean): readonly Pending[] {
    const others = commands.filter((p) => !locked.has(p.command.tenant));
    if (others.length === 0) return commands;
    if (wait) {
      for (const p of others) {
        p.fail(new Refusal(ErrorReason.TENANT_UNKNOWN, `tenant "${p.command.tenant}" does not exist`));
      }
    } else {
      this.#queue.unshift(others);
      for (const tenant of new Set(others.map((p) => p.command.tenant))) {
        this.#skips.set(tenant, (this.#skips.get(tenant) ?? 0) + 1);
      }
    }
    for (const tenant of locked.keys()) this.#skips.delete(tenant);
    return commands.filter((p) => locked.has(p.command.tenant));
  }

  /** Decides in order; a tenant whose command needs more subjects waits, with its later commands, until they are loaded. */
  async #decide(batch: Batch, commands: readonly Pending[]): Promise<void> {
    const loads = new Map<Pending, number>();
    const foreseen = new Set<Pending>();
    for (let left = commands; left.length > 0; ) {
      const needs: { tenant: string; ref: SubjectRef }[] = [];
      const later: Pending[] = [];
      const waiting = new Set<string>();
      const foresee = (pending: Pending) => {
        if (foreseen.has(pending)) return []; // once is enough: what it finds too late is one load more
        foreseen.add(pending);
        return batch.foresee(pending);
      };
      for (const pending of left) {
        const { tenant } = pending.command;
        const missing = waiting.has(tenant) ? foresee(pending) : decideOrGiveUp(batch, pending, loads);
        if (missing.length > 0) waiting.add(tenant);
        for (const ref of missing) needs.push({ tenant, ref });
        if (waiting.has(tenant)) later.push(pending);
      }
      if (needs.length > 0) await this.#load(batch, needs);
      left = later;
    }
  }

  async #load(batch: Batch, needs: readonly { readonly tenant: string; readonly ref: SubjectRef }[]): Promise<void> {
    const unique = [...new Map(needs.map((need) => [subjectMapKey(need.tenant, need.ref), need])).values()];
    const [result] = await this.#connection.flight([
      sql.loadSubjects(
        unique.map((n) => n.tenant),
        unique.map((n) => n.ref.kind),
        unique.map((n) => n.ref.id),
      ),
    ]);
    const rows = rowsOf(result);
    for (const { tenant, ref } of unique) batch.load(tenant, [ref], rows);
  }

  #settle(batch: Batch): void {
    const extensions = batch.extensions();
    try {
      if (extensions.length > 0) this.#options.onCommit(extensions);
    } catch (error) {
      // It is committed all the same: followers find in the journal what they were not told.
      this.#options.onTrouble("what was committed could not be told", error);
    }
    for (const { pending, outcome } of batch.verdicts) {
      if ("answer" in outcome) pending.settle(outcome.answer);
      else pending.fail(outcome.error);
    }
  }

  /**
   * Settles the commands of a batch that failed, or puts them back.
   * @param doubtful the batch, if its COMMIT was on its way
   */
  async #recover(error: unknown, commands: readonly Pending[], doubtful: Batch | undefined): Promise<void> {
    if (error instanceof ConnectionLost) {
      this.#options.onTrouble("the database connection was lost", error);
      if (doubtful && (await this.#fateOf(doubtful, commands)) === "committed") return this.#settle(doubtful);
      return this.#again(commands, error);
    }
    await this.#rollBack();
    const state = sqlState(error) ?? "";
    if (PASSING.has(state)) {
      this.#options.onTrouble(`a batch of ${commands.length} is tried again after ${state}`, error);
      if (state === "25006") this.#connection.discard(); // a new connection may find the server that writes
      if (state === "57014") this.#limit = Math.ceil(commands.length / 2); // it may have been too much at once
      return this.#again(commands, error);
    }
    const isExhausted = state.startsWith("53");
    if (commands.length > 1 && !isExhausted) {
      // One command's data, or a fault of ours in it: the others are to go through without it.
      this.#options.onTrouble(`a batch of ${commands.length} is split after ${state || "a fault"}`, error);
      this.#limit = Math.ceil(commands.length / 2);
      return this.#queue.unshiftFirst(commands);
    }
    this.#options.onTrouble(`a batch of ${commands.length} failed`, error);
    for (const p of commands) p.fail(isExhausted ? unavailable(error) : error);
  }

  /** Looks, under the batch's own locks, whether its events are in the journal. Asks until the database answers. */
  async #fateOf(batch: Batch, commands: readonly Pending[]): Promise<Fate> {
    const firsts = batch.extensions().map((e) => ({ tenant: e.tenant, event: e.events[0] }));
    const tenants = [...new Set(commands.map((p) => p.command.tenant))].sort();
    for (;;) {
      try {
        const results = await this.#connection.flight([
          sql.BEGIN,
          sql.scopeTo(tenants),
          sql.lockHeads(tenants, true),
          sql.findEvents(
            firsts.map((f) => f.tenant),
            firsts.map((f) => f.event?.revision ?? 0n),
            firsts.map((f) => f.event?.eventId ?? ""),
          ),
          sql.ROLLBACK,
        ]);
        return results[3]?.rows[0]?.found > 0 ? "committed" : "aborted";
      } catch (error) {
        await this.#rollBack();
        if (commands.every((p) => this.#tooOld(p))) return "unknown";
        this.#options.onTrouble("whether a batch was committed could not be asked yet", error);
        await pause(this.#options.retryPauseMs);
      }
    }
  }

  /** Puts commands back to the front of the queue, but for those that were tried for too long. */
  async #again(commands: readonly Pending[], error: unknown): Promise<void> {
    const [old, young] = [commands.filter((p) => this.#tooOld(p)), commands.filter((p) => !this.#tooOld(p))];
    for (const p of old) p.fail(unavailable(error));
    this.#queue.unshiftFirst(young);
    await pause(this.#options.retryPauseMs);
  }

  async #rollBack(): Promise<void> {
    try {
      await this.#connection.flight([sql.ROLLBACK]);
    } catch {
      this.#connection.discard(); // Postgres rolls back what the session left
    }
  }

  #tooOld(pending: Pending): boolean {
    return performance.now() - pending.since > this.#options.giveUpAfterMs;
  }
}

/** Decides a command, or fails it when it never has enough. Returns what it needs first. */
function decideOrGiveUp(batch: Batch, pending: Pending, loads: Map<Pending, number>): readonly SubjectRef[] {
  const missing = batch.decide(pending);
  if (missing.length === 0) return [];
  const times = loads.get(pending) ?? 0;
  loads.set(pending, times + 1);
  if (times < MAX_LOADS) return missing;
  batch.fail(pending, new Error(`a decision still needs subjects after ${MAX_LOADS} loads`));
  return [];
}

function subjectsOf(commands: readonly Pending[]): { tenant: string; ref: SubjectRef }[] {
  const asked = new Map<string, { tenant: string; ref: SubjectRef }>();
  for (const { command } of commands) {
    for (const ref of command.subjects) asked.set(subjectMapKey(command.tenant, ref), { tenant: command.tenant, ref });
  }
  return [...asked.values()];
}

function headsOf(result: QueryResult | undefined): Map<string, LockedHead> {
  const heads = new Map<string, LockedHead>();
  for (const row of result?.rows ?? []) {
    const head = { revision: BigInt(row.revision), eventId: row.event_id, recordedUs: BigInt(row.recorded_us) };
    heads.set(row.tenant_id, head);
  }
  return heads;
}

function rowsOf(result: QueryResult | undefined): Map<string, SubjectRow> {
  return new Map((result?.rows ?? []).map((row) => [subjectMapKey(row.tenant_id, row), toSubjectRow(row)]));
}

function requestsOf(result: QueryResult | undefined): Map<string, KnownRequest> {
  return new Map((result?.rows ?? []).map((row) => [requestMapKey(row.tenant_id, row.key), row]));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function draining(): Refusal {
  return new Refusal(ErrorReason.DRAINING, "this instance is stopping; send the call to another one");
}

function unavailable(cause: unknown): Refusal {
  return new Refusal(
    ErrorReason.DATABASE_UNAVAILABLE,
    "the database cannot be asked at present, and whether the change was made is not known; repeat it with the same request id",
    { cause },
  );
}
