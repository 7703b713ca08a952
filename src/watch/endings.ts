import type { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Refusal } from "../domain/refusal.ts";
import type { Clock } from "./clock.ts";
import type { Budget } from "./turns.ts";
import type { Watcher } from "./watcher.ts";

interface Ending {
  readonly watchers: Iterator<Watcher>;
  readonly reason: EndReason;
  readonly spreadMs: number;
  readonly why: Refusal | undefined;
}

/** Ends many watches in turns: each gets a message or two, and ten thousand take a while. */
export class Endings {
  readonly #clock: Clock;
  readonly #queue: Ending[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get busy(): boolean {
    return this.#queue.length > 0;
  }

  /**
   * @param spreadMs the times that clients are told to wait are spread evenly from 0 to this
   * @param why what they are told in place of the reason's own refusal
   */
  add(watchers: Iterable<Watcher>, reason: EndReason, spreadMs: number, why?: Refusal): void {
    this.#queue.push({ watchers: [...watchers].values(), reason, spreadMs, why });
  }

  work(budget: Budget): void {
    for (let first = this.#queue[0]; first && !budget.spent; first = this.#queue[0]) {
      const next = first.watchers.next();
      if (next.done) {
        this.#queue.shift();
        continue;
      }
      budget.spend(1);
      next.value.end(first.reason, Math.floor(this.#clock.random() * first.spreadMs), undefined, first.why);
    }
  }
}
