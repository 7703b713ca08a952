import { toBinary } from "@bufbuild/protobuf";
import { OrderDetailsSchema, type OrderFilter, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import type { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import { fieldInvalid } from "../domain/field-invalid.ts";
import { compileOrderFilter } from "../domain/filter.ts";
import { orderUnknown } from "../domain/order-commands.ts";
import type { Principal } from "../domain/principal.ts";
import { orderRef, SubjectKind } from "../domain/subject.ts";
import type { JournalReader, RowQuery, SubjectRow } from "../journal/journal.ts";
import type { WatchSpec } from "../watch/spec.ts";
import type { PageTokens } from "../wire/page-token.ts";
import { type Moment, subjectAsOf } from "./as-of.ts";
import type { Implementation } from "./call.ts";
import { tenantOf, visibilityOf } from "./command.ts";
import { cutMessage, readKept } from "./kept-history.ts";
import { numericCursor, PAGE_BYTES_MAX, pageOf, pageScope, pageSize } from "./paging.ts";
import { eventsReply, listReply, subjectReply } from "./stored-reply.ts";

type OrderReads = Pick<
  Implementation<typeof OrderService>,
  "getOrder" | "batchGetOrders" | "listOrders" | "listOrderEvents" | "watchOrders"
>;

/** The reading RPCs of the OrderService. Replies are laid together from stored bytes where they can be. */
export function orderReads(journal: JournalReader, pageTokens: PageTokens): OrderReads {
  return {
    async getOrder({ orderId, asOf }, call) {
      const tenant = tenantOf(call);
      checkSees(call.principal, orderId);
      const row = await journal.subject(tenant, orderRef(orderId));
      if (row === undefined) throw orderUnknown(orderId);
      const moment = momentOf(asOf);
      if (moment === undefined || isPresent(row, moment)) return subjectReply(row.summary, row.details);
      const subject = await subjectAsOf(journal, tenant, orderRef(orderId), moment);
      if (subject?.kind !== SubjectKind.ORDER) throw orderUnknown(orderId);
      return subjectReply(toBinary(OrderSchema, subject.order), toBinary(OrderDetailsSchema, subject.details));
    },

    async batchGetOrders({ orderIds }, call) {
      const seen = orderIds.filter((id) => sees(call.principal, id));
      const query = { tenant: tenantOf(call), kind: SubjectKind.ORDER, ids: seen, limit: orderIds.length };
      const rows = seen.length === 0 ? [] : await journal.rows(query);
      const byId = new Map(rows.map((row) => [row.id, row.summary]));
      const found = orderIds.flatMap((id) => byId.get(id) ?? []);
      return listReply(
        found,
        orderIds.filter((id) => !byId.has(id)),
      );
    },

    async listOrders({ filter, pageSize: asked, pageToken }, call) {
      const tenant = tenantOf(call);
      const scope = pageScope(tenant, "ListOrders", compileOrderFilter(filter).key);
      const createdBefore = pageToken === "" ? undefined : numericCursor(pageTokens.decode(scope, pageToken));
      const size = pageSize(asked);
      const query = rowQuery(tenant, filter, call.principal);
      // One more than the page holds tells whether there is another page.
      const rows = query === undefined ? [] : await journal.rows({ ...query, createdBefore, limit: size + 1 });
      const page = pageOf(rows, size);
      const last = rows.length > page.length ? page.at(-1) : undefined;
      const next = last === undefined ? [] : [pageTokens.encode(scope, String(last.createdRevision))];
      return listReply(
        page.map((row) => row.summary),
        next,
      );
    },

    async listOrderEvents({ orderId, pageSize: asked, pageToken }, call) {
      const tenant = tenantOf(call);
      checkSees(call.principal, orderId);
      const scope = pageScope(tenant, "ListOrderEvents", orderId);
      const from = pageToken === "" ? 1n : numericCursor(pageTokens.decode(scope, pageToken));
      const row = await journal.subject(tenant, orderRef(orderId));
      if (row === undefined) throw orderUnknown(orderId);
      const query = { tenant, ref: orderRef(orderId), from, limit: pageSize(asked), maxBytes: PAGE_BYTES_MAX };
      const { events, cut } = await readKept(journal, query);
      const last = events.at(-1);
      const more = last !== undefined && last.version < row.version;
      return eventsReply(
        events.map((event) => event.payload),
        more ? pageTokens.encode(scope, String(last.version + 1n)) : "",
        cut && cutMessage(cut),
      );
    },

    async watchOrders({ filter, position, includeSnapshot, mode }, call) {
      if (position !== "" && includeSnapshot) {
        throw fieldInvalid("include_snapshot", "cannot stand together with position; send one of the two");
      }
      return {
        tenant: tenantOf(call),
        credential: call.principal.id,
        expiresAtMs: call.principal.kind === "service-owner" ? undefined : call.principal.expiresAtMs,
        kind: SubjectKind.ORDER,
        visibility: visibilityOf(call.principal),
        filter: compileOrderFilter(filter),
        start: startOf(position, includeSnapshot),
        mode: mode === WatchMode.LATEST ? "LATEST" : "ALL",
      };
    },
  };
}

/** A link sees its own order; others are not told from unknown ones. */
function sees(principal: Principal, orderId: string): boolean {
  return principal.kind !== "link" || principal.orderId === orderId;
}

function checkSees(principal: Principal, orderId: string): void {
  if (!sees(principal, orderId)) throw orderUnknown(orderId);
}

type AsOf = Parameters<Implementation<typeof OrderService>["getOrder"]>[0]["asOf"];

function momentOf(asOf: AsOf): Moment | undefined {
  if (asOf.case === "asOfRevision") return { revision: asOf.value };
  if (asOf.case === "asOfTime") return { time: asOf.value };
  return undefined;
}

/** Whether nothing of the row is after the moment. A time always needs the history: a row does not tell its last one. */
function isPresent(row: SubjectRow, moment: Moment): boolean {
  return "revision" in moment && moment.revision >= row.changedRevision;
}

/** The rows of a filter; undefined: there can be none. */
function rowQuery(
  tenant: string,
  filter: OrderFilter | undefined,
  principal: Principal,
): Omit<RowQuery, "limit"> | undefined {
  const kind = SubjectKind.ORDER;
  const asked = filter?.ids ?? [];
  const ids = principal.kind === "link" ? [principal.orderId] : asked;
  if (principal.kind === "link" && asked.length > 0 && !asked.includes(principal.orderId)) return undefined;
  if (filter === undefined) return { tenant, kind, ids };
  return {
    tenant,
    kind,
    ids,
    references: filter.references,
    statuses: filter.statuses,
    stages: filter.phases,
    carriers: filter.carriers,
    related: filter.bookingIds,
  };
}

function startOf(position: string, includeSnapshot: boolean): WatchSpec["start"] {
  if (position !== "") return { from: "position", position };
  return { from: includeSnapshot ? "snapshot" : "now" };
}
