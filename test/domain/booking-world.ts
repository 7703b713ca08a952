import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  BookingOrderSchema,
  type BookingRequest,
  BookingRequestSchema,
  type Confirmation,
  ConfirmationSchema,
} from "../../gen/leadline/v1/booking_pb.ts";
import { BookingVerb, OrderCreatedSchema } from "../../gen/leadline/v1/event_pb.ts";
import { type LocalTime, LocalTimeSchema, TransportMode, UnitKind } from "../../gen/leadline/v1/place_pb.ts";
import type { BookingCall, Effects } from "../../src/domain/booking-effects.ts";
import { decideRequest } from "../../src/domain/booking-requesting.ts";
import type { Verb } from "../../src/domain/booking-transitions.ts";
import { decideVerb, type VerbCall } from "../../src/domain/booking-verbs.ts";
import { evolve } from "../../src/domain/evolve.ts";
import type { Reason, Refusal } from "../../src/domain/refusal.ts";
import { standardOnly } from "../../src/domain/standard-flow.ts";
import {
  type BookingSubject,
  bookingRef,
  type Draft,
  type Load,
  type OrderSubject,
  orderRef,
  type Subject,
  SubjectKind,
  type SubjectRef,
} from "../../src/domain/subject.ts";

const STAFF = { class: "staff" } as const;
export const ID = "bkg-1";

/** A time in UTC: `at("2026-03-01T12:00:00Z")`, or the start of a day. */
export function at(text: string): LocalTime {
  return create(LocalTimeSchema, { instant: stamp(text) });
}

export function stamp(text: string): Timestamp {
  return timestampFromDate(new Date(text));
}

/** A call of staff on the booking of these tests. */
export const CALL: BookingCall = { bookingId: ID, visibility: STAFF, etag: "" };

/** An ocean request for two 20-foot dry containers from Rotterdam to New York. */
export function oceanRequest(change: BookingRequestInit = {}): BookingRequest {
  return create(BookingRequestSchema, {
    mode: TransportMode.OCEAN,
    carrier: "MAEU",
    places: [
      { type: "POL", place: { unlocode: "NLRTM" } },
      { type: "POD", place: { unlocode: "USNYC" } },
    ],
    equipment: [{ isoEquipmentCode: "22GP", units: 2 }],
    means: { vessel: "Ever Lead", vesselImo: "9321483", voyage: "101E" },
    expectedDeparture: at("2026-03-01"),
    ...change,
  });
}

/** An air request for 10 pieces from Amsterdam to New York. */
export function airRequest(change: BookingRequestInit = {}): BookingRequest {
  return create(BookingRequestSchema, {
    mode: TransportMode.AIR,
    carrier: "KL",
    places: [
      { type: "POL", place: { unlocode: "NLAMS" } },
      { type: "POD", place: { unlocode: "USNYC" } },
    ],
    cargo: { pieces: 10, grossWeightGrams: 500_000n },
    means: { flight: "KL0641", flightDate: "2026-03-01" },
    ...change,
  });
}

/** A road request for a pick-up in Rotterdam and a delivery in Venlo. */
export function roadRequest(change: BookingRequestInit = {}): BookingRequest {
  return create(BookingRequestSchema, {
    mode: TransportMode.ROAD,
    carrier: "TRUX",
    places: [
      { type: "PRE", place: { unlocode: "NLRTM" } },
      { type: "PDE", place: { unlocode: "NLVEN" } },
    ],
    expectedDeparture: at("2026-03-01"),
    ...change,
  });
}

export type BookingRequestInit = Exclude<MessageInitShape<typeof BookingRequestSchema>, BookingRequest>;
export type ConfirmationInit = Exclude<MessageInitShape<typeof ConfirmationSchema>, Confirmation>;

/** What confirms `oceanRequest` in full: one leg, two cut-offs. */
export function oceanConfirmation(change: ConfirmationInit = {}) {
  return create(ConfirmationSchema, {
    bookingReference: "BKG-77",
    equipment: [{ isoEquipmentCode: "22G1", units: 2 }],
    legs: [
      {
        sequence: 1,
        mode: TransportMode.OCEAN,
        from: { unlocode: "NLRTM" },
        to: { unlocode: "USNYC" },
        means: { vessel: "EVER LEAD", vesselImo: "9321483", voyage: "101E" },
        departure: at("2026-03-01T18:00:00Z"),
        arrival: at("2026-03-12T06:00:00Z"),
      },
    ],
    cutOffs: [
      { code: "FCO", at: at("2026-02-27T12:00:00Z") },
      { code: "EFC", at: at("2026-02-20T12:00:00Z") },
    ],
    ...change,
  });
}

/** What confirms `airRequest` in full. */
export function airConfirmation(change: ConfirmationInit = {}) {
  return create(ConfirmationSchema, {
    bookingReference: "074-12345675",
    cargo: { pieces: 10, grossWeightGrams: 500_000n },
    legs: [
      {
        sequence: 1,
        mode: TransportMode.AIR,
        from: { unlocode: "NLAMS" },
        to: { unlocode: "USNYC" },
        means: { flight: "KL0641", flightDate: "2026-03-01" },
        departure: at("2026-03-01T13:00:00Z"),
        arrival: at("2026-03-01T21:00:00Z"),
      },
    ],
    ...change,
  });
}

