import type { History } from "./history.ts";
import type { Step, Trace, Watch } from "./trace.ts";
import { atomic } from "./validators/atomic.ts";
import { bookmarkable, resumable } from "./validators/promises.ts";
import { resetHonest } from "./validators/resets.ts";
import { convergent } from "./validators/state.ts";
import { filterCorrect, ordered, reliable, unique } from "./validators/telling.ts";
import { bounded, live } from "./validators/time.ts";
import type { Expectation, Validator } from "./validators/validator.ts";
import { carrierIsolated, tenantIsolated } from "./validators/walls.ts";

/** The promises of the design's section 8 over what a watcher saw. */
export const validators = {
  ordered,
  unique,
  reliable,
  resumable,
  bookmarkable,
  atomic,
  filterCorrect,
  tenantIsolated,
  carrierIsolated,
  convergent,
  bounded,
  live,
  resetHonest,
} as const satisfies Record<string, Validator>;

export type PromiseName = keyof typeof validators;

/** Lines that one validator says of one trace; what comes after them is counted. */
const TEXTS_MAX = 20;

const usual: Expectation = {
  foreign: new Set(),
  hidden: new Set(),
  skewMs: 1_000,
  staleMs: Number.POSITIVE_INFINITY,
  noticeMs: 60_000,
  liveMs: 10_000,
};

/**
 * Holds one trace against the history of its tenant: takes its steps one at a time, in one pass, with memory for the subjects
 * and not for the steps. The history is the whole one: read it when the trace is complete.
 */
export class Validation {
  readonly #takes: { readonly promise: PromiseName; readonly take: (step: Step) => void }[];
  readonly #faults = new Map<PromiseName, { texts: string[]; more: number }>();

  constructor(watch: Watch, history: History, expected: Partial<Expectation> = {}) {
    const scene = { watch, history, expected: { ...usual, ...expected } };
    this.#takes = Object.entries(validators).map(([key, validator]) => {
      const promise = key as PromiseName;
      return { promise, take: validator(scene, (text) => this.#fault(promise, text)) };
    });
  }

  take(step: Step): void {
    for (const { take } of this.#takes) take(step);
  }

  /** The promises that were not kept. */
  get broken(): PromiseName[] {
    return [...this.#faults.keys()];
  }

  /** What is wrong, a line each: `reliable: event 7 is due and was not told`. Empty: every promise was kept. */
  get faults(): string[] {
    return [...this.#faults].flatMap(([promise, { texts, more }]) => [
      ...texts.map((text) => `${promise}: ${text}`),
      ...(more > 0 ? [`${promise}: ${more} more`] : []),
    ]);
  }

  #fault(promise: PromiseName, text: string): void {
    const known = this.#faults.get(promise) ?? { texts: [], more: 0 };
    this.#faults.set(promise, known);
    if (known.texts.length < TEXTS_MAX) known.texts.push(text);
    else known.more += 1;
  }
}

/** Validates a whole trace. */
export function validate({ steps, ...watch }: Trace, history: History, expected?: Partial<Expectation>): Validation {
  const validation = new Validation(watch, history, expected);
  for (const step of steps) validation.take(step);
  return validation;
}
