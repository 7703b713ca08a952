import { readdirSync } from "node:fs";
import { create, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  BookingService,
  GetBookingRequestSchema,
  ListBookingsRequestSchema,
  ReportMilestoneRequestSchema,
  RetractMilestoneRequestSchema,
  WatchBookingsRequestSchema,
} from "../../gen/leadline/v1/booking_service_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import {
  CreateKeyRequestSchema,
  GetTenantRequestSchema,
  ListKeysRequestSchema,
  RevokeKeyRequestSchema,
  TenantService,
} from "../../gen/leadline/v1/tenant_service_pb.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { authorise, permissionsMarkdown } from "../../src/service/permissions.ts";

function key(role: Role, carrier = ""): Principal {
  return { kind: "key", id: "key_1", name: "test", tenant: "t", role, carrier, expiresAtMs: undefined };
}

/** The columns of `expected`, in its order. */
const callers: readonly Principal[] = [
  key(Role.OWNER),
  key(Role.OPERATOR),
  key(Role.CARRIER, "HLCU"),
  key(Role.VIEWER),
  { kind: "link", id: "lnk_1", tenant: "t", orderId: "o", expiresAtMs: 0 },
  { kind: "service-owner", id: "service-owner" },
];

/**
 * Written from the contracts' comments and the roles of the design, not from the code: owner, operator, carrier, viewer,
 * link, service owner; `x` may call.
 */
const expected = `
  OrderService CreateOrder               x x . . . .
  OrderService GetOrder                  x x . x x .
  OrderService BatchGetOrders            x x . x . .
  OrderService ListOrders                x x . x . .
  OrderService ReportStatus              x x . . . .
  OrderService BatchReportStatus         x x . . . .
  OrderService RetractReport             x x . . . .
  OrderService HoldOrder                 x x . . . .
  OrderService ReleaseOrder              x x . . . .
  OrderService CancelOrder               x x . . . .
  OrderService ListOrderEvents           x x . x x .
  OrderService WatchOrders               x x . x x .
  OrderService RedactOrder               x . . . . .
  OrderService RedactParty               x . . . . .
  BookingService RequestBooking          x x . . . .
  BookingService GetBooking              x x x x . .
  BookingService ListBookings            x x x x . .
  BookingService UpdateBooking           x x . . . .
  BookingService CancelBooking           x x . . . .
  BookingService AmendBooking            x x . . . .
  BookingService CancelAmendment         x x . . . .
  BookingService RequestCancellation     x x . . . .
  BookingService RequestUpdate           x x x . . .
  BookingService RejectBooking           x x x . . .
  BookingService ConfirmBooking          x x x . . .
  BookingService RequestAmendment        x x x . . .
  BookingService ConfirmAmendment        x x x . . .
  BookingService DeclineAmendment        x x x . . .
  BookingService DeclineBooking          x x x . . .
  BookingService CompleteBooking         x x x . . .
  BookingService ConfirmCancellation     x x x . . .
  BookingService DeclineCancellation     x x x . . .
  BookingService WaitlistBooking         x x x . . .
  BookingService ReportSchedule          x x x . . .
  BookingService AttachOrders            x x . . . .
  BookingService DetachOrders            x x . . . .
  BookingService AddUnits                x x x . . .
  BookingService SetAppointment          x x x . . .
  BookingService ReportMilestone         x x x . . .
  BookingService RetractMilestone        x x x . . .
  BookingService ListBookingEvents       x x x x . .
  BookingService WatchBookings           x x x x . .
  ImportService ImportItems              x x x . . .
  ImportService ListWorkItems            x x . x . .
  ImportService RetryWorkItems           x x . . . .
  ImportService ListInboundMessages      x x . x . .
  StatusFlowService CreateStatusFlow     x . . . . .
  StatusFlowService UpdateStatusFlow     x . . . . .
  StatusFlowService GetStatusFlow        x x . x . .
  StatusFlowService ListStatusFlows      x x . x . .
  StatusFlowService ValidateStatusFlow   x x . x . .
  StatusFlowService DryRunStatusFlow     x x . x . .
  StatusFlowService PublishStatusFlow    x . . . . .
  StatusFlowService MigrateOrders        x . . . . .
  StatusFlowService SimulateStatusFlow   x x . x . .
  StatusFlowService ImportStatusFlow     x . . . . .
  StatusFlowService ExportStatusFlow     x x . x . .
  StatusFlowService ListCodeMappings     x x . x . .
  StatusFlowService UpdateCodeMappings   x x . . . .
  ChangeService ReadChanges              x x . x . .
  TenantService CreateTenant             . . . . . x
  TenantService SuspendTenant            . . . . . x
  TenantService ResumeTenant             . . . . . x
  TenantService CloseTenant              . . . . . x
  TenantService SetTier                  . . . . . x
  TenantService GetTenant                x x . x . x
  TenantService ListTenants              . . . . . x
  TenantService CreateKey                x . . . . x
  TenantService ListKeys                 x . . . . x
  TenantService RevokeKey                x . . . . x
  TenantService CreateLink               x x . . . .
  TenantService ListAuditEvents          x . . . . .
  TenantService WatchAudit               x . . . . .
`;
const rows = expected
  .trim()
  .split("\n")
  .map((line) => line.trim().split(/\s+/))
  .map(([service, method, ...cells]) => ({ name: `${service}.${method}`, cells }));

