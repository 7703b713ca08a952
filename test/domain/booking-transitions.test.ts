import { create, equals } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AmendmentState,
  BookingDetailsSchema,
  BookingSchema,
  BookingState,
  CancellationState,
  FeedbackSchema,
} from "../../gen/leadline/v1/booking_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import { ALL_VERBS, legalVerbs, type Verb, verbName } from "../../src/domain/booking-transitions.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { airRequest, carriedBy, oceanRequest, reasonOf, refusalOf, World } from "./booking-world.ts";

/**
 * The table of DCSA Booking 2.0.5 written down a second time, by target states: what each verb makes of the booking in
 * each of the five states that are not final; `.`: refused. Then which state of the other axes it needs, and what it makes
 * of them.
 */
const EXPECTED = `
verb                 side     RECEIVED        PENDING_UPDATE  UPDATE_RECEIVED CONFIRMED         PENDING_AMENDMENT needs           makes
REQUEST_UPDATE       carrier  PENDING_UPDATE  PENDING_UPDATE  PENDING_UPDATE  .                 .                 -               -
UPDATE               shipper  UPDATE_RECEIVED UPDATE_RECEIVED UPDATE_RECEIVED .                 .                 -               -
REJECT               carrier  REJECTED        REJECTED        REJECTED        .                 .                 -               -
CONFIRM              carrier  CONFIRMED       .               CONFIRMED       CONFIRMED         .                 -               a=NONE,c=NONE
REQUEST_AMENDMENT    carrier  .               .               .               PENDING_AMENDMENT PENDING_AMENDMENT -               a=NONE,c=NONE
AMEND                shipper  .               .               .               CONFIRMED         PENDING_AMENDMENT a!RECEIVED      a=RECEIVED,c=NONE
CONFIRM_AMENDMENT    carrier  .               .               .               CONFIRMED         CONFIRMED         a:RECEIVED      a=CONFIRMED
DECLINE_AMENDMENT    carrier  .               .               .               CONFIRMED         PENDING_AMENDMENT a:RECEIVED      a=DECLINED
CANCEL_AMENDMENT     shipper  .               .               .               CONFIRMED         PENDING_AMENDMENT a:RECEIVED      a=CANCELLED
DECLINE              carrier  .               .               .               DECLINED          DECLINED          -               a~DECLINED
CANCEL               shipper  CANCELLED       CANCELLED       CANCELLED       .                 .                 -               -
COMPLETE             carrier  .               .               .               COMPLETED         .                 -               -
REQUEST_CANCELLATION shipper  .               .               .               CONFIRMED         PENDING_AMENDMENT -               c=RECEIVED
CONFIRM_CANCELLATION carrier  .               .               .               CANCELLED         CANCELLED         c:RECEIVED      c=CONFIRMED
DECLINE_CANCELLATION carrier  .               .               .               CONFIRMED         PENDING_AMENDMENT c:RECEIVED      c=DECLINED
WAITLIST             carrier  RECEIVED        .               UPDATE_RECEIVED .                 .                 -               -
`;

type Names = Readonly<Record<string, string>>;
const [header = "", ...lines] = EXPECTED.trim().split("\n");
const columns = header.split(/\s+/);
const rows = new Map(
  lines.map((line): [string, Names] => {
    const cells = line.trim().split(/\s+/);
    return [cells[0] ?? "", Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? ""]))];
  }),
);

type Triple = readonly [state: string, amendment: string, cancellation: string];

/** The triple after a verb by the expectation; undefined: refused. */
function expectedAfter([state, amendment, cancellation]: Triple, verb: string, air: boolean): Triple | undefined {
  const row = rows.get(verb);
  const target = row?.[state] ?? ".";
  if (row === undefined || target === "." || (verb === "WAITLIST" && !air)) return undefined;
  const needs = row.needs ?? "-";
  const axis = needs.startsWith("a") ? amendment : cancellation;
  if (needs.includes(":") && axis !== needs.slice(2)) return undefined;
  if (needs.includes("!") && axis === needs.slice(2)) return undefined;
  let after: Triple = [target, amendment, cancellation];
  for (const effect of (row.makes ?? "-").split(",").filter((one) => one !== "-")) {
    const value = effect.slice(2);
    if (effect.startsWith("a=")) after = [target, value, after[2]];
    if (effect.startsWith("a~") && amendment === "RECEIVED") after = [target, value, after[2]];
    if (effect.startsWith("c=")) after = [target, after[1], value];
  }
  return after;
}

function nameIn(values: Readonly<Record<string, unknown>>, value: unknown): string {
  const [name = "?"] = Object.entries(values).find(([, one]) => one === value) ?? [];
  return name === "UNSPECIFIED" ? "NONE" : name;
}

function tripleOf(world: World): Triple {
  const { state, amendmentState, cancellationState } = world.booking().booking;
  return [
    nameIn(BookingState, state),
    nameIn(AmendmentState, amendmentState),
    nameIn(CancellationState, cancellationState),
  ];
}

