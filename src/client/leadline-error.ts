import { Status, statusName } from "./status.ts";

/** One field of a request that breaks its rule: `field` is its path. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface LeadlineErrorDetail {
  readonly reason?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly violations?: readonly FieldViolation[] | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** A call that was not answered, or was answered with an error. */
export class LeadlineError extends Error {
  /** The gRPC status code; `Status` names them. */
  readonly code: number;
  /** A name of `ErrorReason` without its prefix; empty when the service did not say one: the network, a proxy. */
  readonly reason: string;
  /** What the refusal speaks of: ids, the state, the legal verbs. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The fields that break their rules; only with FIELD_INVALID and CONFIRMATION_INCOMPLETE. */
  readonly violations: readonly FieldViolation[];
  /** How long the service asks to wait before trying again; undefined: it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(code: number, message: string, detail: LeadlineErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = "LeadlineError";
    this.code = code;
    this.reason = detail.reason ?? "";
    this.metadata = detail.metadata ?? {};
    this.violations = detail.violations ?? [];
    this.retryAfterMs = detail.retryAfterMs;
  }

  /** The reason, or the status code's name where there is none. */
  get reasonName(): string {
    return this.reason === "" ? statusName(this.code) : this.reason;
  }
}

/** Codes after which the same request is refused again: a watch that meets one ends. */
const FINAL: ReadonlySet<number> = new Set([
  Status.INVALID_ARGUMENT,
  Status.FAILED_PRECONDITION,
  Status.NOT_FOUND,
  Status.PERMISSION_DENIED,
  Status.UNIMPLEMENTED,
  Status.UNAUTHENTICATED,
]);

/** Reasons after which it is too: RESOURCE_EXHAUSTED because of what is asked for, and not of how much else is going on. */
const TOO_MUCH: ReadonlySet<string> = new Set(["MESSAGE_TOO_LARGE", "LIMIT_EXCEEDED"]);

/**
 * Whether a watch gives up on an error, and a call is not made again. All else is tried again: UNAVAILABLE, an exhausted budget, a stream refused by a
 * server that is closing (which some transports report as INTERNAL), a fetch that failed.
 */
export function isFinal(error: unknown): boolean {
  return error instanceof LeadlineError && (FINAL.has(error.code) || TOO_MUCH.has(error.reason));
}
