import { type BookingDetails, BookingDetailsSchema, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { type OrderDetails, OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { type Flows, type Subject, SubjectKind } from "../domain/subject.ts";
import { decode } from "./decode.ts";
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

/** A subject's details from their stored encoding. */
export function decodeDetails(kind: SubjectKind, bytes: Uint8Array): OrderDetails | BookingDetails {
  return kind === SubjectKind.ORDER ? decode(OrderDetailsSchema, bytes) : decode(BookingDetailsSchema, bytes);
}

/** A subject from its stored encodings. */
export function decodeSubject(kind: SubjectKind, bytes: SubjectBytes, flows: Flows): Subject {
  if (kind === SubjectKind.ORDER) {
    const order = decode(OrderSchema, bytes.summary);
    const flow = flows({ id: order.flowId, version: order.flowVersion });
    return { kind, order, details: decode(OrderDetailsSchema, bytes.details), flow };
  }
  return {
    kind: SubjectKind.BOOKING,
    booking: decode(BookingSchema, bytes.summary),
    details: decode(BookingDetailsSchema, bytes.details),
  };
}
