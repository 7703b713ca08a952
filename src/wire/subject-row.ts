import { fromBinary } from "@bufbuild/protobuf";
import { BookingDetailsSchema, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { type Subject, SubjectKind } from "../domain/subject.ts";
import { encode } from "./encode.ts";
import { encodeChanged } from "./encode-changed.ts";

/** A subject's two stored encodings: the compact form, and the details. */
export interface SubjectBytes {
  readonly summary: Uint8Array;
  readonly details: Uint8Array;
}

/** A subject and the details that it was read from. */
export interface ReadSubject {
  readonly subject: Subject;
  readonly details: Uint8Array;
}

/**
 * The details' encoding: OrderDetails or BookingDetails.
 * @param before what the subject was made from: what both share is copied from its bytes
 */
export function encodeDetails(subject: Subject, before?: ReadSubject): Uint8Array {
  const was = before?.subject;
  const bytes = before?.details ?? new Uint8Array();
  if (subject.kind === SubjectKind.ORDER) {
    const known = was?.kind === SubjectKind.ORDER ? { message: was.details, bytes } : undefined;
    return encodeChanged(OrderDetailsSchema, subject.details, known);
  }
  const known = was?.kind === SubjectKind.BOOKING ? { message: was.details, bytes } : undefined;
  return encodeChanged(BookingDetailsSchema, subject.details, known);
}

/** The encoding of the compact form: Order or Booking. */
export function encodeSummary(subject: Subject): Uint8Array {
  return subject.kind === SubjectKind.ORDER
    ? encode(OrderSchema, subject.order)
    : encode(BookingSchema, subject.booking);
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
