import { create } from "@bufbuild/protobuf";
import {
  BatchReportStatusResponseSchema,
  type BatchReportStatusResult,
  BatchReportStatusResultSchema,
  ItemErrorSchema,
  OrderService,
  type ReportStatusRequest,
  ReportStatusRequestSchema,
  type ReportStatusResponse,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { fieldInvalid } from "../domain/field-invalid.ts";
import {
  decideCancelOrder,
  decideCreateOrder,
  decideHoldOrder,
  decideReleaseOrder,
  decideReportStatus,
  decideRetractReport,
} from "../domain/order-commands.ts";
import { Code, Refusal } from "../domain/refusal.ts";
import { orderRef } from "../domain/subject.ts";
import { checkTimestamp } from "../domain/times.ts";
import type { Journal } from "../journal/journal.ts";
import type { Rewriter } from "../journal/rewriter.ts";
import { drawId } from "../wire/draw-id.ts";
import type { PageTokens } from "../wire/page-token.ts";
import type { Call, Implementation } from "./call.ts";
import { commandFor, roleOf, tenantOf } from "./command.ts";
import { startingRef } from "./flows/starting.ts";
import { orderReads } from "./order-reading.ts";
import type { Elsewhere } from "./redact-elsewhere.ts";
import { redaction } from "./redaction.ts";
import { identified, sourceOf } from "./report-identity.ts";
import { checkRequest } from "./validation.ts";

/** What the OrderService is made of. */
export interface OrderServiceParts {
  readonly journal: Journal & Pick<Rewriter, "rewrite" | "naming">;
  readonly pageTokens: PageTokens;
  /** Whether the caller's tier includes status flows of the tenant's own. By default it does. */
  readonly hasFlows?: (call: Call) => boolean;
  readonly elsewhere: Elsewhere;
  /** Told of a fault of ours that answers one item of a batch with INTERNAL; by default it is dropped. */
  readonly onFault?: (error: unknown, call: Call) => void;
}

const methods = OrderService.method;

/** The OrderService: every command is one command of the journal, every read one or two of its reads. */
export function createOrderService(parts: OrderServiceParts): Implementation<typeof OrderService> {
  const { journal, pageTokens } = parts;
  return {
    ...orderReads(journal, pageTokens),

    ...redaction(parts),

    async createOrder(request, call) {
      const orderId = request.orderId || drawId("ord");
      const hasFlows = parts.hasFlows?.(call) ?? true;
      const start = await startingRef(journal, tenantOf(call), request.flowId, hasFlows);
      const decide = decideCreateOrder(orderId, request, start);
      return journal.submit(commandFor(call, methods.createOrder, request, { subjects: [orderRef(orderId)], decide }));
    },

    reportStatus: (request, call) => reportStatus(journal, request, call),

    async batchReportStatus({ items }, call) {
      // All are submitted before any is answered, in their order: reports of one order keep it.
      const answers = await Promise.allSettled(items.map((item) => reportItem(journal, item, call)));
      const results = answers.map((answer) =>
        answer.status === "fulfilled" ? taken(answer.value) : refused(answer.reason, call, parts),
      );
      return create(BatchReportStatusResponseSchema, { results });
    },

    async retractReport(request, call) {
      const { orderId, sourceId, sourceUpdatedAt, reason } = request;
      checkTimestamp(sourceUpdatedAt, "source_updated_at");
      const source = sourceOf(call.principal, request.source);
      const decide = decideRetractReport(orderId, { source, sourceId, sourceUpdatedAt, reason });
      return journal.submit(
        commandFor(call, methods.retractReport, request, { subjects: [orderRef(orderId)], decide }),
      );
    },

    async holdOrder(request, call) {
      const part = { subjects: [orderRef(request.orderId)], decide: decideHoldOrder(request) };
      return journal.submit(commandFor(call, methods.holdOrder, request, part));
    },

    async releaseOrder(request, call) {
      const part = { subjects: [orderRef(request.orderId)], decide: decideReleaseOrder(request) };
      return journal.submit(commandFor(call, methods.releaseOrder, request, part));
    },

    async cancelOrder(request, call) {
      const part = { subjects: [orderRef(request.orderId)], decide: decideCancelOrder(request) };
      return journal.submit(commandFor(call, methods.cancelOrder, request, part));
    },
  };
}

/** Submits one report before it awaits anything. The request as it came is its identity, not the id drawn for it. */
async function reportStatus(journal: Journal, request: ReportStatusRequest, call: Call): Promise<ReportStatusResponse> {
  const { orderId, refuseIfUnfit } = request;
  if (request.report === undefined) throw fieldInvalid("report", "must be set");
  const report = identified(request.report, call.principal);
  const decide = decideReportStatus(orderId, report, {
    strict: true,
    refuseIfUnfit,
    flags: [],
    role: roleOf(call.principal),
  });
  return journal.submit(commandFor(call, methods.reportStatus, request, { subjects: [orderRef(orderId)], decide }));
}

/** One report of a batch: its rules are checked here, so that it is refused by itself. */
async function reportItem(journal: Journal, item: ReportStatusRequest, call: Call): Promise<ReportStatusResponse> {
  checkRequest(ReportStatusRequestSchema, item);
  return reportStatus(journal, item, call);
}

function taken(response: ReportStatusResponse): BatchReportStatusResult {
  return create(BatchReportStatusResultSchema, { result: { case: "response", value: response } });
}

function refused(error: unknown, call: Call, parts: OrderServiceParts): BatchReportStatusResult {
  if (!(error instanceof Refusal)) parts.onFault?.(error, call);
  const value =
    error instanceof Refusal
      ? create(ItemErrorSchema, { code: error.code, reason: error.reasonName, message: error.message })
      : create(ItemErrorSchema, { code: Code.INTERNAL, reason: "INTERNAL", message: `a fault in call ${call.callId}` });
  return create(BatchReportStatusResultSchema, { result: { case: "error", value } });
}
