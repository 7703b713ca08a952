import { UnitKind } from "../../gen/leadline/v1/place_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { CARRIERS, type TestTenant } from "../support/app.ts";
import { at, oceanConfirmation, oceanRequest } from "./parts.ts";
import { allThatIsSaid } from "./raw-answers.ts";
import type { InteropWorld } from "./world.ts";

/* By what it is told whose something is, in any bytes. */

/** Whose text it is. Letters only, so that no encoding changes it. */
export const MARKS = {
  orders: "MarkOfOurOrders",
  bookings: "MarkOfOurBookings",
  rival: "MarkOfTheRival",
  foreign: "MarkOfTheForeign",
} as const;
export type Mark = keyof typeof MARKS;

export const owners = Object.keys(MARKS) as Mark[];

/** Numbers of containers that only one of them has: they have check digits, so they cannot hold a mark. */
const CONTAINERS: Readonly<Record<Mark, string>> = {
  orders: "MSKU1000016",
  bookings: "MSKU2000026",
  rival: "MSKU3000036",
  foreign: "MSKU4000046",
};
/** The ids, in both tenants, of what bears marks where others hold what they mean: in ids, units, references. */
export const NUMBERED = "NUMBERED";

/** What each owner has of its own: containers, references, ids of units, lines, reports and bookings. */
export function numbersOf(...of: readonly Mark[]): string[] {
  return of.flatMap((whose) => {
    const kinds = { orders: "LPS", bookings: "RMB", rival: "RMB", foreign: "LPSRMB" }[whose];
    return [CONTAINERS[whose], ...[...kinds].map((kind) => `${kind}-${MARKS[whose]}`)];
  });
}

/** Whose marks and containers are in an answer. */
export function marksIn(answer: Buffer): Mark[] {
  const said = allThatIsSaid(answer);
  return owners.filter((whose) => said.includes(MARKS[whose]) || said.includes(CONTAINERS[whose]));
}

/** Marks in all that is an id or a reference, and numbers of containers. */
export async function plantNumbers(
  world: InteropWorld,
  { ours, foreign }: Readonly<Record<"ours" | "foreign", TestTenant>>,
): Promise<void> {
  for (const [tenant, order, booking] of [
    [ours, "orders", "bookings"],
    [foreign, "foreign", "foreign"],
  ] as const) {
    const { orders, bookings } = world.app.client(tenant.keys.operator);
    const text = MARKS[order];
    await orders.createOrder({
      orderId: NUMBERED,
      references: [{ type: "PO", value: text }],
      lines: [{ id: `L-${text}`, quantity: 5n }],
      units: [
        { id: CONTAINERS[order], kind: UnitKind.CONTAINER, isoEquipmentCode: "45G1" },
        { id: `P-${text}`, kind: UnitKind.PIECE },
      ],
    });
    const report = { classifier: Classifier.ACTUAL, occurredAt: at(1), sourceId: `S-${text}`, source: text };
    await orders.reportStatus({ orderId: NUMBERED, report: { ...report, status: "PROCESSING" } });
    const carriers = [["carrier", NUMBERED, booking] as const, ["rival", `${NUMBERED}-RIVAL`, "rival"] as const];
    for (const [as, bookingId, whose] of tenant === ours ? carriers : carriers.slice(0, 1)) {
      const carrier = world.app.client(tenant.keys[as]).bookings;
      await bookings.requestBooking({ bookingId, request: oceanRequest(CARRIERS[as]) });
      await carrier.confirmBooking({ bookingId, confirmation: oceanConfirmation(`R-${MARKS[whose]}`) });
      const unit = { id: CONTAINERS[whose], kind: UnitKind.CONTAINER, isoEquipmentCode: "45G1" };
      await carrier.addUnits({ bookingId, units: [unit] });
      const milestone = {
        ...report,
        milestone: "GATE_IN",
        sourceId: `M-${MARKS[whose]}`,
        source: "",
        unitIds: [unit.id],
      };
      await carrier.reportMilestone({ bookingId, report: milestone });
      await bookings.requestBooking({ bookingId: `B-${MARKS[whose]}`, request: oceanRequest(CARRIERS[as]) });
    }
  }
}