export function container(id: string) {
  return { id, kind: UnitKind.CONTAINER, isoEquipmentCode: "22G1" };
}

/** Container numbers with right check digits. */
export const CONTAINERS = ["MSKU6874333", "CSQU3054383", "MEDU3170580"] as const;

/** Subjects in memory, moved by decisions as the journal moves them: one command at a time, each event folded in turn. */
export class World {
  readonly #subjects = new Map<string, Subject>();
  readonly events: { readonly draft: Draft; readonly recordedAt: Timestamp }[] = [];
  #minutes = 0;

  /** Decides on the subjects that are named, loads what the decision asks for, and applies what it decided. */
  run<R>(decide: (load: Load, now: Timestamp) => Effects<R>, named: readonly SubjectRef[] = [bookingRef(ID)]) {
    this.#minutes += 1;
    const now = stamp(new Date(Date.UTC(2026, 0, 1, 0, this.#minutes)).toISOString());
    const known = new Set(named.map(keyOf));
    const has = (ref: SubjectRef) => known.has(keyOf(ref));
    const load: Load = Object.assign(
      (ref: SubjectRef) => {
        if (!has(ref)) throw new Error(`${ref.id} was not named`);
        return this.#subjects.get(keyOf(ref));
      },
      { has },
    );
    let effects = decide(load, now);
    if ("needs" in effects) {
      for (const ref of effects.needs) known.add(keyOf(ref));
      effects = decide(load, now);
    }
    if ("needs" in effects) throw new Error("the decision asks for what it was given");
    for (const draft of effects.drafts) this.apply(draft, now);
    return effects;
  }

  apply(draft: Draft, recordedAt: Timestamp): void {
    const before = deepFreeze(this.#subjects.get(keyOf(draft.ref)));
    const version = (before === undefined ? 0n : versionOf(before)) + 1n;
    this.#subjects.set(
      keyOf(draft.ref),
      evolve(before, draft.change, { version, recordedAt }, draft.ref, standardOnly),
    );
    this.events.push({ draft, recordedAt });
  }

  booking(id = ID): BookingSubject {
    const subject = this.#subjects.get(keyOf(bookingRef(id)));
    if (subject?.kind !== SubjectKind.BOOKING) throw new Error(`there is no booking ${id}`);
    return subject;
  }

  order(id: string): OrderSubject {
    const subject = this.#subjects.get(keyOf(orderRef(id)));
    if (subject?.kind !== SubjectKind.ORDER) throw new Error(`there is no order ${id}`);
    return subject;
  }

  createOrder(id: string, init: MessageInitShape<typeof OrderCreatedSchema> = {}): void {
    const change = { case: "orderCreated", value: create(OrderCreatedSchema, init) } as const;
    this.apply({ ref: orderRef(id), change }, stamp("2026-01-01T00:00:00Z"));
  }

  request(request: BookingRequest, orders: readonly { orderId: string; unitIds?: string[] }[] = []) {
    const entries = orders.map((order) => create(BookingOrderSchema, order));
    const named = [bookingRef(ID), ...orders.map(({ orderId }) => orderRef(orderId))];
    const call = { bookingId: ID, request, orders: entries, requestReference: "", identifiers: "strict" } as const;
    return this.run((load, now) => decideRequest(load, now, call), named);
  }

  verb(verb: Verb, carried: Partial<VerbCall> = {}) {
    return this.run((load, now) => decideVerb(load, now, { ...CALL, identifiers: "strict", ...carried, verb }));
  }

  /** A world with the same subjects, to go another way from here. */
  fork(): World {
    const fork = new World();
    for (const [key, subject] of this.#subjects) fork.#subjects.set(key, subject);
    fork.#minutes = this.#minutes;
    return fork;
  }
}

/** What each verb carries in these tests, for a booking of a mode. */
export function carriedBy(verb: Verb, mode: TransportMode): Partial<VerbCall> {
  const air = mode === TransportMode.AIR;
  switch (verb) {
    case BookingVerb.UPDATE:
    case BookingVerb.AMEND:
      return { request: air ? airRequest() : oceanRequest() };
    case BookingVerb.CONFIRM:
    case BookingVerb.CONFIRM_AMENDMENT:
      return { confirmation: air ? airConfirmation() : oceanConfirmation() };
    case BookingVerb.REQUEST_CANCELLATION:
      return { bookingReference: air ? "074-12345675" : "BKG-77" };
    default:
      return { reason: "because" };
  }
}

/** The refusal that a function ends in; fails when it does not. */
export function refusalOf(act: () => unknown): Refusal {
  try {
    act();
  } catch (error) {
    if (error instanceof Error && error.name === "Refusal") return error as Refusal;
    throw error;
  }
  throw new Error("it was not refused");
}

export function reasonOf(act: () => unknown): Reason {
  return refusalOf(act).reason;
}

function keyOf(ref: SubjectRef): string {
  return `${ref.kind}/${ref.id}`;
}

function versionOf(subject: Subject): bigint {
  return subject.kind === SubjectKind.BOOKING ? subject.booking.version : subject.order.version;
}

/** Freezes a subject, so that a fold that changes what it was given fails. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
