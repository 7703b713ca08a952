import { Client } from "pg";
import { expect, test } from "vitest";
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { callerKinds } from "../doors/callers.ts";
import { SERVICE_OWNER, startTestApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { Recording } from "./recording.ts";

/* On an instance that runs, as it is put together by `startApp`: see test/watch/shares.test.ts for each kind of read. */

/** Watches of each tenant, and rows that the snapshot of each has: one read. */
const WATCHES = 100;
const ROWS = 100;
/** Weights of 1, 2 and 4 by two rounds of 1,000 rows for each weight. */
const due = { light: 20, middle: 40, heavy: 80 };
const all = 140;

/** Nothing but reads is bounded. */
const env = {
  LEADLINE_CATCH_UP_READS: "1",
  LEADLINE_LOCK_TIMEOUT_MS: "60000",
  LEADLINE_STATEMENT_TIMEOUT_MS: "60000",
  LEADLINE_KEY_STREAMS: "1000",
  ...Object.fromEntries(
    ["CALLS", "STREAM_OPENS"].flatMap((what) =>
      ["KEY", "TENANT"].map((whose) => [`LEADLINE_${whose}_${what}_PER_SECOND`, "10000"]),
    ),
  ),
};

test("snapshots that wait for a read have it by the weights of their tenants' tiers", async () => {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createTestDatabase());
  const app = stack.use(await startTestApp({ database, env }));
  const [kind] = callerKinds;
  const caller = kind?.open({ ...app, onClose: (close) => stack.defer(close) }) ?? expect.fail("there is no caller");
  const ids = Array.from({ length: ROWS }, (_, i) => `PO-${i}`);
  const tiers = { light: Tier.QUICK_DEPLOY, middle: Tier.ASSISTED, heavy: Tier.ADAPTIVE };
  const keys = new Map<string, string>();
  for (const [tenantId, tier] of Object.entries(tiers)) {
    const tenant = await app.makeTenant(tenantId);
    const { orders } = app.client(tenant.keys.operator);
    await Promise.all(ids.map((orderId) => orders.createOrder({ orderId })));
    await app.client(SERVICE_OWNER).tenants.setTier({ tenantId, tier });
    keys.set(tenantId, tenant.keys.viewer);
  }

  // No row can be read until everybody waits: the light ones first, which would be served first or alike.
  const holder = new Client({ connectionString: database.ownerUrl });
  await holder.connect();
  stack.defer(() => holder.end());
  await holder.query("begin; lock table subject in access exclusive mode");
  const served: string[] = [];
  const synced: Promise<unknown>[] = [];
  for (const [tenantId, bearer] of keys) {
    for (let i = 0; i < WATCHES; i++) {
      const request = { filter: { ids }, includeSnapshot: true };
      const watch = stack.use(new Recording(caller, bearer, { of: "orders", request }));
      synced.push(watch.synced().then(() => served.push(tenantId)));
    }
  }
  const waiting = async () => {
    const metrics = await (await fetch(`${app.httpUrl}/metrics`)).text();
    return Number(/^leadline_waiting_reads (\d+)/m.exec(metrics)?.[1]);
  };
  await expect.poll(waiting, { timeout: 15_000 }).toBe(keys.size * WATCHES - 1);
  await holder.query("rollback");
  await Promise.all(synced);

  const counts = Object.groupBy(served.slice(0, all), (tenant) => tenant);
  for (const [tenant, reads] of Object.entries(due)) {
    const got = counts[tenant]?.length ?? 0;
    expect(Math.abs(got - reads), `${tenant}: ${got} of ${reads}`).toBeLessThanOrEqual(all / 10);
  }
});
