import { setTimeout as wait } from "node:timers/promises";
import type { Health } from "./health.ts";
import type { Pipeline } from "./pipeline.ts";

/** A door, as far as stopping it goes. */
export interface Door {
  stop(): void;
  close(graceMs: number): Promise<void>;
}

export interface DrainParts {
  readonly health: Health;
  readonly pipeline: Pipeline;
  readonly doors: readonly Door[];
  /** Ends all watches with a bookmark and a retry hint; resolves when their last messages are written. */
  readonly drainWatches: () => void | Promise<void>;
}

export interface DrainOptions {
  /** How long balancers have to notice that this instance is not ready, milliseconds. Default 0. */
  readonly noticeMs?: number;
  /** How long open calls may take to end, milliseconds; what is left is cut off. */
  readonly graceMs: number;
}

/**
 * Stops the doors so that nobody loses an answer: say that no calls are wanted, take no connections, end the watches with
 * their positions, let the peers of open connections know, wait for the calls in flight, and cut off what is left.
 */
export async function drain(parts: DrainParts, { noticeMs = 0, graceMs }: DrainOptions): Promise<void> {
  const { health, pipeline, doors, drainWatches } = parts;
  health.close();
  if (noticeMs > 0) await wait(noticeMs);
  for (const door of doors) door.stop();
  pipeline.drain();
  await drainWatches();
  await Promise.all(doors.map((door) => door.close(graceMs)));
}
