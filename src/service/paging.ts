import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";

/** How many rows or events a page holds when the caller does not say. */
export const PAGE_SIZE_DEFAULT = 100;
/** How many a page holds at most; more is taken for this. */
export const PAGE_SIZE_MAX = 1_000;
/** About how many bytes of events or rows a page holds, so that it stays below the 4 MiB that gRPC clients take by default. */
export const PAGE_BYTES_MAX = 3 * 1024 * 1024;

/** The size of the page that is asked for. */
export function pageSize(asked: number): number {
  return asked <= 0 ? PAGE_SIZE_DEFAULT : Math.min(asked, PAGE_SIZE_MAX);
}

/** What of the rows goes on a page: at most `size`, and about PAGE_BYTES_MAX; at least one if there is one. */
export function pageOf<R extends { readonly summary: Uint8Array }>(rows: readonly R[], size: number): readonly R[] {
  let bytes = 0;
  const end = rows.findIndex((row, i) => {
    bytes += row.summary.length;
    return i === size || (i > 0 && bytes > PAGE_BYTES_MAX);
  });
  return end === -1 ? rows : rows.slice(0, end);
}

/** What a page token is bound to: the tenant, the method, and what is listed. */
export function pageScope(tenant: string, method: string, of: string): string {
  return JSON.stringify([tenant, method, of]);
}

/** A cursor that is a revision or a version, read back from a page token that is ours. */
export function numericCursor(cursor: string): bigint {
  if (!/^[0-9]{1,19}$/.test(cursor)) {
    throw new Refusal(ErrorReason.PAGE_TOKEN_INVALID, "the page token belongs to another list");
  }
  return BigInt(cursor);
}
