import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Place, StoredEvent } from "../domain/stored-event.ts";
import type { WatchReader } from "./bounded-reader.ts";

/** More bytes than any page has. */
const ANY_BYTES = 2 ** 31 - 1;

/**
 * The events that follow a place, and before them the one at it, which shows that they follow: at least one of them if there
 * is one, however large the two are; or why there can be none. There is no event at revision 0: the journal's own id is asked
 * for, after the events. Where nothing follows what should be followed, the floor may have passed by: that is asked for then.
 *
 * @param known a revision that the journal is said to have come to; default: the place's
 */
export async function readFollowing(
  reader: WatchReader,
  tenant: string,
  place: Place,
  limit: number,
  maxBytes: number,
  known = place.revision,
): Promise<StoredEvent[] | ResetReason> {
  const { revision } = place;
  if (revision === 0n) {
    const page = await reader.events(tenant, 1n, limit, maxBytes);
    const lost = await whyLost(reader, tenant, place);
    return lost ?? (page.length > 0 ? page : orCut(reader, tenant, place, page));
  }
  const page = await reader.events(tenant, revision, limit, maxBytes);
  if (page.length > 1) return page;
  const larger = await reader.events(tenant, revision, 2, ANY_BYTES);
  const isAll = larger.length > 1 || (larger.length === 1 && known <= revision);
  return isAll ? larger : orCut(reader, tenant, place, larger);
}

/** The page; where it lacks what it should have, because it lies below the floor: POSITION_TOO_OLD. */
export async function orCut(
  reader: WatchReader,
  tenant: string,
  place: Place,
  page: StoredEvent[],
): Promise<StoredEvent[] | ResetReason> {
  return (await isBelowFloor(reader, tenant, place)) ? ResetReason.POSITION_TOO_OLD : page;
}

/**
 * Why a place is no longer the journal's; undefined: it is, or it lies below the floor and nobody can tell. Asked after a read
 * that cannot show by itself that it was of the history that is followed.
 */
export async function whyLost(reader: WatchReader, tenant: string, place: Place): Promise<ResetReason | undefined> {
  const { revision, eventId } = place;
  if (revision === 0n) {
    const head = (await reader.heads([tenant])).get(tenant);
    return head?.journalId === eventId ? undefined : ResetReason.OTHER_JOURNAL;
  }
  const [there] = await reader.events(tenant, revision, 1, 1);
  if (there?.eventId === eventId || (there && there.revision > revision)) return undefined;
  return (await isBelowFloor(reader, tenant, place)) ? undefined : ResetReason.HISTORY_DIVERGED;
}

/**
 * Whether any event after the place may be missing. Asked after a read that is not dense by its nature: the floor moves before
 * anything below it goes.
 */
export async function isBelowFloor(reader: WatchReader, tenant: string, { revision }: Place): Promise<boolean> {
  return revision < ((await reader.heads([tenant])).get(tenant)?.floor ?? 0n);
}

/** Why a page that was read from a place on does not follow it; undefined: it does, or is empty. */
export function faultOf(place: Place, page: readonly Place[]): ResetReason | undefined {
  const expected = place.revision > 0n ? place.revision : 1n;
  const first = page[0];
  if (!first) return undefined;
  // Where the floor has passed by, events may be missing at the start and in between.
  if (page.some(({ revision }, i) => revision !== expected + BigInt(i))) return ResetReason.POSITION_TOO_OLD;
  if (place.revision > 0n && first.eventId !== place.eventId) return ResetReason.HISTORY_DIVERGED;
  return undefined;
}
