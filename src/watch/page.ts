import type { StoredEvent } from "../domain/stored-event.ts";
import type { WatchReader } from "./bounded-reader.ts";

/** More bytes than any page has. */
const ANY_BYTES = 2 ** 31 - 1;

/**
 * The events that follow a revision, and before them the one at it, which shows that they follow: at least one of them if
 * there is one, however large the two are. After revision 0 there is nothing before them.
 */
export async function readFollowing(
  reader: WatchReader,
  tenant: string,
  revision: bigint,
  limit: number,
  maxBytes: number,
): Promise<StoredEvent[]> {
  if (revision === 0n) return reader.events(tenant, 1n, limit, maxBytes);
  const page = await reader.events(tenant, revision, limit, maxBytes);
  return page.length > 1 ? page : reader.events(tenant, revision, 2, ANY_BYTES);
}
