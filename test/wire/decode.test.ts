import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { ReportStatusResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { UnitSchema } from "../../gen/leadline/v1/place_pb.ts";
import { MilestoneTimeSchema, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { decode } from "../../src/wire/decode.ts";
import { Input } from "../../src/wire/input.ts";
import { type Draw, drawsOf, message, SCHEMAS } from "./drawn-messages.ts";

const types = SCHEMAS.map((schema) => [schema.typeName, schema] as const);

/** What reading gives: a message, or what is said against the bytes. */
function outcome(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return `refused: ${error instanceof Error ? error.message : error}`;
  }
}

function expectSame(schema: DescMessage, bytes: Uint8Array): void {
  expect(outcome(() => decode(schema, bytes))).toEqual(outcome(() => fromBinary(schema, bytes)));
}

/** Bytes with something written over, left out, put in, repeated or cut off. */
function mutated(bytes: Uint8Array, draw: Draw): Uint8Array {
  const at = draw(bytes.length + 1);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  const drawn = Uint8Array.from({ length: 1 + draw(3) }, () => (draw(3) === 0 ? 0x80 + draw(0x80) : draw(0x80)));
  switch (draw(5)) {
    case 0:
      return Buffer.concat([before, drawn, after.subarray(drawn.length)]);
    case 1:
      return Buffer.concat([before, after.subarray(drawn.length)]);
    case 2:
      return Buffer.concat([before, drawn, after]);
    case 3:
      return Buffer.concat([bytes, before]);
    default:
      return before;
  }
}

describe("decode", () => {
  it.each(types)("reads %s as the library does", (_, schema) => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const drawn = message(schema, drawsOf(seed));
        const bytes = toBinary(schema, drawn);
        expect(decode(schema, bytes)).toEqual(fromBinary(schema, bytes));
        expect(Buffer.compare(toBinary(schema, decode(schema, Buffer.from(bytes))), bytes)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  it.each(types)("reads or refuses mutated bytes of %s as the library does", (_, schema) => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const draw = drawsOf(seed);
        let bytes: Uint8Array = toBinary(schema, message(schema, draw));
        for (let left = 1 + draw(3); left > 0; left -= 1) bytes = mutated(bytes, draw);
        expectSame(schema, bytes);
      }),
      { numRuns: 300 },
    );
  });

  it("reads or refuses any bytes as the library does", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => expectSame(MilestoneTimeSchema, bytes)));
  });

  it.each(types)("gives a message of %s all of its properties at once", (_, schema) => {
    const shape = ["$typeName", ...schema.members.map((member) => member.localName)];
    expect(Object.keys(decode(schema, new Uint8Array()))).toEqual(shape);
  });

  it("reads an order without the library", () => {
    const bytes = toBinary(
      OrderSchema,
      create(OrderSchema, { id: "1", version: 3n, origin: { name: "é" }, statusSince: { instant: { seconds: 9n } } }),
    );
    const { origin, statusSince } = decode(OrderSchema, bytes);
    expect(origin).toHaveProperty("countryCode", "");
    expect(Object.keys(statusSince ?? {})).toContain("timeZone");
    expect(Object.keys(decode(OrderSchema, bytes)).at(-1)).toBe("ended");
  });

  it("keeps fields of newer releases", () => {
    const order = create(OrderSchema, { id: "1", origin: { unlocode: "NLRTM" } });
    for (const one of [order, order.origin ?? order]) one.$unknown = [{ no: 900, wireType: 0, data: Uint8Array.of(7) }];
    const bytes = toBinary(OrderSchema, order);
    expect(decode(OrderSchema, bytes).origin?.$unknown).toHaveLength(1);
    expectSame(OrderSchema, bytes);
  });

  it("joins a message field that stands twice, and takes a number that does", () => {
    const encoded = (init: object) => toBinary(ReportSchema, create(ReportSchema, init));
    const [first, second] = [
      encoded({ place: { unlocode: "NLRTM" }, leg: 1 }),
      encoded({ place: { name: "R" }, leg: 2 }),
    ];
    const report = decode(ReportSchema, Buffer.concat([first, second]));
    expect([report.place?.unlocode, report.place?.name, report.leg]).toEqual(["NLRTM", "R", 2]);
  });

  it("reads packed and unpacked numbers", () => {
    for (const bytes of [Uint8Array.of(0x12, 2, 1, 3), Uint8Array.of(0x10, 1, 0x10, 3)]) {
      expect(decode(ReportStatusResponseSchema, bytes).flags).toEqual([1, 3]);
      expectSame(ReportStatusResponseSchema, bytes);
    }
  });

  it("tells texts apart that fall on one place of what it remembers", () => {
    const read = (id: string) => decode(UnitSchema, toBinary(UnitSchema, create(UnitSchema, { id }))).id;
    const ids = Array.from({ length: 5_000 }, (_, i) => `U${i}`);
    expect(ids.map(read)).toEqual(ids);
    expect(ids.map(read)).toEqual(ids);
  });

  it("never reads past the bytes that it was given", () => {
    const whole = Buffer.from("0a0548454c4c4f", "hex");
    for (let end = 1; end < whole.length; end += 1) {
      expect(() => decode(UnitSchema, whole.subarray(0, end))).toThrow();
    }
    expect(new Input(whole.subarray(1)).text(whole.length - 1)).toBe("HELLO");
  });
});
