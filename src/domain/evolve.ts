import { evolveBooking } from "./booking.ts";
import { evolveOrder } from "./order.ts";
import { type Change, type Flows, type Recorded, type Subject, SubjectKind, type SubjectRef } from "./subject.ts";

/** The subject after a change. Pure; `before` is not touched. Throws when the change is not one of the subject's. */
export function evolve(
  before: Subject | undefined,
  change: Change,
  recorded: Recorded,
  ref: SubjectRef,
  flows: Flows,
): Subject {
  if (ref.kind === SubjectKind.ORDER) {
    if (before !== undefined && before.kind !== SubjectKind.ORDER) throw new Error(`${ref.id} is not an order`);
    return evolveOrder(before, change, recorded, ref.id, flows);
  }
  if (before !== undefined && before.kind !== SubjectKind.BOOKING) throw new Error(`${ref.id} is not a booking`);
  return evolveBooking(before, change, recorded, ref.id);
}
