import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BookingAttachedSchema, BookingDetachedSchema, EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Completeness, OrderDetailsSchema, OrderSchema } from "../../gen/leadline/v1/order_pb.ts";
import { HoldOrderRequestSchema, ReleaseOrderRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier, type MilestoneTime, type Report } from "../../gen/leadline/v1/report_pb.ts";
import { evolveOrder } from "../../src/domain/order.ts";
import { decideHoldOrder, decideReleaseOrder } from "../../src/domain/order-commands.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import type { Retraction } from "../../src/domain/reports.ts";
import { STANDARD_FLOW, standardOnly } from "../../src/domain/standard-flow.ts";
import type { Change, OrderSubject } from "../../src/domain/subject.ts";
import { at, line, ORDER_ID, OrderDesk, pieces, report, retraction, unit } from "./order-desk.ts";

const CODES = STANDARD_FLOW.statuses.map((status) => status.code);
const LINES = [line("L1", 25), line("L2", 4)];
const UNITS = [unit("U1", pieces("L1", 10)), unit("U2", pieces("L1", 15), pieces("L2", 4)), unit("U3")];

type Message = { readonly report: Report } | { readonly retraction: Retraction };

const minutes = fc.integer({ min: 0, max: 40 });
const classifiers = fc.constantFrom(Classifier.ACTUAL, Classifier.ACTUAL, Classifier.ESTIMATED, Classifier.PLANNED);
const part = fc.oneof(
  { weight: 3, arbitrary: fc.constant({}) },
  { weight: 2, arbitrary: fc.record({ unitIds: fc.subarray(["U1", "U2", "U3", "U9"], { minLength: 1 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      lines: fc
        .constantFrom("L1", "L2", "L9")
        .chain((id) => fc.integer({ min: 1, max: 30 }).map((n) => [pieces(id, n)])),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 1, max: 15 }).map((n) => ({ unitIds: ["U2"], lines: [pieces("L1", n)] })),
  },
);

/** A report: few ids and few times, so that corrections, repetitions and ties are frequent. */
function reports(ids: fc.Arbitrary<string>): fc.Arbitrary<Report> {
  return fc
    .record({
      id: ids,
      status: fc.constantFrom(...CODES, "", "TELEPORTED"),
      classifier: classifiers,
      happened: minutes,
      said: minutes,
      milestone: fc.constantFrom("", "", "LOADED"),
      leg: fc.constantFrom(0, 0, 1),
      source: fc.constantFrom("TMS", "MSC"),
      exception: fc.boolean(),
      part,
    })
    .map(({ id, status, happened, said, part: named, ...more }) =>
      report(id, status, happened, { ...more, ...named, sourceUpdatedAt: at(said) }),
    )
    .filter((one) => one.status !== "" || one.milestone !== "");
}

const anyId = fc.integer({ min: 0, max: 6 }).map((n) => `r${n}`);
const retractions = fc.tuple(anyId, minutes).map(([id, said]) => retraction(id, said));
const messages: fc.Arbitrary<Message> = fc.oneof(
  { weight: 5, arbitrary: reports(anyId).map((one) => ({ report: one })) },
  { weight: 1, arbitrary: retractions.map((one) => ({ retraction: one })) },
);

function shuffled<T>(items: fc.Arbitrary<T[]>): fc.Arbitrary<[T[], T[]]> {
  return items.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
}

function take(desk: OrderDesk, message: Message): void {
  if ("report" in message) desk.report(message.report, { strict: false });
  else desk.retract(message.retraction);
}

function orderAfter(all: readonly Message[]): OrderDesk {
  const desk = OrderDesk.of({ lines: LINES, units: UNITS });
  for (const message of all) take(desk, message);
  return desk;
}

/** All that must not depend on the order of arrival. Times of recording, flags and what was corrected may. */
function lasting({ order, details }: OrderDesk) {
  const { version: _, updatedAt: __, ...rest } = order;
  return {
    order: rest,
    lines: details.lines,
    unitProgress: details.unitProgress,
    reports: sorted(
      details.reports.map((one) => (one.retracted ? [identity(one.report)] : [identity(one.report), one.report])),
    ),
    milestones: sorted(
      details.milestones.map(({ kind, place, leg, unitId, planned, estimated, actual }) => [
        `${kind} ${place} ${leg} ${unitId}`,
        ...[planned, estimated, actual].map(unrecorded),
      ]),
    ),
  };
}

function histories({ details }: OrderDesk) {
  return sorted(
    details.milestones.map((one) => [
      `${one.kind} ${one.place} ${one.leg} ${one.unitId}`,
      one.firstEstimate,
      one.history.map(unrecorded),
    ]),
  );
}

const identity = (of: Report | undefined) => `${of?.source} ${of?.sourceId} ${of?.sourceUpdatedAt?.seconds}`;
const sorted = (rows: readonly (readonly unknown[])[]) =>
  [...rows].sort(([a], [b]) => (String(a) < String(b) ? -1 : Number(String(a) > String(b))));
const unrecorded = (value: MilestoneTime | undefined) => value && { ...value, recordedAt: undefined };

describe("the order of arrival", () => {
  test("corrections and retractions included, it changes neither status nor what follows from the reports", () => {
    fc.assert(
      fc.property(shuffled(fc.array(messages, { maxLength: 14 })), ([forth, other]) => {
        expect(lasting(orderAfter(other))).toEqual(lasting(orderAfter(forth)));
      }),
      { numRuns: 400 },
    );
  });

  test("where nothing is corrected, the histories of milestones do not depend on it either", () => {
    const distinct = fc
      .uniqueArray(reports(fc.integer({ min: 0, max: 60 }).map((n) => `r${n}`)), {
        selector: (one) => one.sourceId,
        maxLength: 14,
      })
      .map((list) => list.map((one): Message => ({ report: one })));
    const some = fc
      .tuple(distinct, fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 3 }))
      .map(([list, gone]) => [...list, ...gone.map((n): Message => ({ retraction: retraction(`r${n}`, 100) }))]);
    fc.assert(
      fc.property(shuffled(some), ([forth, other]) => {
        expect(histories(orderAfter(other))).toEqual(histories(orderAfter(forth)));
      }),
      { numRuns: 200 },
    );
  });

  test("sending everything a second time changes nothing", () => {
    fc.assert(
      fc.property(fc.array(messages, { maxLength: 10 }), (all) => {
        const desk = orderAfter(all);
        const events = desk.history.length;
        for (const message of all) take(desk, message);
        expect(desk.history).toHaveLength(events);
      }),
      { numRuns: 100 },
    );
  });

  test("when everything is retracted the order is as it was created", () => {
    fc.assert(
      fc.property(fc.array(messages, { maxLength: 10 }), (all) => {
        const desk = orderAfter(all);
        for (const { report: one } of desk.details.reports) {
          desk.retract({ ...retraction(one?.sourceId ?? "", 1_000_000), source: one?.source ?? "" });
        }
        const { reports: _, ...shown } = lasting(desk);
        const { reports: __, ...created } = lasting(orderAfter([]));
        expect(shown).toEqual(created);
      }),
      { numRuns: 100 },
    );
  });
});

