import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Booking } from "../../gen/leadline/v1/booking_pb.ts";
import type { BookingCall, Effects } from "../domain/booking-effects.ts";
import { type After, bookingRef, type Load, SubjectKind, type SubjectRef } from "../domain/subject.ts";
import type { Journal } from "../journal/journal.ts";
import { bookingView } from "../wire/event-view.ts";
import type { Call } from "./call.ts";
import { commandFor, visibilityOf } from "./command.ts";

/** The fields that every command on a booking has. Those that have no etag go without. */
export interface Addressed {
  readonly bookingId: string;
  readonly etag?: string;
}

/** Decides what a command does, for the booking that is called upon. */
export type DecideEffects<R> = (load: Load, now: Timestamp, on: BookingCall) => Effects<R>;

/** What a command is made of beside its call and request. */
export interface BookingCommand<R, O extends DescMessage> {
  readonly bookingId: string;
  readonly etag?: string | undefined;
  /** Subjects beside the booking that the request names. */
  readonly alsoNamed?: readonly SubjectRef[];
  readonly decide: DecideEffects<R>;
  /** The answer from the booking after it, as the caller may see it. */
  readonly answer: (booking: Booking, result: R) => MessageInitShape<O>;
}

/** Submits a command on one booking. Resolves once its events are durable; rejects with a Refusal. */
export function submitOnBooking<I extends DescMessage, O extends DescMessage, R>(
  journal: Journal,
  call: Call,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
  command: BookingCommand<R, O>,
): Promise<MessageShape<O>> {
  const visibility = visibilityOf(call.principal);
  const ref = bookingRef(command.bookingId);
  const on: BookingCall = { bookingId: command.bookingId, visibility, etag: command.etag ?? "" };
  return journal.submit(
    commandFor(call, method, request, {
      subjects: [ref, ...(command.alsoNamed ?? [])],
      decide: (load, now) => {
        const effects = command.decide(load, now, on);
        if ("needs" in effects) return effects;
        const answer = (after: After) => {
          const booking = bookingView(bookingAfter(after, ref), visibility);
          return create(method.output, command.answer(booking, effects));
        };
        return { drafts: effects.drafts, answer };
      },
    }),
  );
}

/** The answer of a command whose response has the one field `booking`. */
export function bookingAlone<O extends DescMessage>(booking: Booking): MessageInitShape<O> {
  // All responses that this is used for have this one field; the generic type cannot say so.
  return { booking } as unknown as MessageInitShape<O>;
}

function bookingAfter(after: After, ref: SubjectRef): Booking {
  const subject = after.subject(ref);
  if (subject.kind !== SubjectKind.BOOKING) throw new Error(`${ref.id} is not a booking`);
  return subject.booking;
}
