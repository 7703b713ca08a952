import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StoredEvent } from "../../src/domain/stored-event.ts";
import { Ring } from "../../src/watch/ring.ts";
import { Slot } from "../../src/watch/slot.ts";

const BASE = { revision: 10n, eventId: "base" };
const ALL = 1_000_000n;

function slot(revision: bigint, bytes = 10): Slot {
  const payload = new Uint8Array(bytes);
  const event: StoredEvent = {
    revision,
    eventId: `e${revision}`,
    kind: 1,
    subjectId: "o",
    version: 1n,
    carrier: "",
    payload,
  };
  return new Slot("t1", event);
}

function revisions(slots: readonly Slot[] | undefined): number[] | undefined {
  return slots?.map(({ place }) => Number(place.revision));
}

describe("a ring", () => {
  test("that is empty stands at its base", () => {
    const ring = new Ring(BASE, 3, 1_000);
    expect([ring.head, ring.base, ring.size]).toEqual([BASE, BASE, 0]);
    expect(ring.placeAt(10n)).toEqual(BASE);
    expect(ring.placeAt(11n)).toBeUndefined();
    expect(ring.between(10n, ALL, 100)).toEqual([]);
    expect(ring.between(9n, ALL, 100)).toBeUndefined();
  });

  test("lets the oldest go, and remembers the place before the oldest that it has", () => {
    const ring = new Ring(BASE, 3, 1_000);
    for (let revision = 11n; revision <= 16n; revision += 1n) ring.append(slot(revision), ALL);
    expect(ring.base).toEqual({ revision: 13n, eventId: "e13" });
    expect(ring.placeAt(13n)?.eventId).toBe("e13");
    expect(ring.placeAt(12n)).toBeUndefined();
    expect(revisions(ring.between(13n, ALL, 1_000))).toEqual([14, 15, 16]);
    expect(revisions(ring.between(14n, 15n, 1_000))).toEqual([15]);
    expect(ring.between(12n, ALL, 1_000)).toBeUndefined();
  });

  test("keeps what must be kept, bounds or not", () => {
    const ring = new Ring(BASE, 2, 1_000);
    for (let revision = 11n; revision <= 15n; revision += 1n) ring.append(slot(revision), 11n);
    expect(revisions(ring.between(11n, ALL, 1_000))).toEqual([12, 13, 14, 15]);
    expect(ring.base.revision).toBe(11n);
  });

  test("gives at least one event, and no more bytes than asked for beyond it", () => {
    const ring = new Ring(BASE, 10, 10_000);
    for (const [i, bytes] of [50, 30, 30, 30].entries()) ring.append(slot(11n + BigInt(i), bytes), ALL);
    expect(revisions(ring.between(10n, ALL, 10))).toEqual([11]);
    expect(revisions(ring.between(10n, ALL, 80))).toEqual([11, 12]);
    expect(revisions(ring.between(11n, ALL, 1_000))).toEqual([12, 13, 14]);
  });

  test("refuses an event that does not follow", () => {
    const ring = new Ring(BASE, 3, 1_000);
    expect(() => ring.append(slot(12n), ALL)).toThrow("does not follow");
  });

  test("stays dense and within its bounds whatever is appended", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 200 }),
        fc.array(fc.integer({ min: 1, max: 80 }), { maxLength: 60 }),
        (maxEvents, maxBytes, sizes) => {
          const ring = new Ring(BASE, maxEvents, maxBytes);
          for (const [i, bytes] of sizes.entries()) {
            ring.append(slot(11n + BigInt(i), bytes), ALL);
            const held = ring.between(ring.base.revision, ALL, Number.MAX_SAFE_INTEGER) ?? [];
            expect(held.length).toBe(ring.size);
            expect(ring.size).toBeLessThanOrEqual(maxEvents);
            expect(ring.bytes).toBeLessThanOrEqual(maxBytes);
            expect(ring.bytes).toBe(held.reduce((sum, each) => sum + each.bytes, 0));
            expect(ring.head.revision - ring.base.revision).toBe(BigInt(ring.size));
            expect(ring.placeAt(ring.head.revision)).toBe(ring.head);
          }
        },
      ),
    );
  });
});
