import type { History, Line } from "./history.ts";
import { type Place, type Step, samePlace } from "./trace.ts";

/**
 * Where a watcher stands, step by step. A stretch begins where a watcher starts to be told changes: at a head, at the end of
 * a snapshot, or at the place that it asked to continue from; to continue from where it stands begins no new one.
 */
export class Course {
  /** Where the stretch began; undefined: none has begun, the watcher is starting. */
  base: Place | undefined;
  /** The newest place that was told or promised in the stretch. */
  reached: Place | undefined;
  /** The line that `reached` is on. */
  line: Line | undefined;
  /** Counts the stretches. */
  stretch = 0;
  starting: "now" | "snapshot" | undefined;
  readonly #history: History;

  constructor(history: History) {
    this.#history = history;
  }

  take(step: Step): void {
    switch (step.what) {
      case "open":
        if (typeof step.from !== "object") this.#forget(step.from);
        else if (!samePlace(step.from, this.reached)) this.#begin(step.from);
        return;
      case "started":
        if (this.starting === "now" && !this.base) this.#begin(step.head);
        return;
      case "synced":
        this.#begin(step.at);
        return;
      case "event":
      case "left":
        this.#move(step.at);
        return;
      case "bookmark":
      case "end":
        if (step.at) this.#move(step.at);
        return;
      case "reset":
        this.#forget(undefined);
        return;
      default:
    }
  }

  #forget(starting: "now" | "snapshot" | undefined): void {
    this.base = undefined;
    this.reached = undefined;
    this.line = undefined;
    this.starting = starting;
  }

  #begin(at: Place): void {
    this.base = at;
    this.reached = at;
    this.line = this.#history.lineWith(at);
    this.starting = undefined;
    this.stretch += 1;
  }

  #move(at: Place): void {
    if (!this.reached || at.revision < this.reached.revision) return;
    this.reached = at;
    this.line = this.#history.lineWith(at) ?? this.line;
  }
}
