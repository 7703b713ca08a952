import { defaultBackoff, waitBefore } from "../client/backoff.ts";
import { pause, systemClock } from "../client/clock.ts";
import { isFinal, LeadlineError } from "../client/leadline-error.ts";
import { Status } from "../client/status.ts";

const attempts = 6;
const worthAnother: ReadonlySet<number> = new Set([Status.UNAVAILABLE, Status.RESOURCE_EXHAUSTED]);

/**
 * Makes a call that may be made twice, up to six times while the service is not there or has too much to do: a few
 * seconds in all, unless the service asks for more. Rejects with CANCELLED when the signal aborts in between.
 */
export async function repeatedly<T>(call: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof LeadlineError) || !worthAnother.has(error.code) || isFinal(error)) throw error;
      if (attempt + 1 >= attempts) throw error;
      await pause(systemClock, waitBefore(attempt, error.retryAfterMs, defaultBackoff, Math.random()), signal);
      // As a call that is interrupted ends.
      if (signal.aborted) throw new LeadlineError(Status.CANCELLED, "it was not called again", { cause: error });
    }
  }
}
