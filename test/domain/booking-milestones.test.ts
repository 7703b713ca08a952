import { create, equals } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BookingDetailsSchema, BookingSchema, type Leg, LegSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import { PlaceSchema } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier, Flag, type Report, ReportOutcome, ReportSchema } from "../../gen/leadline/v1/report_pb.ts";
import { timeText } from "../../src/domain/booking-differences.ts";
import { decideMilestone, decideMilestoneRetraction } from "../../src/domain/booking-milestones.ts";
import { MILESTONE_KINDS, statusFor } from "../../src/domain/milestone-kinds.ts";
import { STANDARD_FLOW } from "../../src/domain/standard-flow.ts";
import {
  at,
  CALL,
  CONTAINERS,
  container,
  oceanConfirmation,
  oceanRequest,
  reasonOf,
  refusalOf,
  stamp,
  World,
} from "./booking-world.ts";

const [A, B, C] = CONTAINERS;
const { APPLIED, ALREADY_KNOWN, SUPERSEDED, RETRACTED } = ReportOutcome;

interface Seen {
  readonly id?: string;
  readonly kind: string;
  readonly at: string;
  readonly units?: string[];
  readonly place?: string;
  /** Its place, known by a name or a facility alone. */
  readonly name?: string;
  readonly facility?: string;
  readonly leg?: number;
  readonly classifier?: Classifier;
  readonly said?: string;
  readonly status?: string;
}

function reportOf(seen: Seen): Report {
  return create(ReportSchema, {
    source: "MAEU",
    sourceId: seen.id ?? `${seen.kind}-${(seen.units ?? []).join("-")}`,
    classifier: seen.classifier ?? Classifier.ACTUAL,
    milestone: seen.kind,
    status: seen.status ?? "",
    occurredAt: at(seen.at),
    unitIds: seen.units ?? [],
    leg: seen.leg ?? 0,
    ...((seen.place || seen.name || seen.facility) && {
      place: { unlocode: seen.place ?? "", name: seen.name ?? "", facility: seen.facility ?? "" },
    }),
    ...(seen.said && { sourceUpdatedAt: stamp(seen.said) }),
  });
}

function see(world: World, seen: Seen) {
  const call = { ...CALL, report: reportOf(seen), strict: true, flags: [] };
  const effects = world.run((load, now) => decideMilestone(load, now, call));
  if ("needs" in effects) throw new Error("it was not decided");
  return effects;
}

function retract(world: World, sourceId: string, said?: string) {
  const sourceUpdatedAt = said === undefined ? undefined : stamp(said);
  const retraction = { source: "MAEU", sourceId, sourceUpdatedAt, reason: "" };
  const effects = world.run((load, now) => decideMilestoneRetraction(load, now, { ...CALL, retraction }));
  if ("needs" in effects) throw new Error("it was not decided");
  return effects;
}

/** A confirmed booking with three containers: one of the first order, two of the second. */
function sailing(legs?: Leg[]): World {
  const world = new World();
  world.createOrder("ord-1", { units: [container(A)] });
  world.createOrder("ord-2", { units: [container(B), container(C)] });
  const entries = [
    { orderId: "ord-1", unitIds: [A] },
    { orderId: "ord-2", unitIds: [B, C] },
  ];
  world.request(oceanRequest({ units: CONTAINERS.map(container) }), entries);
  world.verb(BookingVerb.CONFIRM, { confirmation: oceanConfirmation(legs ? { legs } : {}) });
  return world;
}

const statusesOf = (world: World) => ["ord-1", "ord-2"].map((id) => world.order(id).order.status);

