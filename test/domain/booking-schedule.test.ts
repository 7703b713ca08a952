import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { CutOffKind, CutOffSchema, LegSchema } from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { timeText } from "../../src/domain/booking-differences.ts";
import { decideSchedule } from "../../src/domain/booking-schedule.ts";
import { cutOffKind } from "../../src/domain/cut-offs.ts";
import { at, CALL, oceanConfirmation, oceanRequest, reasonOf, refusalOf, World } from "./booking-world.ts";

type LegInit = MessageInitShape<typeof LegSchema>;
type CutOffInit = MessageInitShape<typeof CutOffSchema>;

const [leg] = oceanConfirmation().legs;

/** A confirmed booking that carries one order. */
function confirmed(): World {
  const world = new World();
  world.createOrder("ord-1");
  world.request(oceanRequest(), [{ orderId: "ord-1" }]);
  world.verb(BookingVerb.CONFIRM, { confirmation: oceanConfirmation() });
  return world;
}

function schedule(world: World, legs: LegInit[], cutOffs: CutOffInit[] = [], reasonCode = "") {
  return world.run((load, now) =>
    decideSchedule(load, now, {
      ...CALL,
      legs: legs.map((one) => create(LegSchema, one)),
      cutOffs: cutOffs.map((one) => create(CutOffSchema, one)),
      reasonCode,
    }),
  );
}

/** The confirmed leg with other times. */
function moved(departure: string, arrival: string): LegInit {
  if (leg === undefined) throw new Error("there is no leg");
  return { ...leg, departure: at(departure), arrival: at(arrival) };
}

