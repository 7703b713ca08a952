import { readdirSync, readFileSync } from "node:fs";

/** How often it is looked at: what is withheld of a moment is never more than the moment. */
const EVERY_MS = 50;
const NS_PER_MS = 1_000_000;

/** Processes by their ids: those that are on every way, and those of which a way takes one. */
export interface Involved {
  readonly all: readonly number[];
  readonly oneOf: readonly number[];
}

/**
 * How long the machine did not run what was ready to run: the promises' times are of processes that get a core when they want
 * one, and what others on the machine took away is not theirs. It is what the scheduler itself counts for each process
 * (`/proc/PID/schedstat`), not a guess from how late something was: whoever waits for a lock, an answer or a timer is not
 * ready, and none of that counts. A process waits for its main thread, and that for the slowest of its helpers: when garbage is
 * collected it sleeps until those have had a core.
 *
 * A call waits for its caller, for an instance (and where that waits for another instance's lock, for that one too) and
 * for one process of Postgres: their waits are added up, but in every moment to no more than the moment is long.
 */
export class Withheld implements Disposable {
  readonly #involved: () => Involved;
  readonly #timer: NodeJS.Timeout;
  /** By thread: nanoseconds. */
  #last = new Map<number, number>();
  #lookedAtMs = performance.now();
  #ms = 0;

  constructor(involved: () => Involved) {
    this.#involved = involved;
    this.#look();
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  /** Milliseconds since it began. What lies between two readings was withheld between them. */
  get ms(): number {
    this.#look();
    return this.#ms;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const nowMs = performance.now();
    const { all, oneOf } = this.#involved();
    const seen = new Map<number, number>();
    const waited = (thread: number): number => {
      const ns = waitedOf(thread);
      const before = this.#last.get(thread) ?? ns; // one that is new has been withheld nothing yet
      seen.set(thread, ns);
      return Math.max(0, ns - before) / NS_PER_MS;
    };
    const longest = (threads: readonly number[]) => threads.reduce((most, one) => Math.max(most, waited(one)), 0);
    const onEvery = all.reduce((sum, pid) => sum + waited(pid) + longest(helpersOf(pid)), 0);
    const onOne = longest(oneOf);
    this.#ms += Math.min(onEvery + onOne, nowMs - this.#lookedAtMs);
    this.#last = seen;
    this.#lookedAtMs = nowMs;
  }
}

/** The threads of a process beside its main one, which has the process' id. */
function helpersOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .map(Number)
      .filter((thread) => thread !== pid);
  } catch {
    return []; // it has gone
  }
}

/** Nanoseconds for which a thread was ready and did not run; 0: it has gone, or the system does not count. */
function waitedOf(thread: number): number {
  try {
    return Number(readFileSync(`/proc/${thread}/schedstat`, "utf8").split(" ")[1] ?? 0);
  } catch {
    return 0;
  }
}