/** Every service of the contracts, found as files are. */
const services: DescService[] = [];
const gen = new URL("../../gen/leadline/v1/", import.meta.url);
for (const name of readdirSync(gen).filter((file) => file.endsWith("_service_pb.ts"))) {
  const module: Record<string, unknown> = await import(new URL(name, gen).href);
  for (const value of Object.values(module)) if (isService(value)) services.push(value);
}
const methods = services.flatMap((service) => service.methods);

function isService(value: unknown): value is DescService {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
}

function refusalOf(principal: Principal, method: DescMethod, request: Message): Refusal | undefined {
  try {
    authorise(principal, method, request);
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

describe("the table of roles and RPCs", () => {
  test("the expectation has exactly one row for every RPC of the contracts", () => {
    const all = methods.map((method) => `${method.parent.name}.${method.name}`);
    expect(all.length).toBeGreaterThan(40);
    expect(rows.map((row) => row.name).sort()).toEqual(all.sort());
  });

  test.each(methods.map((method) => [`${method.parent.name}.${method.name}`, method] as const))(
    "%s is open to whom the expectation says and to nobody else",
    (name, method) => {
      const request = create(method.input);
      const cells = callers.map((caller) => (refusalOf(caller, method, request) ? "." : "x"));
      expect(cells).toEqual(rows.find((row) => row.name === name)?.cells);
    },
  );

  test.each([Role.UNSPECIFIED, 99 as Role])("a key of role %s may call nothing", (role) => {
    for (const method of methods) {
      expect(refusalOf(key(role), method, create(method.input))?.reason).toBe(ErrorReason.ROLE_FORBIDS);
    }
  });

  test("a refusal names the role and the method", () => {
    const { createOrder } = Object.fromEntries(methods.map((method) => [method.localName, method]));
    if (createOrder === undefined) throw new Error("there is no CreateOrder");
    const refusal = refusalOf(key(Role.VIEWER), createOrder, create(createOrder.input));
    expect(refusal).toMatchObject({
      reason: ErrorReason.ROLE_FORBIDS,
      metadata: { role: "viewer", method: "CreateOrder" },
    });
    expect(refusal?.message).toBe("a viewer may not call CreateOrder: it takes owner, operator");
  });
});

describe("fields that not everybody may set", () => {
  const booking = BookingService.method;
  const tenant = TenantService.method;
  const asOfRevision = create(GetBookingRequestSchema, { asOf: { case: "asOfRevision", value: 1n } });
  const byOrders = { filter: { orderIds: ["o1"] } };
  const ofTenant = { tenantId: "t" };
  const [owner, operator, viewer, serviceOwner] = [0, 1, 3, 5];

  test.each([
    ["as_of_revision", booking.getBooking, asOfRevision, [owner, operator, viewer]],
    ["filter.order_ids", booking.listBookings, create(ListBookingsRequestSchema, byOrders), [owner, operator, viewer]],
    [
      "filter.order_ids",
      booking.watchBookings,
      create(WatchBookingsRequestSchema, byOrders),
      [owner, operator, viewer],
    ],
    [
      "report.source",
      booking.reportMilestone,
      create(ReportMilestoneRequestSchema, { report: { source: "HLCU" } }),
      [owner, operator],
    ],
    ["source", booking.retractMilestone, create(RetractMilestoneRequestSchema, { source: "HLCU" }), [owner, operator]],
    ["tenant_id", tenant.getTenant, create(GetTenantRequestSchema, ofTenant), [serviceOwner]],
    ["tenant_id", tenant.createKey, create(CreateKeyRequestSchema, ofTenant), [serviceOwner]],
    ["support", tenant.createKey, create(CreateKeyRequestSchema, { support: true }), [serviceOwner]],
    ["tenant_id", tenant.listKeys, create(ListKeysRequestSchema, ofTenant), [serviceOwner]],
    ["tenant_id", tenant.revokeKey, create(RevokeKeyRequestSchema, ofTenant), [serviceOwner]],
  ] as const)("%s of $name is for those it is for", (field, method, request, allowed) => {
    for (const [column, caller] of callers.entries()) {
      const refusal = refusalOf(caller, method, request);
      expect(refusal === undefined, `caller ${column}`).toBe(allowed.some((one) => one === column));
      // Whoever may call the method without the field is told that it is the field.
      if (refusal && !refusalOf(caller, method, create(method.input))) expect(refusal.metadata.field).toBe(field);
    }
  });

  test("a carrier may look back by time, and filter by anything but orders", () => {
    const byTime = create(GetBookingRequestSchema, { asOf: { case: "asOfTime", value: {} } });
    expect(refusalOf(key(Role.CARRIER, "HLCU"), booking.getBooking, byTime)).toBeUndefined();
    const filter = create(ListBookingsRequestSchema, { filter: { ids: ["b1"] } });
    expect(refusalOf(key(Role.CARRIER, "HLCU"), booking.listBookings, filter)).toBeUndefined();
  });
});

test("the README's table has a row for every RPC and tells of the fields", () => {
  const table = permissionsMarkdown();
  for (const method of methods) expect(table).toContain(`| ${method.name} |`);
  expect(table).toContain("| ListBookings | yes | yes | yes, without `filter.order_ids` | yes |  |  |");
});
