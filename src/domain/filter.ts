import type { BookingFilter } from "../../gen/leadline/v1/booking_pb.ts";
import type { Facets } from "../../gen/leadline/v1/event_pb.ts";
import type { OrderFilter } from "../../gen/leadline/v1/order_pb.ts";

/** A filter ready to be asked. Equal filters have equal keys, so they are evaluated once for all their watchers. */
export interface Filter {
  /** Identifies the filter; empty: everything matches. */
  readonly key: string;
  /** The ids it is limited to; undefined: any. */
  readonly ids: ReadonlySet<string> | undefined;
  /** Whether it asks for more than ids, so that facets are needed to decide. */
  readonly needsFacets: boolean;
  matches(id: string, facets: Facets): boolean;
}

type Test = (facets: Facets) => boolean;

/** Compiles an order filter; absent: everything matches. */
export function compileOrderFilter(filter: OrderFilter | undefined): Filter {
  if (filter === undefined) return compile([], []);
  return compile(filter.ids, [
    [
      "references",
      filter.references.map((r) => `${r.type}:${r.value}`),
      (f, any) => f.references.some((r) => any.has(`${r.type}:${r.value}`)),
    ],
    ["statuses", filter.statuses, (f, any) => any.has(f.status)],
    ["phases", filter.phases, (f, any) => any.has(f.phase)],
    ["carriers", filter.carriers, (f, any) => f.carriers.some((c) => any.has(c))],
    ["bookings", filter.bookingIds, (f, any) => f.bookingIds.some((b) => any.has(b))],
  ]);
}

/** Compiles a booking filter; absent: everything matches. */
export function compileBookingFilter(filter: BookingFilter | undefined): Filter {
  if (filter === undefined) return compile([], []);
  return compile(filter.ids, [
    [
      "references",
      filter.references.map((r) => `${r.type}:${r.value}`),
      (f, any) => f.references.some((r) => any.has(`${r.type}:${r.value}`)),
    ],
    ["states", filter.states, (f, any) => any.has(f.state)],
    ["carriers", filter.carriers, (f, any) => f.carriers.some((c) => any.has(c))],
    ["spaces", filter.spaces, (f, any) => any.has(f.space)],
    ["orders", filter.orderIds, (f, any) => f.orderIds.some((o) => any.has(o))],
  ]);
}

type Values = readonly (string | number)[];
type Field = readonly [
  name: string,
  values: Values,
  test: (facets: Facets, any: ReadonlySet<string | number>) => boolean,
];

function compile(ids: readonly string[], fields: readonly Field[]): Filter {
  const asked = fields.filter(([, values]) => values.length > 0);
  const tests = asked.map(([, values, test]): Test => {
    const any = new Set(values);
    return (facets) => test(facets, any);
  });
  const idSet = ids.length > 0 ? new Set(ids) : undefined;
  const parts: [string, Values][] = asked.map(([name, values]) => [name, [...values].sort()]);
  if (idSet) parts.unshift(["ids", [...idSet].sort()]);
  return {
    key: parts.length > 0 ? JSON.stringify(parts) : "",
    ids: idSet,
    needsFacets: tests.length > 0,
    matches: (id, facets) => (idSet === undefined || idSet.has(id)) && tests.every((test) => test(facets)),
  };
}
