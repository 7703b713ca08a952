import { WatchMode } from "../../gen/leadline/v1/watch_pb.ts";
import type { Visibility } from "../../src/domain/principal.ts";
import { journey, type Step } from "../demo/journey.ts";
import { type Caller, type CallerKind, callerKinds } from "../doors/callers.ts";
import { Recording } from "../guarantees/recording.ts";
import type { Reader } from "../guarantees/trace.ts";
import { readTruth, type Truth } from "../guarantees/truth.ts";
import { CARRIERS, type TestTenant } from "../support/app.ts";
import { oceanConfirmation, oceanRequest } from "./parts.ts";
import { ALL_BOOKINGS, ALL_ORDERS, askFor, FILTERED, type Wish } from "./wishes.ts";
import { type InteropWorld, openWorld } from "./world.ts";

/** One watch of the stage: who, over what, for which wish. */
export interface Seat {
  readonly name: string;
  readonly kind: CallerKind;
  readonly wish: Wish;
  readonly as: "viewer" | "carrier" | "rival" | "link";
  readonly mode?: WatchMode;
}

/** A journey that was played while every seat watched it, from a snapshot on. */
export interface Stage extends AsyncDisposable {
  readonly world: InteropWorld;
  readonly tenant: TestTenant;
  readonly truth: Truth;
  /** The journal's last revision. */
  readonly head: bigint;
  /** The order that links lead to. */
  readonly linked: string;
  readonly recordings: ReadonlyMap<Seat, Recording>;
  readerOf(seat: Pick<Seat, "wish" | "as">): Reader;
  bearerOf(as: Seat["as"]): string;
  callerOf(kind: CallerKind): Caller;
}

/** Steps that are played before the watches start, so that snapshots have rows. */
const BEFORE = 13;
const LINKED = "PO-4711";

/** All orders and all bookings over every client; every filter over two of them. */
export const staffSeats: readonly Seat[] = callerKinds.flatMap((kind) =>
  [ALL_ORDERS, ALL_BOOKINGS].map((wish): Seat => ({ name: `${wish.name} to ${kind.name}`, kind, wish, as: "viewer" })),
);

const pick = (i: number): CallerKind => {
  const kind = callerKinds[i % callerKinds.length];
  if (kind === undefined) throw new Error("there are no callers");
  return kind;
};

export const filterSeats: readonly Seat[] = FILTERED.flatMap((wish, i) =>
  [pick(2 * i), pick(2 * i + 7)].map(
    (kind): Seat => ({ name: `${wish.name} to ${kind.name}`, kind, wish, as: "viewer" }),
  ),
);

export const carrierSeats: readonly Seat[] = (["carrier", "rival"] as const).flatMap((as, i) =>
  [0, 5, 7, 13].map((n): Seat => {
    const kind = pick(n + i);
    return { name: `${CARRIERS[as]}'s bookings to ${kind.name}`, kind, wish: ALL_BOOKINGS, as };
  }),
);

export const linkSeats: readonly Seat[] = [0, 4, 15].map((n): Seat => {
  const kind = pick(n);
  return { name: `a link's order to ${kind.name}`, kind, wish: ALL_ORDERS, as: "link" };
});

export const latestSeats: readonly Seat[] = [ALL_ORDERS, ALL_BOOKINGS, ...FILTERED].map((wish, i): Seat => {
  const kind = pick(3 * i);
  return { name: `the latest of ${wish.name} to ${kind.name}`, kind, wish, as: "viewer", mode: WatchMode.LATEST };
});

export async function playStage(seats: readonly Seat[]): Promise<Stage> {
  await using started = new AsyncDisposableStack();
  const world = started.use(await openWorld({ env: { LEADLINE_HEARTBEAT_MS: "1000" } }));
  const tenant = await world.app.makeTenant("acme");
  const foreign = await world.app.makeTenant("foreign");
  const steps = journey();
  await play(world, tenant, steps.slice(0, BEFORE));
  const link = await tenant.link(LINKED);
  const bearerOf = (as: Seat["as"]) => (as === "link" ? link : tenant.keys[as]);
  const callers = new Map<CallerKind, Caller>();
  const callerOf = (kind: CallerKind) => {
    const caller = callers.get(kind) ?? kind.open(world);
    callers.set(kind, caller);
    return caller;
  };
  const recordings = new Map<Seat, Recording>();
  for (const seat of seats) {
    const asked = askFor(seat.wish, { mode: seat.mode ?? WatchMode.ALL, includeSnapshot: true });
    recordings.set(seat, started.use(new Recording(callerOf(seat.kind), bearerOf(seat.as), asked)));
  }
  await Promise.all([...recordings.values()].map((recording) => recording.synced()));
  await Promise.all([play(world, tenant, steps.slice(BEFORE)), playRival(world, tenant), playForeign(world, foreign)]);
  const truth = await readTruth(world.database);
  const head = truth.journals.get(tenant.id)?.at(-1)?.revision ?? 0n;
  const readerOf = ({ wish, as }: Pick<Seat, "wish" | "as">): Reader => ({
    ...wish,
    tenant: tenant.id,
    visibility: visibilityOf(as),
  });
  // Those that hear nothing are found out by their own tests.
  await Promise.allSettled([...recordings].map(([seat, one]) => one.bookmarked(readerOf(seat), truth, head)));
  const owned = started.move();
  return {
    ...{ world, tenant, truth, head, linked: LINKED, recordings, readerOf, bearerOf, callerOf },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function visibilityOf(as: Seat["as"]): Visibility {
  if (as === "viewer") return { class: "staff" };
  return as === "link" ? { class: "link", orderId: LINKED } : { class: "carrier", carrier: CARRIERS[as] };
}

async function play(world: InteropWorld, tenant: TestTenant, steps: readonly Step[]): Promise<void> {
  const operator = world.app.client(tenant.keys.operator);
  const carrier = world.app.client(tenant.keys.carrier);
  for (const step of steps) await step.run({ operator, carrier });
}

/** A booking of the other carrier in the same tenant. */
async function playRival(world: InteropWorld, tenant: TestTenant): Promise<void> {
  const bookingId = "BKG-RIVAL";
  const operator = world.app.client(tenant.keys.operator).bookings;
  const rival = world.app.client(tenant.keys.rival).bookings;
  await operator.requestBooking({ bookingId, request: oceanRequest(CARRIERS.rival), orders: [{ orderId: "PO-ROAD" }] });
  await rival.confirmBooking({ bookingId, confirmation: oceanConfirmation("HLCU9") });
  await operator.detachOrders({ bookingId, orderIds: ["PO-ROAD"] });
  for (const departs of [7, 8, 9]) {
    await rival.confirmBooking({ bookingId, confirmation: oceanConfirmation("HLCU9", departs) });
  }
  await rival.completeBooking({ bookingId });
}

/** Another tenant that does the same at the same time, with the same carriers. */
async function playForeign(world: InteropWorld, foreign: TestTenant): Promise<void> {
  const { orders, bookings } = world.app.client(foreign.keys.operator);
  for (let i = 0; i < 10; i++) {
    await orders.createOrder({ orderId: `FOREIGN-${i}` });
    const bookingId = `FOREIGN-BKG-${i}`;
    await bookings.requestBooking({ bookingId, request: oceanRequest(), orders: [{ orderId: `FOREIGN-${i}` }] });
  }
}
