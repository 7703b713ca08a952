import { beforeEach, expect, test } from "vitest";
import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import type { Place } from "../../src/domain/stored-event.ts";
import { faultOf, isBelowFloor, readFollowing } from "../../src/watch/page.ts";
import { createTenant } from "../support/database.ts";
import { openTestJournal } from "../support/journal.ts";
import { shared } from "../support/shared.ts";

/*
 * Below the floor any event may be gone, at the start of a page, in its middle, or all of it: whoever was overtaken there, as an
 * instance that stood still is, is told so, and never that its history is another one.
 */

const EVENTS = 60;

const { database, journal } = await shared(openTestJournal());
let tenant = "";
let made = 0;

beforeEach(async () => {
  tenant = `t${made++}`;
  await createTenant(database, tenant);
  await database.sql(
    `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
     select $1, n, 'e' || n, 1, 's' || n % 10, n / 10 + 1, '', now(), '\\xab' from generate_series(1, $2::int) n`,
    [tenant, EVENTS],
  );
  await database.sql("update journal_head set revision = $2::int, event_id = 'e' || $2::int where tenant_id = $1", [
    tenant,
    EVENTS,
  ]);
});

async function cut(floor: number, gone: string): Promise<void> {
  await database.sql("update journal_head set floor = $2 where tenant_id = $1", [tenant, floor]);
  await database.sql(`delete from event where tenant_id = $1 and revision < $2 and ${gone}`, [tenant, floor]);
}

/** What a page of ten says of a place: the fault, or how many events follow. */
async function following(revision: number, known = EVENTS): Promise<ResetReason | string> {
  const place: Place = { revision: BigInt(revision), eventId: `e${revision}` };
  const page = await readFollowing(journal, tenant, place, 10, 100_000, BigInt(known));
  if (typeof page === "number") return page;
  return faultOf(place, page) ?? `${page.length} events`;
}

test("without a cut a page follows its place", async () => {
  expect(await following(5)).toBe("10 events");
  expect(await following(EVENTS)).toBe("1 events");
});

test.for([
  ["the place itself", "revision = 5"],
  ["one in the middle of the page", "revision = 9"],
  ["all but the place", "revision <> 5"],
  ["the whole page and more", "true"],
])("%s is gone: too old", async ([, gone = ""]) => {
  await cut(40, gone);
  expect(await following(5)).toBe(ResetReason.POSITION_TOO_OLD);
  const place = { revision: 5n, eventId: "e5" };
  expect(await isBelowFloor(journal, tenant, place)).toBe(true);
});

test("what is gone below does not matter to who stands at the floor or above", async () => {
  await cut(40, "revision % 3 <> 0");
  expect([await following(40), await following(45), await following(EVENTS)]).toEqual([
    "10 events",
    "10 events",
    "1 events",
  ]);
  expect(await isBelowFloor(journal, tenant, { revision: 40n, eventId: "e40" })).toBe(false);
});

test("an event that is another one above the floor is another history, as before", async () => {
  await cut(40, "true");
  const place = { revision: 45n, eventId: "other" };
  const page = await readFollowing(journal, tenant, place, 10, 100_000);
  expect(faultOf(place, typeof page === "number" ? [] : page)).toBe(ResetReason.HISTORY_DIVERGED);
});
