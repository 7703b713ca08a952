import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { MikroORM } from "@mikro-orm/postgresql";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { HistoryRetention, type HistoryRetentionOptions } from "../../src/app/history-retention.ts";
import type { LeadlineClient } from "../../src/client/node.ts";
import { openOrm } from "../../src/store/orm.ts";
import { oceanRequest } from "../interop/parts.ts";
import { SERVICE_OWNER, startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

/** Two instances on one database, whose own sweeps do not come, and sweeps of a test's own, at whatever time it says. */
export interface World extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly here: TestApp;
  readonly there: TestApp;
  readonly orm: MikroORM;
  /** Makes an ADAPTIVE tenant whose history stays 90 days. */
  makeTenant(id: string): Promise<TestTenant>;
  sweeper(days: number, options?: Partial<HistoryRetentionOptions>, by?: MikroORM): HistoryRetention;
  /** Sweeps once as if so many days had passed. */
  sweep(days: number, options?: Partial<HistoryRetentionOptions>): Promise<HistoryRetention>;
}

export const RESUME_DAYS = 30;
export const HISTORY_DAYS = 90;

export async function openWorld(): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createTestDatabase());
  const env = { LEADLINE_HEAD_CHECK_MS: "200", LEADLINE_HEARTBEAT_MS: "1000" };
  const here = stack.use(await startTestApp({ database, env }));
  const there = stack.use(await startTestApp({ database, env }));
  const orm = stack.adopt(await openOrm(database.appUrl), (open) => open.close(true));
  const sweeper: World["sweeper"] = (days, options, by = orm) =>
    new HistoryRetention(by, {
      resumeDays: RESUME_DAYS,
      portion: 3,
      now: async () => new Date(Date.now() + days * 86_400_000).toISOString(),
      onCut: () => undefined,
      onError: (error) => {
        throw error;
      },
      ...options,
    });
  const owned = stack.move();
  return {
    ...{ database, here, there, orm, sweeper },
    async makeTenant(id) {
      const tenant = await here.makeTenant(id);
      const settings = { historyDays: HISTORY_DAYS };
      await here.client(SERVICE_OWNER).tenants.setTier({ tenantId: id, tier: Tier.ADAPTIVE, settings });
      return tenant;
    },
    async sweep(days, options) {
      const retention = sweeper(days, options);
      await retention.forget();
      return retention;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const start = Date.parse("2026-03-02T08:00:00Z");

/** Reports what happened on a day of the journey. */
export async function report({ orders }: LeadlineClient, orderId: string, status: string, day: number): Promise<void> {
  const occurredAt = { instant: timestampFromMs(start + day * 86_400_000) };
  const said = { classifier: Classifier.ACTUAL, status, occurredAt, sourceId: `${orderId} ${status} ${day}` };
  await orders.reportStatus({ orderId, report: said, requestId: `${orderId} ${status} ${day}` });
}

/** An order whose journey has ended, of five events. */
export async function journey(client: LeadlineClient, orderId: string): Promise<void> {
  await client.orders.createOrder({ orderId, requestId: `create ${orderId}` });
  for (const [day, status] of ["READY", "IN_TRANSIT", "ARRIVED", "DELIVERED"].entries()) {
    await report(client, orderId, status, day);
  }
}

/** A booking that the carrier has rejected, of two events. */
export async function rejected(shipper: LeadlineClient, carrier: LeadlineClient, bookingId: string): Promise<void> {
  await shipper.bookings.requestBooking({ bookingId, request: oceanRequest() });
  await carrier.bookings.rejectBooking({ bookingId, reason: "no space" });
}
