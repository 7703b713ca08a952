import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Booking,
  type BookingFilterSchema,
  BookingState,
  SpaceVerdict,
} from "../../gen/leadline/v1/booking_pb.ts";
import { type Order, type OrderFilterSchema, Phase } from "../../gen/leadline/v1/order_pb.ts";
import type { Asked } from "../guarantees/recording.ts";
import { CARRIERS } from "../support/app.ts";

/** What a watch asks for, and, said once more in plain words, what it should therefore see. */
export type Wish = {
  readonly name: string;
  /** In the journey, something that matched ceases to. */
  readonly loses: boolean;
} & (
  | {
      readonly of: "orders";
      readonly filter: MessageInitShape<typeof OrderFilterSchema>;
      sees(order: Order): boolean;
    }
  | {
      readonly of: "bookings";
      readonly filter: MessageInitShape<typeof BookingFilterSchema>;
      sees(booking: Booking): boolean;
    }
);

export const ALL_ORDERS: Wish = { of: "orders", name: "all orders", loses: false, filter: {}, sees: () => true };
export const ALL_BOOKINGS: Wish = { of: "bookings", name: "all bookings", loses: false, filter: {}, sees: () => true };

const { IN_TRANSIT, ARRIVED } = Phase;
const { PARTIAL, ROLLED } = SpaceVerdict;

/** One wish for every field of the filters, over the recorded journey. */
export const FILTERED: readonly Wish[] = [
  {
    of: "orders",
    name: "orders by id",
    loses: false,
    filter: { ids: ["PO-4711", "PO-unknown"] },
    sees: (order) => order.id === "PO-4711",
  },
  {
    of: "orders",
    name: "orders by reference",
    loses: false,
    filter: { references: [{ type: "PO", value: "PO-4712" }] },
    sees: (order) => order.references.some(({ type, value }) => type === "PO" && value === "PO-4712"),
  },
  {
    of: "orders",
    name: "orders by status",
    loses: true,
    filter: { statuses: ["OUT_FOR_DELIVERY", "PROCESSING"] },
    sees: (order) => order.status === "OUT_FOR_DELIVERY" || order.status === "PROCESSING",
  },
  {
    of: "orders",
    name: "orders by phase",
    loses: true,
    filter: { phases: [IN_TRANSIT, ARRIVED] },
    sees: (order) => order.phase === IN_TRANSIT || order.phase === ARRIVED,
  },
  {
    of: "orders",
    name: "orders by carrier",
    loses: false,
    filter: { carriers: [CARRIERS.carrier] },
    sees: (order) => order.carriers.includes(CARRIERS.carrier),
  },
  {
    of: "orders",
    name: "orders by booking",
    loses: false,
    filter: { bookingIds: ["BKG-OCEAN"] },
    sees: (order) => order.bookingIds.includes("BKG-OCEAN"),
  },
  {
    of: "orders",
    name: "orders by carrier and status",
    loses: true,
    filter: { carriers: [CARRIERS.carrier], statuses: ["BOOKED"] },
    sees: (order) => order.carriers.includes(CARRIERS.carrier) && order.status === "BOOKED",
  },
  {
    of: "bookings",
    name: "bookings by id",
    loses: false,
    filter: { ids: ["BKG-AIR"] },
    sees: (booking) => booking.id === "BKG-AIR",
  },
  {
    of: "bookings",
    name: "bookings by the carrier's reference",
    loses: false,
    filter: { references: [{ type: "BKG", value: "MAEU55512" }] },
    sees: (booking) => booking.bookingReference === "MAEU55512",
  },
  {
    of: "bookings",
    name: "bookings by state",
    loses: true,
    filter: { states: [BookingState.CONFIRMED] },
    sees: (booking) => booking.state === BookingState.CONFIRMED,
  },
  {
    of: "bookings",
    name: "bookings by carrier",
    loses: false,
    filter: { carriers: [CARRIERS.rival] },
    sees: (booking) => booking.carrier === CARRIERS.rival,
  },
  {
    of: "bookings",
    name: "bookings by verdict on the space",
    loses: true,
    filter: { spaces: [PARTIAL, ROLLED] },
    sees: (booking) => booking.space === PARTIAL || booking.space === ROLLED,
  },
  {
    of: "bookings",
    name: "bookings by order",
    loses: false,
    filter: { orderIds: ["PO-4713"] },
    sees: (booking) => booking.orderIds.includes("PO-4713"),
  },
];

/** What a watch for the wish sends. */
export function askFor(
  wish: Wish,
  more: Pick<Exclude<Asked, { of: "audit" }>["request"], "position" | "includeSnapshot" | "mode">,
): Asked {
  return wish.of === "orders"
    ? { of: "orders", request: { ...more, filter: wish.filter } }
    : { of: "bookings", request: { ...more, filter: wish.filter } };
}
