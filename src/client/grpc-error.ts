import { fromBinary } from "@bufbuild/protobuf";
import { type Any, anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import type { ServiceError } from "@grpc/grpc-js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { LeadlineError, type LeadlineErrorDetail } from "./leadline-error.ts";

/** What grpc-js reports, with the details that the service sent in `grpc-status-details-bin`. */
export function fromServiceError(error: ServiceError): LeadlineError {
  const detail = detailOf(error.metadata?.get("grpc-status-details-bin")[0]);
  // grpc-js ends what it says of a connection with an empty note.
  const message = error.details.replace(/\s*Resolution note:\s*$/, "");
  return new LeadlineError(error.code, message, { ...detail, cause: error });
}

function detailOf(bytes: string | Buffer | undefined): LeadlineErrorDetail {
  if (bytes === undefined || typeof bytes === "string") return {};
  try {
    return fromDetails(fromBinary(StatusSchema, bytes).details);
  } catch {
    // Details of another kind than google.rpc's: code and message say enough.
    return {};
  }
}

function fromDetails(details: readonly Any[]): LeadlineErrorDetail {
  const info = first(details, (any) => anyUnpack(any, ErrorInfoSchema));
  const retry = first(details, (any) => anyUnpack(any, RetryInfoSchema));
  const request = first(details, (any) => anyUnpack(any, BadRequestSchema));
  return {
    reason: info?.reason,
    metadata: info?.metadata,
    violations: request?.fieldViolations,
    retryAfterMs: retry?.retryDelay && durationMs(retry.retryDelay),
  };
}

function first<T>(details: readonly Any[], unpack: (any: Any) => T | undefined): T | undefined {
  for (const any of details) {
    const found = unpack(any);
    if (found !== undefined) return found;
  }
  return undefined;
}
