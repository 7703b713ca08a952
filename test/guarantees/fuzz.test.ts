import { create, type DescMethodUnary, type Message, toBinary, toJsonString } from "@bufbuild/protobuf";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BookingRequestSchema, ConfirmationSchema, LegStage } from "../../gen/leadline/v1/booking_pb.ts";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { ImportService } from "../../gen/leadline/v1/import_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { at, oceanConfirmation, oceanRequest } from "../interop/parts.ts";
import { startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { PATIENT } from "../support/patient.ts";
import { journalFaults } from "./journal.ts";
import { type Draw, HALF_CHARACTER, RandomRequests, randomFrom } from "./random-requests.ts";
import { unlikeHistory } from "./unlike-history.ts";

/*
 * Requests drawn from the contract, many at a time, over the HTTP door. Whatever is sent, it is answered or refused with a
 * reason; nothing is a fault of ours, and nothing is left half-written. The seed makes a run repeatable.
 */
const SEED = 20_260_301;
const CALLS = 2_500;
const AT_ONCE = 25;

const services = [OrderService, BookingService, ImportService, StatusFlowService, TenantService];
const methods = services.flatMap(({ methods: all }) =>
  all.filter((one): one is DescMethodUnary => one.methodKind === "unary"),
);
/** Without these there is nothing to call the others on. */
const makers = [OrderService.method.createOrder, BookingService.method.requestBooking];
/** They end a journey, so they are sent rarely. */
const enders = new Set(["CancelOrder", "CancelBooking", "RejectBooking", "DeclineBooking", "CompleteBooking"]);

let database: TestDatabase;
let app: TestApp;
let tenant: TestTenant;
const faults: string[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
  const log = pino({ level: "warn" }, { write: (line: string) => void faults.push(line) });
  app = await startTestApp({ database, env: PATIENT, parts: { log } });
  tenant = await app.makeTenant("fuzzed");
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

interface Answer {
  readonly what: string;
  readonly code: string;
  readonly text: string;
}

test("no request is answered with a fault, and whatever was taken can be folded from its history", async () => {
  const draw = randomFrom(SEED);
  const random = new RandomRequests(draw, models());
  const answers: Answer[] = [];
  while (answers.length < CALLS) {
    const calls = Array.from({ length: AT_ONCE }, () => draft(draw, random));
    answers.push(...(await Promise.all(calls.map(send))));
  }
  // Answers of batches tell the faults of their items.
  const unexpected = answers.filter(
    ({ code, text }) => ["internal", "unknown", "unavailable"].includes(code) || text.includes("INTERNAL"),
  );
  expect(unexpected).toEqual([]);
  expect(faults).toEqual([]);
  expect(await journalFaults(database)).toEqual([]);
  expect(await unlikeHistory(app.client(tenant.keys.owner))).toEqual([]);
  // Most of what can be asked was granted at some time; otherwise little would have been tried.
  const granted = new Set(answers.filter(({ code }) => code === "ok").map(({ what }) => what));
  expect(granted.size).toBeGreaterThan(methods.length / 2);
});

/** Goes on with what the requests before have left. */
test("a redaction of whatever was taken leaves a row that its rewritten history folds to", async () => {
  const owner = app.client(tenant.keys.owner);
  const redacted = new Set<string>();
  for (const partyName of ["AB", "text"]) {
    for (let pageToken = ""; ; ) {
      const page = await owner.orders.redactParty({ partyName, reason: "request 1", pageToken });
      for (const id of [...page.orderIds, ...page.bookingIds]) redacted.add(id);
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
  }
  expect(redacted.size).toBeGreaterThan(10);
  expect(await journalFaults(database)).toEqual([]);
  for (const { id } of (await owner.orders.listOrders({ pageSize: 40 })).orders) {
    await owner.orders.redactOrder({ orderId: id, reason: "request 2" });
  }
  expect(await journalFaults(database)).toEqual([]);
  expect(faults).toEqual([]);
});

/** Bookings of the three modes, and what confirms them. */
function models(): Message[] {
  const [pol, pod] = [{ unlocode: "CNSHA" }, { unlocode: "NLAMS" }];
  const places = [
    { type: "POL", place: pol },
    { type: "POD", place: pod },
  ];
  const cargo = { pieces: 8, grossWeightGrams: 640_000n };
  const means = { flight: "KL0896", flightDate: "2026-03-08" };
  const common = { carrier: "MAEU", places, cargo, expectedDeparture: at(7) };
  const leg = { sequence: 1, stage: LegStage.MAIN_CARRIAGE, from: pol, to: pod, departure: at(7), arrival: at(9) };
  return [
    create(BookingRequestSchema, oceanRequest()),
    create(BookingRequestSchema, { ...common, mode: TransportMode.AIR, means }),
    create(BookingRequestSchema, { ...common, mode: TransportMode.ROAD }),
    create(ConfirmationSchema, oceanConfirmation("MAEU1")),
    create(ConfirmationSchema, { bookingReference: "AIR1", cargo, legs: [{ ...leg, mode: TransportMode.AIR, means }] }),
    create(ConfirmationSchema, { bookingReference: "ROAD1", cargo, legs: [{ ...leg, mode: TransportMode.ROAD }] }),
  ];
}

interface Drafted {
  readonly method: DescMethodUnary;
  readonly key: string;
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer> | string;
}

function draft(draw: Draw, random: RandomRequests): Drafted {
  const isMaker = draw() < 0.1;
  let method = pick(draw, isMaker ? makers : methods);
  if (enders.has(method.name) && draw() < 0.8) method = BookingService.method.confirmBooking;
  const request = random.request(method, draw() < 0.5 ? 0 : 1);
  const { owner, operator, carrier } = tenant.keys;
  const key = method.parent === BookingService ? pick(draw, [owner, operator, carrier]) : owner;
  const json = draw() < 0.5 ? jsonOf(method, request) : undefined;
  if (json !== undefined) return { method, key, type: "application/json", body: json };
  return { method, key, type: "application/proto", body: bytesOf(method, request) };
}

async function send({ method, key, type, body }: Drafted): Promise<Answer> {
  const headers = { "content-type": type, authorization: `Bearer ${key}` };
  const url = `${app.httpUrl}/${method.parent.typeName}/${method.name}`;
  const response = await fetch(url, { method: "POST", headers, body });
  const text = await response.text();
  const code = response.ok ? "ok" : String(JSON.parse(text).code);
  return { what: method.name, code, text };
}

/** Undefined: it has a time that cannot be written in JSON. */
function jsonOf(method: DescMethodUnary, request: Message): string | undefined {
  try {
    return toJsonString(method.input, request).replaceAll(HALF_CHARACTER, "\\ud800");
  } catch {
    return undefined;
  }
}

/** Half a character becomes as many bytes that are no UTF-8. */
function bytesOf(method: DescMethodUnary, request: Message): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(toBinary(method.input, request)).toString("latin1");
  return Buffer.from(text.replaceAll("\xee\x80\x80", "\xff\xfe\xff"), "latin1");
}

function pick<T>(draw: Draw, of: readonly T[]): T {
  const one = of[Math.floor(draw() * of.length)];
  if (one === undefined) throw new Error("nothing to choose from");
  return one;
}
