import { create, type DescMethod, fromBinary, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import { ImportItemsRequestSchema, ImportService, MessageFormat } from "../../gen/leadline/v1/import_service_pb.ts";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { ImportStatusFlowRequestSchema, StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import { dryRequest } from "../fixtures/dcsa/booking-requests.ts";
import {
  equipmentEvent22,
  equipmentEvent30,
  retraction30,
  shipmentEvent22,
  transportEvent22,
  transportEvent30,
} from "../fixtures/dcsa/events.ts";
import { everyRequest } from "../interop/every-request.ts";
import type { Party } from "../interop/rows.ts";
import { Answered, credentials } from "../interop/world.ts";
import { SERVICE_OWNER, type TestApp, type TestTenant } from "../support/app.ts";
import type { Draw } from "./random-requests.ts";

/*
 * What the fuzz mutates: good messages of every method, of whom it is taken, and the documents that importers read within a
 * call that is whole.
 */

/** All that the doors serve; `mutated.test.ts` compares it with what they tell of themselves. */
export const fuzzed = [
  ...[OrderService, BookingService, ImportService, StatusFlowService, ChangeService, TenantService],
  ...[Health, ServerReflection, ServerReflectionAlpha],
];

/** A good message, and who may send it. */
export interface Model {
  readonly message: Message;
  readonly bearer: string;
}

const OTHER = "fuzz-other";

/** Good messages of every method: what everyone asks in the course of all calls, watches, and empty ones. */
export async function modelsOf(app: TestApp, tenant: TestTenant): Promise<Map<DescMethod, Model[]>> {
  const found = new Map<DescMethod, Model[]>();
  const add = (method: DescMethod, init: MessageInitShape<DescMethod["input"]>, bearer: string) =>
    found.set(method, [...(found.get(method) ?? []), { message: create(method.input, init), bearer }]);
  const bearerOf = credentials(tenant, "PO-1");
  const answers = new Answered();
  const call = async (method: DescMethod, message: Message, bearer: string) => {
    const response = await fetch(`${app.httpUrl}/${method.parent.typeName}/${method.name}`, {
      method: "POST",
      headers: { "content-type": "application/proto", authorization: `Bearer ${bearer}` },
      body: toBinary(method.input, message),
    });
    if (!response.ok) throw new Error(`${method.name} was refused: ${await response.text()}`);
    return fromBinary(method.output, new Uint8Array(await response.arrayBuffer()));
  };
  for (const row of everyRequest("fuzzed-rows")) {
    const bearer = await bearerOf(row.as);
    const request = create(row.method.input, row.request(answers));
    answers.set(row.method, await call(row.method, request, bearer));
    add(row.method, request, bearer);
  }
  const position = answers.of(ChangeService.method.readChanges).position;
  for (const [method, init, party] of further(position)) add(method, init, await bearerOf(party));
  const other = { tenantId: OTHER, name: OTHER, tier: Tier.ASSISTED };
  await call(TenantService.method.createTenant, create(TenantService.method.createTenant.input, other), SERVICE_OWNER);
  for (const { methods } of fuzzed) for (const method of methods) add(method, {}, tenant.keys.owner);
  return found;
}

type Further = readonly [DescMethod, MessageInitShape<DescMethod["input"]>, Party];

/** What no row asks: watches, a tenant that stays open, and what the doors serve beside our own. */
function further(position: string): Further[] {
  const { watchOrders } = OrderService.method;
  const { watchBookings } = BookingService.method;
  const { watchAudit, suspendTenant, resumeTenant, setTier } = TenantService.method;
  const { serverReflectionInfo } = ServerReflection.method;
  const reflected = (["fileContainingSymbol", "fileByFilename", "allExtensionNumbersOfType"] as const).map((asked) => ({
    messageRequest: { case: asked, value: "leadline.v1.OrderService" },
  }));
  return [
    [watchOrders, { includeSnapshot: true, filter: { phases: [Phase.IN_TRANSIT], ids: ["PO-1", "PO-2"] } }, "viewer"],
    [watchOrders, { position, filter: { references: [{ type: "PO", value: "4711" }] } }, "owner"],
    [watchOrders, { position, mode: WatchMode.LATEST }, "operator"],
    [watchOrders, { includeSnapshot: true }, "link"],
    [watchBookings, { includeSnapshot: true, filter: { orderIds: ["PO-1"] } }, "owner"],
    [watchBookings, { position, mode: WatchMode.LATEST }, "viewer"],
    [watchBookings, { includeSnapshot: true }, "carrier"],
    [watchAudit, {}, "owner"],
    [watchAudit, { position }, "owner"],
    [suspendTenant, { tenantId: OTHER, reason: "unpaid" }, "service owner"],
    [resumeTenant, { tenantId: OTHER }, "service owner"],
    [setTier, { tenantId: OTHER, tier: Tier.ADAPTIVE, settings: { callsPerSecond: 7 } }, "service owner"],
    [Health.method.check, { service: OrderService.typeName }, "viewer"],
    [Health.method.watch, { service: OrderService.typeName }, "viewer"],
    ...[serverReflectionInfo, ServerReflectionAlpha.method.serverReflectionInfo].flatMap((method) =>
      reflected.map((init): Further => [method, { host: "leadline", ...init }, "viewer"]),
    ),
  ];
}

/** A document that an importer reads, and the call that brings it. */
export interface Document {
  readonly method: DescMethod;
  readonly text: string;
  /** @param bytes the document, or what became of it */
  call(bytes: Buffer, draw: Draw): Message;
}

/** What carriers and gateways send, one of every kind and code list that is imported, by kind. */
export const imported = {
  DCSA_BOOKING_2: [dryRequest()],
  DCSA_TNT_2: [equipmentEvent22(), transportEvent22(), shipmentEvent22()],
  DCSA_TNT_3: [equipmentEvent30(), transportEvent30(), retraction30()],
  CODED_EVENT: (
    [
      ["IATA_FSU", "DEP", "AWB"],
      ["X12_214", "AF", "ORDER"],
      ["X12_315", "AE", "BKG"],
      ["IFTSTA", "24", "TRD"],
      ["DCSA_TRANSPORT", "DEPA", "BKG"],
      ["DCSA_EQUIPMENT", "LOAD", "BKG"],
      ["DCSA_SHIPMENT", "BKG:CONF", "BKG"],
      ["DCSA_IOT", "DRO", "BKG"],
      ["DCSA_REEFER", "ADJU", "BKG"],
    ] as const
  ).map(([list, code, type], i) => ({
    sourceId: `coded-${i}`,
    codeList: `CODE_LIST_${list}`,
    code,
    occurredAt: { instant: "2026-03-02T10:00:00Z", utcOffsetMinutes: 60 },
    sourceUpdatedAt: "2026-03-02T10:05:00Z",
    references: [{ type, value: type === "ORDER" ? "PO-1" : type === "AWB" ? "020-12345675" : "MAEU1" }],
    unitIds: ["CSQU3054383"],
    place: { unlocode: "DEHAM" },
    pieces: 2,
    totalPieces: 5,
  })),
} as const satisfies Partial<Record<keyof typeof MessageFormat, readonly object[]>>;

/** Every document of every importer. @param yaml flows as people write them */
export function documentsOf(yaml: readonly string[]): Document[] {
  const items = Object.entries(imported).flatMap(([kind, messages]) =>
    messages.map((message): Document => ({ ...anImport(kind), text: JSON.stringify(message) })),
  );
  const flows = yaml.map(
    (text): Document => ({
      method: StatusFlowService.method.importStatusFlow,
      text,
      call: (bytes) => create(ImportStatusFlowRequestSchema, { yaml: bytes.toString("utf8") }),
    }),
  );
  return [...items, ...flows];
}

/** Mostly as the format that it is. */
function anImport(kind: string): Omit<Document, "text"> {
  const formats = Object.values(MessageFormat).filter((value) => typeof value === "number");
  const right = MessageFormat[kind as keyof typeof MessageFormat];
  return {
    method: ImportService.method.importItems,
    call(bytes, draw) {
      const format = draw() < 0.7 ? right : (formats[Math.floor(draw() * formats.length)] ?? right);
      return create(ImportItemsRequestSchema, { format, carrier: "MAEU", items: [bytes.toString("utf8")] });
    },
  };
}
