import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { BookingDetailsSchema, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { type Subject, SubjectKind } from "../domain/subject.ts";

/** A subject's two stored encodings: the compact form, and the details. */
export interface SubjectBytes {
  readonly summary: Uint8Array;
  readonly details: Uint8Array;
}

/** @param summary the compact form's encoding, where the caller has it already */
export function encodeSubject(subject: Subject, summary = encodeSummary(subject)): SubjectBytes {
  const details =
    subject.kind === SubjectKind.ORDER
      ? toBinary(OrderDetailsSchema, subject.details)
      : toBinary(BookingDetailsSchema, subject.details);
  return { summary, details };
}

/** The encoding of the compact form: Order or Booking. */
export function encodeSummary(subject: Subject): Uint8Array {
  return subject.kind === SubjectKind.ORDER
    ? toBinary(OrderSchema, subject.order)
    : toBinary(BookingSchema, subject.booking);
}

export function decodeSubject(kind: SubjectKind, bytes: SubjectBytes): Subject {
  return kind === SubjectKind.ORDER
    ? { kind, order: fromBinary(OrderSchema, bytes.summary), details: fromBinary(OrderDetailsSchema, bytes.details) }
    : {
        kind,
        booking: fromBinary(BookingSchema, bytes.summary),
        details: fromBinary(BookingDetailsSchema, bytes.details),
      };
}
