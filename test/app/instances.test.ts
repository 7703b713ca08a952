import { expect, test } from "vitest";
import { Instance } from "../../src/app/instances.ts";
import { openTestOrm } from "../support/database.ts";
import { shared } from "../support/shared.ts";

const { database, orm } = await shared(openTestOrm());

function instance(renewMs?: number): Instance {
  const onError = (error: unknown): void => {
    throw error;
  };
  return new Instance(orm, renewMs === undefined ? { onError } : { onError, renewMs });
}

test("each sees those that run, not those that stopped or were killed some time ago", async () => {
  const [first, second] = [instance(), instance()];
  expect(await first.start()).toBe(0);
  expect(await second.start()).toBe(1);
  await database.sql("update instance set seen_at = now() - interval '16 seconds' where id = $1", [first.id]);
  expect(await second.others()).toBe(0);
  await first.stop();
  await second.stop();
  expect(await database.sql("select * from instance")).toEqual([]);
});

test("its row is renewed, made again if somebody took it away, and those of long ago go", async () => {
  await database.sql("insert into instance values ('ins_old', now() - interval '3 days', now() - interval '2 days')");
  const one = instance(20);
  await one.start();
  expect(await database.sql("select id from instance")).toEqual([{ id: one.id }]);
  await database.sql("delete from instance");
  await expect.poll(() => database.sql("select id from instance")).toEqual([{ id: one.id }]);
  await one.stop();
});
