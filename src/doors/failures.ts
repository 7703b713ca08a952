import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import type { Logger } from "pino";
import {
  type BadRequest,
  BadRequestSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  type RetryInfo,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { EndReason, EndReasonSchema } from "../../gen/leadline/v1/watch_pb.ts";
import { Code, type Reason, Refusal } from "../domain/refusal.ts";
import type { WatchOutcome } from "../watch/spec.ts";

/** The domain of every google.rpc.ErrorInfo that we send. */
const ERROR_DOMAIN = "leadline.v1";

/** What the log says of a call that failed. */
export interface FailedCall {
  readonly callId: string;
  readonly aborted: boolean;
  readonly route: { readonly path: string };
}

/**
 * What a caller is told about an error. A refusal is passed on. Everything else is a fault of ours: it is logged in full
 * under the call's id, and the caller is told no more than that id.
 */
export function refusalOf(error: unknown, call: FailedCall, log: Logger): Refusal {
  const { callId } = call;
  if (error instanceof Refusal) {
    if (error.cause !== undefined) log.warn({ callId, reason: error.reasonName, err: error.cause }, error.message);
    return error;
  }
  // Work that was interrupted because nobody waits for it any more is no fault.
  log[call.aborted ? "debug" : "error"]({ callId, method: call.route.path, err: error }, "call failed");
  return new Refusal(ErrorReason.INTERNAL, `internal error: it is logged as ${callId}`);
}

const codeNames = new Map<number, string>(Object.entries(Code).map(([name, code]) => [code, name]));

/** The name of the code that a call ended with, for metrics; undefined: OK. */
export function codeName(refusal: Refusal | undefined): string {
  return refusal === undefined ? "OK" : (codeNames.get(refusal.code) ?? String(refusal.code));
}

/** The name of the limit that a call was refused past, or a watch ended; undefined: of none. */
export function limitOf(refusal: Refusal | undefined): string | undefined {
  return refusal?.code === Code.RESOURCE_EXHAUSTED ? refusal.metadata.limit : undefined;
}

/** Messages travel in headers, whose size is bounded. */
const MAX_MESSAGE_CHARS = 1_000;

/** The message as it is sent. A cut can leave half a character, which no protocol can encode. */
export function messageOf(refusal: Refusal): string {
  return refusal.message.slice(0, MAX_MESSAGE_CHARS).toWellFormed();
}

/**
 * What tells the retry policies of gRPC's clients, which do not read RetryInfo, how long to wait before the next attempt; `-1`:
 * that there is to be none (grpc/proposal A6, "Pushback"). Of refusals past a limit alone.
 */
export function pushbackOf({ code, retryAfterMs, tooMuch }: Refusal): Record<string, string> {
  if (code !== Code.RESOURCE_EXHAUSTED || retryAfterMs === undefined) return {};
  return { "grpc-retry-pushback-ms": tooMuch ? "-1" : String(Math.ceil(retryAfterMs)) };
}

interface Details {
  readonly info: ErrorInfo;
  readonly retry: RetryInfo | undefined;
  readonly badRequest: BadRequest | undefined;
}

/** What to do about a refusal for its size. */
const HELPS = "ask for less, or have the limit raised; waiting does not help";

function detailsOf(refusal: Refusal, callId: string): Details {
  const { retryAfterMs, violations } = refusal;
  return {
    info: create(ErrorInfoSchema, {
      reason: refusal.reasonName,
      domain: ERROR_DOMAIN,
      metadata: { ...(refusal.tooMuch && { helps: HELPS }), ...refusal.metadata, call_id: callId },
    }),
    retry:
      retryAfterMs === undefined ? undefined : create(RetryInfoSchema, { retryDelay: durationFromMs(retryAfterMs) }),
    badRequest:
      violations.length === 0
        ? undefined
        : create(BadRequestSchema, {
            fieldViolations: violations.map(({ field, description }) => ({ field, description })),
          }),
  };
}

/** The encoding of the google.rpc.Status that says the same: the value of the trailer grpc-status-details-bin. */
export function statusBytes(refusal: Refusal, callId: string): Uint8Array {
  const { info, retry, badRequest } = detailsOf(refusal, callId);
  const details = [anyPack(ErrorInfoSchema, info)];
  if (retry) details.push(anyPack(RetryInfoSchema, retry));
  if (badRequest) details.push(anyPack(BadRequestSchema, badRequest));
  return toBinary(StatusSchema, create(StatusSchema, { code: refusal.code, message: messageOf(refusal), details }));
}

/** The refusal as Connect's libraries write it in each of their protocols. Its codes are gRPC's numbers. */
export function connectError(refusal: Refusal, callId: string): ConnectError {
  const { info, retry, badRequest } = detailsOf(refusal, callId);
  const error = new ConnectError(messageOf(refusal), refusal.code, pushbackOf(refusal));
  error.details.push({ desc: ErrorInfoSchema, value: info });
  if (retry) error.details.push({ desc: RetryInfoSchema, value: retry });
  if (badRequest) error.details.push({ desc: BadRequestSchema, value: badRequest });
  return error;
}

/** The codes that `EndReason` documents, each by the reason that carries it. */
const ENDS: Record<number, { reason: Reason; message: string }> = {
  [EndReason.DRAINING]: { reason: ErrorReason.DRAINING, message: "the instance is stopping: resume" },
  [EndReason.MAX_AGE]: { reason: ErrorReason.DRAINING, message: "the watch has reached its age: resume" },
  [EndReason.SLOW_READER]: {
    reason: ErrorReason.OVERLOADED,
    message: "the reader is too slow: read faster and resume",
  },
  [EndReason.UNVERIFIED]: {
    reason: ErrorReason.DATABASE_UNAVAILABLE,
    message: "the database could not be asked for too long: resume",
  },
  [EndReason.CREDENTIAL]: {
    reason: ErrorReason.CREDENTIAL_EXPIRED,
    message: "the credential was revoked or has expired: resume with a new one",
  },
  [EndReason.TIER]: {
    reason: ErrorReason.TIER_EXCLUDES,
    message: "the tenant was closed, or its tier no longer includes the watch: GetTenant tells what it includes",
  },
  [EndReason.DEADLINE]: { reason: ErrorReason.DEADLINE_PASSED, message: "the deadline of the watch has passed" },
};

/** The status that follows a watch's last message; undefined: OK. The end's own reason is in the metadata. */
export function refusalOfOutcome(outcome: WatchOutcome): Refusal | undefined {
  if (outcome.how === "reset") return undefined;
  if (outcome.how === "refused") return outcome.refusal;
  const end = outcome.why ??
    ENDS[outcome.reason] ?? { reason: ErrorReason.DRAINING, message: "the watch was ended: resume" };
  const name = EndReasonSchema.value[outcome.reason]?.localName ?? String(outcome.reason);
  const { limit } = outcome;
  const reached = limit && { limit: limit.limit, allowed: String(limit.allowed), used: String(limit.used) };
  const metadata = { ...outcome.why?.metadata, ...reached, end_reason: name };
  return outcome.retryAfterMs > 0
    ? new Refusal(end.reason, end.message, { metadata, retryAfterMs: outcome.retryAfterMs })
    : new Refusal(end.reason, end.message, { metadata });
}
