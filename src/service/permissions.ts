/**
 * Who may call what. This table is the only place that says it; the README prints it.
 *
 * Whose data a caller sees is another matter: the tenant comes from the credential, carriers see their own bookings and
 * links their one order because every read is made with the caller's `Visibility`.
 */
import { type DescMessage, type DescMethod, isMessage, type Message, type MessageShape } from "@bufbuild/protobuf";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { ChangeService } from "../../gen/leadline/v1/change_service_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ImportService } from "../../gen/leadline/v1/import_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { StatusFlowService } from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";

/** What a caller is: the role of its key, a link, or the service owner. */
const parts = ["owner", "operator", "carrier", "viewer", "link", "service owner"] as const;
export type Part = (typeof parts)[number];

const shipper = ["owner", "operator"] as const;
const readers = ["owner", "operator", "viewer"] as const;
/** The carrier itself, or a shipper who passes on what the carrier said by other means. */
const carrierSide = ["owner", "operator", "carrier"] as const;
const bookingReaders = ["owner", "operator", "carrier", "viewer"] as const;
const administrators = ["owner", "service owner"] as const;

const order = OrderService.method;
const booking = BookingService.method;
const tenant = TenantService.method;
const imports = ImportService.method;
const flow = StatusFlowService.method;

type Row = readonly [method: DescMethod, may: readonly Part[]];

const rows: readonly Row[] = [
  [order.createOrder, shipper],
  [order.getOrder, [...readers, "link"]],
  [order.batchGetOrders, readers],
  [order.listOrders, readers],
  [order.reportStatus, shipper],
  [order.batchReportStatus, shipper],
  [order.retractReport, shipper],
  [order.holdOrder, shipper],
  [order.releaseOrder, shipper],
  [order.cancelOrder, shipper],
  [order.listOrderEvents, [...readers, "link"]],
  [order.watchOrders, [...readers, "link"]],
  [order.redactOrder, ["owner"]],
  [order.redactParty, ["owner"]],

  [booking.requestBooking, shipper],
  [booking.updateBooking, shipper],
  [booking.cancelBooking, shipper],
  [booking.amendBooking, shipper],
  [booking.cancelAmendment, shipper],
  [booking.requestCancellation, shipper],
  [booking.attachOrders, shipper],
  [booking.detachOrders, shipper],
  [booking.requestUpdate, carrierSide],
  [booking.rejectBooking, carrierSide],
  [booking.confirmBooking, carrierSide],
  [booking.requestAmendment, carrierSide],
  [booking.confirmAmendment, carrierSide],
  [booking.declineAmendment, carrierSide],
  [booking.declineBooking, carrierSide],
  [booking.completeBooking, carrierSide],
  [booking.confirmCancellation, carrierSide],
  [booking.declineCancellation, carrierSide],
  [booking.waitlistBooking, carrierSide],
  [booking.reportSchedule, carrierSide],
  [booking.addUnits, carrierSide],
  [booking.setAppointment, carrierSide],
  [booking.reportMilestone, carrierSide],
  [booking.retractMilestone, carrierSide],
  [booking.getBooking, bookingReaders],
  [booking.listBookings, bookingReaders],
  [booking.listBookingEvents, bookingReaders],
  [booking.watchBookings, bookingReaders],

  // A carrier imports events as itself, for its own bookings; the service holds it to that.
  [imports.importItems, carrierSide],
  [imports.listWorkItems, readers],
  [imports.retryWorkItems, shipper],
  [imports.listInboundMessages, readers],

  [flow.listCodeMappings, readers],
  [flow.updateCodeMappings, shipper],

  [flow.createStatusFlow, ["owner"]],
  [flow.updateStatusFlow, ["owner"]],
  [flow.getStatusFlow, readers],
  [flow.listStatusFlows, readers],
  [flow.validateStatusFlow, readers],
  [flow.dryRunStatusFlow, readers],
  [flow.publishStatusFlow, ["owner"]],
  [flow.migrateOrders, ["owner"]],
  [flow.simulateStatusFlow, readers],
  [flow.importStatusFlow, ["owner"]],
  [flow.exportStatusFlow, readers],

  [ChangeService.method.readChanges, readers],

  [tenant.createTenant, ["service owner"]],
  [tenant.listTenants, ["service owner"]],
  [tenant.getTenant, [...readers, "service owner"]],
  [tenant.suspendTenant, ["service owner"]],
  [tenant.resumeTenant, ["service owner"]],
  [tenant.closeTenant, ["service owner"]],
  [tenant.setTier, ["service owner"]],
  [tenant.createKey, administrators],
  [tenant.listKeys, administrators],
  [tenant.revokeKey, administrators],
  [tenant.createLink, shipper],
  [tenant.listAuditEvents, ["owner"]],
  [tenant.watchAudit, ["owner"]],
];

