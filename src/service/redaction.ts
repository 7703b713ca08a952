/** Removing personal data from orders and bookings: RedactOrder and RedactParty. */
import { create, fromBinary } from "@bufbuild/protobuf";
import { BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  OrderService,
  RedactOrderResponseSchema,
  type RedactPartyResponse,
  RedactPartyResponseSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { standsIn } from "../domain/redaction.ts";
import { Refusal } from "../domain/refusal.ts";
import { bookingRef, orderRef, SubjectKind } from "../domain/subject.ts";
import type { JournalReader, RequestIdentity } from "../journal/journal.ts";
import type { Rewriter } from "../journal/rewriter.ts";
import type { PageTokens } from "../wire/page-token.ts";
import { actOf } from "./audit.ts";
import type { Call, Implementation } from "./call.ts";
import { partOf, requestIdentity, tenantOf } from "./command.ts";
import { numericCursor, pageScope } from "./paging.ts";
import type { Elsewhere } from "./redact-elsewhere.ts";
import { rewriteOf } from "./redact-subject.ts";

/** Orders or bookings that one call of RedactParty looks at. */
const PARTY_PAGE = 200;

const methods = OrderService.method;

type Rewriting = JournalReader & Pick<Rewriter, "rewrite" | "naming">;

export function redaction(parts: {
  readonly journal: Rewriting;
  readonly pageTokens: PageTokens;
  readonly elsewhere: Elsewhere;
}): Pick<Implementation<typeof OrderService>, "redactOrder" | "redactParty"> {
  const { journal, pageTokens, elsewhere } = parts;
  return {
    async redactOrder(request, call) {
      const { orderId, reason } = request;
      const act = actOf(methods.redactOrder);
      const identity = requestIdentity(call.principal, methods.redactOrder, request);
      const { alone, shared } = await bookingsOf(journal, tenantOf(call), orderId);
      const answer = await journal.rewrite(
        rewriteOf(call, {
          ...{ ref: orderRef(orderId), party: undefined, reason, act, schema: methods.redactOrder.output },
          request: identity,
          answer(after, events) {
            const subject = after.subject(orderRef(orderId));
            if (subject.kind !== SubjectKind.ORDER) throw new Error(`${orderId} is not an order`);
            const bookings = { bookingIds: alone, bookingIdsKept: shared };
            return create(RedactOrderResponseSchema, { order: subject.order, eventsRewritten: events, ...bookings });
          },
        }),
      );
      // After the order, so that a call that is refused changes nothing. A call that is repeated does what it had not come to.
      for (const id of answer.bookingIds) {
        await redactBooking(journal, call, { id, orderId, reason, act, request: identity && partOf(identity, id) });
      }
      return answer;
    },

    async redactParty({ partyName, reason, pageToken }, call) {
      refuseNaming(partyName, reason);
      const tenant = tenantOf(call);
      const scope = pageScope(tenant, "RedactParty", partyName);
      const { kind, createdBefore } = placeFrom(pageToken === "" ? "" : pageTokens.decode(scope, pageToken));
      const rawItemsDeleted = pageToken === "" ? await elsewhere.removeRaw(call, partyName, reason) : 0;
      const rows = await journal.rows({ tenant, kind, createdBefore, limit: PARTY_PAGE + 1 });
      const page = rows.slice(0, PARTY_PAGE);
      const last = rows.length > page.length ? page.at(-1) : undefined;
      const ids = page.map(({ id }) => id);
      const redacted: string[] = [];
      for (const id of await journal.naming(tenant, kind, ids, partyName)) {
        if (await redactNamed(journal, call, { kind, id, partyName, reason })) redacted.push(id);
      }
      const still = await journal.naming(tenant, kind, ids, partyName);
      const answer: Omit<Partial<RedactPartyResponse>, "$typeName"> = { rawItemsDeleted, examined: page.length };
      if (kind === SubjectKind.ORDER) {
        return create(RedactPartyResponseSchema, {
          ...{ ...answer, orderIds: redacted, orderIdsStillNaming: still },
          // After the orders come the bookings.
          nextPageToken: pageTokens.encode(scope, last === undefined ? "b" : String(last.createdRevision)),
        });
      }
      const ofBookings = { ...answer, bookingIds: redacted, bookingIdsStillNaming: still };
      if (last) {
        const nextPageToken = pageTokens.encode(scope, `b${last.createdRevision}`);
        return create(RedactPartyResponseSchema, { ...ofBookings, nextPageToken });
      }
      // No row has the name any more that an answer could be made of.
      await elsewhere.cleanAnswers(call, partyName, reason);
      const stillNaming = await elsewhere.stillNaming(call, partyName);
      return create(RedactPartyResponseSchema, { ...ofBookings, stillNaming });
    },
  };
}

/** The reason is kept: with the event, and in the audit journal. */
function refuseNaming(partyName: string, reason: string): void {
  if (!standsIn(partyName, reason)) return;
  const violations = [{ field: "reason", description: "is kept, and names the party that is to be removed" }];
  const message = "the reason names the party, and is kept: say which request it answers, without the name";
  throw new Refusal(ErrorReason.FIELD_INVALID, message, { violations });
}

/** The order's bookings, those that carry it alone and the others. */
async function bookingsOf(journal: JournalReader, tenant: string, orderId: string) {
  const order = await journal.subject(tenant, orderRef(orderId));
  const ids = order ? fromBinary(OrderSchema, order.summary).bookingIds : [];
  const alone: string[] = [];
  const shared: string[] = [];
  for (const id of ids) {
    const row = await journal.subject(tenant, bookingRef(id));
    if (row === undefined) continue;
    const { orderIds } = fromBinary(BookingSchema, row.summary);
    (orderIds.some((one) => one !== orderId) ? shared : alone).push(id);
  }
  return { alone, shared };
}

/** Says that a booking carries another order by now: what is personal in it stays. */
class Shared extends Error {}

/** Removes everything that is personal in a booking, as long as it carries no other order. */
async function redactBooking(
  journal: Rewriting,
  call: Call,
  asked: {
    readonly id: string;
    readonly orderId: string;
    readonly reason: string;
    readonly act: string;
    readonly request: RequestIdentity | undefined;
  },
): Promise<void> {
  const { id, orderId, reason, act, request } = asked;
  const rewrite = rewriteOf(call, {
    ...{ ref: bookingRef(id), party: undefined, reason, act, request },
    check(subject) {
      if (subject.kind !== SubjectKind.BOOKING) throw new Error(`${id} is not a booking`);
      if (subject.booking.orderIds.some((one) => one !== orderId)) throw new Shared();
    },
    schema: RedactOrderResponseSchema,
    answer: (_after, eventsRewritten) => create(RedactOrderResponseSchema, { eventsRewritten }),
  });
  await journal.rewrite(rewrite).catch((error: unknown) => {
    if (!(error instanceof Shared)) throw error;
  });
}

/** @returns whether there was anything to remove */
async function redactNamed(
  journal: Rewriting,
  call: Call,
  asked: { readonly kind: SubjectKind; readonly id: string; readonly partyName: string; readonly reason: string },
): Promise<boolean> {
  const { kind, id, partyName, reason } = asked;
  let isChanged = false;
  await journal.rewrite(
    rewriteOf(call, {
      ...{ ref: { kind, id }, party: partyName, reason, act: actOf(methods.redactParty), request: undefined },
      schema: RedactOrderResponseSchema,
      answer(_after, eventsRewritten, changed) {
        isChanged = changed;
        return create(RedactOrderResponseSchema, { eventsRewritten });
      },
    }),
  );
  return isChanged;
}

/** Where a page of RedactParty begins: orders, the newest first, then bookings. */
function placeFrom(cursor: string): { readonly kind: SubjectKind; readonly createdBefore: bigint | undefined } {
  const ofBookings = cursor.startsWith("b");
  const revision = ofBookings ? cursor.slice(1) : cursor;
  return {
    kind: ofBookings ? SubjectKind.BOOKING : SubjectKind.ORDER,
    createdBefore: revision === "" ? undefined : numericCursor(revision),
  };
}
