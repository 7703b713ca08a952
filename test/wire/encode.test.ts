import { create, type DescField, type DescMessage, type Message, ScalarType, toBinary } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BookingDetailsSchema, BookingSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { RequestBookingRequestSchema } from "../../gen/leadline/v1/booking_service_pb.ts";
import { EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import {
  BatchReportStatusRequestSchema,
  ReportStatusRequestSchema,
  ReportStatusResponseSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { UnitSchema } from "../../gen/leadline/v1/place_pb.ts";
import { RecordedReportSchema, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { encode } from "../../src/wire/encode.ts";
import { encodeChanged } from "../../src/wire/encode-changed.ts";

const SCHEMAS: readonly DescMessage[] = [
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
type Draw = (below: number) => number;

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
function drawsOf(seed: number): Draw {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Draws a message with values of all sizes, those included that no rule of the contract allows. */
function message(schema: DescMessage, draw: Draw, depth = 0): Message {
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

/** Differences are told as texts. */
function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

describe("encode", () => {
  it.each(SCHEMAS.map((schema) => [schema.typeName, schema] as const))(
    "encodes %s as the library does",
    (_, schema) => {
      fc.assert(
        fc.property(fc.nat(), (seed) => {
          const drawn = message(schema, drawsOf(seed));
          expect(Buffer.compare(encode(schema, drawn), toBinary(schema, drawn))).toBe(0);
        }),
        { numRuns: 200 },
      );
    },
  );

  it("encodes a message of more than the buffer that it keeps", () => {
    const remark = "x".repeat(3_000_000);
    const report = create(ReportSchema, { remark, place: { name: "é".repeat(200_000) } });
    expect(Buffer.compare(encode(ReportSchema, report), toBinary(ReportSchema, report))).toBe(0);
    expect(hex(encode(ReportSchema, create(ReportSchema, { leg: 300 })))).toBe(hex(Uint8Array.of(0x48, 0xac, 0x02)));
  });

  it("encodes negative seconds and keeps fields of newer releases", () => {
    const time = create(TimestampSchema, { seconds: -1n, nanos: 5 });
    time.$unknown = [{ no: 900, wireType: 0, data: Uint8Array.of(7) }];
    expect(hex(encode(TimestampSchema, time))).toBe(hex(toBinary(TimestampSchema, time)));
  });

  it("encodes half a character as the library does", () => {
    for (const remark of ["\ud800", `${"a".repeat(60)}\udc00`]) {
      const report = create(ReportSchema, { remark });
      expect(hex(encode(ReportSchema, report))).toBe(hex(toBinary(ReportSchema, report)));
    }
  });

  it("refuses a message of another type", () => {
    const other = create(ReportSchema, {}) as unknown as ReturnType<typeof create<typeof RecordedReportSchema>>;
    expect(() => encode(RecordedReportSchema, other)).toThrow("leadline.v1.Report");
  });
});

describe("encodeChanged", () => {
  const report = (id: number) => create(RecordedReportSchema, { report: { sourceId: `r${id}`.repeat(1 + (id % 90)) } });

  it("encodes what elements were kept, dropped, moved and added as if none had been encoded before", () => {
    const ids = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 12 });
    fc.assert(
      fc.property(ids, ids, fc.array(fc.boolean()), fc.string(), (before, after, fresh, cancelReason) => {
        const pool = new Map(before.map((id) => [id, report(id)]));
        const was = create(OrderDetailsSchema, { reports: before.map((id) => pool.get(id) ?? report(id)) });
        const reports = after.map((id, i) => (fresh[i] ? report(id + 50) : (pool.get(id) ?? report(id))));
        const units = fresh.map((_, i) => create(UnitSchema, { id: `U${i}` }));
        const is = create(OrderDetailsSchema, { reports, cancelReason, units });
        const bytes = toBinary(OrderDetailsSchema, was);
        const changed = encodeChanged(OrderDetailsSchema, is, { message: was, bytes });
        expect(Buffer.compare(changed, toBinary(OrderDetailsSchema, is))).toBe(0);
      }),
    );
  });

  it("keeps what it does not know in elements and in the message", () => {
    const was = create(OrderDetailsSchema, { reports: [report(1), report(2)] });
    for (const one of [was, ...was.reports]) one.$unknown = [{ no: 900, wireType: 2, data: Uint8Array.of(1, 7) }];
    const bytes = toBinary(OrderDetailsSchema, was);
    const is = { ...was, reports: [...was.reports, report(3)] };
    expect(hex(encodeChanged(OrderDetailsSchema, is, { message: was, bytes }))).toBe(
      hex(toBinary(OrderDetailsSchema, is)),
    );
  });
});
