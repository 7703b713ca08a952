import { Client } from "pg";
import { expect, test, vi } from "vitest";
import { PostgresJournal } from "../../src/journal/postgres-journal.ts";
import { createTenant, createTestDatabase, type TestDatabase } from "../support/database.ts";
import { ask } from "./commands.ts";

const LOCK_TIMEOUT_MS = 1_000;

/** A journal that waits for a head as soon as it was skipped once, and what it had trouble with. */
function openJournal(database: TestDatabase, stack: AsyncDisposableStack) {
  const troubles: string[] = [];
  const journal = new PostgresJournal({
    connection: { url: database.appUrl, lockTimeoutMs: LOCK_TIMEOUT_MS },
    skipsBeforeWaiting: 1,
    onCommit: () => undefined,
    onTrouble: (what) => troubles.push(what),
  });
  stack.defer(() => journal.close());
  return { journal, troubles };
}

test("a head that is locked and waited for holds up other tenants' writes by the lock timeout, not by two of them", async () => {
  await using database = await createTestDatabase();
  for (const tenant of ["a", "c"]) await createTenant(database, tenant);
  await using stack = new AsyncDisposableStack();
  const session = async (lockTimeoutMs: number) => {
    const client = new Client({ connectionString: database.ownerUrl, lock_timeout: lockTimeoutMs });
    client.on("error", () => undefined);
    await client.connect();
    stack.defer(() => client.end());
    return client;
  };
  const lock = "select from journal_head where tenant_id = 'c' for update";
  const holder = await session(0);
  await holder.query("begin");
  await holder.query(lock);
  // Another instance: it is first in the line for the row, and leaves it before our own wait is over.
  const first = await session(LOCK_TIMEOUT_MS / 2);
  const left = first.query(lock).catch((error: unknown) => error);
  const waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  await vi.waitFor(async () => expect(await database.sql(waiting)).toHaveLength(1));

  const { journal, troubles } = openJournal(database, stack);
  const held = journal.submit(ask({ tenant: "c", order: "held" }));
  await vi.waitFor(async () => expect(await database.sql(waiting)).toHaveLength(2));
  expect((await journal.submit(ask({ tenant: "a", order: "free" }))).version).toBe(1n);
  expect(await left).toMatchObject({ code: "55P03" });
  // The statement is over: 55P03 would say that the second wait for the row has taken its own time.
  expect(troubles).toEqual(["a batch of 1 is tried again after 57014"]);
  await holder.query("rollback");
  expect((await held).version).toBe(1n);
});

test("whoever was waited for in vain has the last turn: another head that was skipped is waited for first", async () => {
  await using database = await createTestDatabase();
  for (const tenant of ["a", "c"]) await createTenant(database, tenant);
  await using stack = new AsyncDisposableStack();
  const hold = async (tenant: string) => {
    const client = new Client({ connectionString: database.ownerUrl });
    client.on("error", () => undefined);
    await client.connect();
    stack.defer(() => client.end());
    await client.query("begin");
    await client.query("select from journal_head where tenant_id = $1 for update", [tenant]);
    const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
    const waiting = "select from pg_stat_activity where pg_blocking_pids(pid) @> array[$1::int]";
    return {
      release: () => client.query("rollback"),
      isWaitedFor: async () => expect(await database.sql(waiting, [rows[0]?.pid])).toHaveLength(1),
    };
  };
  const [heldA, heldC] = [await hold("a"), await hold("c")];
  const { journal, troubles } = openJournal(database, stack);
  const c = journal.submit(ask({ tenant: "c", order: "held" }));
  await vi.waitFor(heldC.isWaitedFor);
  const a = journal.submit(ask({ tenant: "a", order: "busy" }));
  await vi.waitFor(heldA.isWaitedFor, { timeout: 3 * LOCK_TIMEOUT_MS });
  await heldA.release();
  expect((await a).version).toBe(1n);
  expect(troubles).toEqual(["a batch of 1 is tried again after 57014"]);
  await heldC.release();
  expect((await c).version).toBe(1n);
});

test("a head that stays locked is seldom waited for again: a backlog of many batches goes on beside it", async () => {
  await using database = await createTestDatabase();
  for (const tenant of ["a", "c"]) await createTenant(database, tenant);
  await using stack = new AsyncDisposableStack();
  const holder = new Client({ connectionString: database.ownerUrl });
  holder.on("error", () => undefined);
  await holder.connect();
  stack.defer(() => holder.end());
  await holder.query("begin");
  await holder.query("select from journal_head where tenant_id = 'c' for update");
  const waits: string[] = [];
  const journal = new PostgresJournal({
    connection: { url: database.appUrl, lockTimeoutMs: 200 },
    batchMaxCommands: 2,
    skipsBeforeWaiting: 1,
    giveUpAfterMs: 60_000,
    onCommit: () => undefined,
    onTrouble: (what) => waits.push(what),
  });
  stack.defer(() => journal.close());
  const held = journal.submit(ask({ tenant: "c", order: "held" }));
  const orders = Array.from({ length: 60 }, (_, i) => `po-${i}`);
  await Promise.all(orders.map((order) => journal.submit(ask({ tenant: "a", order }))));
  // After 1 batch, and then after 64 more.
  expect(waits).toHaveLength(1);
  await holder.query("rollback");
  expect((await held).version).toBe(1n);
});
