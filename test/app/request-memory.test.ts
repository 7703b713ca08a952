import { expect, test } from "vitest";
import { RequestMemory } from "../../src/app/request-memory.ts";
import { createTenant, openTestOrm } from "../support/database.ts";
import { shared } from "../support/shared.ts";

const { database, orm } = await shared(openTestOrm());

test("request ids older than was promised are forgotten, of every tenant, and younger ones are kept", async () => {
  // More tenants than one transaction looks through.
  for (let i = 0; i < 103; i++) await createTenant(database, `t${String(i).padStart(3, "0")}`);
  await database.sql(
    `insert into request (tenant_id, key, hash, answer, recorded_at)
     select id, decode(lpad(days::text, 2, '0'), 'hex'), '', '', now() - make_interval(days => days) - interval '1 minute'
     from tenant, generate_series(5, 8) as days`,
  );
  const memory = new RequestMemory(orm, {
    days: 7,
    onError: (error) => {
      throw error;
    },
  });
  await memory.forget();
  const left = await database.sql(
    "select encode(key, 'hex') as days, count(*)::int as tenants from request group by key order by key",
  );
  expect(left).toEqual([
    { days: "05", tenants: 103 },
    { days: "06", tenants: 103 },
  ]);
});
