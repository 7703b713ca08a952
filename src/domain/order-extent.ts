import { create } from "@bufbuild/protobuf";
import type { OrderDetails } from "../../gen/leadline/v1/order_pb.ts";
import { type Unit, UnitSchema } from "../../gen/leadline/v1/place_pb.ts";
import type { Report } from "../../gen/leadline/v1/report_pb.ts";

/**
 * The units of an order: those it was created with, then those that its bookings name and it does not, without contents.
 * The same array as in the details when the bookings add none.
 */
export function unitsOf(details: OrderDetails): readonly Unit[] {
  let known: Set<string> | undefined;
  const added: Unit[] = [];
  for (const booking of details.bookings) {
    for (const id of booking.unitIds) {
      known ??= new Set(details.units.map((unit) => unit.id));
      if (known.has(id)) continue;
      known.add(id);
      added.push(create(UnitSchema, { id }));
    }
  }
  return added.length === 0 ? details.units : [...details.units, ...added];
}

/** Whether a report speaks of all of its order, and not of some units or quantities. */
export function speaksOfAll(report: Report): boolean {
  return report.unitIds.length === 0 && report.lines.length === 0;
}