function begin(mode: TransportMode): World {
  const world = new World();
  world.request(mode === TransportMode.AIR ? airRequest() : oceanRequest());
  return world;
}

/** One world in every triple that the verbs can reach. */
function reachable(mode: TransportMode): Map<string, World> {
  const first = begin(mode);
  const worlds = new Map([[tripleOf(first).join(" "), first]]);
  // A map's iteration goes on to what is added meanwhile.
  for (const world of worlds.values()) {
    for (const verb of ALL_VERBS) {
      const next = world.fork();
      try {
        next.verb(verb, carriedBy(verb, mode));
      } catch (error) {
        if (error instanceof Refusal) continue;
        throw error;
      }
      const key = tripleOf(next).join(" ");
      if (!worlds.has(key)) worlds.set(key, next);
    }
  }
  return worlds;
}

/** The same by the expectation alone. */
function expectedReachable(air: boolean): Set<string> {
  const start: Triple = ["RECEIVED", "NONE", "NONE"];
  const found = new Map<string, Triple>([[start.join(" "), start]]);
  for (const triple of found.values()) {
    for (const verb of rows.keys()) {
      const after = expectedAfter(triple, verb, air);
      if (after) found.set(after.join(" "), found.get(after.join(" ")) ?? after);
    }
  }
  return new Set(found.keys());
}

describe.each([
  ["ocean", TransportMode.OCEAN],
  ["air", TransportMode.AIR],
] as const)("the three axes of %s bookings", (name, mode) => {
  const worlds = reachable(mode);

  it("reach exactly the states that the specification allows", () => {
    expect(new Set(worlds.keys())).toEqual(expectedReachable(name === "air"));
    expect(worlds.size).toBe(64);
  });

  it.each([...worlds])("move from %s only as the table says", (_key, world) => {
    for (const verb of ALL_VERBS) {
      const before = tripleOf(world);
      const expected = expectedAfter(before, verbName(verb), name === "air");
      const next = world.fork();
      if (expected === undefined) {
        const eventsBefore = next.events.length;
        const refusal = refusalOf(() => next.verb(verb, carriedBy(verb, mode)));
        expect([ErrorReason.VERB_ILLEGAL, ErrorReason.AMENDMENT_OPEN, ErrorReason.MODE_MISMATCH]).toContain(
          refusal.reason,
        );
        expect(next.events.length).toBe(eventsBefore);
        expect(tripleOf(next)).toEqual(before);
      } else {
        next.verb(verb, carriedBy(verb, mode));
        expect([verbName(verb), ...tripleOf(next)]).toEqual([verbName(verb), ...expected]);
      }
    }
  });

  it.each([...worlds])("list in %s the verbs that are legal, by side", (_key, world) => {
    const { booking } = world.booking();
    for (const side of ["shipper", "carrier"] as const) {
      const expected = [...rows].filter(
        ([verb, row]) => row.side === side && expectedAfter(tripleOf(world), verb, name === "air") !== undefined,
      );
      expect(new Set(legalVerbs(booking, side).map(verbName))).toEqual(new Set(expected.map(([verb]) => verb)));
    }
    expect(legalVerbs(booking).length).toBe(
      legalVerbs(booking, "shipper").length + legalVerbs(booking, "carrier").length,
    );
  });

  it("stay in the table whatever is tried, and are the fold of their events", () => {
    const script = fc.array(fc.constantFrom<Verb>(...ALL_VERBS), { maxLength: 30 });
    fc.assert(
      fc.property(script, (verbs) => {
        const world = begin(mode);
        let triple = tripleOf(world);
        for (const verb of verbs) {
          const expected = expectedAfter(triple, verbName(verb), name === "air");
          const act = () => world.verb(verb, carriedBy(verb, mode));
          if (expected === undefined) expect(act).toThrow(Refusal);
          else act();
          expect(tripleOf(world)).toEqual(expected ?? triple);
          triple = expected ?? triple;
        }
        const folded = new World();
        for (const { draft, recordedAt } of world.events) folded.apply(draft, recordedAt);
        expect(equals(BookingSchema, folded.booking().booking, world.booking().booking)).toBe(true);
        expect(equals(BookingDetailsSchema, folded.booking().details, world.booking().details)).toBe(true);
        expect(world.booking().booking.version).toBe(BigInt(world.events.length));
      }),
      { numRuns: 100 },
    );
  });
});

