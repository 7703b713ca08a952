import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { fromConnectError } from "../../src/client/connect-error.ts";
import { isFinal } from "../../src/client/leadline-error.ts";
import { Status } from "../../src/client/status.ts";

const refusal = {
  desc: ErrorInfoSchema,
  value: { reason: "FIELD_INVALID", domain: "leadline.v1", metadata: { a: "b" } },
};

test("what the service refused keeps its code, reason, metadata, violations and advice", () => {
  const error = fromConnectError(
    new ConnectError("no good", Code.InvalidArgument, undefined, [
      refusal,
      { desc: RetryInfoSchema, value: { retryDelay: durationFromMs(250) } },
      { desc: BadRequestSchema, value: { fieldViolations: [{ field: "f", description: "d" }] } },
    ]),
  );
  expect(error).toMatchObject({
    code: Status.INVALID_ARGUMENT,
    message: "no good",
    reason: "FIELD_INVALID",
    metadata: { a: "b" },
    retryAfterMs: 250,
  });
  expect(error.violations).toMatchObject([{ field: "f", description: "d" }]);
  expect(isFinal(error)).toBe(true);
});

test.each([
  ["a fetch that failed", new TypeError("Failed to fetch")],
  ["a stream that was cut off", new ConnectError("protocol error: missing EndStreamResponse", Code.InvalidArgument)],
  ["an envelope that was cut off", new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument)],
  ["a refused stream", new ConnectError("Stream closed with error code NGHTTP2_REFUSED_STREAM", Code.Internal)],
])("%s is UNAVAILABLE, and a watch tries again", (_, thrown) => {
  const error = fromConnectError(thrown);
  expect(error.code).toBe(Status.UNAVAILABLE);
  expect(isFinal(error)).toBe(false);
});

test("another fault of the server's stays what it is", () => {
  expect(fromConnectError(new ConnectError("oops", Code.Internal)).code).toBe(Status.INTERNAL);
});

test("an error that is one already is passed on", () => {
  const error = fromConnectError(new ConnectError("gone", Code.Unavailable));
  expect(fromConnectError(error)).toBe(error);
});
