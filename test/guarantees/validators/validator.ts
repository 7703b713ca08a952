import type { History } from "../history.ts";
import type { Place, Step, Watch } from "../trace.ts";

/** What the trace is held against. Times are in milliseconds. */
export interface Expectation {
  /** Ids that no message to the reader may contain: of other tenants, and of what it may not see in its own. */
  readonly foreign: ReadonlySet<string>;
  readonly hidden: ReadonlySet<string>;
  /** How far the clocks of watcher and server may differ. */
  readonly skewMs: number;
  /** How old the comparison that a bookmark names may be when it arrives. */
  readonly staleMs: number;
  /** How long a lost history may be followed before it is noticed. */
  readonly noticeMs: number;
  /** How long a change may take once everything works. */
  readonly liveMs: number;
}

export interface Scene {
  readonly watch: Watch;
  readonly history: History;
  readonly expected: Expectation;
}

/**
 * One promise: looks at each step once, in order, and keeps no more than what it must know of the subjects. Says what is wrong
 * with a step, in a line.
 */
export type Validator = (scene: Scene, fault: (text: string) => void) => (step: Step) => void;

export function name({ what, at }: { readonly what: string; readonly at: Place }): string {
  return `${what} ${at.revision}`;
}