describe("side effects of the verbs", () => {
  const go = (...verbs: Verb[]) => {
    const world = begin(TransportMode.OCEAN);
    for (const verb of verbs) world.verb(verb, carriedBy(verb, TransportMode.OCEAN));
    return world;
  };
  const { CONFIRM, AMEND, REQUEST_CANCELLATION, DECLINE_CANCELLATION, REQUEST_AMENDMENT } = BookingVerb;

  it("an amendment stands beside the request and leaves the booking's state alone", () => {
    const world = go(CONFIRM, REQUEST_AMENDMENT);
    world.verb(AMEND, { request: oceanRequest({ remark: "later, please" }) });
    const { booking, details } = world.booking();
    expect(booking.state).toBe(BookingState.PENDING_AMENDMENT);
    expect(details.request?.remark).toBe("");
    expect(details.amendment?.remark).toBe("later, please");
  });

  it("a confirmed amendment becomes the request", () => {
    const world = go(CONFIRM);
    world.verb(AMEND, { request: oceanRequest({ remark: "later, please" }) });
    world.verb(BookingVerb.CONFIRM_AMENDMENT, carriedBy(CONFIRM, TransportMode.OCEAN));
    const { details } = world.booking();
    expect(details.request?.remark).toBe("later, please");
    expect(details.amendment).toBeUndefined();
    expect(details.confirmations.map((one) => one.version)).toEqual([1, 2]);
  });

  it.each([
    ["declined", BookingVerb.DECLINE_AMENDMENT],
    ["cancelled", BookingVerb.CANCEL_AMENDMENT],
  ] as const)("a %s amendment can be read until the carrier confirms anew", (_word, answer) => {
    const world = go(CONFIRM);
    world.verb(AMEND, { request: oceanRequest({ remark: "later, please" }) });
    world.verb(answer, { reason: "no" });
    expect(world.booking().details.amendment?.remark).toBe("later, please");
    expect(world.booking().details.reason).toBe("no");
    world.verb(CONFIRM, carriedBy(CONFIRM, TransportMode.OCEAN));
    expect(world.booking().details.amendment).toBeUndefined();
    expect(world.booking().details.request?.remark).toBe("");
  });

  it("asking for another amendment drops the one before", () => {
    const world = go(CONFIRM, AMEND, REQUEST_AMENDMENT);
    expect(world.booking().details.amendment).toBeUndefined();
  });

  it("confirming anew clears a declined cancellation and a waiting amendment", () => {
    const world = go(CONFIRM, AMEND, REQUEST_CANCELLATION, DECLINE_CANCELLATION, CONFIRM);
    const { booking, details } = world.booking();
    expect([booking.amendmentState, booking.cancellationState]).toEqual([
      AmendmentState.UNSPECIFIED,
      CancellationState.UNSPECIFIED,
    ]);
    expect(details.amendment).toBeUndefined();
  });

  it("an amendment that is declined while a cancellation waits leaves the cancellation waiting", () => {
    const world = go(CONFIRM, AMEND, REQUEST_CANCELLATION, BookingVerb.DECLINE_AMENDMENT);
    expect(world.booking().booking.cancellationState).toBe(CancellationState.RECEIVED);
  });

  it("a second amendment is refused while the first one waits", () => {
    const world = go(CONFIRM, AMEND);
    const refusal = refusalOf(() => world.verb(AMEND, carriedBy(AMEND, TransportMode.OCEAN)));
    expect(refusal.reason).toBe(ErrorReason.AMENDMENT_OPEN);
    expect(refusal.metadata.legal_verbs).toBe("CANCEL_AMENDMENT,REQUEST_CANCELLATION");
  });

  it("a confirmed booking is cancelled by the carrier's booking reference only", () => {
    const world = begin(TransportMode.OCEAN);
    world.verb(CONFIRM, { ...carriedBy(CONFIRM, TransportMode.OCEAN), requestReference: "REQ-1" });
    expect(world.booking().booking.requestReference).toBe("REQ-1");
    for (const bookingReference of ["", "REQ-1", "bkg-77"]) {
      expect(reasonOf(() => world.verb(REQUEST_CANCELLATION, { bookingReference }))).toBe(
        ErrorReason.BOOKING_REFERENCE_NEEDED,
      );
    }
    world.verb(REQUEST_CANCELLATION, { bookingReference: "BKG-77" });
    expect(world.booking().booking.cancellationState).toBe(CancellationState.RECEIVED);
  });

  it("what the carrier remarks stays until it remarks again", () => {
    const world = begin(TransportMode.OCEAN);
    world.verb(BookingVerb.REQUEST_UPDATE, {
      feedbacks: [create(FeedbackSchema, { severity: "WARN", message: "too heavy" })],
    });
    world.verb(BookingVerb.UPDATE, { request: oceanRequest() });
    expect(world.booking().details.feedbacks.map((one) => one.message)).toEqual(["too heavy"]);
  });

  it("a refused verb tells the three axes and what is legal for its side", () => {
    const world = go(CONFIRM, REQUEST_CANCELLATION);
    const refusal = refusalOf(() => world.verb(BookingVerb.UPDATE, { request: oceanRequest() }));
    expect(refusal.metadata).toMatchObject({
      state: "CONFIRMED",
      amendment_state: "NONE",
      cancellation_state: "RECEIVED",
      verb: "UPDATE",
      legal_verbs: "AMEND,REQUEST_CANCELLATION",
    });
  });
});
