import { randomBytes } from "node:crypto";
import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect } from "vitest";
import type { BookingRequestSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { AttachOrdersRequestSchema, RequestBookingRequestSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import {
  ImportItemsRequestSchema,
  type ImportOutcome,
  ImportOutcomeSchema,
  type ImportResult,
  type ImportService,
  ListInboundMessagesRequestSchema,
  type ListInboundMessagesResponse,
  ListWorkItemsRequestSchema,
  MessageFormat,
  RetryWorkItemsRequestSchema,
  type WorkItem,
} from "../../gen/leadline/v1/import_service_pb.ts";
import { CreateOrderRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import type { CodeMappingSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import {
  UpdateCodeMappingsRequestSchema,
  type UpdateCodeMappingsResponse,
} from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { standardOnly } from "../../src/domain/standard-flow.ts";
import { type BookingSubject, bookingRef, type OrderSubject, orderRef, SubjectKind } from "../../src/domain/subject.ts";
import { PostgresJournal } from "../../src/journal/postgres-journal.ts";
import { createAudit } from "../../src/service/audit.ts";
import { createBookingService } from "../../src/service/booking-service.ts";
import type { Call, Implementation } from "../../src/service/call.ts";
import { codeMappings } from "../../src/service/flows/mappings.ts";
import { createWorkList, type WorkListOptions } from "../../src/service/import/work-list.ts";
import { createImportService } from "../../src/service/import-service.ts";
import { createOrderService } from "../../src/service/order-service.ts";
import { openOrm } from "../../src/store/orm.ts";
import { PageTokens } from "../../src/wire/page-token.ts";
import { Positions } from "../../src/wire/position.ts";
import { decodeSubject } from "../../src/wire/subject-row.ts";
import { createTenant, createTestDatabase, type TestDatabase } from "../support/database.ts";
import { noRedactions } from "./support.ts";

type Json = Record<string, unknown>;
/** What a message is made from, but for the message itself. */
type Init<S extends DescMessage> = Exclude<MessageInitShape<S>, MessageShape<S>>;
type Mapping = Init<typeof CodeMappingSchema>;
type Implemented = Implementation<typeof ImportService>;

/** An ImportService with its journal and work list in a database of its own, and what tests ask of it. */
export interface World extends AsyncDisposable {
  readonly imports: Implemented;
  readonly codes: ReturnType<typeof codeMappings>;
  /** Whether raw inbound messages are kept; at first they are not. */
  readonly inbound: { kept: boolean };
  readonly database: TestDatabase;
  /** Faults that were answered with INTERNAL. */
  readonly faults: unknown[];
  /** Imports items as staff of the tenant, or as another caller. */
  import(items: readonly (Json | string)[], options?: ImportOptions): Promise<ImportResult[]>;
  /** Sets and removes own mappings of codes. */
  map(set: Mapping[], remove?: Mapping[]): Promise<UpdateCodeMappingsResponse>;
  messages(request?: Init<typeof ListInboundMessagesRequestSchema>): Promise<ListInboundMessagesResponse>;
  listWork(pageSize?: number, pageToken?: string): Promise<{ items: WorkItem[]; nextPageToken: string }>;
  retry(ids?: readonly string[]): Promise<ImportResult[]>;
  /** Requests a booking of PSEA from Hamburg to Santos, with orders in it. */
  book(bookingId: string, request?: Init<typeof BookingRequestSchema>, orderIds?: string[]): Promise<void>;
  order(orderId: string, init?: Init<typeof CreateOrderRequestSchema>): Promise<void>;
  booking(id: string): Promise<BookingSubject>;
  orderSubject(id: string): Promise<OrderSubject>;
  /** The revision of the tenant's journal. */
  revision(): Promise<bigint>;
}

export interface ImportOptions {
  readonly format?: MessageFormat;
  readonly carrier?: string;
  readonly call?: Call;
}

export const TENANT = "acme";

/** @param appUrl where it looks for its database; default: where it is */
export async function startWorld(workListOptions: WorkListOptions = {}, appUrl?: string): Promise<World> {
  const database = await createTestDatabase();
  await createTenant(database, TENANT);
  const url = appUrl ?? database.appUrl;
  const orm = await openOrm(url);
  const journal = new PostgresJournal({ connection: { url }, onCommit: () => undefined });
  const secret = randomBytes(32);
  const pageTokens = new PageTokens(secret);
  const faults: unknown[] = [];
  const inbound = { kept: false };
  const workList = createWorkList(orm, workListOptions);
  const onFault = (error: unknown) => faults.push(error);
  const keepsInbound = () => inbound.kept;
  const imports = createImportService({ orm, journal, workList, pageTokens, keepsInbound, onFault });
  const mayMap = () => undefined;
  const codes = codeMappings({ orm, audit: createAudit(orm, () => undefined), pageTokens, mayMap });
  const bookings = createBookingService({ journal, pageTokens, positions: new Positions(secret) });
  const orders = createOrderService({ journal, pageTokens, elsewhere: noRedactions });
  const staff = staffCall();
  const subject = async (ref: { kind: SubjectKind; id: string }) => {
    const row = await journal.subject(TENANT, ref);
    if (row === undefined) throw new Error(`there is no ${ref.id}`);
    return decodeSubject(row.kind, row, standardOnly);
  };
  return {
    imports,
    codes,
    inbound,
    database,
    faults,
    map: async (set, remove = []) =>
      whole(await codes.updateCodeMappings(create(UpdateCodeMappingsRequestSchema, { set, remove }), staff)),
    messages: async (request = {}) =>
      whole(await imports.listInboundMessages(create(ListInboundMessagesRequestSchema, request), staff)),
    async import(items, { format = MessageFormat.UNSPECIFIED, carrier = "PSEA", call = staff } = {}) {
      const texts = items.map((item) => (typeof item === "string" ? item : JSON.stringify(item)));
      const request = create(ImportItemsRequestSchema, { format, carrier, items: texts });
      return whole(await imports.importItems(request, call)).results;
    },
    listWork: async (pageSize = 0, pageToken = "") =>
      whole(await imports.listWorkItems(create(ListWorkItemsRequestSchema, { pageSize, pageToken }), staff)),
    retry: async (ids = []) =>
      whole(await imports.retryWorkItems(create(RetryWorkItemsRequestSchema, { ids: [...ids] }), staff)).results,
    async book(bookingId, request = {}, orderIds = []) {
      const asked = { mode: TransportMode.OCEAN, carrier: "PSEA", ...HAMBURG_TO_SANTOS, ...request };
      await bookings.requestBooking(create(RequestBookingRequestSchema, { bookingId, request: asked }), staff);
      if (orderIds.length === 0) return;
      const attached = orderIds.map((orderId) => ({ orderId }));
      await bookings.attachOrders(create(AttachOrdersRequestSchema, { bookingId, orders: attached }), staff);
    },
    async order(orderId, init = {}) {
      const route = { origin: { unlocode: "DEHAM" }, destination: { unlocode: "BRSSZ" } };
      await orders.createOrder(create(CreateOrderRequestSchema, { orderId, ...route, ...init }), staff);
    },
    async booking(id) {
      const found = await subject(bookingRef(id));
      if (found.kind !== SubjectKind.BOOKING) throw new Error(`${id} is no booking`);
      return found;
    },
    async orderSubject(id) {
      const found = await subject(orderRef(id));
      if (found.kind !== SubjectKind.ORDER) throw new Error(`${id} is no order`);
      return found;
    },
    revision: async () => (await journal.heads([TENANT])).get(TENANT)?.revision ?? 0n,
    async [Symbol.asyncDispose]() {
      await journal.close();
      await orm.close(true);
      await database[Symbol.asyncDispose]();
    },
  };
}

/** Gives each test of the file a world of its own, in which there is no fault at the end but those that the test took out. */
export function eachInAWorld(give: (world: World) => void): void {
  let world: World;
  beforeEach(async () => {
    world = await startWorld();
    give(world);
  });
  afterEach(async () => {
    expect(world.faults).toEqual([]);
    await world[Symbol.asyncDispose]();
  });
}

/** What became of items, in the contract's words. */
export function outcomes(results: readonly { readonly outcome: ImportOutcome }[]): (string | undefined)[] {
  return results.map(({ outcome }) => ImportOutcomeSchema.value[outcome]?.localName);
}

const HAMBURG_TO_SANTOS = {
  places: [
    { type: "POL", place: { unlocode: "DEHAM" } },
    { type: "POD", place: { unlocode: "BRSSZ" } },
  ],
  equipment: [{ isoEquipmentCode: "22G1", units: 3 }],
  expectedDeparture: { instant: { seconds: 1_772_409_600n }, zoneUnknown: true },
};

export function staffCall(): Call {
  return callAs(Role.OPERATOR, "");
}

export function carrierCall(carrier: string): Call {
  return callAs(Role.CARRIER, carrier);
}

function callAs(role: Role, carrier: string): Call {
  const principal = { kind: "key", id: "key_1", name: "test", tenant: TENANT, role, carrier, expiresAtMs: undefined };
  return {
    principal: { ...principal, kind: "key" },
    signal: new AbortController().signal,
    deadlineMs: undefined,
    callId: "call_test",
  };
}

/** The message of a reply that is not encoded yet. */
function whole<T extends { readonly $typeName: string }>(reply: T | { readonly bytes: Uint8Array }): T {
  if ("$typeName" in reply) return reply;
  throw new Error("the reply is encoded already");
}