describe("a milestone of a booking", () => {
  it("of all of it reaches every order with the status that follows", () => {
    const world = sailing();
    const { outcome, orderIds } = see(world, { kind: "DEPARTED", at: "2026-03-01T19:00:00Z", place: "NLRTM", leg: 1 });
    expect([outcome, orderIds]).toEqual([APPLIED, ["ord-1", "ord-2"]]);
    expect(statusesOf(world)).toEqual(["IN_TRANSIT", "IN_TRANSIT"]);
    expect(timeText(world.booking().booking.departure)).toBe("2026-03-01T19:00:00Z");
  });

  it.each([
    ["its leg and no place", { leg: 1 }],
    ["its place by another name than the plan's first, and no leg", { name: "rotterdam" }],
    ["its terminal", { facility: "RWG", leg: 1 }],
  ])("moves the departure of the booking when it names %s", (_case, where) => {
    const from = create(PlaceSchema, { unlocode: "NLRTM", facility: "RWG", name: "Rotterdam" });
    const world = sailing(oceanConfirmation().legs.map((planned) => ({ ...planned, from })));
    see(world, { kind: "DEPARTED", at: "2026-03-01T19:00:00Z", ...where });
    expect(timeText(world.booking().booking.departure)).toBe("2026-03-01T19:00:00Z");
  });

  it.each([
    ["another leg and no place", { leg: 2 }],
    ["neither leg nor place", {}],
    ["its leg and another place", { leg: 1, place: "NLAMS" }],
  ])("leaves the departure of the booking when it names %s", (_case, where) => {
    const world = sailing();
    see(world, { kind: "DEPARTED", at: "2026-03-01T19:00:00Z", ...where });
    expect(timeText(world.booking().booking.departure)).toBe("2026-03-01T18:00:00Z");
  });

  it("of one unit reaches the order that it carries, and moves the others not", () => {
    const world = sailing();
    expect(see(world, { kind: "LOADED", at: "2026-03-01", units: [A], place: "NLRTM" }).orderIds).toEqual(["ord-1"]);
    expect(statusesOf(world)).toEqual(["READY", "BOOKED"]);
    expect(see(world, { kind: "LOADED", at: "2026-03-01", units: [B], place: "NLRTM" }).orderIds).toEqual(["ord-2"]);
    expect(statusesOf(world)).toEqual(["READY", "BOOKED"]);
    expect(world.order("ord-2").details.unitProgress.map((one) => one.status)).toEqual(["READY", "BOOKED"]);
    see(world, { kind: "LOADED", at: "2026-03-01", units: [C], place: "NLRTM" });
    expect(statusesOf(world)).toEqual(["READY", "READY"]);
  });

  it("names on the order's report its own units only, and none when it is all of them", () => {
    const world = sailing();
    see(world, { id: "x", kind: "LOADED", at: "2026-03-01", units: [A, B], place: "NLRTM" });
    const unitsOn = (id: string) =>
      world.order(id).details.reports.find((one) => one.report?.sourceId === "x")?.report?.unitIds;
    expect([unitsOn("ord-1"), unitsOn("ord-2")]).toEqual([[], [B]]);
  });

  it("of a unit that the booking does not have is kept and flagged", () => {
    const { outcome, flags, orderIds } = see(sailing(), { kind: "LOADED", at: "2026-01-01", units: ["SITU9130070"] });
    expect([outcome, flags, orderIds]).toEqual([APPLIED, [Flag.UNIT_UNKNOWN], []]);
  });

  it("of a unit that an order does not know is flagged on the order and does not advance it", () => {
    const world = new World();
    world.createOrder("ord-1", { units: [container(A)] });
    world.request(oceanRequest({ units: [container(A), container(B)] }), [{ orderId: "ord-1" }]);
    see(world, { id: "x", kind: "LOADED", at: "2026-01-01", units: [B], place: "NLRTM" });
    const { order, details } = world.order("ord-1");
    expect(details.reports.map((one) => one.flags)).toEqual([[Flag.UNIT_UNKNOWN]]);
    expect(order.status).toBe("RECEIVED");
  });

  it("may name the order's status itself", () => {
    const world = sailing();
    see(world, { kind: "STUFFED", at: "2026-02-27", status: "READY" });
    expect(statusesOf(world)).toEqual(["READY", "READY"]);
    const act = () => see(world, { kind: "STUFFED", at: "2026-02-27", status: "STUFFED", id: "y" });
    expect(reasonOf(act)).toBe(ErrorReason.STATUS_UNKNOWN);
  });

  it("is refused without a kind, whatever status it names", () => {
    const refusal = refusalOf(() => see(sailing(), { kind: "", at: "2026-02-27", status: "READY" }));
    expect(refusal.violations.map((one) => one.field)).toEqual(["report.milestone"]);
  });

  it("that is repeated, superseded or retracted before changes nothing", () => {
    const world = sailing();
    const loaded = { id: "x", kind: "LOADED", at: "2026-03-01", place: "NLRTM", said: "2026-03-01T10:00:00Z" };
    expect(see(world, loaded).outcome).toBe(APPLIED);
    const events = world.events.length;
    expect(see(world, loaded)).toMatchObject({ outcome: ALREADY_KNOWN, drafts: [], orderIds: [] });
    const earlier = { ...loaded, at: "2026-02-28", said: "2026-03-01T09:00:00Z" };
    expect(see(world, earlier)).toMatchObject({ outcome: SUPERSEDED, drafts: [] });
    retract(world, "y", "2026-03-02T00:00:00Z");
    expect(see(world, { ...loaded, id: "y" })).toMatchObject({ outcome: RETRACTED, drafts: [] });
    expect(world.events.length).toBe(events + 1);
  });

  it("that is estimated never displaces what happened", () => {
    const world = sailing();
    see(world, { kind: "ARRIVED", at: "2026-03-12T05:00:00Z", place: "USNYC", leg: 1 });
    const late = {
      id: "est",
      kind: "ARRIVED",
      at: "2026-03-13",
      place: "USNYC",
      leg: 1,
      classifier: Classifier.ESTIMATED,
    };
    expect(see(world, late).flags).toEqual([Flag.AFTER_ACTUAL]);
    expect(timeText(world.booking().booking.arrival)).toBe("2026-03-12T05:00:00Z");
    expect(statusesOf(world)).toEqual(["ARRIVED", "ARRIVED"]);
  });

  it("that is estimated moves what is expected of the arrival, and its retraction moves it back", () => {
    const world = sailing();
    const estimate = {
      id: "est",
      kind: "ARRIVED",
      at: "2026-03-14",
      place: "USNYC",
      leg: 1,
      classifier: Classifier.ESTIMATED,
    };
    see(world, estimate);
    expect(timeText(world.booking().booking.arrival)).toBe("2026-03-14T00:00:00Z");
    expect(timeText(world.order("ord-1").order.estimatedDelivery)).toBe("2026-03-14T00:00:00Z");
    retract(world, "est");
    expect(timeText(world.booking().booking.arrival)).toBe("2026-03-12T06:00:00Z");
    expect(timeText(world.order("ord-1").order.estimatedDelivery)).toBe("2026-03-12T06:00:00Z");
  });
});

