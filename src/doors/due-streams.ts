import { constants, type ServerHttp2Stream } from "node:http2";

/** A stream in a list of those that have until then; it is taken out when it is `over`. */
export interface Due {
  /** It is not reset any more. As often as one likes. */
  over(): void;
}

/**
 * Streams that are reset when they are still here after a time that is the same for all. One timer for all of them, because
 * there is a stream for each call: it waits for the one that came first, and the others are due later.
 *
 * A list whose entries know their neighbours, and not a Map: see `session-streams.ts` for what a Map costs that every call
 * enters and leaves.
 */
export class DueStreams {
  readonly #timeoutMs: number;
  #first: Entry | undefined;
  #last: Entry | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  add(stream: ServerHttp2Stream): Due {
    const untilMs = performance.now() + this.#timeoutMs;
    const entry: Entry = { stream, untilMs, before: this.#last, after: undefined, over: () => this.#remove(entry) };
    if (this.#last) this.#last.after = entry;
    else this.#first = entry;
    this.#last = entry;
    this.#timer ??= setTimeout(this.#giveUp, this.#timeoutMs);
    return entry;
  }

  /** The entry of a stream, if it is here. Looked for from the newest on: meant for streams that have just come. */
  of(stream: ServerHttp2Stream): Due | undefined {
    let entry = this.#last;
    while (entry && entry.stream !== stream) entry = entry.before;
    return entry;
  }

  /** Gives none up any more. */
  stop(): void {
    clearTimeout(this.#timer);
    while (this.#first) this.#remove(this.#first);
  }

  #remove(entry: Entry): void {
    const { before, after } = entry;
    if (before) before.after = after;
    else if (this.#first === entry) this.#first = after;
    else return; // it was taken out before
    if (after) after.before = before;
    else this.#last = before;
    // One that is out keeps no other: an old one that nobody needs would keep all that came after it.
    entry.before = undefined;
    entry.after = undefined;
  }

  readonly #giveUp = (): void => {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (let entry = this.#first; entry; entry = this.#first) {
      if (entry.untilMs > nowMs) {
        this.#timer = setTimeout(this.#giveUp, Math.ceil(entry.untilMs - nowMs));
        return;
      }
      this.#remove(entry);
      entry.stream.close(constants.NGHTTP2_CANCEL);
    }
  };
}

interface Entry extends Due {
  readonly stream: ServerHttp2Stream;
  /** Milliseconds of `performance.now`. */
  readonly untilMs: number;
  before: Entry | undefined;
  after: Entry | undefined;
}
