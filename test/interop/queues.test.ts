import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import type { Caller } from "../doors/callers.ts";
import type { TestTenant } from "../support/app.ts";
import { fetchOf } from "../support/own-fetch.ts";
import { kindsOfEachDoor, limitOf } from "./limit-told.ts";
import { at } from "./parts.ts";
import { type InteropWorld, openWorld } from "./world.ts";

/*
 * What waits for the database is bounded, at the doors: while somebody else holds what all wait for, more than may wait are
 * refused at once and told which limit it is, and those that wait are answered when it is let go.
 */

const { batchReportStatus, createOrder, listOrders } = OrderService.method;

const MiB = 1_048_576;

describe.each(kindsOfEachDoor.map((kind) => [kind.name, kind] as const))("to %s", (_name, kind) => {
  let world: InteropWorld;
  let tenant: TestTenant;
  let caller: Caller;
  let holder: Client;

  async function open(env: Readonly<Record<string, string>>): Promise<void> {
    world = await openWorld({ env: { LEADLINE_STATEMENT_TIMEOUT_MS: "20000", ...env } });
    tenant = await world.app.makeTenant("acme");
    caller = kind.open(world);
    holder = new Client({ connectionString: world.database.ownerUrl });
    await holder.connect();
    await create("PO-0");
  }

  const close = async () => {
    await holder.end();
    await world[Symbol.asyncDispose]();
  };

  const create = (orderId: string) => caller.unary(createOrder, { orderId }, { bearer: tenant.keys.operator });
  const list = () => caller.unary(listOrders, { pageSize: 1 }, { bearer: tenant.keys.viewer });
  /** A batch of so many long reports on an order, about a kilobyte each. */
  const report = (name: string, count: number) => {
    const items = Array.from({ length: count }, (_, i) => {
      const sourceId = `${name}.${i}`;
      const remark = "x".repeat(1_000);
      const report = { classifier: Classifier.ACTUAL, status: "READY", sourceId, occurredAt: at(1), remark };
      return { orderId: `PO-${name}`, report };
    });
    return caller.unary(batchReportStatus, { items }, { bearer: tenant.keys.operator });
  };

  /** Resolves when so many of the service's statements wait for what is held. */
  const waiting = (count: number) =>
    expect
      .poll(async () => {
        const blocked = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        return (await world.database.sql(blocked)).length;
      })
      .toBeGreaterThanOrEqual(count);

  /** Resolves when at least so many commands wait to be committed. */
  const queued = (count: number) =>
    expect
      .poll(async () => {
        const metrics = await (await fetchOf(world)(`${world.app.httpUrl}/metrics`)).text();
        return Number(/^leadline_queued_commands (\d+)$/m.exec(metrics)?.[1]);
      })
      .toBeGreaterThanOrEqual(count);

  /** What came of each call: those that were refused at once, and that the others wait. */
  async function refusedOf(calls: readonly Promise<unknown>[], refused: number) {
    const told: Awaited<ReturnType<typeof limitOf>>[] = [];
    for (const call of calls) void limitOf(call).then((one) => one && told.push(one));
    await expect.poll(() => told.length).toBe(refused);
    return told;
  }

  describe("instance_queued_reads", () => {
    beforeAll(() => open({ LEADLINE_QUEUE_READS: "10", LEADLINE_READ_CONNECTIONS: "2" }));
    afterAll(close);

    test("reads that wait for the database", async () => {
      await holder.query("begin; lock table subject in access exclusive mode");
      const under = [list(), list()];
      await waiting(2);
      const calls = Array.from({ length: 15 }, list);
      const told = await refusedOf(calls, 5);
      const due = { code: 8, reason: "OVERLOADED", limit: "instance_queued_reads", allowed: "10", used: "10" };
      expect(told).toEqual(told.map(() => ({ ...due, waits: "a moment" })));
      await holder.query("rollback");
      const outcomes = await Promise.allSettled([...under, ...calls]);
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(12);
    });
  });

  describe.each([
    ["tenant_queued_commands", { LEADLINE_QUEUE_TENANT_COMMANDS: "100" }],
    ["instance_queued_commands", { LEADLINE_QUEUE_COMMANDS: "100" }],
  ] as const)("%s", (limit, env) => {
    beforeAll(() => open(env));
    afterAll(close);

    test("commands that wait to be committed", async () => {
      await holder.query("begin; select from journal_head for update");
      const first = create("PO-1");
      await waiting(1);
      const calls = Array.from({ length: 130 }, (_, i) => create(`PO-1${i}`));
      const told = await refusedOf(calls, 30);
      const due = { code: 8, reason: "OVERLOADED", limit, allowed: "100", used: "100", waits: "a moment" };
      expect(told).toEqual(told.map(() => due));
      await holder.query("rollback");
      const outcomes = await Promise.allSettled([first, ...calls]);
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(101);
    });
  });

  describe("instance_queued_bytes", () => {
    beforeAll(() => open({ LEADLINE_QUEUE_BYTES: String(MiB) }));
    afterAll(close);

    test("bytes of commands that wait to be committed", async () => {
      for (const name of ["a", "b", "c"]) await create(`PO-${name}`);
      await holder.query("begin; select from journal_head for update");
      const first = create("PO-1");
      await waiting(1);
      const waits = [report("a", 400), report("b", 400)];
      await queued(800);
      // It is answered when those of its items are that still found room.
      const over = report("c", 400);
      await queued(850);
      await holder.query("rollback");
      await first;
      const refused = (await over).results.flatMap(({ result }) => (result.case === "error" ? [result.value] : []));
      expect(refused.length).toBeGreaterThan(0);
      expect(new Set(refused.map(({ reason }) => reason))).toEqual(new Set(["OVERLOADED"]));
      for (const { results } of await Promise.all(waits)) {
        expect(new Set(results.map(({ result }) => result.case))).toEqual(new Set(["response"]));
      }
    });
  });
});
