import type { MikroORM } from "@mikro-orm/postgresql";
import { expect, test, vi } from "vitest";
import { openOrm, withTenants } from "../../src/store/orm.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

const POOL = 2;

/** A unit of work whose session Postgres ends in the middle. */
function endedWithin(orm: MikroORM, database: TestDatabase): Promise<unknown> {
  return withTenants(orm, ["a"], async (em) => {
    const [row] = await em.execute<{ pid: number }[]>("select pg_backend_pid() as pid");
    await database.sql("select pg_terminate_backend($1)", [row?.pid]);
    const there = "select from pg_stat_activity where pid = $1";
    await vi.waitFor(async () => expect(await database.sql(there, [row?.pid])).toEqual([]));
    return em.execute("select 1");
  });
}

test("sessions that end inside units of work take no place of the pool, and it closes", async () => {
  await using database = await createTestDatabase();
  const orm = await openOrm(database.appUrl, { poolMax: POOL });
  for (let i = 0; i < 2 * POOL; i += 1) await expect(endedWithin(orm, database)).rejects.toThrow();
  const whole = Array.from({ length: 2 * POOL }, () => withTenants(orm, ["a"], (em) => em.execute("select 1 as one")));
  expect(await Promise.all(whole)).toEqual(Array.from({ length: 2 * POOL }, () => [{ one: 1 }]));
  await orm.close(true);
  const ours = "select from pg_stat_activity where datname = current_database() and usename = 'leadline'";
  await vi.waitFor(async () => expect(await database.sql(ours)).toEqual([]));
});

test("a session that ends while nobody uses it is replaced", async () => {
  await using database = await createTestDatabase();
  const orm = await openOrm(database.appUrl, { poolMax: POOL });
  for (let i = 0; i < 2 * POOL; i += 1) {
    expect(await withTenants(orm, ["a"], (em) => em.execute("select 1 as one"))).toEqual([{ one: 1 }]);
    const ended = await database.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'leadline'",
    );
    expect(ended).toHaveLength(1);
    // Postgres has said so; that the pool has heard it too is not awaited: whoever comes first may be refused, once.
    await withTenants(orm, ["a"], (em) => em.execute("select 1")).catch(() => undefined);
  }
  await orm.close(true);
});