/** A field that some of the method's callers may not set. */
interface FieldRule {
  readonly method: DescMethod;
  /** The field's path in the request, as in the contract. */
  readonly field: string;
  readonly refusedTo: readonly Part[];
  readonly why: string;
  isSet(request: Message): boolean;
}

const ownTenantOnly = "the tenant comes from the credential";
const showsOrders = "a carrier does not see which orders it carries";
const showsVolume = "revisions show how much the tenant moves";

const supportIsOurs = "support keys are the service owner's";
const speaksForItself = "a carrier speaks for itself: its reports bear its own code";

const fieldRules: readonly FieldRule[] = [
  field(booking.reportMilestone, "report.source", ["carrier"], speaksForItself, (r) => some(r.report?.source)),
  field(booking.retractMilestone, "source", ["carrier"], speaksForItself, (r) => some(r.source)),
  field(booking.getBooking, "as_of_revision", ["carrier"], showsVolume, (r) => r.asOf.case === "asOfRevision"),
  field(booking.listBookings, "filter.order_ids", ["carrier"], showsOrders, (r) => some(r.filter?.orderIds)),
  field(booking.watchBookings, "filter.order_ids", ["carrier"], showsOrders, (r) => some(r.filter?.orderIds)),
  field(tenant.getTenant, "tenant_id", readers, ownTenantOnly, (r) => r.tenantId !== ""),
  field(tenant.createKey, "tenant_id", ["owner"], ownTenantOnly, (r) => r.tenantId !== ""),
  field(tenant.createKey, "support", ["owner"], supportIsOurs, (r) => r.support),
  field(tenant.listKeys, "tenant_id", ["owner"], ownTenantOnly, (r) => r.tenantId !== ""),
  field(tenant.revokeKey, "tenant_id", ["owner"], ownTenantOnly, (r) => r.tenantId !== ""),
];

const mayByMethod = new Map(rows.map(([method, may]) => [method, new Set(may)]));
const rulesByMethod = Map.groupBy(fieldRules, (rule) => rule.method);

/**
 * Throws a Refusal ROLE_FORBIDS when the caller may not call the method, or not with a field that is set. A method without
 * a row is refused to everybody.
 */
export function authorise(principal: Principal, method: DescMethod, request: Message): void {
  const part = partOf(principal);
  if (part === undefined || !mayByMethod.get(method)?.has(part)) {
    const may = [...(mayByMethod.get(method) ?? [])].join(", ");
    throw new Refusal(
      ErrorReason.ROLE_FORBIDS,
      `a ${part ?? "key without a role"} may not call ${method.name}: it takes ${may || "nobody"}`,
      {
        metadata: { role: part ?? "", method: method.name },
      },
    );
  }
  for (const rule of rulesByMethod.get(method) ?? []) {
    if (!rule.refusedTo.includes(part) || !rule.isSet(request)) continue;
    throw new Refusal(ErrorReason.ROLE_FORBIDS, `a ${part} may not set ${rule.field} of ${method.name}: ${rule.why}`, {
      metadata: { role: part, method: method.name, field: rule.field },
    });
  }
}

/** What a caller is; undefined for a key whose role this release does not know. */
function partOf(principal: Principal): Part | undefined {
  if (principal.kind === "link") return "link";
  if (principal.kind === "service-owner") return "service owner";
  switch (principal.role) {
    case Role.OWNER:
      return "owner";
    case Role.OPERATOR:
      return "operator";
    case Role.CARRIER:
      return "carrier";
    case Role.VIEWER:
      return "viewer";
    default:
      return undefined;
  }
}

/** The README's table of roles, RPCs and fields. */
export function permissionsMarkdown(): string {
  const lines = [`| RPC | ${parts.join(" | ")} |`, `| --- |${parts.map(() => " :-: |").join("")}`];
  for (const [service, methods] of Map.groupBy(rows, ([method]) => method.parent.name)) {
    lines.push(`| **${service}** |${parts.map(() => " |").join("")}`);
    for (const [method, may] of methods) {
      const cells = parts.map((part) => (may.includes(part) ? cell(method, part) : ""));
      lines.push(`| ${method.name} | ${cells.join(" | ")} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function cell(method: DescMethod, part: Part): string {
  const refused = (rulesByMethod.get(method) ?? []).filter((rule) => rule.refusedTo.includes(part));
  return ["yes", ...refused.map((rule) => `without \`${rule.field}\``)].join(", ");
}

function field<I extends DescMessage>(
  method: DescMethod & { readonly input: I },
  path: string,
  refusedTo: readonly Part[],
  why: string,
  isSet: (request: MessageShape<I>) => boolean,
): FieldRule {
  return {
    method,
    field: path,
    refusedTo,
    why,
    isSet: (request) => isMessage(request, method.input) && isSet(request),
  };
}

function some(values: readonly unknown[] | string | undefined): boolean {
  return values !== undefined && values.length > 0;
}
