import { Client } from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Cut } from "../../src/store/history-cuts.ts";
import { openOrm } from "../../src/store/orm.ts";
import { journalFaults } from "../guarantees/journal.ts";
import { journey, openWorld, type World } from "../guarantees/retention-world.ts";

let world: World;
let tenant = "";
let made = 0;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

const JOURNEYS = 8;
const LATE = 100;

/** A tenant with journeys that have ended, and one that has not. */
beforeEach(async () => {
  tenant = `t${made++}`;
  await makeJourneys(tenant);
});

async function makeJourneys(id: string): Promise<void> {
  const { keys } = await world.makeTenant(id);
  const operator = world.here.client(keys.operator);
  await Promise.all(Array.from({ length: JOURNEYS }, (_, i) => journey(operator, `PO-${i}`)));
  await operator.orders.createOrder({ orderId: "open" });
}

async function eventsOf(id: string): Promise<number> {
  const [row] = await world.database.sql<{ n: number }>("select count(*)::int as n from event where tenant_id = $1", [
    id,
  ]);
  return row?.n ?? -1;
}

async function headOf(id: string) {
  const [row] = await world.database.sql(
    "select floor::int, cut_subjects::int as subjects, cut_events::int as events from journal_head where tenant_id = $1",
    [id],
  );
  return row;
}

const everything = { floor: JOURNEYS * 5 + 1, subjects: JOURNEYS, events: JOURNEYS * 5 };

test("instances that sweep at once do the work once", async () => {
  const sweepers = Array.from({ length: 3 }, (_, i) => world.sweeper(LATE, { portion: i + 1 }));
  await Promise.all(sweepers.map((one) => one.forget()));
  const sum = (what: keyof Cut) => sweepers.reduce((all, { total }) => all + total[what], 0);
  expect([sum("subjects"), sum("events")]).toEqual([JOURNEYS, JOURNEYS * 5]);
  expect(await headOf(tenant)).toEqual(everything);
  expect(await eventsOf(tenant)).toBe(1);
  expect(await journalFaults(world.database)).toEqual([]);
});

test("writes go on while it sweeps, and nothing of either is lost", async () => {
  const { keys } = await world.makeTenant(`${tenant}w`);
  const operators = [world.here.client(keys.operator), world.there.client(keys.operator)];
  await Promise.all(operators.map((one, i) => journey(one, `PO-${i}`)));
  let more = true;
  const writing = operators.map(async ({ orders }, i) => {
    let n = 0;
    for (; more; n += 1) await orders.createOrder({ orderId: `W-${i}-${n}` });
    return n;
  });
  const retention = await world.sweep(LATE);
  await world.sweep(LATE);
  more = false;
  const written = (await Promise.all(writing)).reduce((sum, n) => sum + n, 0);
  expect(retention.total.subjects).toBeGreaterThanOrEqual(JOURNEYS);
  expect(await eventsOf(`${tenant}w`)).toBe(written);
  expect(await journalFaults(world.database)).toEqual([]);
});

test("a head that somebody holds stops the sweep of its own tenant only, and the next sweep goes on", async () => {
  await using stack = new AsyncDisposableStack();
  const other = `${tenant}x`;
  await makeJourneys(other);
  const client = new Client({ connectionString: world.database.ownerUrl });
  await client.connect();
  stack.defer(() => client.end());
  await client.query("begin");
  await client.query("select from journal_head where tenant_id = $1 for update", [tenant]);
  const orm = stack.adopt(await openOrm(world.database.appUrl, { lockTimeoutMs: 100 }), (open) => open.close(true));
  const errors: unknown[] = [];
  const told: Cut[] = [];
  const options = { onError: (error: unknown) => errors.push(error), onCut: (cut: Cut) => told.push(cut) };
  const retention = world.sweeper(LATE, options, orm);
  await retention.forget();
  expect(errors).toHaveLength(1);
  expect(told).toEqual([{ tenants: 1, subjects: JOURNEYS, events: JOURNEYS * 5 }]);
  expect([await eventsOf(tenant), await eventsOf(other)]).toEqual([JOURNEYS * 5 + 1, 1]);
  await client.query("rollback");
  await retention.forget();
  expect([errors.length, await eventsOf(tenant)]).toEqual([1, 1]);
});

test("a portion that would hold the head for longer than is allowed is cut in parts", async () => {
  // Every checkpoint takes 60 ms to write: four in a transaction would hold the head too long.
  await world.database.sql(
    `create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.06); return new; end $$`,
  );
  await world.database.sql(
    "create trigger slow before insert on history_checkpoint for each row execute function slow()",
  );
  try {
    const errors: unknown[] = [];
    const options = { portion: JOURNEYS, heldMs: 200, onError: (error: unknown) => errors.push(error) };
    const retention = await world.sweep(LATE, options);
    expect(errors).toEqual([]);
    expect(retention.total).toEqual({ subjects: JOURNEYS, events: JOURNEYS * 5 });
    expect(await headOf(tenant)).toEqual(everything);
  } finally {
    await world.database.sql("drop trigger slow on history_checkpoint");
    await world.database.sql("drop function slow()");
  }
  expect(await journalFaults(world.database)).toEqual([]);
});

test("nothing is cut while an instance of the release before may run", async () => {
  await world.database.sql("insert into instance (id, started_at, seen_at) values ('before', now(), now())");
  await world.sweep(LATE);
  expect(await eventsOf(tenant)).toBe(JOURNEYS * 5 + 1);
  await world.database.sql("update instance set seen_at = now() - interval '2 days' where id = 'before'");
  await world.sweep(LATE);
  expect(await eventsOf(tenant)).toBe(1);
  await world.database.sql("delete from instance where id = 'before'");
});

test("the metrics tell what an instance has cut", async () => {
  const text = await (await fetch(`${world.here.httpUrl}/metrics`)).text();
  expect(text).toMatch(/^leadline_history_cut_subjects_total 0$/m);
  expect(text).toMatch(/^leadline_history_cut_events_total 0$/m);
});
