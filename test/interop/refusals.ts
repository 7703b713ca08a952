import type { Code } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** What a refusal tells. */
export interface Told {
  readonly code: Code;
  readonly message: string;
  /** Undefined: there is no google.rpc.ErrorInfo. */
  readonly reason: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fields: readonly string[];
  /** How many details there are, of whatever kind. */
  readonly details: number;
}

/** Waits for the refusal. Throws when the call succeeds, or fails in another way. */
export async function refusalOf(call: Promise<unknown>): Promise<Told> {
  const error = await call.then(
    (answer) => new Error(`it was answered: ${JSON.stringify(answer, bigintText)}`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw error;
  const [info] = error.findDetails(ErrorInfoSchema);
  const { call_id: _ours, ...metadata } = info?.metadata ?? {};
  const violations = error.findDetails(BadRequestSchema).flatMap(({ fieldViolations }) => fieldViolations);
  return {
    code: error.code,
    message: error.rawMessage,
    reason: info?.reason,
    metadata,
    fields: violations.map(({ field }) => field),
    details: error.details.length,
  };
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
