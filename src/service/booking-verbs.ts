import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import type { BookingCall } from "../domain/booking-effects.ts";
import type { Verb } from "../domain/booking-transitions.ts";
import { decideVerb, type VerbCall } from "../domain/booking-verbs.ts";
import type { Journal } from "../journal/journal.ts";
import { type Addressed, bookingAlone, submitOnBooking } from "./booking-commands.ts";
import type { Call } from "./call.ts";

/** What a verb's request carries, by the names of the decision. */
type Carried = Omit<VerbCall, keyof BookingCall | "verb" | "identifiers">;

const rpc = BookingService.method;

/** The verbs of the three axes: one RPC each, which carries what its request names and answers with the booking. */
export function bookingVerbs(journal: Journal) {
  const verb = <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    verb: Verb,
    carried: (request: MessageShape<I>) => Carried,
  ) => {
    return (request: MessageShape<I> & Addressed, call: Call): Promise<MessageShape<O>> =>
      submitOnBooking(journal, call, method, request, {
        bookingId: request.bookingId,
        etag: request.etag,
        decide: (load, now, on) => decideVerb(load, now, { ...on, ...carried(request), verb, identifiers: "strict" }),
        answer: bookingAlone<O>,
      });
  };
  return {
    updateBooking: verb(rpc.updateBooking, BookingVerb.UPDATE, ({ request }) => ({ request })),
    cancelBooking: verb(rpc.cancelBooking, BookingVerb.CANCEL, ({ reason }) => ({ reason })),
    amendBooking: verb(rpc.amendBooking, BookingVerb.AMEND, ({ request }) => ({ request })),
    cancelAmendment: verb(rpc.cancelAmendment, BookingVerb.CANCEL_AMENDMENT, ({ reason }) => ({ reason })),
    requestCancellation: verb(
      rpc.requestCancellation,
      BookingVerb.REQUEST_CANCELLATION,
      ({ bookingReference, reason }) => ({ bookingReference, reason }),
    ),
    requestUpdate: verb(rpc.requestUpdate, BookingVerb.REQUEST_UPDATE, ({ feedbacks, reason }) => ({
      feedbacks,
      reason,
    })),
    rejectBooking: verb(rpc.rejectBooking, BookingVerb.REJECT, ({ reason, spaceCode }) => ({ reason, spaceCode })),
    confirmBooking: verb(rpc.confirmBooking, BookingVerb.CONFIRM, ({ confirmation, requestReference }) => ({
      confirmation,
      requestReference,
    })),
    requestAmendment: verb(rpc.requestAmendment, BookingVerb.REQUEST_AMENDMENT, ({ feedbacks, reason }) => ({
      feedbacks,
      reason,
    })),
    confirmAmendment: verb(rpc.confirmAmendment, BookingVerb.CONFIRM_AMENDMENT, ({ confirmation }) => ({
      confirmation,
    })),
    declineAmendment: verb(rpc.declineAmendment, BookingVerb.DECLINE_AMENDMENT, ({ reason }) => ({ reason })),
    declineBooking: verb(rpc.declineBooking, BookingVerb.DECLINE, ({ reason, spaceCode }) => ({ reason, spaceCode })),
    completeBooking: verb(rpc.completeBooking, BookingVerb.COMPLETE, () => ({})),
    confirmCancellation: verb(rpc.confirmCancellation, BookingVerb.CONFIRM_CANCELLATION, ({ reason }) => ({ reason })),
    declineCancellation: verb(rpc.declineCancellation, BookingVerb.DECLINE_CANCELLATION, ({ reason }) => ({ reason })),
    waitlistBooking: verb(rpc.waitlistBooking, BookingVerb.WAITLIST, ({ reason }) => ({ reason })),
  };
}
