import { malformed } from "./codec.ts";

/** The longest timeout that Node's timers take, 24.8 days. A caller that asks for more has this one. */
export const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Milliseconds of gRPC's units (grpc/grpc, doc/PROTOCOL-HTTP2.md). */
const UNITS: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

/** Reads `grpc-timeout`: at most eight digits and a unit. Throws a Refusal MESSAGE_MALFORMED. */
export function grpcTimeoutMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const [, digits, unit] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? [];
  const unitMs = unit === undefined ? undefined : UNITS[unit];
  if (unitMs === undefined)
    throw malformed(`grpc-timeout "${header}" is not up to eight digits and one of H, M, S, m, u, n`);
  return clamp(Number(digits) * unitMs);
}

/** Reads `connect-timeout-ms`: at most ten digits. Throws a Refusal MESSAGE_MALFORMED. */
export function connectTimeoutMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (!/^\d{1,10}$/.test(header)) throw malformed(`connect-timeout-ms "${header}" is not up to ten digits`);
  return clamp(Number(header));
}

function clamp(timeoutMs: number): number {
  return Math.min(Math.ceil(timeoutMs), MAX_TIMEOUT_MS);
}