describe("a correction", () => {
  it("is taken back from the order that it touches no longer", () => {
    const world = sailing();
    see(world, { id: "x", kind: "LOADED", at: "2026-03-01", units: [A], place: "NLRTM", said: "2026-03-01T10:00:00Z" });
    expect(statusesOf(world)).toEqual(["READY", "BOOKED"]);
    see(world, {
      id: "x",
      kind: "LOADED",
      at: "2026-03-01",
      units: [B, C],
      place: "NLRTM",
      said: "2026-03-01T11:00:00Z",
    });
    expect(statusesOf(world)).toEqual(["BOOKED", "READY"]);
  });
});

describe("a retraction", () => {
  it("takes the report back from the booking and from the orders that have it", () => {
    const world = sailing();
    see(world, { id: "x", kind: "LOADED", at: "2026-03-01", units: [A], place: "NLRTM" });
    const { outcome, drafts } = retract(world, "x");
    expect([outcome, drafts.map((one) => one.ref.id)]).toEqual([APPLIED, ["bkg-1", "ord-1"]]);
    expect(statusesOf(world)).toEqual(["BOOKED", "BOOKED"]);
    expect(world.booking().details.milestones.some((one) => one.kind === "LOADED")).toBe(false);
    expect(retract(world, "x")).toMatchObject({ outcome: ALREADY_KNOWN, drafts: [] });
  });

  it("that comes first waits, and keeps the report from the orders", () => {
    const world = sailing();
    const { drafts } = retract(world, "x", "2026-03-05T00:00:00Z");
    expect(drafts.map((one) => one.ref.id)).toEqual(["bkg-1"]);
    const early = { id: "x", kind: "LOADED", at: "2026-03-01", place: "NLRTM", said: "2026-03-01T10:00:00Z" };
    expect(see(world, early).outcome).toBe(RETRACTED);
    expect(see(world, { ...early, said: "2026-03-06T00:00:00Z" }).outcome).toBe(APPLIED);
    expect(statusesOf(world)).toEqual(["READY", "READY"]);
  });
});

