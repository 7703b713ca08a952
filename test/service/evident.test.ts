import { create, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { ImportService } from "../../gen/leadline/v1/import_service_pb.ts";
import {
  BatchReportStatusRequestSchema,
  CreateOrderRequestSchema,
  OrderService,
  ReportStatusRequestSchema,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { isEvidentlyValid } from "../../src/service/evident.ts";
import { type Draw, drawsOf } from "../wire/drawn-messages.ts";

const validator = createValidator();

const services = [OrderService, BookingService, ImportService, TenantService];
const requests = [...new Set(services.flatMap((service) => service.methods.map((method) => method.input)))];

/** Texts that keep or break a rule of some field by little. */
const TEXTS = [
  ...["", "A", "a", "1", "PO", "ord-1", "NLRTM", "NLRTM\n", "ACTUAL", "Europe/Amsterdam", "a b", "MAEU"],
  ...["x\0", "\ud83d\ude00".repeat(50), "é".repeat(20), "A".repeat(16), "A".repeat(17), "A".repeat(32), "a".repeat(64)],
  ...[
    "a".repeat(65),
    "a".repeat(100),
    "a".repeat(101),
    "a".repeat(128),
    "a".repeat(129),
    "a".repeat(500),
    "a".repeat(501),
  ],
];
const NUMBERS = [0, 1, 2, 3, 20, 99, 100, 101, 1080, 1081, 1_000_000];

function drawn(schema: DescMessage, draw: Draw, depth = 0): Message {
  const made = reflect(schema);
  for (const field of schema.fields) {
    if (draw(3) === 0 || (field.message && depth > 3)) continue;
    if (field.fieldKind === "list") {
      for (let left = draw(4); left > 0; left -= 1) made.get(field).add(value(field, draw, depth));
    } else if (field.fieldKind !== "map") made.set(field, value(field, draw, depth));
  }
  return made.message;
}

function value(field: DescField, draw: Draw, depth: number) {
  if (field.message) return reflect(field.message, drawn(field.message, draw, depth + 1));
  if (field.enum) return draw(10) === 0 ? 99 : (field.enum.values[draw(field.enum.values.length)]?.number ?? 0);
  const number = NUMBERS[draw(NUMBERS.length)] ?? 0;
  switch (field.scalar) {
    case ScalarType.STRING:
      return TEXTS[draw(TEXTS.length)] ?? "";
    case ScalarType.BYTES:
      return new Uint8Array(draw(3));
    case ScalarType.BOOL:
      return draw(2) === 1;
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return draw(8) === 0 ? 1_000_000_000_001n : BigInt(number);
    default:
      return number;
  }
}

/** Whether a text with U+0000 is anywhere that its taker does not look at. */
function hasNul(message: Message): boolean {
  return JSON.stringify(message, (_, one) => (typeof one === "bigint" ? String(one) : one)).includes("\\u0000");
}

const report = {
  classifier: Classifier.ACTUAL,
  status: "BOOKED",
  occurredAt: { instant: { seconds: 1_767_225_600n }, timeZone: "Europe/Amsterdam", utcOffsetMinutes: 60 },
  place: { unlocode: "NLRTM" },
  unitIds: ["MSKU1234565", "PAL-1"],
  lines: [{ lineId: "1", quantity: 3n }],
};

describe("what is evident", () => {
  it.each(requests.map((schema) => [schema.typeName, schema] as const))("is valid: %s", (_, schema) => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const message = drawn(schema, drawsOf(seed));
        if (!isEvidentlyValid(schema, message)) return;
        expect(validator.validate(schema, message).kind).toBe("valid");
        expect(schema.typeName.includes("Batch") || schema.typeName.includes("Import") || !hasNul(message)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it("is each part of a valid request, until it breaks a rule", () => {
    const request = { requestId: "r1", orderId: "PO-4711", report };
    const isEvident = (changed: object) =>
      isEvidentlyValid(ReportStatusRequestSchema, create(ReportStatusRequestSchema, { ...request, ...changed }));
    expect(isEvident({})).toBe(true);
    expect(isEvident({ report: { ...report, status: "" } })).toBe(true);
    const broken = [
      { requestId: "a".repeat(129) },
      { requestId: "\0" },
      { orderId: "" },
      { orderId: "PO-1\n" },
      { report: undefined },
      ...[{ classifier: 0 }, { classifier: 9 }, { status: "booked" }, { occurredAt: undefined }, { leg: 101 }].map(
        part,
      ),
      ...[{ unitIds: ["A", "A"] }, { unitIds: ["A B"] }, { lines: [{ lineId: "1" }] }, { remark: "\0" }].map(part),
      ...[{ occurredAt: { instant: {}, utcOffsetMinutes: 1081 } }, { occurredAt: {} }, { place: { name: "\0" } }].map(
        part,
      ),
    ];
    for (const one of broken) expect([one, isEvident(one)]).toEqual([one, false]);
    function part(of: object) {
      return { report: { ...report, ...of } };
    }
  });

  it("are orders and batches as they come", () => {
    const order = create(CreateOrderRequestSchema, {
      references: [{ type: "PO", value: "4711" }],
      lines: [{ id: "1", quantity: 1n }],
    });
    expect(isEvidentlyValid(CreateOrderRequestSchema, order)).toBe(true);
    const batch = (count: number) =>
      create(BatchReportStatusRequestSchema, { items: Array.from({ length: count }, () => ({ orderId: "?" })) });
    expect([0, 1, 500, 501].map((n) => isEvidentlyValid(BatchReportStatusRequestSchema, batch(n)))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  it("is no message of another type", () => {
    const other = create(CreateOrderRequestSchema, {});
    expect(isEvidentlyValid(BatchReportStatusRequestSchema, other)).toBe(false);
  });
});
