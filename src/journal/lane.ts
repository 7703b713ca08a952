import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import { type Connection, ConnectionLost, sqlState } from "../store/connection.ts";
import type { Answer } from "../store/flight.ts";
import type { FlowLibrary } from "../store/flow-library.ts";
import { drawCharacters } from "../wire/draw-id.ts";
import { Batch, type LockedHead } from "./batch.ts";
import type { Pending } from "./command-queue.ts";
import { unavailable } from "./commit-refusals.ts";
import { decideAll } from "./decide-all.ts";
import type { LaneOptions } from "./group-commit-options.ts";
import type { Turns } from "./lane-turns.ts";
import { type Opened, OpeningFlight } from "./opening-flight.ts";
import { type Loaded, Portion, portionSize, portionsOf } from "./portion.ts";
import * as sql from "./sql.ts";

/**
 * Batches that are opened behind the one before them, in a row. Then there is a gap of a round trip, in which an instance
 * that waits for a head is sure to get it; without one it has to win it while we let go of it and take it again.
 */
const MAX_AHEAD = 8;

/** Commands that are decided before what was made of them is sent: large enough that a statement costs little for each. */
const PORTION = 128;

/** How long a batch may be decided, milliseconds: what has to be sure that a transaction is over waits for a minute (`Rewriter`). */
const DECIDING_MS = 20_000;

/** SQLSTATEs of what passes: serialization, deadlock, lock timeout, cancelled, and a standby that does not write. */
const PASSING: ReadonlySet<string> = new Set(["40001", "40P01", "55P03", "57014", "25006"]);

/** Whether a batch whose COMMIT got no answer is in the journal; unknown: the database did not say in time. */
type Fate = "committed" | "aborted" | "unknown";

/** A batch whose flight 1 is on its way. */
interface Opening {
  /** Those that are its to settle or put back: fewer once it is known whose heads others hold. */
  commands: readonly Pending[];
  readonly first: Portion;
  readonly opened: Promise<Opened>;
}

/** The flights that write one batch, in order. */
class Writing {
  /** Of the first that failed: those behind it only say that the transaction is over. */
  fault: unknown;
  #last: Promise<readonly Answer[]> = Promise.resolve([]);

  add(flight: Promise<readonly Answer[]>): void {
    this.#last = flight;
    flight.catch((error: unknown) => {
      this.fault ??= error;
    });
  }

  last(): Promise<readonly Answer[]> {
    return this.#last;
  }
}

/** One connection, and the batches that are committed on it one after the other, for as long as its turns have commands. */
export class Lane {
  readonly #connection: Connection;
  readonly #turns: Turns;
  readonly #flows: FlowLibrary;
  readonly #options: LaneOptions;
  /** Commands in the next batch at most: halved while a batch fails for its data or its size, until the culprit is alone. */
  #limit = Number.POSITIVE_INFINITY;
  /** Batches in a row that were opened ahead. */
  #ahead = 0;
  #running: Promise<void> | undefined;

  constructor(connection: Connection, turns: Turns, flows: FlowLibrary, options: LaneOptions) {
    this.#connection = connection;
    this.#turns = turns;
    this.#flows = flows;
    this.#options = options;
  }

  /** There may be commands for it. What is submitted in the same turn of the event loop goes into one batch. */
  wake(): void {
    this.#running ??= this.#run();
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Settled when there is nothing more for it. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async close(): Promise<void> {
    await this.idle();
    await this.#connection.close();
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    for (let opening = this.#open(); opening !== undefined; ) {
      let next: Opening | undefined;
      try {
        next = await this.#commit(opening);
      } catch (error) {
        // A fault of ours while mending another: nobody may be left waiting, and the loop must go on.
        this.#options.onTrouble("a batch could not be settled", error);
        for (const p of opening.commands) p.fail(error);
      }
      this.#turns.over(opening.commands);
      opening = next ?? this.#open();
    }
    this.#running = undefined;
  }

  /** Takes the next commands, if any, and sends flight 1. */
  #open(): Opening | undefined {
    const commands = this.#turns.take(this.#limit);
    if (commands.length === 0) return undefined;
    const first = new Portion(commands.slice(0, portionSize(commands.length, PORTION)));
    const opened = this.#lock(commands, first);
    opened.catch(() => undefined); // told when its turn has come
    return { commands, first, opened };
  }

