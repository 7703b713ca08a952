import { create, type DescMethod, type Message } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ImportService } from "../../gen/leadline/v1/import_service_pb.ts";
import { OrderFilterSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  CreateOrderRequestSchema,
  GetOrderRequestSchema,
  ListOrdersRequestSchema,
  OrderService,
} from "../../gen/leadline/v1/order_service_pb.ts";
import {
  MigrateOrdersRequestSchema,
  StatusFlowService,
  UpdateCodeMappingsRequestSchema,
  UpdateStatusFlowRequestSchema,
} from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { compileOrderFilter } from "../../src/domain/filter.ts";
import type { Visibility } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import { Entitlements, type Watched, watchRefusal } from "../../src/service/entitlements.ts";
import { nothingAgreed, type TenantTerms } from "../../src/service/tenancy.ts";
import { callWith } from "./support.ts";

const { QUICK_DEPLOY, ASSISTED, ADAPTIVE } = Tier;
const sold = [QUICK_DEPLOY, ASSISTED, ADAPTIVE];

const terms = (tier: Tier, state: TenantState = TenantState.ACTIVE): TenantTerms => ({
  ...{ tenant: "acme", tier, state, agreed: nothingAgreed },
});
const of = (tier: Tier, state?: TenantState) => new Entitlements(() => terms(tier, state));
const call = callWith("acme");

function refusalOf(work: () => void): Refusal | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

/** The tiers in which the request passes. */
function passes(method: DescMethod, request: Message = create(method.input)): Tier[] {
  return sold.filter((tier) => refusalOf(() => of(tier).check(call.principal, method, request)) === undefined);
}

const order = OrderService.method;
const flow = StatusFlowService.method;

describe("what a call needs", () => {
  test.each<[string, DescMethod, Message | undefined, readonly Tier[]]>([
    ["GetOrder", order.getOrder, undefined, sold],
    [
      "GetOrder as of a revision",
      order.getOrder,
      create(GetOrderRequestSchema, { asOf: { case: "asOfRevision", value: 1n } }),
      [ASSISTED, ADAPTIVE],
    ],
    [
      "GetBooking as of a revision",
      BookingService.method.getBooking,
      create(BookingService.method.getBooking.input, { asOf: { case: "asOfRevision", value: 1n } }),
      [ASSISTED, ADAPTIVE],
    ],
    ["ListOrders", order.listOrders, undefined, sold],
    ["ListOrders by ids", order.listOrders, create(ListOrdersRequestSchema, { filter: { ids: ["a"] } }), sold],
    [
      "ListOrders by ids and status",
      order.listOrders,
      create(ListOrdersRequestSchema, { filter: { ids: ["a"], statuses: ["READY"] } }),
      [ASSISTED, ADAPTIVE],
    ],
    ["ListOrderEvents", order.listOrderEvents, undefined, sold],
    ["ReportStatus", order.reportStatus, undefined, sold],
    ["CreateStatusFlow", flow.createStatusFlow, undefined, [ASSISTED, ADAPTIVE]],
    ["PublishStatusFlow", flow.publishStatusFlow, undefined, [ASSISTED, ADAPTIVE]],
    ["ListStatusFlows", flow.listStatusFlows, undefined, sold],
    ["SimulateStatusFlow", flow.simulateStatusFlow, undefined, sold],
    [
      "MigrateOrders to a flow of its own",
      flow.migrateOrders,
      create(MigrateOrdersRequestSchema, { fromFlowId: "own" }),
      [ASSISTED, ADAPTIVE],
    ],
    [
      "MigrateOrders back to the standard flow",
      flow.migrateOrders,
      create(MigrateOrdersRequestSchema, { fromFlowId: "own", toFlowId: "standard" }),
      sold,
    ],
    ["CreateOrder", order.createOrder, undefined, sold],
    [
      "CreateOrder on the standard flow",
      order.createOrder,
      create(CreateOrderRequestSchema, { flowId: "standard" }),
      sold,
    ],
    [
      "CreateOrder on a flow of its own",
      order.createOrder,
      create(CreateOrderRequestSchema, { flowId: "own" }),
      [ASSISTED, ADAPTIVE],
    ],
    [
      "UpdateStatusFlow that makes the standard flow the default",
      flow.updateStatusFlow,
      create(UpdateStatusFlowRequestSchema, { flowId: "standard", makeDefault: true }),
      sold,
    ],
    ["UpdateStatusFlow", flow.updateStatusFlow, undefined, [ASSISTED, ADAPTIVE]],
    [
      "UpdateCodeMappings that sets one",
      flow.updateCodeMappings,
      create(UpdateCodeMappingsRequestSchema, { set: [{ code: "X1" }] }),
      [ASSISTED, ADAPTIVE],
    ],
    [
      "UpdateCodeMappings that removes one",
      flow.updateCodeMappings,
      create(UpdateCodeMappingsRequestSchema, { remove: [{ code: "X1" }] }),
      sold,
    ],
    ["ListInboundMessages", ImportService.method.listInboundMessages, undefined, [ADAPTIVE]],
    ["ReadChanges", ChangeService.method.readChanges, undefined, [ADAPTIVE]],
  ])("%s", (_name, method, request, expected) => {
    expect(passes(method, request)).toEqual(expected);
  });

  test("a refusal names the tier, what is missing, who has it and what would do without", () => {
    const refusal = refusalOf(() =>
      of(ASSISTED).check(
        call.principal,
        ChangeService.method.readChanges,
        create(ChangeService.method.readChanges.input),
      ),
    );
    expect(refusal).toMatchObject({
      reason: ErrorReason.TIER_EXCLUDES,
      metadata: { tier: "ASSISTED", feature: "change_feed", tiers: "ADAPTIVE" },
    });
    expect(refusal?.message).toBe(
      "ReadChanges is not included in Assisted, which lacks the change feed (ReadChanges): watch, and keep the position, or ask for Adaptive",
    );
  });

  test("a tier of a later release counts as the lowest", () => {
    const later = new Entitlements(() => terms(9 as Tier));
    expect(
      refusalOf(() => later.check(call.principal, flow.createStatusFlow, create(flow.createStatusFlow.input))),
    ).toMatchObject({
      metadata: { tier: "9", tiers: "ASSISTED,ADAPTIVE" },
    });
    expect(later.weightOf("acme")).toBe(1);
  });
});

