import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { callerKinds } from "../doors/callers.ts";

const names = [
  "grpc-js on the gRPC door",
  "connect-node connect over HTTP/2 in JSON",
  "connect-web grpc-web through fetch",
];

/** Few clients that between them speak every protocol, to both doors. */
export const kindsOfEachDoor = callerKinds.filter(({ name }) => names.includes(name));

/** Milliseconds that a refusal for a size says to wait: nothing but another limit would help. */
const UNTIL_RAISED = 3_600_000;

/** A refusal's limit, its tier (none where a setting bounds: toEqual passes over what is undefined), and how long it says to wait: "a moment", or for its size. */
export async function limitOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => ConnectError.from(reason),
  );
  if (error === undefined) return undefined;
  const [info] = error.findDetails(ErrorInfoSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const { limit, allowed, used, tier, helps } = info?.metadata ?? {};
  const waits = waitOf(retry?.retryDelay);
  return { code: error.code, reason: info?.reason, limit, allowed, used, tier, waits, helps };
}

function waitOf(delay: Duration | undefined): string {
  if (delay === undefined) return "nothing is said";
  const ms = durationMs(delay);
  if (ms === UNTIL_RAISED) return "until it is raised";
  return ms > 0 && ms <= 5_000 ? "a moment" : `${ms} ms`;
}
