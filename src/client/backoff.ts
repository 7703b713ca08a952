/** How long to wait between attempts, in milliseconds. */
export interface BackoffBounds {
  /** The bound of the first wait; it doubles with each attempt that brings nothing. Default 200. */
  readonly firstMs: number;
  /** The bound that it does not exceed. Default 30,000. */
  readonly maxMs: number;
  /** The longest wait that a server may ask for. Default 300,000. */
  readonly retryAfterMaxMs: number;
}

export const defaultBackoff: BackoffBounds = { firstMs: 200, maxMs: 30_000, retryAfterMaxMs: 300_000 };

/**
 * The wait before the next attempt: what the server asked for, and on top of it a time drawn evenly from zero to the bound
 * ("full jitter"), so that clients that were cut off together do not come back together.
 *
 * @param attempt how many attempts in a row brought nothing, from 0.
 * @param random a number from 0 to 1, 1 excluded.
 */
export function waitBefore(
  attempt: number,
  retryAfterMs: number | undefined,
  bounds: BackoffBounds,
  random: number,
): number {
  const bound = Math.min(bounds.maxMs, bounds.firstMs * 2 ** Math.min(attempt, 32));
  return Math.min(retryAfterMs ?? 0, bounds.retryAfterMaxMs) + Math.floor(random * bound);
}
