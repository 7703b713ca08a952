import type { Clock } from "./clock.ts";

/** How many pages may be kept for watchers that have not taken the one before, on the whole instance. */
export class AheadRoom {
  #left: number;

  constructor(max: number) {
    this.#left = max;
  }

  /** False: there is no room, and nothing was taken. */
  take(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }

  give(): void {
    this.#left += 1;
  }
}

interface Ahead<T> {
  readonly revision: bigint;
  readonly page: Promise<T>;
  readonly release: () => void;
}

/**
 * The page after the one that is being written, for each reader at most one: while one is on its way to the client, the
 * database makes the next. Only where there is room, and not for long: who has stopped reading keeps no page, and holds
 * up nobody else.
 */
export class ReadAhead<R, T> {
  readonly #clock: Clock;
  readonly #room: AheadRoom;
  readonly #keepMs: number;
  readonly #pages = new Map<R, Ahead<T>>();

  constructor(clock: Clock, room: AheadRoom, keepMs: number) {
    this.#clock = clock;
    this.#room = room;
    this.#keepMs = keepMs;
  }

  /** Begins to read what follows a revision, if there is room. */
  begin(reader: R, revision: bigint, read: () => Promise<T>): void {
    this.drop(reader);
    if (!this.#room.take()) return;
    const page = read();
    page.catch(() => undefined); // whoever takes it is told
    const cancel = this.#clock.after(this.#keepMs, () => this.drop(reader));
    const release = () => {
      cancel();
      this.#room.give();
    };
    this.#pages.set(reader, { revision, page, release });
  }

  /** What was begun for the reader, if it follows this revision. It is not kept any more. */
  take(reader: R, revision: bigint): Promise<T> | undefined {
    const ahead = this.#pages.get(reader);
    this.drop(reader);
    return ahead?.revision === revision ? ahead.page : undefined;
  }

  /** Keeps nothing. */
  clear(): void {
    for (const reader of [...this.#pages.keys()]) this.drop(reader);
  }

  /** Keeps nothing for the reader. */
  drop(reader: R): void {
    this.#pages.get(reader)?.release();
    this.#pages.delete(reader);
  }
}
