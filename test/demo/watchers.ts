import type { Booking } from "../../gen/leadline/v1/booking_pb.ts";
import { BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import type { Order } from "../../gen/leadline/v1/order_pb.ts";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { createLeadlineWebClient } from "../../src/client/browser.ts";
import { createLeadlineClient, type WatchBookingsOptions, type WatchOrdersOptions } from "../../src/client/node.ts";
import { CARRIER } from "./journey.ts";

export type Door = "gRPC" | "Connect" | "gRPC-Web";

/** What a watcher asks for, and, said once more in plain words of its own, what it should therefore see. */
export type Wish =
  | {
      readonly of: "orders";
      readonly name: string;
      readonly filter?: WatchOrdersOptions["filter"];
      readonly sees: (order: Order) => boolean;
    }
  | {
      readonly of: "bookings";
      readonly name: string;
      readonly filter?: WatchBookingsOptions["filter"];
      readonly sees: (booking: Booking) => boolean;
    };

export const WISHES: readonly Wish[] = [
  { of: "orders", name: "all orders", sees: () => true },
  { of: "orders", name: "order PO-4711", filter: { ids: ["PO-4711"] }, sees: (o) => o.id === "PO-4711" },
  {
    of: "orders",
    name: "orders in transit",
    filter: { phases: [Phase.IN_TRANSIT] },
    sees: (o) => o.phase === Phase.IN_TRANSIT,
  },
  {
    of: "orders",
    name: `orders with ${CARRIER}`,
    filter: { carriers: [CARRIER] },
    sees: (o) => o.carriers.includes(CARRIER),
  },
  { of: "bookings", name: "all bookings", sees: () => true },
  {
    of: "bookings",
    name: "confirmed bookings",
    filter: { states: [BookingState.CONFIRMED] },
    sees: (b) => b.state === BookingState.CONFIRMED,
  },
];

/** Something a watcher was told: the event that made it so, and whether the subject came or went. */
export interface Told {
  readonly event: string;
  readonly what: "event" | "left";
}

export interface WatcherPlan {
  readonly door: Door;
  /** The instance's name and addresses. */
  readonly instance: { readonly name: string; readonly grpc: string; readonly http: string };
  readonly wish: Wish;
  readonly key: string;
}

/** A watcher that writes down what it is told. */
export class Watcher {
  readonly plan: WatcherPlan;
  readonly told: Told[] = [];
  /** Drops the next thing that it is told, so that the count must find it missing. */
  discardOne = false;
  #position: string | undefined;
  #life = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #release: () => void = () => undefined;

  constructor(plan: WatcherPlan) {
    this.plan = plan;
  }

  /** Starts, or continues after what it was told; resolves when the server has answered. */
  start(): Promise<void> {
    this.#life = new AbortController();
    return new Promise((resolve, reject) => {
      this.#ended = this.#run(resolve).catch(reject);
    });
  }

  /** Breaks its connection, as a laptop that is closed does. */
  async kill(): Promise<void> {
    this.#life.abort();
    await this.#ended;
    this.#release();
  }

  async #run(opened: () => void): Promise<void> {
    const watch = this.#open(opened);
    for await (const item of watch) {
      this.#position = watch.position;
      if (item.type === "event") this.#write({ event: item.event.position, what: "event" });
      if (item.type === "left") this.#write({ event: item.position, what: "left" });
      if (item.type === "reset") throw new Error(`${this.plan.wish.name}: the watch was reset`);
    }
  }

  #write(told: Told): void {
    if (this.discardOne) this.discardOne = false;
    else this.told.push(told);
  }

  #open(opened: () => void) {
    const { door, instance, wish, key } = this.plan;
    const options = {
      position: this.#position,
      signal: this.#life.signal,
      onConnection: (state: { state: string }) => {
        if (state.state === "open") opened();
      },
    };
    if (door === "gRPC") {
      const client = createLeadlineClient({ address: instance.grpc, key });
      this.#release = () => client.close();
      return wish.of === "orders"
        ? client.watchOrders({ ...options, filter: wish.filter })
        : client.watchBookings({ ...options, filter: wish.filter });
    }
    const protocol = door === "Connect" ? "connect" : "grpc-web";
    const client = createLeadlineWebClient({ baseUrl: instance.http, key, protocol });
    return wish.of === "orders"
      ? client.watchOrders({ ...options, filter: wish.filter })
      : client.watchBookings({ ...options, filter: wish.filter });
  }
}

/** What a watcher should have been told, found out from the journal by the wish's own words. */
export function expectedOf(wish: Wish, journal: readonly Event[]): Told[] {
  const sawBefore = new Set<string>();
  const expected: Told[] = [];
  for (const event of journal) {
    const sees = seesAfter(wish, event);
    if (sees === undefined) continue;
    if (sees) expected.push({ event: event.position, what: "event" });
    else if (sawBefore.has(event.subjectId)) expected.push({ event: event.position, what: "left" });
    if (sees) sawBefore.add(event.subjectId);
    else sawBefore.delete(event.subjectId);
  }
  return expected;
}

function seesAfter(wish: Wish, { after }: Event): boolean | undefined {
  if (wish.of === "orders") return after.case === "order" ? wish.sees(after.value) : undefined;
  return after.case === "booking" ? wish.sees(after.value) : undefined;
}

export interface Comparison {
  readonly lost: number;
  readonly repeated: number;
  readonly outOfOrder: number;
}

/** Compares what was told with what should have been. */
export function compare(told: readonly Told[], expected: readonly Told[]): Comparison {
  const key = (t: Told) => `${t.what} ${t.event}`;
  const place = new Map(expected.map((t, i) => [key(t), i]));
  const seen = new Set<string>();
  let repeated = 0;
  let outOfOrder = 0;
  let last = -1;
  for (const t of told) {
    const at = place.get(key(t));
    if (seen.has(key(t)) || at === undefined)
      repeated += 1; // what was not expected was told once too often
    else if (at < last) outOfOrder += 1;
    seen.add(key(t));
    last = Math.max(last, at ?? last);
  }
  return { lost: expected.filter((t) => !seen.has(key(t))).length, repeated, outOfOrder };
}
