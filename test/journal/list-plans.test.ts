import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BookingFilterSchema, BookingState, SpaceVerdict } from "../../gen/leadline/v1/booking_pb.ts";
import {
  GetBookingRequestSchema,
  ListBookingEventsRequestSchema,
  ListBookingsRequestSchema,
} from "../../gen/leadline/v1/booking_service_pb.ts";
import { type OrderFilterSchema, Phase } from "../../gen/leadline/v1/order_pb.ts";
import {
  BatchGetOrdersRequestSchema,
  GetOrderRequestSchema,
  ListOrderEventsRequestSchema,
  ListOrdersRequestSchema,
  ListOrdersResponseSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { InProcessBus } from "../../src/bus/in-process.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import type { FlowQuery } from "../../src/journal/journal.ts";
import { bookingReads } from "../../src/service/booking-reads.ts";
import { type Call, EncodedReply } from "../../src/service/call.ts";
import { orderReads } from "../../src/service/order-reading.ts";
import { Hubs } from "../../src/watch/hubs.ts";
import type { WatchSpec } from "../../src/watch/spec.ts";
import { PageTokens } from "../../src/wire/page-token.ts";
import { Positions, staffPosition } from "../../src/wire/position.ts";
import { until } from "../bus/contract.ts";
import { createTenant, createTestDatabase, type TestDatabase } from "../support/database.ts";
import { specOf } from "../watch/instance.ts";
import { RecordingSink } from "../watch/recording-sink.ts";
import { HEAD, layRareAndCommon, ORDERS } from "./rare-and-common.ts";
import { type Conduct, NotingReader, PLAN_MODES, Planner } from "./sent-statements.ts";

/*
 * What the service sends for every list, as-of read and resume is caught on its way, and carried out by Postgres on a tenant
 * in which what is rare is old and what is common is everywhere: a plan that walks the table to fill a page is found by the
 * number of rows that it looked at.
 */

const PAGE = 50;
/** What a page may look at: the page's size and the number of groups decide, not the table's size. */
const MOST_ROWS = 2_000;

let database: TestDatabase;
let reader: NotingReader;
let planner: Planner;
let orders: ReturnType<typeof orderReads>;
let bookings: ReturnType<typeof bookingReads>;

const positions = new Positions(Buffer.alloc(32, 7));
const staff = callOf({ role: Role.OPERATOR, carrier: "" });
const rareCarrier = callOf({ role: Role.CARRIER, carrier: "RARE" });
const commonCarrier = callOf({ role: Role.CARRIER, carrier: "MAEU" });

function callOf(who: { role: Role; carrier: string }): Call {
  const principal: Principal = { kind: "key", id: "key_1", name: "one", tenant: "a", expiresAtMs: undefined, ...who };
  return { principal, signal: new AbortController().signal, deadlineMs: undefined, callId: "1" };
}

beforeAll(async () => {
  database = await createTestDatabase();
  for (const table of ["event", "subject", "subject_reference"]) {
    await database.sql(`alter table ${table} set (autovacuum_enabled = off)`); // statistics come when the test says so
  }
  for (const tenant of ["a", "b"]) {
    await createTenant(database, tenant);
    await layRareAndCommon(database, tenant);
  }
  reader = new NotingReader(database);
  planner = await Planner.connect(database, "a");
  const pageTokens = new PageTokens(new Uint8Array(32).fill(7));
  orders = orderReads(reader, pageTokens);
  bookings = bookingReads({ journal: reader, pageTokens, positions });
});

afterAll(async () => {
  await planner?.close();
  await reader?.close();
  await database?.[Symbol.asyncDispose]();
});

type OrderFilterInit = MessageInitShape<typeof OrderFilterSchema>;
type BookingFilterInit = MessageInitShape<typeof BookingFilterSchema>;
const noPage = { pageSize: PAGE };
const listOrders = (filter: OrderFilterInit, pageToken = "") =>
  orders.listOrders(create(ListOrdersRequestSchema, { ...noPage, filter, pageToken }), staff);
const listBookings = (filter: BookingFilterInit, call = staff) =>
  bookings.listBookings(create(ListBookingsRequestSchema, { ...noPage, filter }), call);

/** What is asked, and by which indexes it is answered. */
type Case = readonly [name: string, ask: () => Promise<unknown>, indexes: readonly string[]];

const manyIds = (prefix: string) => Array.from({ length: 300 }, (_, i) => `${prefix}-${i + 1}`);
const acme = { type: "CUS", value: "acme" };
const byKey = ["subject_pkey", "subject_reference_pkey"];
const early = { case: "asOfRevision", value: 9n } as const;
const longAgo = { case: "asOfTime", value: timestampFromDate(new Date("2020-01-01")) } as const;

const lists: readonly Case[] = [
  ["orders", () => listOrders({}), ["subject_by_creation"]],
  ["orders, the second page", async () => listOrders({}, await secondPage({})), ["subject_by_creation"]],
  ["orders by id, those that are old", () => listOrders({ ids: manyIds("ord") }), ["subject_pkey"]],
  ["orders by reference", () => listOrders({ references: [{ type: "PO", value: "77" }] }), byKey],
  ["orders by booking", () => listOrders({ bookingIds: ["bkg-7", "bkg-8"] }), byKey],
  ["orders by references that all have", () => listOrders({ references: [acme, { type: "PO", value: "9" }] }), byKey],
  ["orders by a common carrier", () => listOrders({ carriers: ["MAEU"] }), byKey],
  ["orders by a rare carrier", () => listOrders({ carriers: ["RARE"] }), byKey],
  ["orders by a common phase", () => listOrders({ phases: [Phase.DELIVERED] }), ["subject_by_stage"]],
  ["orders by a phase of old ones", () => listOrders({ phases: [Phase.CANCELLED] }), ["subject_by_stage"]],
  ["orders by phases", () => listOrders({ phases: [Phase.CANCELLED, Phase.DELIVERED] }), ["subject_by_stage"]],
  ["orders by a phase that none is in", () => listOrders({ phases: [Phase.READY] }), ["subject_by_stage"]],
  ["orders by a status of old ones", () => listOrders({ statuses: ["CANCELLED"] }), ["subject_by_stage"]],
  ["orders by statuses", () => listOrders({ statuses: ["DELIVERED", "BOOKED"] }), ["subject_by_stage"]],
  [
    "orders by phase, the second page",
    async () => listOrders({ phases: [Phase.IN_TRANSIT] }, await secondPage({ phases: [Phase.IN_TRANSIT] })),
    ["subject_by_stage"],
  ],
  [
    "orders by a common carrier and a phase of old ones",
    () => listOrders({ carriers: ["MAEU"], phases: [Phase.CANCELLED] }),
    ["subject_by_stage", "subject_reference_pkey"],
  ],
  [
    "orders by a rare carrier and a phase that none of its orders is in",
    () => listOrders({ carriers: ["RARE"], phases: [Phase.DELIVERED] }),
    byKey,
  ],
  [
    "a batch of orders",
    () => orders.batchGetOrders(create(BatchGetOrdersRequestSchema, { orderIds: manyIds("ord") }), staff),
    ["subject_pkey"],
  ],
  ["bookings", () => listBookings({}), ["subject_by_creation"]],
  ["bookings by id, those that are old", () => listBookings({ ids: manyIds("bkg") }), ["subject_pkey"]],
  ["bookings by reference", () => listBookings({ references: [{ type: "PO", value: "16077" }] }), byKey],
  ["bookings by a reference that all have", () => listBookings({ references: [acme] }), byKey],
  ["bookings by order", () => listBookings({ orderIds: ["ord-7"] }), byKey],
  ["bookings by a rare carrier", () => listBookings({ carriers: ["RARE"] }), ["subject_by_carrier"]],
  ["bookings by carriers", () => listBookings({ carriers: ["MAEU", "HLCU"] }), ["subject_by_carrier"]],
  ["bookings by a state of old ones", () => listBookings({ states: [BookingState.RECEIVED] }), ["subject_by_stage"]],
  [
    "bookings by states",
    () => listBookings({ states: [BookingState.COMPLETED, BookingState.RECEIVED] }),
    ["subject_by_stage"],
  ],
  ["bookings by verdict", () => listBookings({ spaces: [SpaceVerdict.REQUESTED] }), ["subject_by_stage"]],
  [
    "bookings by verdict, state and carrier",
    () => listBookings({ spaces: [SpaceVerdict.FULL], states: [BookingState.COMPLETED], carriers: ["MAEU"] }),
    ["subject_by_carrier"],
  ],
  ["a rare carrier's own bookings", () => listBookings({}, rareCarrier), ["subject_by_carrier"]],
  [
    "a common carrier's own bookings in a state of old ones",
    () => listBookings({ states: [BookingState.RECEIVED] }, commonCarrier),
    ["subject_by_carrier"],
  ],
];

/** A third of the orders go through "mine"; in its first version only old ones are, few of them open. */
const inFlow = (flow: FlowQuery, ids?: readonly string[]) =>
  reader.rows({ tenant: "a", kind: SubjectKind.ORDER, flow, ids, limit: PAGE });
const counted = (flow: FlowQuery) => reader.count({ tenant: "a", kind: SubjectKind.ORDER, flow });
const flows: readonly Case[] = [
  ["orders of a flow", () => inFlow({ id: "mine", open: false }), ["subject_by_flow"]],
  ["open orders of a flow", () => inFlow({ id: "mine", open: true }), ["subject_open_by_flow"]],
  ["old orders of an old version", () => inFlow({ id: "mine", version: 1, open: false }), ["subject_by_flow"]],
  ["open ones of an old version", () => inFlow({ id: "mine", version: 1, open: true }), ["subject_open_by_flow"]],
  ["open ones of other versions", () => inFlow({ id: "mine", notVersion: 2, open: true }), ["subject_open_by_flow"]],
  ["orders of a flow that has none", () => inFlow({ id: "other", open: true }), ["subject_open_by_flow"]],
  ["some orders of a flow", () => inFlow({ id: "mine", open: true }, manyIds("ord")), ["subject_pkey"]],
  ["orders of the standard flow", () => inFlow({ id: "", open: false }), ["subject_by_creation"]],
  ["open orders of the standard flow", () => inFlow({ id: "", open: true }), ["subject_by_stage"]],
  [
    "how many open ones are in an old version",
    () => counted({ id: "mine", version: 1, open: true }),
    ["subject_open_by_flow"],
  ],
];

test("orders are found and counted by flow, version and whether they are open", async () => {
  const found = async (flow: FlowQuery) => (await inFlow(flow)).map((row) => row.id);
  expect(await found({ id: "mine", version: 1, open: true })).toEqual(["ord-60", "ord-30"]);
  expect(await found({ id: "mine", notVersion: 2, open: true })).toEqual(["ord-60", "ord-30"]);
  expect((await found({ id: "mine", open: true })).slice(0, 2)).toEqual(["ord-15990", "ord-15960"]);
  expect((await found({ id: "mine", open: false })).slice(0, 2)).toEqual(["ord-15999", "ord-15996"]);
  expect((await found({ id: "", open: true })).slice(0, 2)).toEqual(["ord-16000", "ord-15980"]);
  expect((await found({ id: "", open: false })).slice(0, 2)).toEqual(["ord-16000", "ord-15998"]);
  expect((await inFlow({ id: "mine", open: true }, ["ord-30", "ord-31", "ord-33"])).map((row) => row.id)).toEqual([
    "ord-30",
  ]);
  expect(await counted({ id: "mine", version: 1, open: true })).toBe(2n);
  expect(await counted({ id: "mine", version: 1, open: false })).toBe(20n);
  expect(await counted({ id: "mine", notVersion: 1, open: false })).toBe(5_313n);
  expect(await counted({ id: "", open: true })).toBe(1_065n);
});

const orderAsOf = (asOf: typeof early | typeof longAgo) =>
  orders.getOrder(create(GetOrderRequestSchema, { orderId: "ord-7", asOf }), staff);
const bookingAsOf = (asOf: typeof early | typeof longAgo) =>
  bookings.getBooking(create(GetBookingRequestSchema, { bookingId: "bkg-7", asOf }), staff);

/** What a single subject's history is read for: its row, and its events. */
const ofOne = ["event_by_subject", "subject_pkey"];
const histories: readonly Case[] = [
  [
    "an order's events",
    () => orders.listOrderEvents(create(ListOrderEventsRequestSchema, { orderId: "ord-7" }), staff),
    ofOne,
  ],
  [
    "a booking's events",
    () => bookings.listBookingEvents(create(ListBookingEventsRequestSchema, { bookingId: "bkg-7" }), staff),
    ofOne,
  ],
  ["an order as of a time", () => notThereYet(orderAsOf(longAgo)), ofOne],
  ["a booking as of a time", () => notThereYet(bookingAsOf(longAgo)), ofOne],
  ["an order as of a revision", () => notThereYet(orderAsOf(early)), ofOne],
  ["a booking as of a revision", () => notThereYet(bookingAsOf(early)), ofOne],
];

const positionAt = (revision: bigint) => staffPosition({ revision, eventId: String(revision).padStart(13, "0") });
const resumed = { from: "position", position: positionAt(HEAD - 500n) } as const;
const carrier = { class: "carrier", carrier: "RARE" } as const;
const resumedAsCarrier = {
  from: "position",
  position: positions.encode("a", { revision: HEAD - 500n, eventId: String(HEAD - 500n).padStart(13, "0") }, carrier),
} as const;
const { BOOKING } = SubjectKind;

const watches: readonly Case[] = [
  ["a resume", () => watch({ kind: BOOKING, start: resumed }), ["event_pkey", "journal_head_pkey"]],
  [
    "a carrier's resume",
    () => watch({ kind: BOOKING, start: resumedAsCarrier, visibility: carrier }),
    ["event_pkey", "journal_head_pkey"],
  ],
  [
    "a resume for the latest states",
    () => watch({ kind: BOOKING, start: resumed, mode: "LATEST" }),
    ["event_pkey", "journal_head_pkey", "subject_pkey"],
  ],
  // After the last page the pinned head is looked for once more.
  [
    "a snapshot",
    () => watch({ start: { from: "snapshot" } }),
    ["event_pkey", "journal_head_pkey", "subject_by_creation"],
  ],
  [
    "a rare carrier's snapshot",
    () => watch({ kind: BOOKING, start: { from: "snapshot" }, visibility: carrier }),
    ["event_pkey", "journal_head_pkey", "subject_by_carrier"],
  ],
];

/** Opens a watch and waits until it stands where the journal's head does. */
async function watch(spec: Partial<WatchSpec>): Promise<void> {
  const options = { snapshotRows: PAGE, pageEvents: PAGE, ringEvents: 1 };
  const log = pino({ level: "silent" });
  const hubs = new Hubs({ reader, bus: new InProcessBus(), positions, log, options });
  const sink = new RecordingSink(spec.kind ? { kind: spec.kind } : {});
  const whole = specOf({ tenant: "a", ...spec });
  const watching = hubs.open(whole, sink);
  try {
    await until(() => hubs.stats().live === 1 || sink.outcome !== undefined);
    expect(sink.outcome).toBeUndefined();
  } finally {
    watching.cancel();
    hubs.close();
  }
}

async function secondPage(filter: OrderFilterInit): Promise<string> {
  const reply = await listOrders(filter);
  reader.taken();
  if (!(reply instanceof EncodedReply)) throw new Error("a list that is not laid together from stored rows");
  const { nextPageToken } = fromBinary(ListOrdersResponseSchema, reply.bytes);
  expect(nextPageToken).not.toBe("");
  return nextPageToken;
}

async function notThereYet(read: Promise<unknown>): Promise<void> {
  await expect(read).rejects.toThrow(/no (order|booking)|does not exist|unknown/i);
}

/** What is sent for a question, carried out with each kind of plan; of a statement that is sent again, the first. */
async function conductsOf(ask: () => Promise<unknown>): Promise<Conduct[]> {
  reader.taken();
  await ask();
  const sent = new Map(
    reader
      .taken()
      .toReversed()
      .map((statement) => [statement.text, statement]),
  );
  expect(sent.size).toBeGreaterThan(0);
  const conducts: Conduct[] = [];
  for (const mode of PLAN_MODES) {
    for (const statement of sent.values()) conducts.push(await planner.conduct(statement, mode));
  }
  return conducts;
}

/** All choices of some of these. */
function subsets<T>(all: readonly T[]): T[][] {
  return Array.from({ length: 2 ** all.length }, (_, chosen) => all.filter((_one, i) => (chosen >> i) % 2 === 1));
}

const orderFilters: readonly OrderFilterInit[] = [
  { ids: manyIds("ord") },
  { references: [{ type: "PO", value: "7" }] },
  { statuses: ["CANCELLED"] },
  { phases: [Phase.CANCELLED] },
  { carriers: ["RARE"] },
  { bookingIds: ["bkg-7"] },
];
const bookingFilters: readonly BookingFilterInit[] = [
  { ids: manyIds("bkg") },
  { references: [{ type: "PO", value: String(ORDERS + 7) }] },
  { states: [BookingState.RECEIVED] },
  { spaces: [SpaceVerdict.REQUESTED] },
  { carriers: ["RARE"] },
  { orderIds: ["ord-7"] },
];
const combinations = [
  ...subsets(orderFilters).map((set) => ["orders", set, () => listOrders(Object.assign({}, ...set))] as const),
  ...subsets(bookingFilters).map((set) => ["bookings", set, () => listBookings(Object.assign({}, ...set))] as const),
];

for (const statistics of ["without statistics", "with fresh statistics"]) {
  describe(statistics, () => {
    beforeAll(async () => {
      if (statistics === "with fresh statistics") await database.sql("analyze event, subject, subject_reference");
    });

    test.for([...lists, ...flows, ...histories, ...watches])(
      "%s: by index, and no more than it needs",
      async ([, ask, indexes]) => {
        const conducts = await conductsOf(ask);
        expect([...new Set(conducts.flatMap((conduct) => conduct.indexes))].sort()).toEqual(indexes);
        for (const conduct of conducts) expectSmall(conduct);
      },
    );

    test("every combination of filters", async () => {
      for (const [of, set, ask] of combinations) {
        const what = `${of} by ${set.flatMap((one) => Object.keys(one)).join(", ")}`;
        for (const conduct of await conductsOf(ask)) expectSmall(conduct, what);
      }
    });
  });
}

function expectSmall(conduct: Conduct, what = ""): void {
  expect({ what, ...conduct, scanned: conduct.scanned.join() }).toMatchObject({ scanned: "" });
  expect(Math.max(conduct.rows, conduct.sorted), `${what} ${JSON.stringify(conduct)}`).toBeLessThanOrEqual(MOST_ROWS);
}