  /** Flight 1 of the next batch behind flight 2 of this one, unless others need a gap between the two. */
  #openAhead(): Opening | undefined {
    const mayGoAhead = this.#ahead < MAX_AHEAD && this.#turns.mayGoAhead;
    const next = mayGoAhead ? this.#open() : undefined;
    this.#ahead = next ? this.#ahead + 1 : 0;
    return next;
  }

  /**
   * Decides and commits a batch; returns when each of its commands is settled or back in the queue.
   * @returns the next batch, if it was opened meanwhile
   */
  async #commit(opening: Opening): Promise<Opening | undefined> {
    let batch: Batch | undefined;
    let sent = false;
    let next: Opening | undefined;
    const writing = new Writing();
    try {
      const { locked, nowUs, first } = await opening.opened;
      const size = opening.first.commands.length;
      const rest = opening.commands.slice(size).filter((p) => locked.has(p.command.tenant));
      this.#passOver(opening, locked);
      batch = new Batch(locked, nowUs, () => drawCharacters(13), this.#options.maxSubjectBytes, this.#flows);
      await this.#decide(batch, [opening.first, ...portionsOf(rest, size)], first, writing);
      if (batch.isEmpty) {
        await this.#connection.flight([sql.ROLLBACK]);
      } else {
        const statements = [...batch.statements(), ...batch.moveHeads(), sql.COMMIT];
        sent = true;
        writing.add(this.#connection.flight(statements, true));
        next = this.#openAhead();
        const results = await writing.last();
        if (results.at(-1)?.command !== "COMMIT") throw new Error("the transaction was rolled back at its commit");
      }
      this.#limit *= 2;
      this.#settle(batch);
      if (opening.commands.length === 0 && !this.#turns.waits) await pause(1); // every head is held by others: let them finish
    } catch (error) {
      if (next) await this.#close(next);
      next = undefined;
      const doubtful = sent ? batch : undefined;
      await this.#recover(writing.fault ?? error, opening.commands, batch !== undefined, doubtful);
    }
    return next;
  }

  /**
   * Decides portion after portion. While one is decided, Postgres loads what the next one needs and writes what was made of the
   * one before; the last one's writes are left to the flight that commits.
   */
  async #decide(batch: Batch, portions: readonly Portion[], first: Loaded, writing: Writing): Promise<void> {
    let loaded = first;
    const begun = performance.now();
    for (const [i, portion] of portions.entries()) {
      if (performance.now() - begun > DECIDING_MS)
        throw new Error(`a batch was decided for more than ${DECIDING_MS} ms`);
      const after = portions[i + 1];
      const loading = after && this.#load(after);
      loading?.catch(() => undefined); // told below, or by what made it fail
      batch.take(loaded);
      const mine = portion.commands.filter((p) => batch.has(p.command.tenant));
      await decideAll(batch, mine, this.#connection, this.#flows);
      if (!loading) return;
      const statements = batch.statements();
      if (statements.length > 0) writing.add(this.#connection.flight(statements, true));
      loaded = await loading;
    }
  }

  /** Puts back what was opened behind a batch that failed: before that batch, which then goes before it. */
  async #close({ commands, opened }: Opening): Promise<void> {
    await opened.catch(() => undefined);
    this.#turns.putBack(commands);
    this.#turns.over(commands);
  }

  async #lock(commands: readonly Pending[], first: Portion): Promise<Opened> {
    const flight = new OpeningFlight(commands, first, this.#turns.waits);
    return flight.read(await this.#connection.flight(flight.statements));
  }

  async #load(portion: Portion): Promise<Loaded> {
    return portion.read(await this.#connection.flight(portion.statements(), true));
  }

  /** Puts the commands back whose tenants' heads others hold; a head that was waited for and is not there does not exist. */
  #passOver(opening: Opening, locked: ReadonlyMap<string, LockedHead>): void {
    this.#turns.had(locked.keys());
    const others = opening.commands.filter((p) => !locked.has(p.command.tenant));
    if (others.length === 0) return;
    opening.commands = opening.commands.filter((p) => locked.has(p.command.tenant));
    if (!this.#turns.waits) this.#turns.passOver(others);
    else for (const { command, fail } of others) fail(tenantUnknown(command.tenant));
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
   * @param inside its heads were locked
   * @param doubtful the batch, if its COMMIT was on its way
   */
  async #recover(
    error: unknown,
    commands: readonly Pending[],
    inside: boolean,
    doubtful: Batch | undefined,
  ): Promise<void> {
    if (error instanceof ConnectionLost) {
      this.#options.onTrouble("the database connection was lost", error);
      if (doubtful && (await this.#fateOf(doubtful, commands)) === "committed") {
        return this.#settle(doubtful);
      }
      // Its transaction may have stood still for too long while we decided.
      if (inside) this.#halve(commands);
      return this.#again(commands, error);
    }
    await this.#rollBack();
    const state = sqlState(error) ?? "";
    if (PASSING.has(state)) {
      this.#options.onTrouble(`a batch of ${commands.length} is tried again after ${state}`, error);
      if (state === "25006") this.#connection.discard(); // a new connection may find the server that writes
      // It may have been too much at once. After a wait it was not: one alone would only be in the others' way.
      if (state === "57014" && !this.#turns.waits) this.#halve(commands);
      return this.#again(commands, error, this.#turns.waits);
    }
    const isExhausted = state.startsWith("53");
    if (commands.length > 1 && !isExhausted) {
      // One command's data, or a fault of ours in it: the others are to go through without it.
      this.#options.onTrouble(`a batch of ${commands.length} is split after ${state || "a fault"}`, error);
      this.#halve(commands);
      return this.#turns.putBack(commands);
    }
    this.#options.onTrouble(`a batch of ${commands.length} failed`, error);
    for (const p of commands) p.fail(isExhausted ? unavailable(error) : error);
  }

  #halve(batch: readonly Pending[]): void {
    if (batch.length > 0) this.#limit = Math.max(1, Math.ceil(batch.length / 2));
  }

  /**
   * Looks whether the batch's events are in the journal, under the lock of one of its heads: the transaction held them all, so who
   * has one knows that it is over. Asks until the database answers.
   */
  async #fateOf(batch: Batch, commands: readonly Pending[]): Promise<Fate> {
    const firsts = batch.extensions().map((e) => ({ tenant: e.tenant, event: e.events[0] }));
    const tenants = [...new Set(commands.map((p) => p.command.tenant))].sort();
    for (;;) {
      try {
        const results = await this.#connection.flight([
          sql.BEGIN,
          sql.scopeTo(tenants),
          sql.lockHeads(tenants, false),
          sql.findEvents([
            firsts.map((f) => f.tenant),
            firsts.map((f) => f.event?.revision ?? 0n),
            firsts.map((f) => f.event?.eventId ?? ""),
          ]),
          sql.ROLLBACK,
        ]);
        if (Number(results[3]?.rows[0]?.[0]) > 0) return "committed";
        if ((results[2]?.rows.length ?? 0) > 0) return "aborted";
        if (commands.every((p) => this.#tooOld(p))) return "unknown";
      } catch (error) {
        await this.#rollBack();
        if (commands.every((p) => this.#tooOld(p))) return "unknown";
        this.#options.onTrouble("whether a batch was committed could not be asked yet", error);
      }
      await pause(this.#options.retryPauseMs);
    }
  }

  /**
   * Puts commands back to the front of the queue, but for those that were tried for too long.
   * @param inVain a head that was waited for was not had
   */
  async #again(commands: readonly Pending[], error: unknown, inVain = false): Promise<void> {
    const [old, young] = [commands.filter((p) => this.#tooOld(p)), commands.filter((p) => !this.#tooOld(p))];
    for (const p of old) p.fail(unavailable(error));
    // Nor do those that wait behind them have to try it one batch after the other.
    if (error instanceof ConnectionLost) {
      for (const p of this.#turns.takeOld(performance.now() - this.#options.giveUpAfterMs)) p.fail(unavailable(error));
    }
    if (inVain) this.#turns.passOver(young);
    else this.#turns.putBack(young);
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

function tenantUnknown(tenant: string): Refusal {
  return new Refusal(ErrorReason.TENANT_UNKNOWN, `tenant "${tenant}" does not exist`);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
