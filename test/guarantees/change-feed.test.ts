import { toJsonString } from "@bufbuild/protobuf";
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import { type Event, EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { ResetReason } from "../../gen/leadline/v1/watch_pb.ts";
import { journey } from "../demo/journey.ts";
import { callerKinds } from "../doors/callers.ts";
import { startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { Recording } from "./recording.ts";

let stack: AsyncDisposableStack;
let database: TestDatabase;
let here: TestApp;
let there: TestApp;
beforeAll(async () => {
  stack = new AsyncDisposableStack();
  database = stack.use(await createTestDatabase());
  const env = { LEADLINE_HEAD_CHECK_MS: "300" };
  here = stack.use(await startTestApp({ database, env }));
  there = stack.use(await startTestApp({ database, env }));
});
afterAll(() => stack[Symbol.asyncDispose]());

const feedOf = (app: TestApp, { keys }: TestTenant, party: "viewer" | "carrier" = "viewer") =>
  app.client(keys[party]).service(ChangeService);
type Feed = ReturnType<typeof feedOf>;

/** Reads page by page until there is no more. */
async function readAll(feed: Feed, pageSize: number, position = ""): Promise<{ events: Event[]; position: string }> {
  const events: Event[] = [];
  for (;;) {
    const page = await feed.readChanges({ position, pageSize });
    expect(page.reset).toBeUndefined();
    expect(page.events.length).toBeLessThanOrEqual(pageSize);
    events.push(...page.events);
    expect(page.position).toBe(page.events.at(-1)?.position ?? position);
    position = page.position;
    if (!page.more) return { events, position };
  }
}

const create = (app: TestApp, { keys }: TestTenant, orderId: string) =>
  app.client(keys.operator).orders.createOrder({ orderId });

test("it tells what watches of the whole tenant tell, on either instance and with any page size", async () => {
  const tenant = await here.makeTenant("acme");
  const caller = callerKinds[0]?.open({ ...here, onClose: (close) => stack.defer(close) });
  if (!caller) throw new Error("there is no caller");
  const recordings = (["orders", "bookings"] as const).map((of) =>
    stack.use(new Recording(caller, tenant.keys.viewer, { of, request: {} })),
  );
  for (const one of recordings) await one.started();
  const parties = { operator: here.client(tenant.keys.operator), carrier: here.client(tenant.keys.carrier) };
  for (const step of journey()) await step.run(parties);
  const { events } = await readAll(feedOf(here, tenant), 7);
  const total = events.length;
  expect(total).toBeGreaterThan(20);
  const watched = () => recordings.flatMap(({ messages }) => messages.flatMap((message) => message.events));
  await expect.poll(() => watched().length, { timeout: 10_000 }).toBe(total);
  const text = (event: Event) => toJsonString(EventSchema, event);
  const inOrder = watched().sort((a, b) => Number(a.revision - b.revision));
  expect(events.map(text)).toEqual(inOrder.map(text));
  expect(events.map(({ revision }) => revision)).toEqual(events.map((_, i) => BigInt(i + 1)));
  for (const size of [1, 1_000]) {
    const other = await readAll(feedOf(there, tenant), size);
    expect(other.events.map(text)).toEqual(events.map(text));
  }
  const half = events[Math.floor(total / 2)];
  const rest = await readAll(feedOf(there, tenant), 5, half?.position);
  expect(rest.events.map(text)).toEqual(events.slice(Math.floor(total / 2) + 1).map(text));
  expect((await readAll(feedOf(here, tenant), 5, rest.position)).events).toEqual([]);
});

describe("who waits", () => {
  test("is woken by a commit here, and by one through another instance", async () => {
    const tenant = await here.makeTenant("waits");
    const feed = feedOf(here, tenant);
    let position = "";
    for (const [i, app] of [here, there, here].entries()) {
      const asked = { position, wait: durationFromMs(20_000) };
      const waiting = feed.readChanges(asked);
      await expect.poll(() => waitingOn(here), { timeout: 5_000 }).toBe(1);
      await create(app, tenant, `PO-${i}`);
      const page = await waiting;
      expect(page.events.map(({ subjectId }) => subjectId)).toEqual([`PO-${i}`]);
      position = page.position;
    }
    expect(await waitingOn(here)).toBe(0);
  });

  test("counts among the key's open streams, and gives its place back", async () => {
    await using few = await startTestApp({ database, env: { LEADLINE_KEY_STREAMS: "3" } });
    const tenant = await few.makeTenant("crowd");
    const feed = feedOf(few, tenant);
    await create(few, tenant, "PO-1");
    const { position } = await readAll(feed, 10);
    const wait = durationFromMs(20_000);
    const waiting = Array.from({ length: 3 }, () => feed.readChanges({ position, wait }));
    await expect.poll(() => waitingOn(few), { timeout: 5_000 }).toBe(3);
    await expect(feed.readChanges({ position, wait })).rejects.toMatchObject({
      ...{ reason: "RATE_LIMITED", retryAfterMs: expect.any(Number) },
      metadata: { limit: "key_streams", allowed: "3", used: "3" },
    });
    expect((await feed.readChanges({ position })).events).toEqual([]); // who does not wait needs no place
    await create(few, tenant, "PO-2");
    for (const page of await Promise.all(waiting))
      expect(page.events.map(({ subjectId }) => subjectId)).toEqual(["PO-2"]);
    const last = await readAll(feed, 10, position);
    const again = await feed.readChanges({ position: last.position, wait: durationFromMs(50) });
    expect(again.events).toEqual([]);
  });

  test("gets an answer when the time is over, and before its own deadline", async () => {
    const tenant = await here.makeTenant("patient");
    const feed = feedOf(here, tenant);
    await create(here, tenant, "PO-1");
    const { position } = await readAll(feed, 10);
    const before = Date.now();
    const page = await feed.readChanges({ position, wait: durationFromMs(300) });
    expect(page).toMatchObject({ events: [], position, more: false });
    expect(timestampMs(page.verifiedAt ?? expect.fail("it was not verified"))).toBeGreaterThanOrEqual(before + 290);
    const hasty = await feed.readChanges({ position, wait: durationFromMs(60_000) }, { timeoutMs: 800 });
    expect(hasty).toMatchObject({ events: [], position });
    await expect(feed.readChanges({ position, wait: durationFromMs(60_001) })).rejects.toMatchObject({
      reason: "FIELD_INVALID",
    });
  });
});

describe("a position that cannot be continued", () => {
  test("is answered with a reset and the head", async () => {
    const tenant = await here.makeTenant("resets");
    const feed = feedOf(here, tenant);
    for (let i = 1; i <= 5; i++) await create(here, tenant, `PO-${i}`);
    const { events, position } = await readAll(feed, 10);
    const at = (i: number) => events[i - 1]?.position ?? expect.fail("there is no such event");
    const resetOf = async (asked: string) => {
      const page = await feed.readChanges({ position: asked });
      expect(page.events).toEqual([]);
      if (page.reset) expect(page.reset.head).toBe(position);
      return page.reset?.reason;
    };
    expect(await resetOf(`0-${"a".repeat(13)}`)).toBe(ResetReason.OTHER_JOURNAL);
    expect(await resetOf(`3-${"a".repeat(13)}`)).toBe(ResetReason.HISTORY_DIVERGED);
    expect(await resetOf(`6-${"a".repeat(13)}`)).toBe(ResetReason.POSITION_AHEAD);
    await database.sql("update journal_head set floor = 3 where tenant_id = 'resets'");
    expect(await resetOf(at(2))).toBe(ResetReason.POSITION_TOO_OLD);
    expect((await feed.readChanges({ position: at(3) })).events.map(({ revision }) => revision)).toEqual([4n, 5n]);
    await database.sql("delete from event where tenant_id = 'resets' and revision < 3");
    expect((await feed.readChanges({})).events.map(({ revision }) => revision)).toEqual([3n, 4n, 5n]);
  });

  test("of nobody's making is refused, and so is who is not staff", async () => {
    const tenant = await here.makeTenant("strict");
    await expect(feedOf(here, tenant).readChanges({ position: "nonsense" })).rejects.toMatchObject({
      reason: "POSITION_INVALID",
    });
    await expect(feedOf(here, tenant, "carrier").readChanges({})).rejects.toMatchObject({ reason: "ROLE_FORBIDS" });
  });
});

/** Calls that wait on an instance, as its metrics tell. */
async function waitingOn(app: TestApp): Promise<number> {
  const text = await (await fetch(`${app.httpUrl}/metrics`)).text();
  const [, value] = /^leadline_waiting_feeds (\d+)$/m.exec(text) ?? [];
  if (value === undefined) throw new Error("the metrics do not tell who waits");
  return Number(value);
}
