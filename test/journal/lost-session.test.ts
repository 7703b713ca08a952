import { expect, test, vi } from "vitest";
import { PostgresJournal } from "../../src/journal/postgres-journal.ts";
import { Connection, ConnectionLost } from "../../src/store/connection.ts";
import { createTenant, createTestDatabase } from "../support/database.ts";
import { ask } from "./commands.ts";

test("what belongs into a transaction whose session is gone is not sent on another one", async () => {
  await using database = await createTestDatabase();
  const connection = new Connection({ url: database.appUrl, applicationName: "test", idleInTransactionTimeoutMs: 50 });
  await connection.flight([{ text: "begin" }]);
  const sessions = "select from pg_stat_activity where datname = current_database() and application_name = 'test'";
  await vi.waitFor(async () => expect(await database.sql(sessions)).toHaveLength(0));
  const write = { text: "insert into deployment (name, value) values ('stray', '')" };
  await expect(connection.flight([write, { text: "commit" }], true)).rejects.toBeInstanceOf(ConnectionLost);
  expect(await database.sql("select from deployment where name = 'stray'")).toEqual([]);
  await connection.flight([write]);
  expect(await database.sql("select from deployment where name = 'stray'")).toHaveLength(1);
  await connection.close();
});

test("a batch that takes longer than a transaction may stand still goes in parts", async () => {
  await using database = await createTestDatabase();
  await createTenant(database, "a");
  const connection = { url: database.appUrl, idleInTransactionTimeoutMs: 300 };
  await using stack = new AsyncDisposableStack();
  const journal = new PostgresJournal({ connection, giveUpAfterMs: 20_000, onCommit: () => undefined });
  stack.defer(() => journal.close());
  const slow = (order: string) => {
    const made = ask({ tenant: "a", order });
    const decide: typeof made.decide = (load, now) => {
      for (const until = performance.now() + 50; performance.now() < until; );
      return made.decide(load, now);
    };
    return journal.submit({ ...made, decide });
  };
  const orders = Array.from({ length: 12 }, (_, i) => `po-${i}`);
  const answers = await Promise.all(orders.map(slow));
  expect(answers.map(({ version }) => version)).toEqual(orders.map(() => 1n));
  const rows = await database.sql("select from event where tenant_id = 'a'");
  expect(rows).toHaveLength(orders.length);
}, 40_000);
