import { type DescMessage, fromBinary, type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import {
  ReportMilestoneResponseSchema,
  RequestBookingResponseSchema,
  RetractMilestoneResponseSchema,
} from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { HoldOrderResponseSchema, RetractReportResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { type Chosen, redactMessage } from "../domain/redaction.ts";
import { SubjectKind, type SubjectRef } from "../domain/subject.ts";

/*
 * Answers that were stored with their requests' ids. Which message each is of is not stored with it, but those that have an
 * order or a booking have it in one of these places; what else is in an answer goes along as it is.
 */
const SHAPES: readonly {
  readonly kind: SubjectKind;
  readonly answer: DescMessage;
  readonly subject: DescMessage;
  readonly field: "order" | "booking";
}[] = [
  { kind: SubjectKind.ORDER, answer: HoldOrderResponseSchema, subject: OrderSchema, field: "order" },
  { kind: SubjectKind.ORDER, answer: RetractReportResponseSchema, subject: OrderSchema, field: "order" },
  { kind: SubjectKind.BOOKING, answer: RequestBookingResponseSchema, subject: BookingSchema, field: "booking" },
  { kind: SubjectKind.BOOKING, answer: RetractMilestoneResponseSchema, subject: BookingSchema, field: "booking" },
  { kind: SubjectKind.BOOKING, answer: ReportMilestoneResponseSchema, subject: BookingSchema, field: "booking" },
];

/**
 * The stored answer without what is chosen of its order's or booking's; undefined: it has nothing of it, or is no answer with
 * one. @param of only that one's
 */
export function redactedReply(answer: Uint8Array, chosen: Chosen, of?: SubjectRef): Uint8Array | undefined {
  const read = SHAPES.flatMap((shape) => {
    const whole = readAs(shape.answer, answer);
    // Of a message whose fields are named by its schema, the subject is one of them.
    const subject = (whole as unknown as Record<string, unknown> | undefined)?.[shape.field] as Subject | undefined;
    return whole && subject ? [{ shape, whole, subject }] : [];
  });
  // Read as what it is not, an answer has fields that are not known; or it is of a newer release.
  const found = read.find(({ subject }) => subject.$unknown === undefined) ?? read[0];
  if (found === undefined) return undefined;
  const { shape, whole, subject } = found;
  if (of && (of.kind !== shape.kind || of.id !== subject.id)) return undefined;
  const clean = redactMessage(shape.subject, subject, chosen);
  return clean === subject ? undefined : toBinary(shape.answer, { ...whole, [shape.field]: clean });
}

type Subject = Message & { readonly id: string };

/** The answer as this message; undefined: it is another one. */
function readAs<D extends DescMessage>(schema: D, answer: Uint8Array): MessageShape<D> | undefined {
  try {
    const message = fromBinary(schema, answer);
    return Buffer.compare(toBinary(schema, message), answer) === 0 ? message : undefined;
  } catch {
    return undefined;
  }
}
