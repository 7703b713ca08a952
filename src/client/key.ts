import { LeadlineError } from "./leadline-error.ts";
import { Status } from "./status.ts";

/** The key or link token, or a function that gives the one to use now. */
export type KeySource = string | (() => string) | undefined;

/** The key to use now; empty: none. Throws a LeadlineError, which does not show it, when no header can carry it. */
export function keyNow(source: KeySource): string {
  const key = typeof source === "function" ? given(source) : source;
  if (key === undefined) return "";
  // Who calls from JavaScript may give a Buffer or a promise.
  if (typeof key !== "string") throw unusable("the key is no text");
  // What a file or a variable has around it is no part of it: the command line and browsers take it off as well.
  const word = key.trim();
  if (/^[\x21-\x7e]*$/.test(word)) return word;
  throw unusable(
    "the key has a blank, a line end or another character in it that no header can carry; it is one word of printable ASCII",
  );
}

function given(source: () => string): string {
  try {
    return source();
  } catch (error) {
    // What it says is not repeated here: it may have the key in it.
    throw unusable("the function that gives the key threw an error, which is the cause of this one", error);
  }
}

/** No call is made: the service would refuse it, and the same again. */
function unusable(message: string, cause?: unknown): LeadlineError {
  return new LeadlineError(Status.UNAUTHENTICATED, message, { cause });
}

/** The service refused a key that is no longer the one to use: with the one of now it may go on. */
export class KeyReplaced extends LeadlineError {
  constructor(refusal: LeadlineError) {
    const { reason, metadata, violations, retryAfterMs } = refusal;
    super(refusal.code, refusal.message, { reason, metadata, violations, retryAfterMs, cause: refusal });
  }
}

/** The error of a stream that was opened with `key`: a KeyReplaced where it was refused and the source gives another now. */
export function judgedBy(source: KeySource, key: string, error: LeadlineError): LeadlineError {
  const replaced = error.code === Status.UNAUTHENTICATED && keyNow(source) !== key;
  return replaced ? new KeyReplaced(error) : error;
}
