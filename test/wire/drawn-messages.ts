import { type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { BookingDetailsSchema, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { RequestBookingRequestSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  BatchReportStatusRequestSchema,
  ReportStatusRequestSchema,
  ReportStatusResponseSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";

/** Types of which messages are drawn: with those inside them, what is stored and most of what is sent. */
export const SCHEMAS: readonly DescMessage[] = [
  EventSchema,
  OrderSchema,
  OrderDetailsSchema,
  BookingSchema,
  BookingDetailsSchema,
  ReportStatusRequestSchema,
  BatchReportStatusRequestSchema,
  ReportStatusResponseSchema,
  RequestBookingRequestSchema,
];

/** Draws a whole number from 0 up to a bound. */
export type Draw = (below: number) => number;

const TEXTS = [
  "",
  "a",
  "PAL-1",
  "\ud83d\ude00",
  "\ufeffx",
  "\u0000",
  "a".repeat(127),
  "é".repeat(20),
  "é".repeat(64),
  "z".repeat(20_000),
];
const WHOLE = [0, 1, 127, 128, 300, 2 ** 21, 2 ** 31 - 1];
const LONG = [0n, 1n, 127n, 128n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n];

/** Numbers that follow from a seed (a linear congruential generator). */
export function drawsOf(seed: number): Draw {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Draws a message with values of all sizes, those included that no rule of the contract allows. */
export function message(schema: DescMessage, draw: Draw, depth = 0): Message {
  const made = reflect(schema);
  for (const field of schema.fields) {
    if (draw(4) === 0 || (field.message && draw(4) < depth)) continue;
    if (field.fieldKind === "list") {
      for (let left = draw(3); left > 0; left -= 1) made.get(field).add(value(field, draw, depth));
    } else if (field.fieldKind !== "map") {
      made.set(field, value(field, draw, depth));
    }
  }
  return made.message;
}

function value(field: DescField, draw: Draw, depth: number) {
  const one = <T>(values: readonly T[], otherwise: T): T => values[draw(values.length)] ?? otherwise;
  if (field.message) return reflect(field.message, message(field.message, draw, depth + 1));
  if (field.enum) return one(field.enum.values, undefined)?.number ?? 0;
  switch (field.scalar) {
    case ScalarType.STRING:
      return one(TEXTS, "");
    case ScalarType.BOOL:
      return draw(2) === 1;
    case ScalarType.UINT32:
      return one([...WHOLE, 2 ** 32 - 1], 0);
    case ScalarType.UINT64:
      return one([...LONG, 2n ** 64n - 1n], 0n);
    case ScalarType.INT64:
      return one([...LONG, -1n, -(2n ** 63n)], 0n);
    default:
      return one([...WHOLE, -1, -128, -(2 ** 31)], 0);
  }
}
