import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeHint, encodeHint, MalformedHint } from "../../src/bus/hint-codec.ts";
import { extensionOf, payloadOf } from "./contract.ts";

describe("a hint", () => {
  test("is read as it was written", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", minLength: 1, maxLength: 60 }),
        fc.bigInt({ min: 0n, max: 2n ** 62n }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 3_000 }),
        (tenant, after, count, bytes) => {
          const extension = extensionOf(tenant, after, count, bytes);
          const hint = decodeHint(encodeHint(extension, 10_000_000), tenant);
          expect(hint.say === "events" && hint.extension.previous).toEqual(extension.previous);
          const events = hint.say === "events" ? hint.extension.events : [];
          expect(events.map((e) => ({ ...e, payload: [...e.payload] }))).toEqual(
            extension.events.map((e) => ({ ...e, payload: [...e.payload] })),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  test("keeps nothing of the message it came in", () => {
    const bytes = encodeHint(extensionOf("t1", 0n, 1), 1_000);
    const hint = decodeHint(bytes, "t1");
    bytes.fill(0);
    expect(hint.say === "events" && [...(hint.extension.events[0]?.payload ?? [])]).toEqual([...payloadOf(10)]);
  });

  test("is refused when a byte of its frame is missing, added, or another's", () => {
    const bytes = encodeHint(extensionOf("t1", 4n, 2), 1_000);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => decodeHint(bytes.subarray(0, length), "t1")).toThrow(MalformedHint);
    }
    expect(() => decodeHint(Buffer.concat([bytes, Buffer.of(0)]), "t1")).toThrow("left over");
    expect(() => decodeHint(bytes, "t2")).toThrow("another tenant's");
  });

  test("made of anything at all is read or refused, and nothing else happens", () => {
    const start = encodeHint(extensionOf("t1", 4n, 2), 1_000);
    const altered = fc
      .tuple(fc.nat({ max: start.length - 1 }), fc.nat({ max: 255 }))
      .map(([at, byte]) => Uint8Array.from(start, (old, i) => (i === at ? byte : old)));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), altered), (bytes) => {
        try {
          const hint = decodeHint(bytes, "t1");
          if (hint.say === "events") expect(hint.extension.events.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedHint);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test("whose payload is not exactly one event is refused", () => {
    const [event] = extensionOf("t1", 0n, 1).events;
    if (!event) throw new Error("no event");
    const previous = { revision: 0n, eventId: "x" };
    const two = Buffer.concat([payloadOf(3), payloadOf(3)]);
    for (const payload of [new Uint8Array(), Uint8Array.of(0x12, 0), payloadOf(5).subarray(0, 4), two]) {
      const bytes = encodeHint({ tenant: "t1", previous, events: [{ ...event, payload }] }, 1_000);
      expect(() => decodeHint(bytes, "t1")).toThrow("not one event");
    }
  });
});
