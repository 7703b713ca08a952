import { ErrorReason, ErrorReasonSchema } from "../../gen/leadline/v1/error_pb.ts";

/** gRPC status codes that a refusal can carry (grpc/grpc, doc/statuscodes.md). */
export const Code = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** The reasons that a refusal can have. */
export type Reason = Exclude<(typeof ErrorReason)[keyof typeof ErrorReason], 0>;

/**
 * How long to wait with a request that is refused for its size: it is refused until a setting or the tenant's tier changes.
 * Whoever repeats all that carries a RetryInfo does so seldom; none at all, or one without a delay, reads as "at once".
 */
const UNTIL_RAISED_MS = 60 * 60_000;

/** What each reason means on the wire. */
interface Rule {
  readonly code: Code;
  /** How long to wait before a retry, where one is worth it; RESOURCE_EXHAUSTED always says it. */
  readonly retryAfterMs?: number;
  /** The same request is refused again, however long the caller waits. */
  readonly tooMuch?: true;
}

const RULES: Record<Reason, Rule> = {
  [ErrorReason.FIELD_INVALID]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.REQUEST_ID_REUSED]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.PAGE_TOKEN_INVALID]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.POSITION_INVALID]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.CHECK_DIGIT_WRONG]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.TIME_ZONE_UNKNOWN]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.MESSAGE_MALFORMED]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.STATUS_UNKNOWN]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.CODE_UNMAPPED]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.FLOW_UNREADABLE]: { code: Code.INVALID_ARGUMENT },
  [ErrorReason.CREDENTIAL_MISSING]: { code: Code.UNAUTHENTICATED },
  [ErrorReason.CREDENTIAL_INVALID]: { code: Code.UNAUTHENTICATED },
  [ErrorReason.CREDENTIAL_EXPIRED]: { code: Code.UNAUTHENTICATED },
  [ErrorReason.ROLE_FORBIDS]: { code: Code.PERMISSION_DENIED },
  [ErrorReason.ORDER_UNKNOWN]: { code: Code.NOT_FOUND },
  [ErrorReason.BOOKING_UNKNOWN]: { code: Code.NOT_FOUND },
  [ErrorReason.TENANT_UNKNOWN]: { code: Code.NOT_FOUND },
  [ErrorReason.KEY_UNKNOWN]: { code: Code.NOT_FOUND },
  [ErrorReason.WORK_ITEM_UNKNOWN]: { code: Code.NOT_FOUND },
  [ErrorReason.FLOW_UNKNOWN]: { code: Code.NOT_FOUND },
  [ErrorReason.METHOD_UNKNOWN]: { code: Code.UNIMPLEMENTED },
  [ErrorReason.ORDER_EXISTS]: { code: Code.ALREADY_EXISTS },
  [ErrorReason.BOOKING_EXISTS]: { code: Code.ALREADY_EXISTS },
  [ErrorReason.TENANT_EXISTS]: { code: Code.ALREADY_EXISTS },
  [ErrorReason.FLOW_EXISTS]: { code: Code.ALREADY_EXISTS },
  [ErrorReason.VERB_ILLEGAL]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.AMENDMENT_OPEN]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.BOOKING_REFERENCE_NEEDED]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.REPORT_UNFIT]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.CONFIRMATION_INCOMPLETE]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.MODE_MISMATCH]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.SUBJECT_FULL]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.MATCH_AMBIGUOUS]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.TIER_EXCLUDES]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.FLOW_INVALID]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.DRAFT_MISSING]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.FLOW_UNPUBLISHED]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.TENANT_SUSPENDED]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.TENANT_CLOSED]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.STATUS_RETIRED]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.HISTORY_CUT]: { code: Code.FAILED_PRECONDITION },
  [ErrorReason.ETAG_MISMATCH]: { code: Code.ABORTED },
  [ErrorReason.RATE_LIMITED]: { code: Code.RESOURCE_EXHAUSTED, retryAfterMs: 1_000 },
  [ErrorReason.MESSAGE_TOO_LARGE]: { code: Code.RESOURCE_EXHAUSTED, retryAfterMs: UNTIL_RAISED_MS, tooMuch: true },
  [ErrorReason.OVERLOADED]: { code: Code.RESOURCE_EXHAUSTED, retryAfterMs: 500 },
  [ErrorReason.LIMIT_EXCEEDED]: { code: Code.RESOURCE_EXHAUSTED, retryAfterMs: UNTIL_RAISED_MS, tooMuch: true },
  [ErrorReason.ISSUER_UNAVAILABLE]: { code: Code.UNAVAILABLE, retryAfterMs: 1_000 },
  [ErrorReason.DATABASE_UNAVAILABLE]: { code: Code.UNAVAILABLE, retryAfterMs: 1_000 },
  [ErrorReason.DRAINING]: { code: Code.UNAVAILABLE, retryAfterMs: 200 },
  [ErrorReason.EVENT_SHAPE_UNKNOWN]: { code: Code.UNAVAILABLE, retryAfterMs: 5_000 },
  [ErrorReason.DEADLINE_PASSED]: { code: Code.DEADLINE_EXCEEDED },
  [ErrorReason.INTERNAL]: { code: Code.INTERNAL },
};

/** One field that breaks its rule: `field` is its path in the request. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

export interface RefusalDetail {
  /** What a program needs to act: ids, states, legal verbs. Never anything of another tenant. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly Violation[];
  /** Overrides the reason's own advice. */
  readonly retryAfterMs?: number;
  /** Kept for the log, never sent. */
  readonly cause?: unknown;
}

/**
 * A call that is answered with an error. The message is for people: lower case, the subject first, the offending value
 * quoted, then what would be accepted.
 */
export class Refusal extends Error {
  readonly reason: Reason;
  readonly code: Code;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly Violation[];
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, message: string, detail: RefusalDetail = {}) {
    // Where it was made is of no interest to anybody, and finding out is the dearest part of it.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = "Refusal";
    this.reason = reason;
    this.code = RULES[reason].code;
    this.metadata = detail.metadata ?? {};
    this.violations = detail.violations ?? [];
    this.retryAfterMs = detail.retryAfterMs ?? RULES[reason].retryAfterMs;
  }

  /** Whether waiting does not help: the request itself asks for too much. */
  get tooMuch(): boolean {
    return RULES[this.reason].tooMuch === true;
  }

  /** The reason's name as it stands in google.rpc.ErrorInfo: without the enum's prefix. */
  get reasonName(): string {
    return reasonName(this.reason);
  }
}

/** `ErrorReason.ORDER_UNKNOWN` -> `"ORDER_UNKNOWN"`. */
export function reasonName(reason: ErrorReason): string {
  return ErrorReasonSchema.value[reason]?.localName ?? String(reason);
}
