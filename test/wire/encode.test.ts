import { create, toBinary } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OrderDetailsSchema } from "../../gen/leadline/v1/order_pb.ts";
import { UnitSchema } from "../../gen/leadline/v1/place_pb.ts";
import { RecordedReportSchema, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { encode } from "../../src/wire/encode.ts";
import { encodeChanged } from "../../src/wire/encode-changed.ts";
import { drawsOf, message, SCHEMAS } from "./drawn-messages.ts";

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