describe("a schedule that moves", () => {
  it("moves the plan, the compact form and the estimates, and keeps the slip", () => {
    const world = confirmed();
    schedule(world, [moved("2026-03-02T18:00:00Z", "2026-03-14T06:00:00Z")], [], "WEA");
    const { booking, details } = world.booking();
    expect([timeText(booking.departure), timeText(booking.arrival)]).toEqual([
      "2026-03-02T18:00:00Z",
      "2026-03-14T06:00:00Z",
    ]);
    const arrival = details.milestones.find((one) => one.kind === "ARRIVED");
    expect(arrival).toMatchObject({ place: "USNYC", leg: 1 });
    expect(timeText(arrival?.planned?.time)).toBe("2026-03-12T06:00:00Z");
    expect(timeText(arrival?.estimated?.time)).toBe("2026-03-14T06:00:00Z");
    expect(timeText(arrival?.firstEstimate)).toBe("2026-03-12T06:00:00Z");
  });

  it("tells in its event what was before", () => {
    const world = confirmed();
    const fco = { code: "FCO", at: at("2026-02-28T12:00:00Z") };
    schedule(world, [moved("2026-03-02T18:00:00Z", "2026-03-12T06:00:00Z")], [fco], "SLID");
    const { change } = world.events.at(-1)?.draft ?? {};
    expect(change?.case).toBe("scheduleReported");
    expect(change?.value).toMatchObject({
      reasonCode: "SLID",
      differences: [
        { path: "legs[1].departure", from: "2026-03-01T18:00:00Z", to: "2026-03-02T18:00:00Z" },
        { path: "cut_offs[FCO].at", from: "2026-02-27T12:00:00Z", to: "2026-02-28T12:00:00Z" },
      ],
    });
  });

  it("lets the attached orders see the arrival slip, under one identity", () => {
    const world = confirmed();
    const before = world.order("ord-1");
    expect(timeText(before.order.estimatedDelivery)).toBe("2026-03-12T06:00:00Z");
    schedule(world, [moved("2026-03-01T18:00:00Z", "2026-03-13T06:00:00Z")]);
    schedule(world, [moved("2026-03-01T18:00:00Z", "2026-03-15T06:00:00Z")]);
    const { order, details } = world.order("ord-1");
    expect(timeText(order.estimatedDelivery)).toBe("2026-03-15T06:00:00Z");
    expect(order.status).toBe("BOOKED");
    const estimates = details.reports.filter((one) => one.report?.classifier === Classifier.ESTIMATED);
    expect(estimates.map((one) => one.report?.sourceId)).toEqual(["booking/bkg-1/arrival"]);
    const arrival = details.milestones.find((one) => one.kind === "ARRIVED");
    expect(timeText(arrival?.firstEstimate)).toBe("2026-03-12T06:00:00Z");
    expect(arrival?.history.map((one) => timeText(one.time))).toEqual(["2026-03-12T06:00:00Z", "2026-03-13T06:00:00Z"]);
  });

  it("does not tell the orders when only the departure moves", () => {
    const world = confirmed();
    const effects = schedule(world, [moved("2026-03-02T18:00:00Z", "2026-03-12T06:00:00Z")]);
    expect("drafts" in effects && effects.drafts.map((one) => one.ref.id)).toEqual(["bkg-1"]);
  });

  it("changes nothing when it says what stands", () => {
    const world = confirmed();
    const efc = { code: "EFC", at: at("2026-02-20T12:00:00Z") };
    expect(schedule(world, [moved("2026-03-01T18:00:00Z", "2026-03-12T06:00:00Z")], [efc])).toEqual({ drafts: [] });
  });

  it("may add a leg that is whole, and no other", () => {
    const world = confirmed();
    const onCarriage = {
      sequence: 2,
      from: { unlocode: "USNYC" },
      to: { unlocode: "USCHI" },
      arrival: at("2026-03-16"),
    };
    schedule(world, [onCarriage]);
    expect(world.booking().details.legs.map((one) => one.sequence)).toEqual([1, 2]);
    expect(timeText(world.booking().booking.arrival)).toBe("2026-03-16T00:00:00Z");
    const refusal = refusalOf(() => schedule(world, [{ sequence: 3, arrival: at("2026-03-17") }]));
    expect([refusal.reason, refusal.violations[0]?.field]).toEqual([ErrorReason.FIELD_INVALID, "legs[0].sequence"]);
  });

  it("is refused once the booking has ended, with what is legal", () => {
    const world = confirmed();
    world.verb(BookingVerb.COMPLETE);
    const refusal = refusalOf(() => schedule(world, [moved("2026-03-02", "2026-03-12")]));
    expect([refusal.reason, refusal.metadata.state, refusal.metadata.verb]).toEqual([
      ErrorReason.VERB_ILLEGAL,
      "COMPLETED",
      "REPORT_SCHEDULE",
    ]);
  });

  it("keeps a vessel's wrong check digit: it is an observation", () => {
    const world = confirmed();
    schedule(world, [{ sequence: 1, means: { vesselImo: "7654321" } }]);
    expect(world.booking().booking.means?.vesselImo).toBe("7654321");
  });

  it("refuses one code twice", () => {
    const twice = [
      { code: "FCO", at: at("2026-02-27") },
      { code: "FCO", at: at("2026-02-28") },
    ];
    expect(reasonOf(() => schedule(confirmed(), [], twice))).toBe(ErrorReason.FIELD_INVALID);
  });
});

describe("a new confirmation", () => {
  it("drops what the plan said of legs that it no longer has", () => {
    const world = confirmed();
    const legs = [
      { sequence: 2, from: { unlocode: "NLRTM" }, to: { unlocode: "USBAL" }, arrival: at("2026-03-20T06:00:00Z") },
    ];
    world.verb(BookingVerb.CONFIRM, { confirmation: oceanConfirmation({ legs }) });
    const { booking, details } = world.booking();
    expect(details.milestones.map((one) => [one.kind, one.leg, one.place])).toEqual([["ARRIVED", 2, "USBAL"]]);
    expect(timeText(booking.arrival)).toBe("2026-03-20T06:00:00Z");
    expect(timeText(world.order("ord-1").order.estimatedDelivery)).toBe("2026-03-20T06:00:00Z");
  });
});

describe("cut-offs", () => {
  it.each(["EFC", "ECP"])("%s is an opening", (code) => {
    expect(cutOffKind(code)).toBe(CutOffKind.OPENING);
  });

  it.each("DCO VCO FCO LCO PCO RCO DGC OBC TCO STA SPA CUA AFC LAT".split(" "))("%s is a deadline", (code) => {
    expect(cutOffKind(code)).toBe(CutOffKind.DEADLINE);
  });
});
