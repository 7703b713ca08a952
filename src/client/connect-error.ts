import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { LeadlineError } from "./leadline-error.ts";
import { Status } from "./status.ts";

/**
 * Whatever a Connect transport throws, with the details that the service sent. A fetch that failed (no network, refused by
 * CORS) is UNAVAILABLE, and so are a stream that was cut off and one that a closing server refused, for which Connect has
 * other codes.
 */
export function fromConnectError(thrown: unknown): LeadlineError {
  if (thrown instanceof LeadlineError) return thrown;
  const error = ConnectError.from(thrown);
  const info = error.findDetails(ErrorInfoSchema)[0];
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return new LeadlineError(codeOf(error), error.rawMessage, {
    reason: info?.reason,
    metadata: info?.metadata,
    violations: error.findDetails(BadRequestSchema)[0]?.fieldViolations,
    retryAfterMs: delay && durationMs(delay),
    cause: error,
  });
}

function codeOf(error: ConnectError): number {
  if (error.cause instanceof TypeError) return Status.UNAVAILABLE;
  // A stream that was cut off in the middle is "protocol error: missing EndStreamResponse" with INVALID_ARGUMENT. What the
  // service itself refuses carries an ErrorInfo.
  if (error.code === Code.InvalidArgument && error.findDetails(ErrorInfoSchema).length === 0) return Status.UNAVAILABLE;
  if (error.code === Code.Internal && error.rawMessage.includes("NGHTTP2_REFUSED_STREAM")) return Status.UNAVAILABLE;
  return error.code;
}
