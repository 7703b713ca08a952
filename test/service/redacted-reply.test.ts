import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BookingState, SpaceVerdict } from "../../gen/leadline/v1/booking_pb.ts";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { everything, naming } from "../../src/domain/redaction.ts";
import { bookingRef, orderRef, type SubjectRef } from "../../src/domain/subject.ts";
import { redactedReply } from "../../src/service/redacted-reply.ts";

/** An order and a booking of one id. */
const ID = "same-1";
const order = {
  ...{ id: ID, version: 3n, status: "READY", phase: Phase.READY, onHold: true, holdReason: "Jane Doe is away" },
  destination: { unlocode: "NLRTM", address: "12 Elm Street" },
};
const booking = {
  ...{ id: ID, version: 3n, mode: TransportMode.OCEAN, carrier: "MAEU", state: BookingState.RECEIVED },
  ...{ space: SpaceVerdict.REQUESTED, origin: { unlocode: "CNSHA", address: "7 Elm Street, c/o Jane Doe" } },
};

/** Every kind of answer that may be stored and has an order or a booking in it. */
const answers = [...OrderService.methods, ...BookingService.methods].flatMap((method) => {
  if (method.methodKind !== "unary" || !method.input.fields.some(({ name }) => name === "request_id")) return [];
  const field = method.output.fields.find(({ name }) => name === "order" || name === "booking");
  if (field === undefined) return [];
  const isOrder = field.name === "order";
  const init = { [field.localName]: isOrder ? order : booking } as MessageInitShape<DescMessage>;
  return [{ name: method.name, output: method.output, field, isOrder, message: create(method.output, init) }];
});

describe("a stored answer", () => {
  test("is met in every shape that the contract has", () => {
    expect(answers.length).toBeGreaterThan(25);
    expect(new Set(answers.map(({ isOrder, field }) => `${isOrder} ${field.number}`)).size).toBe(5);
  });

  test.each(answers)(
    "of $name loses what is personal of its own subject, and no other's",
    ({ output, message, isOrder }) => {
      const bytes = toBinary(output, message);
      const own: SubjectRef = isOrder ? orderRef(ID) : bookingRef(ID);
      const other = isOrder ? bookingRef(ID) : orderRef(ID);
      expect(redactedReply(bytes, everything, other)).toBeUndefined();
      expect(redactedReply(bytes, everything, { ...own, id: "another" })).toBeUndefined();
      const clean = redactedReply(bytes, everything, own) ?? expect.fail("it has personal data");
      expect(Buffer.from(clean).toString("latin1")).not.toMatch(/Jane|Elm/);
      expect(redactedReply(clean, everything, own)).toBeUndefined();
      const named = redactedReply(bytes, naming("Jane Doe")) ?? expect.fail("it names her");
      expect(Buffer.from(named).toString("latin1")).not.toContain("Jane");
      expect(Buffer.from(named).toString("latin1").includes("12 Elm")).toBe(isOrder);
      const kept = JSON.stringify(fromBinary(output, named), (_key, v) => (typeof v === "bigint" ? String(v) : v));
      expect(kept).toContain(isOrder ? '"status":"READY"' : '"carrier":"MAEU"');
    },
  );

  test("without an order or a booking is left as it is", () => {
    const { output } = TenantService.method.createKey;
    const bytes = toBinary(output, create(output, { secret: "x", key: { id: ID, name: "Jane Doe" } }));
    expect(redactedReply(bytes, naming("Jane Doe"))).toBeUndefined();
    expect(redactedReply(new Uint8Array([0xff, 0xff]), everything)).toBeUndefined();
  });
});
