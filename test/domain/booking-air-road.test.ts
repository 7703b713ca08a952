import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  AppointmentSchema,
  AppointmentState,
  BookingState,
  SpaceVerdict,
  StopKind,
} from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import { decideAppointment } from "../../src/domain/booking-appointments.ts";
import type { Verb } from "../../src/domain/booking-transitions.ts";
import type { VerbCall } from "../../src/domain/booking-verbs.ts";
import {
  airConfirmation,
  airRequest,
  at,
  CALL,
  oceanConfirmation,
  oceanRequest,
  reasonOf,
  refusalOf,
  roadRequest,
  World,
} from "./booking-world.ts";

const { CONFIRM, WAITLIST, REJECT, DECLINE, CANCEL, UPDATE } = BookingVerb;
const { REQUEST_CANCELLATION, CONFIRM_CANCELLATION, DECLINE_CANCELLATION, AMEND, REQUEST_AMENDMENT } = BookingVerb;
const { REQUESTED, FULL, PARTIAL, WAITLISTED, UNABLE } = SpaceVerdict;

describe("the space of an air booking", () => {
  const requested = (spaceAction: string) => {
    const world = new World();
    world.request(airRequest({ spaceAction }));
    return world;
  };
  const spaceOf = (world: World) => {
    const { state, space, spaceCode } = world.booking().booking;
    return [state, space, spaceCode];
  };

  it.each(["", "NN", "NA", "NL"])("is asked for by the action %j", (action) => {
    expect(spaceOf(requested(action))).toEqual([BookingState.RECEIVED, REQUESTED, "HN"]);
  });

  it.each(["SS", "CA"])("is held at once by the action %s, with the request as its confirmation", (action) => {
    const world = requested(action);
    expect(spaceOf(world)).toEqual([BookingState.CONFIRMED, FULL, "HK"]);
    const { booking, details } = world.booking();
    expect(booking.confirmationVersion).toBe(1);
    expect(details.confirmations).toMatchObject([{ version: 1, space: FULL, cargo: { pieces: 10 } }]);
    expect(details.legs).toMatchObject([{ sequence: 1, means: { flight: "KL0641" }, from: { unlocode: "NLAMS" } }]);
    expect(booking.means?.flight).toBe("KL0641");
  });

  const confirm: [Verb, Partial<VerbCall>] = [CONFIRM, { confirmation: airConfirmation() }];
  const partly = airConfirmation({ cargo: { pieces: 4, grossWeightGrams: 500_000n } });
  const wanted: [Verb, Partial<VerbCall>] = [REQUEST_CANCELLATION, { bookingReference: "074-12345675" }];

  it.each<[string, [Verb, Partial<VerbCall>][], BookingState, SpaceVerdict, string]>([
    ["confirmed", [confirm], BookingState.CONFIRMED, FULL, "HK"],
    ["confirmed in part", [[CONFIRM, { confirmation: partly }]], BookingState.CONFIRMED, PARTIAL, "HK"],
    ["put on the wait list", [[WAITLIST, {}]], BookingState.RECEIVED, WAITLISTED, "HL"],
    ["confirmed from the wait list", [[WAITLIST, {}], confirm], BookingState.CONFIRMED, FULL, "HK"],
    [
      "updated on the wait list",
      [
        [WAITLIST, {}],
        [UPDATE, { request: airRequest() }],
      ],
      BookingState.UPDATE_RECEIVED,
      REQUESTED,
      "HN",
    ],
    ["rejected", [[REJECT, { reason: "full" }]], BookingState.REJECTED, UNABLE, "UU"],
    ["rejected, the flight does not go", [[REJECT, { spaceCode: "UN" }]], BookingState.REJECTED, UNABLE, "UN"],
    ["declined after it was confirmed", [confirm, [DECLINE, { spaceCode: "UN" }]], BookingState.DECLINED, UNABLE, "UN"],
    ["cancelled", [[CANCEL, {}]], BookingState.CANCELLED, SpaceVerdict.CANCELLED, "XX"],
    ["asked to be cancelled", [confirm, wanted], BookingState.CONFIRMED, FULL, "XX"],
    [
      "cancelled after it was confirmed",
      [confirm, wanted, [CONFIRM_CANCELLATION, {}]],
      BookingState.CANCELLED,
      SpaceVerdict.CANCELLED,
      "CN",
    ],
    ["kept by the carrier", [confirm, wanted, [DECLINE_CANCELLATION, {}]], BookingState.CONFIRMED, FULL, "HK"],
    [
      "amended instead of cancelled",
      [confirm, wanted, [AMEND, { request: airRequest() }]],
      BookingState.CONFIRMED,
      FULL,
      "HK",
    ],
    [
      "to be amended instead of cancelled",
      [confirm, wanted, [REQUEST_AMENDMENT, {}]],
      BookingState.PENDING_AMENDMENT,
      FULL,
      "HK",
    ],
  ])("that was %s", (_case, verbs, state, space, code) => {
    const world = requested("NN");
    for (const [verb, carried] of verbs) world.verb(verb, carried);
    expect(spaceOf(world)).toEqual([state, space, code]);
  });

  it("is not held by an update", () => {
    const world = requested("NN");
    const refusal = refusalOf(() => world.verb(UPDATE, { request: airRequest({ spaceAction: "SS" }) }));
    expect(refusal.violations.map((one) => one.field)).toEqual(["request.space_action"]);
  });
});

