import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { Flag } from "../../gen/leadline/v1/report_pb.ts";
import { FlowDefinitionSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { planMove } from "../../src/domain/flows/moving.ts";
import { evolveOrder } from "../../src/domain/order.ts";
import { hasEnded } from "../../src/domain/order-status.ts";
import { STANDARD_DEFINITION, STANDARD_FLOW } from "../../src/domain/standard-flow.ts";
import { type StatusFlow, statusFlow } from "../../src/domain/status-flow.ts";
import { at, line, ORDER_ID, OrderDesk, pieces, report, retraction, unit } from "./order-desk.ts";

/** The standard flow with every code written another way. */
const rename = (code: string) => (code === "" ? "" : `MY_${code}`);
const back = (code: string) => code.replace(/^MY_/, "");
const RENAMED = statusFlow(
  { id: "mine", version: 3 },
  create(FlowDefinitionSchema, {
    statuses: STANDARD_DEFINITION.statuses.map((status) => ({ ...status, code: rename(status.code) })),
  }),
);
const MAPPINGS = new Map(STANDARD_FLOW.statuses.map(({ code }) => [code, rename(code)]));
const BACK = new Map([...MAPPINGS].map(([standard, mine]) => [mine, standard]));

const LINES = [line("L1", 25), line("L2", 4)];
const UNITS = [unit("U1", pieces("L1", 10)), unit("U2", pieces("L1", 15), pieces("L2", 4))];

const minute = fc.integer({ min: 0, max: 40 });
/** What sources say, with milestones of these kinds; an empty one: of the status's. */
const saying = (...kinds: string[]) =>
  fc.record({
    id: fc.integer({ min: 0, max: 6 }).map((n) => `r${n}`),
    status: fc.constantFrom(...STANDARD_FLOW.statuses.map(({ code }) => code), "TELEPORTED"),
    happened: minute,
    said: minute,
    classifier: fc.constantFrom(1, 1, 1, 2, 3),
    unitIds: fc.oneof({ weight: 3, arbitrary: fc.constant<string[]>([]) }, fc.subarray(["U1", "U2", "U9"])),
    retracted: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    exception: fc.boolean(),
    milestone: fc.constantFrom("", ...kinds),
  });
/** Two of these are codes of the standard flow, and none of the other. */
const said = saying("", "DEPARTED", "DELIVERED", "BOOKED");
/** Without the status that no flow has: a move gives it no other code. */
const mappedSaid = said.filter(({ status }) => status !== "TELEPORTED");
type Said = typeof said extends fc.Arbitrary<infer T> ? T : never;

function take(desk: OrderDesk, one: Said, code: (status: string) => string) {
  if (one.retracted) return desk.retract(retraction(one.id, one.said)).outcome;
  const { id, status, happened, said: at_, retracted: _, ...more } = one;
  const made = report(id, code(status), happened, { ...more, sourceUpdatedAt: at(at_) });
  const { outcome, flags } = desk.report(made, { strict: false });
  return [outcome, flags];
}

/** What an order is, its codes written in one way and its flow and times of recording left out. */
function told({ order, details }: OrderDesk["known"], code: (status: string) => string) {
  const { status, flowId: _id, flowVersion: _version, updatedAt: _at, version: _n, ...rest } = order;
  return {
    ...rest,
    status: code(status),
    lines: details.lines,
    units: details.unitProgress.map((one) => ({ ...one, status: code(one.status) })),
    reports: details.reports.map((one) => ({
      ...one.report,
      status: code(one.report?.status ?? ""),
      flags: one.flags,
    })),
    milestones: details.milestones.map((one) => ({ ...one, kind: code(one.kind) })),
  };
}

/** Without what follows from the moment at which a thing was heard of: its flags, and what a milestone was before. */
function standing(known: OrderDesk["known"]) {
  const { reports, milestones, ...rest } = told(known, back);
  return {
    ...rest,
    reports: reports.map(({ flags: _, ...one }) => one),
    milestones: known.details.milestones
      .map(({ history: _history, firstEstimate: _first, ...one }) => one)
      .sort((a, b) => (key(a) < key(b) ? -1 : 1)),
  };
}

const key = (one: { kind: string; unitId: string }) => `${one.kind} ${one.unitId}`;

function ordersIn(flow: StatusFlow): OrderDesk {
  return OrderDesk.of({ lines: LINES, units: UNITS }, 1_000, flow);
}

function move(desk: OrderDesk, to: StatusFlow, mappings: ReadonlyMap<string, string>) {
  const { change, unmapped } = planMove(desk.known, to, mappings);
  expect(unmapped.filter((code) => code !== "TELEPORTED")).toEqual([]);
  const recorded = { version: desk.order.version + 1n, recordedAt: at(5_000) };
  return evolveOrder(desk.known, change, recorded, ORDER_ID, () => to);
}

describe("a flow that is the standard flow under other codes", () => {
  test("answers and flags every report, and stands, as the standard flow does", () => {
    fc.assert(
      // A milestone that is called as a status is called in one of the flows only would be the same as the status's there.
      fc.property(fc.array(saying("DEPARTED", "GATE_IN"), { maxLength: 12 }), (all) => {
        const [standard, mine] = [ordersIn(STANDARD_FLOW), ordersIn(RENAMED)];
        for (const one of all) expect(take(mine, one, rename)).toEqual(take(standard, one, (code) => code));
        expect(told(mine.known, back)).toEqual(told(standard.known, (code) => code));
        expect(hasEnded(mine.order)).toBe(hasEnded(standard.order));
      }),
      { numRuns: 300 },
    );
  });

  test("that lets a status follow again is not late there", () => {
    const again = create(FlowDefinitionSchema, {
      statuses: [
        { code: "NEW", phase: Phase.RECEIVED, next: ["TRUCK"] },
        { code: "TRUCK", phase: Phase.IN_TRANSIT, next: ["FAILED", "DONE"] },
        { code: "FAILED", phase: Phase.OUT_FOR_DELIVERY, next: ["TRUCK"], phaseMayGoBack: true },
        { code: "DONE", phase: Phase.DELIVERED, endsJourney: true },
      ],
    });
    const desk = OrderDesk.of({}, 1_000, statusFlow({ id: "again", version: 1 }, again));
    const flagsOf = (id: string, status: string, minutes: number) => desk.report(report(id, status, minutes)).flags;
    expect(flagsOf("1", "TRUCK", 10)).toEqual([]);
    expect(flagsOf("2", "FAILED", 20)).toEqual([]);
    expect(flagsOf("3", "TRUCK", 30)).toEqual([]);
    expect(desk.order.status).toBe("TRUCK");
    expect(flagsOf("4", "FAILED", 40)).toEqual([]);
    expect(flagsOf("5", "TRUCK", 35)).toEqual([Flag.LATE]); // it happened before what is known already
    expect(desk.order.status).toBe("FAILED");
  });

  test("moved there and back, an order is what it was", () => {
    fc.assert(
      fc.property(fc.array(said, { maxLength: 12 }), (all) => {
        const desk = ordersIn(STANDARD_FLOW);
        for (const one of all) take(desk, one, (code) => code);
        const before = told(desk.known, (code) => code);
        desk.subject = move(desk, RENAMED, MAPPINGS);
        expect(desk.order).toMatchObject({ flowId: "mine", flowVersion: 3 });
        desk.subject = move(desk, STANDARD_FLOW, BACK);
        expect(told(desk.known, (code) => code)).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  test("moved there, an order stands and goes on as one that was there from the start", () => {
    fc.assert(
      fc.property(fc.array(mappedSaid, { maxLength: 12 }), fc.array(mappedSaid, { maxLength: 6 }), (earlier, later) => {
        const [moved, native] = [ordersIn(STANDARD_FLOW), ordersIn(RENAMED)];
        for (const one of earlier) {
          take(moved, one, (code) => code);
          take(native, one, rename);
        }
        moved.subject = move(moved, RENAMED, MAPPINGS);
        expect(standing(moved.known)).toEqual(standing(native.known));
        for (const one of later) {
          take(moved, one, rename);
          take(native, one, rename);
          expect(standing(moved.known)).toEqual(standing(native.known));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("moved there, what its source takes back of a milestone that is called as a status was is taken back", () => {
    const desk = ordersIn(STANDARD_FLOW);
    const milestones = () => desk.details.milestones.map(({ kind, actual }) => [kind, actual?.sourceId]);
    desk.report(report("status", "DELIVERED", 10));
    desk.report(report("carrier", "DELIVERED", 20, { milestone: "DELIVERED" }));
    expect(milestones()).toEqual([["DELIVERED", "carrier"]]);
    desk.subject = move(desk, RENAMED, MAPPINGS);
    expect(milestones()).toEqual([
      ["DELIVERED", "carrier"],
      ["MY_DELIVERED", "status"],
    ]);
    desk.retract(retraction("carrier", 30));
    expect(milestones()).toEqual([["MY_DELIVERED", "status"]]);
  });

  test("moved there, of two statuses that become one the milestones are one", () => {
    const desk = ordersIn(STANDARD_FLOW);
    desk.report(report("1", "BOOKED", 10));
    desk.report(report("2", "READY", 20));
    desk.subject = move(desk, RENAMED, new Map([...MAPPINGS, ["BOOKED", "MY_READY"]]));
    expect(desk.details.milestones).toMatchObject([
      { kind: "MY_READY", actual: { sourceId: "2" }, history: [{ sourceId: "1" }] },
    ]);
    desk.retract(retraction("2", 30));
    expect(desk.details.milestones).toMatchObject([{ kind: "MY_READY", actual: { sourceId: "1" }, history: [] }]);
  });
});
