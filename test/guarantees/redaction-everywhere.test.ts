import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import type { BookingRequestSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { ImportService, MessageFormat } from "../../gen/leadline/v1/import_service_pb.ts";
import type { RedactPartyResponse } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import type { LeadlineClient } from "../../src/client/node.ts";
import { callerKinds } from "../doors/callers.ts";
import { dryRequest } from "../fixtures/dcsa/booking-requests.ts";
import { at, oceanConfirmation, oceanLeg, oceanRequest } from "../interop/parts.ts";
import { CARRIERS, startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { useNats } from "../support/nats.ts";
import { journalFaults } from "./journal.ts";
import { Recording } from "./recording.ts";
import { whereKept } from "./where-kept.ts";

/*
 * Personal data in every field that may have it, and afterwards its bytes looked for in every column of every table, in every
 * read and in watches, of both instances, of staff and of the carrier.
 */

const NAME = "Zyxwvujane Quonset";
const feedback = (message: string) => [{ severity: "ERROR", code: "PROPERTY_VALUE_MUST_CHANGE", message }];

interface Pair {
  readonly database: TestDatabase;
  readonly apps: readonly [TestApp, TestApp];
  readonly tenant: TestTenant;
  watch(app: TestApp, party: "viewer" | "carrier", of: "orders" | "bookings", position?: string): Recording;
}

async function startPair(stack: AsyncDisposableStack): Promise<Pair> {
  const database = stack.use(await createTestDatabase());
  const nats = await useNats();
  stack.defer(() => nats.stop());
  const env = { LEADLINE_HEARTBEAT_MS: "1000" };
  const here = stack.use(await startTestApp({ database, natsUrl: nats.url, env }));
  const there = stack.use(await startTestApp({ database, natsUrl: nats.url, env }));
  const tenant = await here.makeTenant("acme");
  const kind = callerKinds.find(({ name }) => name === "grpc-js on the gRPC door");
  return {
    ...{ database, tenant, apps: [here, there] },
    watch({ grpcPort, httpPort }, party, of, position = "") {
      const caller = kind?.open({ grpcPort, httpPort, onClose: (close) => stack.defer(close) });
      if (caller === undefined) throw new Error("there is no such client");
      return stack.use(new Recording(caller, tenant.keys[party], { of, request: { position } }));
    },
  };
}

type Mark = (field: string) => string;

function requestWith(mark: Mark, which: string): MessageInitShape<typeof BookingRequestSchema> {
  const address = mark(`${which} place`);
  return {
    ...oceanRequest(),
    parties: [
      { role: "SHIPPER", name: "Bob Roe", contact: "bob" },
      {
        ...{ role: "CONSIGNEE", name: mark(`${which} name`), code: mark(`${which} code`), codeList: "GLEIF" },
        ...{ address: mark(`${which} address`), contact: mark(`${which} contact`) },
      },
    ],
    places: [
      { type: "POL", place: { unlocode: "CNSHA", address } },
      { type: "POD", place: { unlocode: "NLRTM", address } },
    ],
    remark: mark(`${which} remark`),
  };
}

/** An order and a booking with a mark in every field of theirs that may be personal; every change with a request id. */
async function live(here: TestApp, tenant: TestTenant, ids: { orderId: string; bookingId: string }, mark: Mark) {
  const { orders } = here.client(tenant.keys.operator);
  const { bookings } = here.client(tenant.keys.operator);
  const carrier = here.client(tenant.keys.carrier).bookings;
  const { orderId, bookingId } = ids;
  let n = 0;
  const again = () => {
    n += 1;
    return { requestId: `${bookingId} ${n}` };
  };
  const occurredAt = at(1);
  await orders.createOrder({
    ...{ ...again(), orderId, origin: { unlocode: "CNSHA", address: mark("origin") } },
    parties: [
      { role: "NOTIFY", name: "Bob Roe", contact: mark("another party's contact") },
      { role: "CONSIGNEE", name: mark("party name"), code: mark("party code"), address: mark("party address") },
    ],
  });
  const report = { classifier: Classifier.ACTUAL, occurredAt, source: CARRIERS.carrier, remark: mark("remark") };
  await orders.reportStatus({
    ...again(),
    orderId,
    report: { ...report, status: "PROCESSING", sourceId: `${orderId} a` },
  });
  await orders.holdOrder({ ...again(), orderId, reason: mark("hold") });
  await orders.retractReport({
    ...{ ...again(), orderId, source: CARRIERS.carrier, sourceId: `${orderId} a`, reason: mark("retraction") },
  });
  await orders.releaseOrder({ ...again(), orderId, remark: mark("release") });

  await bookings.requestBooking({
    ...again(),
    bookingId,
    orders: [{ orderId }],
    request: requestWith(mark, "request"),
  });
  const [feedbacks, reason] = [feedback(mark("feedback")), mark("reason of an update")];
  await carrier.requestUpdate({ ...again(), bookingId, feedbacks, reason });
  await bookings.updateBooking({ ...again(), bookingId, request: requestWith(mark, "update") });
  const from = { unlocode: "CNSHA", address: mark("leg") };
  const legs = [{ ...oceanLeg(6, 32), from }];
  const clause = mark("clause");
  const { cutOffs } = oceanConfirmation("MAEU1");
  const equipment = [{ isoEquipmentCode: "45G1", units: 1 }];
  const confirmation = { bookingReference: "MAEU1", equipment, legs, cutOffs: cutOffs ?? [], remark: clause };
  await carrier.confirmBooking({ ...again(), bookingId, confirmation });
  await bookings.amendBooking({ ...again(), bookingId, request: requestWith(mark, "amendment") });
  await carrier.declineAmendment({ ...again(), bookingId, reason: mark("no amendment") });
  await bookings.amendBooking({ ...again(), bookingId, request: requestWith(mark, "second amendment") });
  await carrier.reportSchedule({ ...again(), bookingId, legs: [{ ...oceanLeg(7, 33), from }] });
  const place = { unlocode: "CNSHA", address: mark("milestone place") };
  const milestone = {
    classifier: Classifier.ACTUAL,
    occurredAt,
    milestone: "GATE_IN",
    remark: mark("milestone"),
    place,
  };
  await carrier.reportMilestone({ ...again(), bookingId, report: { ...milestone, sourceId: `${bookingId} m` } });
  await carrier.retractMilestone({ ...again(), bookingId, sourceId: `${bookingId} m`, reason: mark("not so") });
  await bookings.requestCancellation({ ...again(), bookingId, bookingReference: "MAEU1", reason: mark("wish") });
  await carrier.declineCancellation({ ...again(), bookingId, reason: mark("no") });
  await orders.cancelOrder({ ...again(), orderId, reason: mark("cancel") });
}

const textOf = (value: unknown) =>
  JSON.stringify(value, (_key, v) => (typeof v === "bigint" ? String(v) : v)).toLowerCase();

/** Everything that is said of an order and a booking, by every way of reading, to staff and to the carrier. */
async function everythingSaid(app: TestApp, tenant: TestTenant, ids: { orderId: string; bookingId: string }) {
  const { orderId, bookingId } = ids;
  const viewer = app.client(tenant.keys.viewer);
  const said: unknown[] = [];
  const ofOrder = await viewer.orders.listOrderEvents({ orderId, pageSize: 1_000 });
  const ofBooking = await viewer.bookings.listBookingEvents({ bookingId, pageSize: 1_000 });
  said.push(ofOrder, ofBooking, await viewer.orders.listOrders({}), await viewer.bookings.listBookings({}));
  said.push(await viewer.orders.batchGetOrders({ orderIds: [orderId] }), await viewer.orders.getOrder({ orderId }));
  const then = (revision: bigint) => ({ case: "asOfRevision", value: revision }) as const;
  said.push(
    await Promise.all([
      ...ofOrder.events.map(({ revision }) => viewer.orders.getOrder({ orderId, asOf: then(revision) })),
      ...ofBooking.events.map(({ revision }) => viewer.bookings.getBooking({ bookingId, asOf: then(revision) })),
    ]),
  );
  const imports = viewer.service(ImportService);
  said.push(
    await imports.listWorkItems({}),
    await imports.listInboundMessages({}),
    await viewer.service(ChangeService).readChanges({}),
  );
  const carrier = app.client(tenant.keys.carrier).bookings;
  said.push(await carrier.getBooking({ bookingId }), await carrier.listBookings({}));
  said.push(await carrier.listBookingEvents({ bookingId, pageSize: 1_000 }));
  return textOf(said);
}

const lastOf = (events: readonly Event[]) => events.at(-1)?.position ?? "";

test("RedactOrder leaves nothing personal of the order, nor of the booking that carries it alone, anywhere", async () => {
  await using stack = new AsyncDisposableStack();
  const { database, tenant, apps, watch } = await startPair(stack);
  const [here, there] = apps;
  const marks: string[] = [];
  const mark: Mark = (field) => {
    const text = `zyxwvu${field.replaceAll(/\W/g, "")}`;
    if (!marks.includes(text)) marks.push(text);
    return text;
  };
  const ids = { orderId: "PO-1", bookingId: "BKG-1" };
  const operator = here.client(tenant.keys.operator);
  await operator.bookings.requestBooking({ bookingId: "FIRST", request: oceanRequest() });
  const early = apps.flatMap((app) => [
    watch(app, "viewer", "bookings"),
    watch(app, "carrier", "bookings"),
    watch(app, "viewer", "orders"),
  ]);
  await Promise.all(early.map((one) => one.started()));
  await live(here, tenant, ids, mark);
  // The message that made a booking, with a party of the order; another booking carries two orders.
  const item = JSON.stringify(
    dryRequest({ documentParties: { shipper: { partyName: mark("imported"), address: { street: mark("street") } } } }),
  );
  const imported = await operator.service(ImportService).importItems({
    ...{ carrier: CARRIERS.carrier, items: [item], format: MessageFormat.DCSA_BOOKING_2 },
  });
  const bookingId = imported.results[0]?.bookingIds[0] ?? "";
  await operator.orders.createOrder({ orderId: "PO-2" });
  await operator.bookings.attachOrders({ bookingId, orders: [{ orderId: "PO-1" }] });
  const shared = requestWith((field) => `shared ${field}`, "two");
  await operator.bookings.requestBooking({
    ...{ bookingId: "BKG-2", request: shared, orders: [{ orderId: "PO-1" }, { orderId: "PO-2" }] },
  });
  const kept = await whereKept(database, marks);
  expect(new Set(kept.map((line) => line.split(": ")[1]))).toEqual(new Set(marks)); // every mark was planted
  expect(new Set(kept.map((line) => line.split(": ")[0]))).toEqual(
    new Set(["event.payload", "inbound_message.item", "request.answer", "subject.details", "subject.summary"]),
  );

  const owner = there.client(tenant.keys.owner);
  const answer = await owner.orders.redactOrder({ orderId: "PO-1", reason: "request 7", requestId: "redact" });
  expect([answer.bookingIds.toSorted(), answer.bookingIdsKept]).toEqual([["BKG-1", bookingId].toSorted(), ["BKG-2"]]);
  expect(await owner.orders.redactOrder({ orderId: "PO-1", reason: "request 7", requestId: "redact" })).toEqual(answer);

  expect(await whereKept(database, marks)).toEqual([]);
  const other = await operator.bookings.getBooking({ bookingId: "BKG-2" });
  expect(other.details?.request?.parties[1]?.name).toBe("shared two name");
  const { events } = await operator.bookings.listBookingEvents({ bookingId: "BKG-1", pageSize: 1_000 });
  expect(events.at(-1)?.change).toMatchObject({
    case: "personalDataRedacted",
    value: {
      fields: expect.arrayContaining(["booking_requested.request.parties.name", "request.remark", "reason"]),
      ...{ events: events.length - 1, partial: false, reason: "request 7" },
    },
  });
  const ofCarrier = await here
    .client(tenant.keys.carrier)
    .bookings.listBookingEvents({ bookingId: "BKG-1", pageSize: 1_000 });
  expect(ofCarrier.events.at(-1)?.change).toMatchObject({ case: "personalDataRedacted", value: { reason: "" } });
  for (const app of apps) expect(await everythingSaid(app, tenant, ids)).not.toContain("zyxwvu");
  // Watches that were there have the redaction; those that go on from before it get no old byte of either instance.
  const isRedacted = (one: Event) => one.change.case === "personalDataRedacted" && one.subjectId !== bookingId;
  await Promise.all(
    early.map((one) =>
      one.until("the redaction", (messages) => messages.some(({ events: all }) => all.some(isRedacted))),
    ),
  );
  const start = await operator.bookings.listBookingEvents({ bookingId: "FIRST" });
  const carrierStart = await here.client(tenant.keys.carrier).bookings.listBookingEvents({ bookingId: "FIRST" });
  for (const app of apps) {
    for (const [party, of, from] of [
      ["viewer", "bookings", lastOf(start.events)],
      ["viewer", "orders", lastOf(start.events)],
      ["carrier", "bookings", lastOf(carrierStart.events)],
    ] as const) {
      const late = watch(app, party, of, from);
      await late.until("the redaction", (messages) => messages.some(({ events: all }) => all.some(isRedacted)));
      expect(textOf(late.messages)).not.toContain("zyxwvu");
    }
  }
  // What was answered under these request ids is answered again, without what was removed, and does nothing.
  const repeated = await operator.bookings.requestBooking({
    ...{
      requestId: "BKG-1 6",
      bookingId: "BKG-1",
      orders: [{ orderId: "PO-1" }],
      request: requestWith(mark, "request"),
    },
  });
  expect(repeated.booking?.version).toBe(2n); // requested, and its order attached
  expect(textOf(repeated)).not.toContain("zyxwvu");
  expect(await journalFaults(database)).toEqual([]);
});

/** All pages of RedactParty. */
async function redactParty({ orders }: LeadlineClient, partyName: string): Promise<RedactPartyResponse[]> {
  const pages: RedactPartyResponse[] = [];
  for (let pageToken = ""; ; ) {
    const page = await orders.redactParty({ partyName, reason: "request 9", pageToken });
    pages.push(page);
    pageToken = page.nextPageToken;
    if (pageToken === "") return pages;
  }
}

test("RedactParty leaves a name only where it says that it stays", async () => {
  await using stack = new AsyncDisposableStack();
  const { database, tenant, apps, watch } = await startPair(stack);
  const [here, there] = apps;
  const owner = here.client(tenant.keys.owner);
  const operator = here.client(tenant.keys.operator);
  await operator.bookings.requestBooking({ bookingId: "FIRST", request: oceanRequest() });
  const early = apps.map((app) => watch(app, "carrier", "bookings"));
  await Promise.all(early.map((one) => one.started()));
  const mark: Mark = (field) => (/(^| )name$/.test(field) ? NAME : `${field} of ${NAME}.`);
  const ids = { orderId: "PO-1", bookingId: "BKG-1" };
  await live(here, tenant, ids, mark);
  // Texts that name somebody else, longer ones, and none.
  const quiet = { orderId: "PO-2", bookingId: "BKG-2" };
  await live(here, tenant, quiet, (field) => `${field} of ${NAME}ville`.slice(0, 100));
  // What stays: identifiers and what is configured.
  const classifier = Classifier.ACTUAL;
  await operator.orders.createOrder({ orderId: "PO-3", references: [{ type: "PO", value: NAME }] });
  await operator.orders.reportStatus({
    ...{ orderId: "PO-3", requestId: "said" },
    report: { classifier, occurredAt: at(1), status: "READY", source: "x", sourceId: `by ${NAME}` },
  });
  const { key } = await owner.tenants.createKey({ name: `${NAME}'s tablet`, role: Role.VIEWER });
  const flows = owner.service(StatusFlowService);
  await flows.createStatusFlow({ flowId: "hers", name: `Flow of ${NAME}` });
  const items = [{ name: NAME }, { party: { name: `Mr ${NAME}` } }].map((one) => JSON.stringify(one));
  const unmapped = JSON.stringify({
    ...{ source_id: "c1", code_list: "CODE_LIST_X12_214", code: "QQ", remark: NAME },
    ...{ occurred_at: { instant: "2026-03-02T08:00:00Z" }, references: [{ type: "ORDER", value: "PO-3" }] },
  });
  await operator.service(ImportService).importItems({ carrier: CARRIERS.carrier, items: [...items, unmapped] });
  const before = new Set((await whereKept(database, [NAME])).map((line) => line.split(": ")[0]));
  for (const place of ["work_item.item", "inbound_message.item", "request.answer", "event.payload", "api_key.name"]) {
    expect(before).toContain(place);
  }

  await expect(owner.orders.redactParty({ partyName: NAME, reason: `${NAME} asked` })).rejects.toMatchObject({
    reason: "FIELD_INVALID",
    violations: [{ field: "reason" }],
  });
  const pages = await redactParty(there.client(tenant.keys.owner), NAME);
  expect(pages.flatMap(({ orderIds }) => orderIds)).toEqual(["PO-1"]);
  expect(pages.flatMap(({ bookingIds }) => bookingIds)).toEqual(["BKG-1"]);
  // PO-2 and BKG-2 have the letters in longer words only.
  expect(pages.flatMap((page) => page.orderIdsStillNaming).toSorted()).toEqual(["PO-2", "PO-3"]);
  expect(pages.flatMap((page) => page.bookingIdsStillNaming)).toEqual(["BKG-2"]);
  const still = pages.flatMap((page) => page.stillNaming);
  const madeKey = expect.stringMatching(/^audit\/\d+$/);
  expect(still).toEqual([
    `key/${key?.id}`,
    "status_flow/hers",
    ...still.filter((one) => one.startsWith("audit/")),
    "request_answer",
  ]);
  expect(still).toContainEqual(madeKey);

  const named = await database.sql<{ id: string }>(
    `select distinct subject_id as id from event where tenant_id = 'acme' and position(convert_to($1, 'UTF8') in payload) > 0
     union select id from subject where position(convert_to($1, 'UTF8') in summary || details) > 0 order by 1`,
    [NAME],
  );
  expect(named.map(({ id }) => id)).toEqual(["BKG-2", "PO-2", "PO-3"]);
  const places = new Set((await whereKept(database, [NAME])).map((line) => line.split(": ")[0]));
  expect([...places].sort()).toEqual([
    ...["api_key.name", "event.payload", "request.answer", "status_flow.name"],
    ...["subject.details", "subject.summary", "subject_reference.key"],
  ]);
  for (const app of apps) {
    const { orders, bookings } = app.client(tenant.keys.viewer);
    const of = [await orders.getOrder({ orderId: "PO-1" }), await bookings.getBooking({ bookingId: "BKG-1" })];
    expect(textOf([of, await orders.listOrderEvents({ orderId: "PO-1" })])).not.toContain("zyxwvu");
    // Nobody else lost anything.
    const { details } = await bookings.getBooking({ bookingId: "BKG-1" });
    expect(details?.request?.parties.map(({ name, contact }) => [name, contact])).toEqual([
      ["Bob Roe", "bob"],
      ["", ""],
    ]);
  }
  const { details } = await operator.orders.getOrder({ orderId: "PO-1" });
  expect(details?.parties.map(({ name, contact }) => [name, contact])).toEqual([
    ["Bob Roe", ""],
    ["", ""],
  ]);
  const { events } = await operator.bookings.listBookingEvents({ bookingId: "BKG-1", pageSize: 1_000 });
  expect(events.at(-1)?.change).toMatchObject({
    case: "personalDataRedacted",
    value: { partial: true, parties: [], partyRoles: ["CONSIGNEE"], reason: "request 9" },
  });
  // Rings were rewritten by what the event says, as the journal was.
  const start = await here.client(tenant.keys.carrier).bookings.listBookingEvents({ bookingId: "FIRST" });
  const isRedacted = (one: Event) => one.change.case === "personalDataRedacted";
  await Promise.all(
    early.map((one) =>
      one.until("the redaction", (messages) => messages.some(({ events: all }) => all.some(isRedacted))),
    ),
  );
  const told = await here
    .client(tenant.keys.carrier)
    .bookings.listBookingEvents({ bookingId: "BKG-1", pageSize: 1_000 });
  for (const app of apps) {
    const late = watch(app, "carrier", "bookings", lastOf(start.events));
    await late.until("the redaction", (messages) => messages.some(({ events: all }) => all.some(isRedacted)));
    const got = late.messages.flatMap(({ events: all }) => all).filter(({ subjectId }) => subjectId === "BKG-1");
    expect(got).toEqual(told.events);
  }
  // Again: nothing is left to do.
  const again = await redactParty(owner, NAME);
  expect(again.flatMap(({ orderIds, bookingIds }) => [...orderIds, ...bookingIds])).toEqual([]);
  expect(await journalFaults(database)).toEqual([]);
});