describe("the status against a plain model", () => {
  const rankOf = (code: string) => CODES.indexOf(code);
  const actual = (one: Report) => one.classifier === Classifier.ACTUAL && rankOf(one.status) >= 0;
  const greatest = (ranks: readonly number[]) => Math.max(0, ...ranks);
  const whole = (one: Report) => one.unitIds.length === 0 && one.lines.length === 0;

  function deskOf(request: Parameters<typeof OrderDesk.of>[0], list: readonly Report[]) {
    const desk = OrderDesk.of(request);
    for (const one of list) desk.report(one, { strict: false });
    return desk;
  }

  const distinct = (named: fc.Arbitrary<Partial<Report>>) =>
    fc
      .array(fc.tuple(reports(fc.constant("")), named), { maxLength: 12 })
      .map((list) => list.map(([one, more], i) => ({ ...one, unitIds: [], lines: [], ...more, sourceId: `r${i}` })));

  test("of units: what everything or the slowest unit has come to", () => {
    const units = ["U1", "U2", "U3"];
    const named = fc.oneof(
      fc.constant({}),
      fc.subarray(units, { minLength: 1 }).map((unitIds) => ({ unitIds })),
    );
    fc.assert(
      fc.property(distinct(named), (list) => {
        const happened = list.filter(actual);
        const all = greatest(happened.filter(whole).map((one) => rankOf(one.status)));
        const slowest = Math.min(
          ...units.map((id) =>
            greatest(happened.filter((one) => one.unitIds.includes(id)).map((one) => rankOf(one.status))),
          ),
        );
        const desk = deskOf({ units: units.map((id) => unit(id)) }, list);
        expect(desk.order.status).toBe(CODES[Math.max(all, slowest)]);
      }),
      { numRuns: 300 },
    );
  });

  test("of quantities: the furthest status of which the sums of it or of a later one are all that was ordered", () => {
    const named = fc.oneof(
      { weight: 1, arbitrary: fc.constant({}) },
      {
        weight: 6,
        arbitrary: fc
          .tuple(fc.integer({ min: 1, max: 25 }), fc.integer({ min: 1, max: 4 }))
          .map(([a, b]) => ({ lines: report("", "READY", 0, { lines: [pieces("L1", a), pieces("L2", b)] }).lines })),
      },
    );
    fc.assert(
      fc.property(distinct(named), (list) => {
        const happened = list.filter(actual);
        const sum = (lineId: string, rank: number) =>
          happened
            .filter((one) => rankOf(one.status) === rank)
            .flatMap((one) => one.lines)
            .filter((one) => one.lineId === lineId)
            .reduce((total, one) => total + Number(one.quantity), 0);
        const ranks = CODES.map((_, rank) => rank);
        const reached = (lineId: string, rank: number) =>
          greatest(ranks.filter((r) => r >= rank).map((r) => sum(lineId, r)));
        const covered = ranks.filter((rank) => LINES.every((l) => reached(l.id, rank) >= Number(l.quantity)));
        const all = happened.filter(whole).map((one) => rankOf(one.status));
        const desk = deskOf({ lines: LINES }, list);
        expect(desk.order.status).toBe(CODES[greatest([...covered, ...all])]);
      }),
      { numRuns: 300 },
    );
  });

  test("what is delivered has left, and all of it is all of it", () => {
    fc.assert(
      fc.property(fc.array(messages, { maxLength: 14 }), (all) => {
        const { order, details } = orderAfter(all);
        for (const one of details.lines) {
          expect(one.delivered).toBeLessThanOrEqual(one.shipped);
          expect(one.shipped).toBeLessThanOrEqual(one.quantity);
        }
        for (const progress of [order.shipping, order.delivery]) {
          const done =
            progress?.quantityDone === progress?.quantityTotal && progress?.unitsDone === progress?.unitsTotal;
          if (progress?.completeness === Completeness.COMPLETE) expect(done).toBe(true);
          const some = (progress?.quantityDone ?? 0n) > 0n || (progress?.unitsDone ?? 0) > 0;
          expect(progress?.completeness === Completeness.NONE).toBe(!some);
        }
        expect(order.status === "DELIVERED").toBe(order.delivery?.completeness === Completeness.COMPLETE);
      }),
      { numRuns: 200 },
    );
  });
});