describe("space codes of other modes", () => {
  it("there are none", () => {
    const world = new World();
    world.request(oceanRequest());
    world.verb(CONFIRM, { confirmation: oceanConfirmation() });
    expect(world.booking().booking.spaceCode).toBe("");
    expect(reasonOf(() => world.verb(DECLINE, { spaceCode: "UU" }))).toBe(ErrorReason.FIELD_INVALID);
    expect(reasonOf(() => world.verb(WAITLIST))).toBe(ErrorReason.MODE_MISMATCH);
  });
});

describe("a road booking", () => {
  const tendered = () => {
    const world = new World();
    world.request(roadRequest());
    return world;
  };
  const appointment = (stop: StopKind, state: AppointmentState, from = "2026-03-01T08:00:00Z") =>
    create(AppointmentSchema, { stop, state, from: at(from), to: at("2026-03-01T10:00:00Z") });
  const set = (world: World, value: ReturnType<typeof appointment>) =>
    world.run((load) => decideAppointment(load, { ...CALL, appointment: value }));

  it("is tendered, and accepted or declined", () => {
    const accepted = tendered();
    accepted.verb(CONFIRM, { confirmation: oceanConfirmation({ equipment: [], legs: [], cutOffs: [] }) });
    expect([accepted.booking().booking.state, accepted.booking().booking.space]).toEqual([
      BookingState.CONFIRMED,
      FULL,
    ]);
    const declined = tendered();
    declined.verb(REJECT, { reason: "no truck" });
    expect([declined.booking().booking.state, declined.booking().details.reason]).toEqual([
      BookingState.REJECTED,
      "no truck",
    ]);
  });

  it("has one appointment for each stop, the newest", () => {
    const world = tendered();
    set(world, appointment(StopKind.DELIVERY, AppointmentState.PENDING));
    set(world, appointment(StopKind.PICKUP, AppointmentState.PENDING));
    set(world, appointment(StopKind.DELIVERY, AppointmentState.CONFIRMED));
    expect(world.booking().details.appointments.map((one) => [one.stop, one.state])).toEqual([
      [StopKind.PICKUP, AppointmentState.PENDING],
      [StopKind.DELIVERY, AppointmentState.CONFIRMED],
    ]);
  });

  it("takes an appointment that stands so already without an event", () => {
    const world = tendered();
    set(world, appointment(StopKind.PICKUP, AppointmentState.PENDING));
    expect(set(world, appointment(StopKind.PICKUP, AppointmentState.PENDING))).toMatchObject({ drafts: [] });
    expect(world.booking().booking.version).toBe(2n);
  });

  it("refuses a window that ends before it starts, and any appointment once it has ended", () => {
    const world = tendered();
    const late = appointment(StopKind.PICKUP, AppointmentState.PENDING, "2026-03-01T11:00:00Z");
    expect(reasonOf(() => set(world, late))).toBe(ErrorReason.FIELD_INVALID);
    world.verb(CANCEL);
    const act = () => set(world, appointment(StopKind.PICKUP, AppointmentState.PENDING));
    expect(reasonOf(act)).toBe(ErrorReason.VERB_ILLEGAL);
  });

  it("alone has appointments", () => {
    const world = new World();
    world.request(oceanRequest());
    const refusal = refusalOf(() => set(world, appointment(StopKind.PICKUP, AppointmentState.PENDING)));
    expect([refusal.reason, refusal.metadata.mode]).toEqual([ErrorReason.MODE_MISMATCH, "OCEAN"]);
  });
});
