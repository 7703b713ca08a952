import type { DescMessage, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { UnitKind } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { at, oceanConfirmation, oceanRequest } from "./parts.ts";
import type { Party } from "./rows.ts";

/** A request that is refused, and how. */
export interface BadRow {
  readonly what: string;
  readonly method: DescMethodUnary;
  readonly as: Party;
  readonly request: MessageInitShape<DescMessage>;
  readonly code: Code;
  readonly reason: string;
  /** A part of the metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The fields of the violations. */
  readonly fields?: readonly string[];
}

function bad<I extends DescMessage, O extends DescMessage>(
  what: string,
  method: DescMethodUnary<I, O>,
  as: Party,
  request: MessageInitShape<I>,
  refusal: Pick<BadRow, "code" | "reason" | "metadata" | "fields">,
): BadRow {
  return { what, method, as, request, ...refusal };
}

const orders = OrderService.method;
const bookings = BookingService.method;

/** The largest message that the instance of these tests takes. */
export const MESSAGE_MAX_BYTES = 65_536;

/** What is wrong with a single request; tokens of elsewhere come from the caller. */
export function badRows(tokens: { readonly otherFilter: string; readonly otherTenant: string }): BadRow[] {
  return [...identity(), ...states(), ...fields(), ...tokenRows(tokens)];
}

function identity(): BadRow[] {
  const code = Code.NotFound;
  return [
    bad(
      "an unknown order",
      orders.holdOrder,
      "operator",
      { orderId: "PO-0", reason: "why" },
      {
        code,
        reason: "ORDER_UNKNOWN",
        metadata: { order_id: "PO-0" },
      },
    ),
    bad(
      "an unknown booking",
      bookings.completeBooking,
      "carrier",
      { bookingId: "BKG-0" },
      {
        code,
        reason: "BOOKING_UNKNOWN",
        metadata: { booking_id: "BKG-0" },
      },
    ),
    bad(
      "an unknown order for a booking",
      bookings.attachOrders,
      "operator",
      {
        bookingId: "BKG-1",
        orders: [{ orderId: "PO-1" }, { orderId: "PO-0" }],
      },
      { code, reason: "ORDER_UNKNOWN", metadata: { order_id: "PO-0" } },
    ),
    bad("an unknown key", TenantService.method.revokeKey, "owner", { keyId: "key_0" }, { code, reason: "KEY_UNKNOWN" }),
    bad(
      "a taken order id",
      orders.createOrder,
      "operator",
      { orderId: "PO-1" },
      {
        code: Code.AlreadyExists,
        reason: "ORDER_EXISTS",
      },
    ),
    bad(
      "a taken booking id",
      bookings.requestBooking,
      "operator",
      { bookingId: "BKG-1", request: oceanRequest() },
      {
        code: Code.AlreadyExists,
        reason: "BOOKING_EXISTS",
      },
    ),
    bad(
      "a request id used before",
      orders.createOrder,
      "operator",
      { requestId: "once", orderId: "PO-2" },
      {
        code: Code.InvalidArgument,
        reason: "REQUEST_ID_REUSED",
      },
    ),
    bad(
      "what the role forbids",
      orders.holdOrder,
      "viewer",
      { orderId: "PO-1", reason: "why" },
      {
        code: Code.PermissionDenied,
        reason: "ROLE_FORBIDS",
        metadata: { role: "viewer" },
      },
    ),
    bad(
      "a shipper's verb by the carrier",
      bookings.cancelBooking,
      "carrier",
      { bookingId: "BKG-1" },
      {
        code: Code.PermissionDenied,
        reason: "ROLE_FORBIDS",
        metadata: { role: "carrier" },
      },
    ),
    bad(
      "another tenant for the key",
      TenantService.method.createKey,
      "owner",
      {
        tenantId: "foreign",
        name: "spy",
        role: Role.VIEWER,
      },
      { code: Code.PermissionDenied, reason: "ROLE_FORBIDS", metadata: { field: "tenant_id" } },
    ),
  ];
}

function states(): BadRow[] {
  const code = Code.FailedPrecondition;
  const reason = "VERB_ILLEGAL";
  return [
    bad(
      "a carrier's illegal verb",
      bookings.completeBooking,
      "carrier",
      { bookingId: "BKG-1" },
      {
        code,
        reason,
        metadata: { state: "RECEIVED", legal_verbs: "REQUEST_UPDATE,REJECT,CONFIRM" },
      },
    ),
    bad(
      "a shipper's illegal verb",
      bookings.amendBooking,
      "operator",
      { bookingId: "BKG-1", request: oceanRequest() },
      {
        code,
        reason,
        metadata: { verb: "AMEND", legal_verbs: "UPDATE,CANCEL" },
      },
    ),
    bad(
      "an order's illegal verb",
      orders.releaseOrder,
      "operator",
      { orderId: "PO-1" },
      {
        code,
        reason,
        metadata: { state: "RECEIVED", legal_verbs: "HOLD,CANCEL" },
      },
    ),
    bad(
      "a verb of another mode",
      bookings.waitlistBooking,
      "carrier",
      { bookingId: "BKG-1" },
      {
        code,
        reason: "MODE_MISMATCH",
      },
    ),
    bad(
      "an incomplete confirmation",
      bookings.confirmBooking,
      "carrier",
      {
        bookingId: "BKG-1",
        confirmation: { ...oceanConfirmation("X"), legs: [] },
      },
      { code, reason: "CONFIRMATION_INCOMPLETE" },
    ),
    bad(
      "an old etag",
      orders.holdOrder,
      "operator",
      { orderId: "PO-1", etag: "9", reason: "why" },
      {
        code: Code.Aborted,
        reason: "ETAG_MISMATCH",
      },
    ),
  ];
}

function fields(): BadRow[] {
  const code = Code.InvalidArgument;
  const report = { classifier: Classifier.ACTUAL, status: "PROCESSING", occurredAt: at(1) };
  const containers = (id: string) => [{ id, kind: UnitKind.CONTAINER }];
  return [
    bad(
      "an over-long string and an empty id",
      orders.holdOrder,
      "operator",
      { reason: "x".repeat(501) },
      {
        code,
        reason: "FIELD_INVALID",
        fields: ["order_id", "reason"],
      },
    ),
    bad(
      "a container number's wrong check digit",
      orders.createOrder,
      "operator",
      { units: containers("MSKU6874334") },
      {
        code,
        reason: "CHECK_DIGIT_WRONG",
      },
    ),
    bad(
      "a vessel's wrong check digit",
      bookings.requestBooking,
      "operator",
      {
        request: { ...oceanRequest(), means: { vesselImo: "9321484" } },
      },
      { code, reason: "CHECK_DIGIT_WRONG" },
    ),
    bad(
      "an unknown time zone",
      orders.reportStatus,
      "operator",
      {
        orderId: "PO-1",
        report: { ...report, occurredAt: { ...at(1), timeZone: "Mars/Olympus" } },
      },
      { code, reason: "TIME_ZONE_UNKNOWN" },
    ),
    bad(
      "an unknown status",
      orders.reportStatus,
      "operator",
      { orderId: "PO-1", report: { ...report, status: "LOST" } },
      {
        code,
        reason: "STATUS_UNKNOWN",
      },
    ),
    bad(
      "a report that does not fit, where fitting was asked for",
      orders.reportStatus,
      "operator",
      {
        orderId: "PO-5",
        refuseIfUnfit: true,
        report: { ...report, status: "RECEIVED", occurredAt: at(2) },
      },
      { code: Code.FailedPrecondition, reason: "REPORT_UNFIT" },
    ),
  ];
}

function tokenRows(tokens: { readonly otherFilter: string; readonly otherTenant: string }): BadRow[] {
  const refusal = { code: Code.InvalidArgument, reason: "PAGE_TOKEN_INVALID" };
  return [
    bad("a malformed page token", orders.listOrders, "viewer", { pageToken: "nonsense" }, refusal),
    bad("the page token of another filter", orders.listOrders, "viewer", { pageToken: tokens.otherFilter }, refusal),
    bad("another tenant's page token", orders.listOrders, "viewer", { pageToken: tokens.otherTenant }, refusal),
    bad("the page token of another list", bookings.listBookings, "viewer", { pageToken: tokens.otherFilter }, refusal),
  ];
}
