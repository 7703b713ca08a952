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

/** A session that holds the heads of these tenants until it rolls back. */
async function holding(database: TestDatabase, stack: AsyncDisposableStack, ...tenants: string[]): Promise<Client> {
  const holder = new Client({ connectionString: database.ownerUrl });
  holder.on("error", () => undefined);
  await holder.connect();
  stack.defer(() => holder.end());
  await holder.query("begin");
  await holder.query("select from journal_head where tenant_id = any($1) for update", [tenants]);
  return holder;
}

/** Whose wait outlasts the test: nothing but another lane lets the others through. */
const PATIENT = { lockTimeoutMs: 60_000, statementTimeoutMs: 120_000, answerTimeoutMs: 120_000 };

test("a head that is locked is waited for as long as the lock timeout says, not for two of them, and holds up nobody else", async () => {
  await using database = await createTestDatabase();
  for (const tenant of ["a", "c"]) await createTenant(database, tenant);
  await using stack = new AsyncDisposableStack();
  const session = async () => {
    const client = new Client({ connectionString: database.ownerUrl });
    client.on("error", () => undefined);
    await client.connect();
    stack.defer(() => client.end());
    return client;
  };
  const lock = "select from journal_head where tenant_id = 'c' for update";
  const holder = await session();
  await holder.query("begin");
  await holder.query(lock);
  // Another instance: it is first in the line for the row, and leaves it before our own wait is over.
  const first = await session();
  const { rows } = await first.query<{ pid: number }>("select pg_backend_pid() as pid");
  const left = first.query(lock).catch((error: unknown) => error);
  const waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  await vi.waitFor(async () => expect(await database.sql(waiting)).toHaveLength(1));

  const { journal, troubles } = openJournal(database, stack);
  const held = journal.submit(ask({ tenant: "c", order: "held" }));
  await vi.waitFor(async () => expect(await database.sql(waiting)).toHaveLength(2), { timeout: 10 * LOCK_TIMEOUT_MS });
  await database.sql("select pg_cancel_backend($1)", [rows[0]?.pid]);
  expect(await left).toMatchObject({ code: "57014" });
  expect((await journal.submit(ask({ tenant: "a", order: "free" }))).version).toBe(1n);
  // The statement is over: 55P03 would say that the second wait for the row has taken its own time.
  const vain = "a batch of 1 is tried again after 57014";
  await vi.waitFor(() => expect(troubles[0]).toBe(vain), { timeout: 3 * LOCK_TIMEOUT_MS });
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
  expect(troubles[0]).toBe("a batch of 1 is tried again after 57014");
  await heldC.release();
  expect((await c).version).toBe(1n);
});

test("a head that stays locked holds up nobody else, and has its turn as soon as it is free", async () => {
  await using database = await createTestDatabase();
  for (const tenant of ["a", "c"]) await createTenant(database, tenant);
  await using stack = new AsyncDisposableStack();
  const holder = await holding(database, stack, "c");
  const troubles: string[] = [];
  const journal = new PostgresJournal({
    connection: { url: database.appUrl, ...PATIENT },
    batchMaxCommands: 2,
    skipsBeforeWaiting: 1,
    giveUpAfterMs: 60_000,
    onCommit: () => undefined,
    onTrouble: (what) => troubles.push(what),
  });
  stack.defer(() => journal.close());
  const held = ["first", "second", "third"].map((order) => journal.submit(ask({ tenant: "c", order })));
  const waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
  await vi.waitFor(async () => expect(await database.sql(waiting)).toHaveLength(1));
  const orders = Array.from({ length: 60 }, (_, i) => `po-${i}`);
  await Promise.all(orders.map((order) => journal.submit(ask({ tenant: "a", order }))));
  // What comes of the tenant meanwhile waits behind what is waited for.
  held.push(journal.submit(ask({ tenant: "c", order: "fourth" })));
  await journal.submit(ask({ tenant: "a", order: "last" }));
  expect(await database.sql(waiting)).toHaveLength(1);
  await holder.query("rollback");
  const settled = await Promise.all(held);
  expect(settled.map(({ version }) => version)).toEqual([1n, 1n, 1n, 1n]);
  const order = await database.sql("select subject_id from event where tenant_id = 'c' order by revision");
  expect(order.map((row) => row.subject_id)).toEqual(["first", "second", "third", "fourth"]);
  expect(troubles).toEqual([]);
});

test("two heads that stay locked, with more waiting for them than a batch holds, hold up nobody else", async () => {
  await using database = await createTestDatabase();
  for (const tenant of ["a", "c", "d"]) await createTenant(database, tenant);
  await using stack = new AsyncDisposableStack();
  const holder = await holding(database, stack, "c", "d");
  const journal = new PostgresJournal({
    connection: { url: database.appUrl, ...PATIENT },
    batchMaxCommands: 2,
    skipsBeforeWaiting: 1,
    giveUpAfterMs: 60_000,
    onCommit: () => undefined,
  });
  stack.defer(() => journal.close());
  const held = ["c", "d"].flatMap((tenant) =>
    Array.from({ length: 5 }, (_, i) => journal.submit(ask({ tenant, order: `held-${i}` }))),
  );
  const orders = Array.from({ length: 60 }, (_, i) => `po-${i}`);
  await Promise.all(orders.map((order) => journal.submit(ask({ tenant: "a", order }))));
  await holder.query("rollback");
  await Promise.all(held);
  for (const tenant of ["c", "d"]) {
    const order = await database.sql("select subject_id from event where tenant_id = $1 order by revision", [tenant]);
    expect(order.map((row) => row.subject_id)).toEqual(["held-0", "held-1", "held-2", "held-3", "held-4"]);
  }
});