describe("journeys of several legs", () => {
  const leg = (sequence: number, from: string, to: string) =>
    create(LegSchema, { sequence, from: { unlocode: from }, to: { unlocode: to } });
  const legs = [leg(1, "NLRTM", "ESALG"), leg(2, "ESALG", "USNYC")];

  it.each([
    ["GATE_IN", "NLRTM", 0, "READY"],
    ["GATE_IN", "ESALG", 0, ""],
    ["LOADED", "NLRTM", 1, "READY"],
    ["LOADED", "ESALG", 2, ""],
    ["DEPARTED", "NLRTM", 1, "IN_TRANSIT"],
    ["DEPARTED", "ESALG", 2, "IN_TRANSIT"],
    ["ARRIVED", "ESALG", 1, ""],
    ["ARRIVED", "USNYC", 2, "ARRIVED"],
    ["ARRIVED", "USNYC", 0, "ARRIVED"],
    ["ARRIVED", "", 2, "ARRIVED"],
    ["ARRIVED", "", 1, ""],
    ["ARRIVED", "", 0, ""],
    ["DISCHARGED", "ESALG", 1, ""],
    ["DISCHARGED", "USNYC", 2, "ARRIVED"],
    ["GATE_OUT", "USNYC", 0, "OUT_FOR_DELIVERY"],
    ["GATE_OUT", "NLRTM", 0, ""],
    ["DELIVERED", "", 0, "DELIVERED"],
    ["CUSTOMS_RELEASED", "USNYC", 0, ""],
    ["SOMETHING_ELSE", "USNYC", 0, ""],
  ])("%s at %j of leg %d says %j of the order", (kind, unlocode, sequence, status) => {
    const place = unlocode ? create(PlaceSchema, { unlocode }) : undefined;
    expect(statusFor({ kind, leg: sequence, place }, legs, STANDARD_FLOW)).toBe(status);
  });

  it("that come back to where they began are told apart by the leg", () => {
    const roundTrip = [leg(1, "NLRTM", "USNYC"), leg(2, "USNYC", "NLRTM")];
    const place = create(PlaceSchema, { unlocode: "NLRTM" });
    expect(statusFor({ kind: "LOADED", leg: 1, place }, roundTrip, STANDARD_FLOW)).toBe("READY");
    expect(statusFor({ kind: "LOADED", leg: 2, place }, roundTrip, STANDARD_FLOW)).toBe("");
    expect(statusFor({ kind: "ARRIVED", leg: 2, place }, roundTrip, STANDARD_FLOW)).toBe("ARRIVED");
  });

  it("move an order to ARRIVED at the last destination only", () => {
    const world = sailing(legs);
    see(world, { kind: "DEPARTED", at: "2026-03-01", place: "NLRTM", leg: 1, id: "1" });
    see(world, { kind: "ARRIVED", at: "2026-03-04", place: "ESALG", leg: 1, id: "2" });
    expect(statusesOf(world)).toEqual(["IN_TRANSIT", "IN_TRANSIT"]);
    see(world, { kind: "DEPARTED", at: "2026-03-06", place: "ESALG", leg: 2, id: "3" });
    see(world, { kind: "ARRIVED", at: "2026-03-14", place: "USNYC", leg: 2, id: "4" });
    expect(statusesOf(world)).toEqual(["ARRIVED", "ARRIVED"]);
    const { milestones } = world.order("ord-1").details;
    expect(milestones.filter((one) => one.kind === "ARRIVED").map((one) => one.place)).toEqual(["ESALG", "USNYC"]);
  });

  it("have statuses of the standard flow only", () => {
    const statuses = Object.values(MILESTONE_KINDS).map((kind) => kind.status);
    expect(statuses.filter((status) => status !== "" && !STANDARD_FLOW.byCode.has(status))).toEqual([]);
  });
});

describe("whatever milestones arrive in whatever order", () => {
  const kinds = ["GATE_IN", "LOADED", "DEPARTED", "ARRIVED", "DISCHARGED", "DELIVERED"] as const;
  const places = {
    GATE_IN: "NLRTM",
    LOADED: "NLRTM",
    DEPARTED: "NLRTM",
    ARRIVED: "USNYC",
    DISCHARGED: "USNYC",
    DELIVERED: "",
  };
  const seen = fc.record({
    kind: fc.constantFrom(...kinds),
    unit: fc.constantFrom("", A, B, C),
    day: fc.integer({ min: 1, max: 28 }),
    said: fc.integer({ min: 1, max: 5 }),
    id: fc.integer({ min: 1, max: 6 }),
    gone: fc.boolean(),
  });

  it("the booking is the fold of its events, and the orders' states do not depend on the order", () => {
    fc.assert(
      fc.property(fc.array(seen, { maxLength: 12 }), fc.integer({ min: 1, max: 11 }), (all, turn) => {
        const play = (steps: typeof all) => {
          const world = sailing();
          for (const { kind, unit, day, said, id, gone } of steps) {
            const when = `2026-04-0${said}T00:00:00Z`;
            const date = `2026-03-${String(day).padStart(2, "0")}`;
            if (gone) retract(world, `r${id}`, when);
            else
              see(world, { id: `r${id}`, kind, at: date, units: unit ? [unit] : [], place: places[kind], said: when });
          }
          return world;
        };
        const world = play(all);
        const folded = new World();
        for (const { draft, recordedAt } of world.events) folded.apply(draft, recordedAt);
        expect(equals(BookingSchema, folded.booking().booking, world.booking().booking)).toBe(true);
        expect(equals(BookingDetailsSchema, folded.booking().details, world.booking().details)).toBe(true);
        const turned = play([...all.slice(turn), ...all.slice(0, turn)]);
        expect(statusesOf(turned)).toEqual(statusesOf(world));
      }),
      { numRuns: 300 },
    );
  });
});
