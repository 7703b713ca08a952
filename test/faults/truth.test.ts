import { Client } from "pg";
import { expect, test } from "vitest";
import { journalFaults } from "../guarantees/journal.ts";
import { ask } from "../journal/commands.ts";
import { openTestJournal } from "../support/journal.ts";
import { Chronicle } from "./truth.ts";

test("rows are held against journals that were pruned: what was pruned is there while somebody looks, and only then", async () => {
  await using world = await openTestJournal("acme", "globex");
  const { database, journal } = world;
  for (let i = 0; i < 12; i += 1) {
    for (const tenant of ["acme", "globex"]) {
      await journal.submit(ask({ tenant, order: `o${i % 3}`, sourceId: `r${i}` }));
    }
  }
  const sessions = {
    ...database,
    async session() {
      const client = new Client({ connectionString: database.ownerUrl });
      await client.connect();
      return { client, [Symbol.asyncDispose]: () => client.end() };
    },
  };
  const chronicle = new Chronicle();
  const gone = (await chronicle.prune(sessions, "acme", 6)) + (await chronicle.prune(sessions, "acme", 3));
  expect(gone).toBe(11); // 15 events, of which the floor and three more are kept
  // As the next release does: the rows that were pruned do not have it.
  await database.sql("alter table event add column next_note text not null default ''");

  expect(await chronicle.withPruned(sessions, journalFaults)).toEqual([]);
  const count = "select count(*)::int as events from event where tenant_id = 'acme'";
  expect(await database.sql(count)).toEqual([{ events: 4 }]);

  await database.sql("update subject set status = 'DELIVERED' where tenant_id = 'acme' and id = 'o1'");
  expect(await chronicle.withPruned(sessions, journalFaults)).toEqual([
    expect.stringMatching(/^tenant acme: row o1 is not the fold of its events: it says DELIVERED/),
  ]);
});
