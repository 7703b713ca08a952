import type { Clock } from "./clock.ts";
import { LeadlineError } from "./leadline-error.ts";
import { Status } from "./status.ts";

/**
 * The iterator's next result. Rejects with UNAVAILABLE when none comes within `ms`, and with CANCELLED when the connection
 * is aborted, even if the iterator ignores its signal; in the first case the connection is aborted too.
 */
export function nextWithin<T>(
  iterator: AsyncIterator<T>,
  clock: Clock,
  ms: number,
  connection: AbortController,
): Promise<IteratorResult<T>> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      settle();
      reject(new LeadlineError(Status.CANCELLED, "the watch was ended"));
    };
    const silent = (): void => {
      settle();
      reject(new LeadlineError(Status.UNAVAILABLE, `nothing was heard for ${Math.round(ms / 1000)} s`));
      connection.abort();
    };
    const settle = (): void => {
      cancel();
      connection.signal.removeEventListener("abort", aborted);
    };
    const cancel = clock.after(ms, silent);
    if (connection.signal.aborted) {
      aborted();
      return;
    }
    connection.signal.addEventListener("abort", aborted);
    iterator.next().then(
      (result) => {
        settle();
        resolve(result);
      },
      (error: unknown) => {
        settle();
        reject(error);
      },
    );
  });
}