describe("folding the events of an order", () => {
  type Act = (desk: OrderDesk) => void;
  const request = { orderId: ORDER_ID, reason: "so" };
  const attached = (bookingId: string, unitIds: string[]): Change => {
    const booking = { bookingId, carrier: `C${bookingId}`, unitIds };
    return { case: "bookingAttached", value: create(BookingAttachedSchema, { booking }) };
  };
  const detached = (bookingId: string): Change => ({
    case: "bookingDetached",
    value: create(BookingDetachedSchema, { bookingId }),
  });
  const acts: fc.Arbitrary<Act> = fc.oneof(
    {
      weight: 6,
      arbitrary: messages.map(
        (one): Act =>
          (desk) =>
            take(desk, one),
      ),
    },
    fc.constant<Act>((desk) => desk.run(decideHoldOrder(create(HoldOrderRequestSchema, request)))),
    fc.constant<Act>((desk) => desk.run(decideReleaseOrder(create(ReleaseOrderRequestSchema, { orderId: ORDER_ID })))),
    fc.constant<Act>((desk) => desk.cancel()),
    fc.tuple(fc.constantFrom("b1", "b2"), fc.subarray(["U1", "U7", "U8"])).map(
      ([id, units]): Act =>
        (desk) =>
          desk.apply(attached(id, units), at(9_000)),
    ),
    fc.constantFrom("b1", "b2").map(
      (id): Act =>
        (desk) =>
          desk.apply(detached(id), at(9_000)),
    ),
  );

  /** Acts on an order; what is refused changes nothing. */
  function orderOf(list: readonly Act[]): OrderDesk {
    const desk = OrderDesk.of({ lines: LINES, units: UNITS });
    for (const act of list) {
      try {
        act(desk);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
    }
    return desk;
  }

  const encoded = ({ order, details }: OrderSubject) => ({
    order: Buffer.from(toBinary(OrderSchema, order)).toString("hex"),
    details: Buffer.from(toBinary(OrderDetailsSchema, details)).toString("hex"),
  });

  const decoded = ({ kind, order, details, flow }: OrderSubject): OrderSubject => ({
    kind,
    flow,
    order: fromBinary(OrderSchema, toBinary(OrderSchema, order)),
    details: fromBinary(OrderDetailsSchema, toBinary(OrderDetailsSchema, details)),
  });

  test("gives the order, whether the events and the orders between are as they were or read back from their encodings", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 20 }), (list) => {
        const desk = orderOf(list);
        let folded: OrderSubject | undefined;
        for (const { change, recorded } of desk.history) {
          const stored = fromBinary(EventSchema, toBinary(EventSchema, create(EventSchema, { change }))).change;
          if (stored.case === undefined) throw new Error("a change came back empty");
          folded = evolveOrder(folded && decoded(folded), stored, recorded, ORDER_ID, standardOnly);
        }
        expect(folded && encoded(folded)).toEqual(encoded(desk.known));
      }),
      { numRuns: 200 },
    );
  });

  test("versions rise by one, and every event leaves the order before it untouched", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 12 }), (list) => {
        const desk = orderOf(list);
        let folded: OrderSubject | undefined;
        for (const [i, { change, recorded }] of desk.history.entries()) {
          const before = folded && encoded(folded);
          const after = evolveOrder(folded, change, recorded, ORDER_ID, standardOnly);
          expect(after.order.version).toBe(BigInt(i + 1));
          expect(folded && encoded(folded)).toEqual(before);
          folded = after;
        }
      }),
      { numRuns: 100 },
    );
  });
});
