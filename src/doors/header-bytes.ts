import type { IncomingHttpHeaders } from "node:http2";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";

/**
 * The refusal MESSAGE_TOO_LARGE of a call whose headers are larger than is taken; undefined: they are not. Their size is
 * HTTP/2's, but for 32 bytes each (RFC 9113, 6.5.2). Node tells a peer the bound that is set, and does not hold it to less
 * than 64 KiB.
 */
export function headersTooLarge(headers: IncomingHttpHeaders, maxBytes: number): Refusal | undefined {
  let bytes = 0;
  for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0);
  return bytes <= maxBytes ? undefined : tooManyHeaderBytes(maxBytes, String(bytes));
}

/** The refusal itself. */
export function tooManyHeaderBytes(maxBytes: number, used = `more than ${maxBytes}`): Refusal {
  return new Refusal(ErrorReason.MESSAGE_TOO_LARGE, `the headers are larger than ${maxBytes} bytes`, {
    metadata: { limit: "header_bytes", allowed: String(maxBytes), used },
  });
}
