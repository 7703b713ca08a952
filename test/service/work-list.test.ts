import pg from "pg";
import { expect, test } from "vitest";
import { ImportOutcome } from "../../gen/leadline/v1/import_service_pb.ts";
import { createWorkList, type Tried } from "../../src/service/import/work-list.ts";
import { openOrm } from "../../src/store/orm.ts";
import { transportEvent30 } from "../fixtures/dcsa/events.ts";
import { startWorld, TENANT } from "./import-world.ts";

test("two retries of the same items never wait for each other, whatever each of them takes off the list", async () => {
  await using world = await startWorld();
  const [first, second] = await world.import(["one", "two"].map((eventID) => transportEvent30({ eventID })));
  const [a, b] = [first?.workItemId ?? "", second?.workItemId ?? ""].sort() as [string, string];
  const orm = await openOrm(world.database.appUrl);
  const workList = createWorkList(orm);
  const holder = new pg.Client(world.database.ownerUrl);
  await holder.connect();
  const deadlocks = async () => {
    // The counters of a session are written when it ends.
    const [row] = await world.database.sql<{ deadlocks: string }>(
      "select pg_stat_clear_snapshot(), deadlocks from pg_stat_database where datname = current_database()",
    );
    return Number(row?.deadlocks);
  };
  const waiting = async () => {
    const [row] = await world.database.sql<{ n: string }>(
      "select count(*) n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    return Number(row?.n);
  };
  await holder.query("begin");
  await holder.query("select 1 from work_item where id = $1 for update", [a]);
  const stays = { result: { ...first, outcome: ImportOutcome.UNMATCHED } } as Tried;
  const goes = { result: { ...first, outcome: ImportOutcome.APPLIED } } as Tried;
  const both = [
    workList.tried(
      TENANT,
      new Map([
        [a, stays],
        [b, stays],
      ]),
    ),
  ];
  await expect.poll(waiting).toBe(1);
  // This one takes the second item off before it comes to the first, for which it stands in line behind the other.
  both.push(
    workList.tried(
      TENANT,
      new Map([
        [a, stays],
        [b, goes],
      ]),
    ),
  );
  await expect.poll(waiting).toBe(2);
  await holder.query("commit");
  await Promise.all(both);
  expect((await world.listWork()).items).toMatchObject([{ id: a, tries: 3 }]);
  await orm.close(true);
  await holder.end();
  expect(await deadlocks()).toBe(0);
});

test("many retries of the whole list at once are two", async () => {
  await using world = await startWorld();
  await world.import([transportEvent30({ eventID: "one" })]);
  const answers = await Promise.all(Array.from({ length: 12 }, () => world.retry()));
  expect(answers.map(({ length }) => length)).toEqual(Array(12).fill(1));
  // Once when it came, once for the first, once for those that came meanwhile.
  expect((await world.listWork()).items).toMatchObject([{ tries: 3 }]);
  await world.retry();
  expect((await world.listWork()).items).toMatchObject([{ tries: 4 }]);
});
