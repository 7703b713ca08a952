import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Connection } from "../store/connection.ts";
import type { FlowLibrary } from "../store/flow-library.ts";
import { CommandQueue } from "./command-queue.ts";
import { draining } from "./commit-refusals.ts";
import { type GroupCommitOptions, SUBJECT_MAX_BYTES } from "./group-commit-options.ts";
import type { Command } from "./journal.ts";
import { Lane } from "./lane.ts";
import { PatientTurns, UsualTurns } from "./lane-turns.ts";
import { Skipped } from "./skipped.ts";

/*
 * Group commit. Commands that arrive while a transaction is in flight go into the next one together, whatever their
 * tenants. One transaction:
 *
 *   flight 1:  begin | scope | lock heads | clock | load subjects | load requests
 *   here:      decide each command, evolve its subjects, encode its events           (decide-all.ts, batch.ts)
 *   flight 2:  insert events | write subjects, references, requests | move heads | commit
 *
 * A large batch goes in portions (portion.ts): while one is decided, Postgres loads what the next one needs and writes what
 * was made of the one before; heads are moved at the end.
 *
 * Flight 1 of the next batch is sent right behind flight 2, if commands wait by then: Postgres works through both while we
 * answer callers and read new requests. It is the same order of statements as without, so nothing else changes. When flight
 * 2 fails, the commands that were opened behind it go back to the queue, undecided.
 *
 * Locking and loading are separate statements, because a statement's snapshot is as old as its start: one that waited for
 * a lock would read what was there before the lock's holder committed.
 *
 * No instance can stop another. Heads are taken in one order and those that another instance holds are skipped: their
 * commands go back to the front of the queue. A tenant that was skipped several times is waited for, up to lock_timeout, on
 * a connection of its own (the patient lane), so that nobody waits with it (skipped.ts, lane-turns.ts). A stopped instance
 * loses its session after idle_in_transaction_session_timeout.
 *
 * When the connection breaks during flight 2, whether the batch was committed is found out under the same locks, by
 * looking for its first events; only when they are not there is the batch done again (lane.ts).
 */
export class GroupCommit {
  readonly #queue: CommandQueue;
  readonly #usual: Lane;
  readonly #patient: Lane;
  #closed = false;

  /** @param connect makes a connection that writes; each is made when it is first needed */
  constructor(connect: () => Connection, flows: FlowLibrary, options: GroupCommitOptions) {
    const lane = {
      giveUpAfterMs: options.giveUpAfterMs ?? 10_000,
      retryPauseMs: options.retryPauseMs ?? 50,
      maxSubjectBytes: options.maxSubjectBytes ?? SUBJECT_MAX_BYTES,
      onCommit: options.onCommit,
      onTrouble: harmless(options.onTrouble ?? (() => undefined)),
    };
    const queue = new CommandQueue(options);
    const skipped = new Skipped(options.skipsBeforeWaiting ?? 3);
    this.#queue = queue;
    const usual = new UsualTurns(queue, skipped, () => this.#patient.wake());
    const patient = new PatientTurns(queue, skipped, usual, () => this.#usual.wake());
    this.#usual = new Lane(connect(), usual, flows, lane);
    this.#patient = new Lane(connect(), patient, flows, lane);
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
      this.#usual.wake();
    });
  }

  /** Takes no more commands, and finishes those it has. */
  async close(): Promise<void> {
    this.#closed = true;
    const lanes = [this.#usual, this.#patient];
    while (lanes.some((lane) => lane.isRunning)) await Promise.all(lanes.map((lane) => lane.idle()));
    await Promise.all(lanes.map((lane) => lane.close()));
  }
}

/** What is told of trouble must not make more of it: a lane that stands still leaves everybody waiting. */
function harmless(tell: (what: string, error: unknown) => void): typeof tell {
  return (what, error) => {
    try {
      tell(what, error);
    } catch {
      // There is nobody left to tell.
    }
  };
}
