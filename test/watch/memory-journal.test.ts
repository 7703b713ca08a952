import { afterAll, beforeAll, expect, test } from "vitest";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import type { StoredEvent } from "../../src/domain/stored-event.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import { Reader } from "../../src/journal/reader.ts";
import { Connection } from "../../src/store/connection.ts";
import type { WatchReader } from "../../src/watch/bounded-reader.ts";
import { randomFrom } from "../bench/random.ts";
import { at, oceanConfirmation, oceanRequest } from "../interop/parts.ts";
import { CARRIERS, startTestApp, type TestApp } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { MemoryJournal } from "./memory-journal.ts";

/*
 * Hubs, the simulation and the validators are tried on a journal in memory. It has to answer as the real one does, or what they
 * show would say nothing: here both hold the same events, and whatever is drawn is asked of both.
 */

const TENANT = "a";
const QUESTIONS = 150;

let database: TestDatabase;
let app: TestApp;
let real: Reader;
let events: readonly StoredEvent[];
let journalId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  app = await startTestApp({ database });
  const tenant = await app.makeTenant(TENANT);
  await fill(tenant.keys);
  real = new Reader([new Connection({ url: database.appUrl, applicationName: "test" })]);
  journalId = (await real.heads([TENANT])).get(TENANT)?.journalId ?? "";
  events = await real.events(TENANT, 1n, 10_000, 100_000_000);
});

afterAll(async () => {
  await real.close();
  await app[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

/** Orders and bookings of two carriers, with events of one and of many, small and large, and of one command and of several. */
async function fill(keys: Readonly<Record<"operator" | "carrier" | "rival", string>>): Promise<void> {
  const { orders, bookings } = app.client(keys.operator);
  const ids = Array.from({ length: 9 }, (_, i) => `o${i}`);
  for (const orderId of ids) await orders.createOrder({ orderId });
  for (const [n, carrier] of [CARRIERS.carrier, CARRIERS.rival, CARRIERS.carrier, CARRIERS.rival].entries()) {
    const shipments = ids.slice(n, n + 3).map((orderId) => ({ orderId }));
    await bookings.requestBooking({ bookingId: `b${n}`, request: oceanRequest(carrier), orders: shipments });
  }
  for (const [key, bookingId] of [
    [keys.carrier, "b0"],
    [keys.rival, "b1"],
  ] as const) {
    const confirmation = oceanConfirmation(`REF${bookingId}`);
    await app.client(key).bookings.confirmBooking({ bookingId, confirmation });
  }
  const statuses = ["PROCESSING", "BOOKED", "READY", "IN_TRANSIT"];
  for (let round = 0; round < 4; round += 1) {
    const items = ids.slice(round).map((orderId, i) => {
      const remark = "x".repeat((i * 211) % 1_500);
      const status = statuses[(round + i) % statuses.length] ?? "READY";
      const report = { classifier: Classifier.ACTUAL, status, remark, sourceId: `${round}`, occurredAt: at(round) };
      return { orderId, report };
    });
    const { results } = await orders.batchReportStatus({ items });
    expect(results.map(({ result }) => result.case)).toEqual(items.map(() => "response"));
  }
  await orders.holdOrder({ orderId: "o1", reason: "customs" });
}

/** What hubs ask, drawn; revisions from `lowest` up to beyond the end. */
function draw(random: () => number, lowest: number): (reader: WatchReader) => Promise<unknown> {
  const whole = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  const pick = <T>(...list: readonly T[]) => list[whole(0, list.length - 1)] as T;
  const last = events.length;
  const from = BigInt(whole(lowest, last + 3));
  const upTo = BigInt(whole(lowest, last + 3));
  const limit = whole(1, last);
  const maxBytes = pick(1, whole(1, 3_000), whole(1, 60_000), 10_000_000);
  const kind = pick(SubjectKind.ORDER, SubjectKind.BOOKING);
  const subjects = ["o0", "o1", "o7", "b0", "b1", "b3", "nobody"].filter(() => random() < 0.5);
  const ask = pick("heads", "events", "stretch", "latest", "rows", "before");
  switch (ask) {
    case "heads":
      return (reader) => reader.heads([TENANT]);
    case "events":
      return (reader) => reader.events(TENANT, from, limit, maxBytes);
    case "stretch":
      return (reader) => reader.stretch({ tenant: TENANT, kind, after: from, upTo, limit, maxBytes });
    case "latest":
      return (reader) => reader.latest(TENANT, kind, from, upTo, limit);
    case "rows": {
      const carriers = kind === SubjectKind.BOOKING ? pick(undefined, [CARRIERS.rival]) : undefined;
      const ids = pick(undefined, subjects.length > 0 ? subjects : undefined); // hubs do not ask for nobody
      return (reader) => reader.rows({ tenant: TENANT, kind, ids, carriers, createdBefore: from, limit });
    }
    case "before":
      return (reader) => reader.before(TENANT, kind, subjects, upTo);
  }
}

async function expectSame(memory: MemoryJournal, lowest: number): Promise<void> {
  const random = randomFrom(lowest + 1);
  const answered = new Set<string>();
  for (let i = 0; i < QUESTIONS; i += 1) {
    const ask = draw(random, lowest);
    const [expected, answer] = await Promise.all([ask(real), ask(memory)]);
    expect(plain(answer), `question ${i}`).toEqual(plain(expected));
    const what = memory.reads.at(-1) ?? "";
    const isEmpty = expected === undefined || (Array.isArray(expected) && expected.length === 0);
    answered.add(isEmpty ? `nothing of ${what}` : what);
  }
  expect([...answered].toSorted()).toEqual(
    expect.arrayContaining(["before", "events", "heads", "latest", "rows", "stretch"]),
  );
  expect([...answered]).toEqual(expect.arrayContaining(["nothing of stretch", "nothing of rows"]));
}

test("a journal in memory answers what hubs ask as Postgres does", async () => {
  const memory = new MemoryJournal();
  memory.adopt(TENANT, journalId, events);
  await expectSame(memory, 0);
});

test("and so it does above the floor once what is below has been cut", async () => {
  const memory = new MemoryJournal();
  memory.adopt(TENANT, journalId, events);
  const floor = 12;
  memory.raiseFloor(TENANT, BigInt(floor));
  await database.sql("update journal_head set floor = $2 where tenant_id = $1", [TENANT, floor]);
  await database.sql("delete from event where tenant_id = $1 and revision < $2", [TENANT, floor]);
  await expectSame(memory, floor);
});

/** Comparable: bytes as hexadecimal text, maps as lists. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (value instanceof Map) return [...value].map(plain);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}
