import { Client } from "pg";
import { expect, test, vi } from "vitest";
import { keyRecords } from "../../src/service/key-records.ts";
import { openOrm } from "../../src/store/orm.ts";
import { createTenant, createTestDatabase } from "../support/database.ts";

test("a key is found while a migration beside it adds a column to the keys", async () => {
  await using database = await createTestDatabase();
  await createTenant(database, "north");
  await database.sql(
    `insert into api_key (id, tenant_id, name, role, carrier, secret_sha256, created_at)
     values ('key_1', 'north', 'n', 1, '', '\\x00', now())`,
  );
  await using stack = new AsyncDisposableStack();
  const orm = stack.adopt(await openOrm(database.appUrl), (open) => open.close(true));
  const records = keyRecords(orm);
  // A session that has asked before knows the table as it was.
  expect(await records.find("key_1")).toMatchObject({ tenant: "north" });
  const migrating = new Client({ connectionString: database.ownerUrl });
  await migrating.connect();
  stack.defer(() => migrating.end());
  await migrating.query("begin");
  await migrating.query("alter table api_key add column next_note text not null default ''");
  const found = records.find("key_1");
  const waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  await vi.waitFor(async () => expect(await database.sql(waiting)).toHaveLength(1));
  await migrating.query("commit");
  expect(await found).toMatchObject({ id: "key_1", tenant: "north" });
});