describe("what a watch needs", () => {
  const watch = (
    filter: Parameters<typeof create<typeof OrderFilterSchema>>[1],
    mode: Watched["mode"] = "ALL",
    visibility: Visibility = { class: "staff" },
  ): Watched => ({
    ...{ kind: SubjectKind.ORDER, visibility, mode },
    filter: compileOrderFilter(create(OrderFilterSchema, filter)),
  });
  const maersk: Visibility = { class: "carrier", carrier: "MAEU" };
  test.each<[string, Watched, readonly Tier[]]>([
    ["by id", watch({ ids: ["a"] }), sold],
    ["of everything", watch({}), [ASSISTED, ADAPTIVE]],
    ["by id and status", watch({ ids: ["a"], statuses: ["READY"] }), [ASSISTED, ADAPTIVE]],
    ["by id in mode LATEST", watch({ ids: ["a"] }, "LATEST"), [ASSISTED, ADAPTIVE]],
    ["a carrier's of its bookings", { ...watch({}, "ALL", maersk), kind: SubjectKind.BOOKING }, sold],
    ["a link's", watch({}, "ALL", { class: "link", orderId: "a" }), sold],
  ])("%s", (_name, watched, expected) => {
    const included = sold.filter(
      (tier) => refusalOf(() => of(tier).checkWatch({ tenant: "acme", ...watched })) === undefined,
    );
    expect(included).toEqual(expected);
    expect(sold.filter((tier) => watchRefusal(terms(tier), watched) === undefined)).toEqual(expected);
    expect(watchRefusal(terms(ADAPTIVE, TenantState.CLOSED), watched)?.reason).toBe(ErrorReason.TENANT_CLOSED);
  });
});

describe("a tenant that is suspended", () => {
  const check = (method: DescMethod) =>
    refusalOf(() => of(ADAPTIVE, TenantState.SUSPENDED).check(call.principal, method, create(method.input)))?.reason;
  const services = [OrderService, BookingService, ImportService, StatusFlowService, ChangeService];

  test("reads and watches, and changes nothing", () => {
    const methods = services.flatMap((service) => service.methods);
    const open = methods.filter((method) => check(method) === undefined).map(({ name }) => name);
    const refused = methods.filter((method) => check(method) === ErrorReason.TENANT_SUSPENDED);
    expect(open.length + refused.length).toBe(methods.length);
    expect(open.length).toBeGreaterThan(15);
    expect(
      open.filter((name) => !/^(Get|BatchGet|List|Watch|Read|Validate|DryRun|Simulate|Export)/.test(name)),
    ).toEqual([]);
    expect(refused.filter(({ name }) => /^(Get|List|Watch)/.test(name))).toEqual([]);
  });

  test("revokes keys, and makes none", () => {
    expect(check(TenantService.method.revokeKey)).toBeUndefined();
    expect(check(TenantService.method.createKey)).toBe(ErrorReason.TENANT_SUSPENDED);
    expect(check(TenantService.method.createLink)).toBe(ErrorReason.TENANT_SUSPENDED);
  });
});

describe("what is asked where it is counted", () => {
  test("flows: none, five, any number", () => {
    const most = (tier: Tier) =>
      [1, 5, 6, 1_000].filter((n) => refusalOf(() => of(tier).mayHaveFlows(call, n)) === undefined);
    expect(sold.map(most)).toEqual([[], [1, 5], [1, 5, 6, 1_000]]);
    expect(refusalOf(() => of(ASSISTED).mayHaveFlows(call, 6))).toMatchObject({
      reason: ErrorReason.TIER_EXCLUDES,
      metadata: { tier: "ASSISTED", feature: "status_flows", allowed: "5", used: "5", tiers: "ADAPTIVE" },
    });
  });

  test("mappings, and such for one carrier", () => {
    const may = (perCarrier: boolean) =>
      sold.filter((tier) => refusalOf(() => of(tier).mayMap(call, perCarrier)) === undefined);
    expect([may(false), may(true)]).toEqual([[ASSISTED, ADAPTIVE], [ADAPTIVE]]);
  });

  test("raw messages, and weights", () => {
    expect(sold.map((tier) => of(tier).keepsInbound(call))).toEqual([false, false, true]);
    expect(sold.map((tier) => of(tier).weightOf("acme"))).toEqual([1, 2, 4]);
  });
});
