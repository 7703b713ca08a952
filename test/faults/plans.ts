import { type Booking, BookingState } from "../../gen/leadline/v1/booking_pb.ts";
import { type Order, Phase } from "../../gen/leadline/v1/order_pb.ts";
import type { Visibility } from "../../src/domain/principal.ts";
import { type CallerKind, callerKinds } from "../doors/callers.ts";
import type { Plan } from "./watcher.ts";
import { CARRIERS, type Tenant } from "./writers.ts";

/** Clients of all doors and protocols: independent ones, none of them ours. */
const DOORS = [
  "grpc-js on the gRPC door",
  "connect-node connect over HTTP/2 in proto",
  "connect-node grpc-web over HTTP/1.1 in proto",
  "grpc-js on the gRPC door",
  "connect-node connect over HTTP/1.1 in JSON",
  "grpc-js on the HTTP door",
  "connect-web grpc-web through fetch",
  "connect-node grpc over HTTP/2 in proto",
];

const staff: Visibility = { class: "staff" };

/** Who watches a tenant: its whole, single orders, filters, bookings, carriers; from now on, with a snapshot, from the start. */
export function plansOf(tenant: Tenant, orders: readonly string[]): Plan[] {
  const doors = DOORS.values();
  let door = doors.next();
  const kind = (): CallerKind => {
    if (door.done) door = DOORS.values().next();
    const name = door.value;
    door = doors.next();
    const found = callerKinds.find((one) => one.name === name);
    if (!found) throw new Error(`there is no client ${name}`);
    return found;
  };
  const base = (what: string): Pick<Plan, "name" | "kind" | "key" | "filter" | "mode"> => {
    const chosen = kind();
    const name = `${tenant.id} ${what} (${chosen.name})`;
    return { name, kind: chosen, key: tenant.keys.viewer, filter: undefined, mode: "ALL" };
  };
  const ofOrders = { tenant: tenant.id, visibility: staff, of: "orders" } as const;
  const ofBookings = { tenant: tenant.id, visibility: staff, of: "bookings" } as const;
  const origin = { position: `0-${tenant.journalId}` };

  const whole: Plan[] = (["now", "snapshot", origin, "snapshot"] as const).map((start, i) => {
    return { ...base(`all orders ${i}`), reader: { ...ofOrders, sees: () => true }, start };
  });
  const single: Plan[] = orders.map((id, i) => {
    const reader = { ...ofOrders, sees: (order: Order) => order.id === id };
    return { ...base(`order ${id}`), filter: { ids: [id] }, reader, start: i % 2 === 0 ? "now" : "snapshot" };
  });
  const filters: Plan[] = [Phase.IN_TRANSIT, Phase.DELIVERED].map((phase, i) => {
    const reader = { ...ofOrders, sees: (order: Order) => order.phase === phase };
    return { ...base(`phase ${phase}`), filter: { phases: [phase] }, reader, start: i === 0 ? origin : "snapshot" };
  });
  const carried: Plan = {
    ...base(`orders with ${CARRIERS[0]}`),
    filter: { carriers: [CARRIERS[0]] },
    reader: { ...ofOrders, sees: (order: Order) => order.carriers.includes(CARRIERS[0]) },
    start: "snapshot",
  };
  const latest: Plan[] = (["snapshot", origin] as const).map((start, i) => {
    return { ...base(`latest orders ${i}`), mode: "LATEST", reader: { ...ofOrders, sees: () => true }, start };
  });
  const bookings: Plan[] = [
    { ...base("all bookings"), reader: { ...ofBookings, sees: () => true }, start: origin },
    {
      ...base("confirmed bookings"),
      filter: { states: [BookingState.CONFIRMED] },
      reader: { ...ofBookings, sees: (booking: Booking) => booking.state === BookingState.CONFIRMED },
      start: "snapshot",
    },
    { ...base("latest bookings"), mode: "LATEST", reader: { ...ofBookings, sees: () => true }, start: "snapshot" },
  ];
  const carriers = CARRIERS.flatMap((carrier): Plan[] => {
    const visibility: Visibility = { class: "carrier", carrier };
    const reader = { tenant: tenant.id, visibility, of: "bookings", sees: () => true } as const;
    const key = tenant.keys[carrier] ?? "";
    return [
      { ...base(`bookings of ${carrier}`), key, reader, start: "now" },
      { ...base(`bookings of ${carrier} with a snapshot`), key, reader, start: "snapshot" },
    ];
  });
  return [...whole, ...single, ...filters, carried, ...latest, ...bookings, ...carriers];
}
