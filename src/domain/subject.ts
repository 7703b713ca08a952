import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Booking, BookingDetails } from "../../gen/leadline/v1/booking_pb.ts";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import type { Order, OrderDetails } from "../../gen/leadline/v1/order_pb.ts";
import type { FlowRef, StatusFlow } from "./status-flow.ts";

/**
 * What an event is about. The numbers are stored. What is administered has events in the tenant's audit journal only, and no
 * row.
 */
export const SubjectKind = { ORDER: 1, BOOKING: 2, ADMINISTRATION: 3 } as const;
export type SubjectKind = (typeof SubjectKind)[keyof typeof SubjectKind];

export interface SubjectRef {
  readonly kind: SubjectKind;
  readonly id: string;
}

/** An order as it is kept: the compact form that events carry, and the details beside it. */
export interface OrderSubject {
  readonly kind: typeof SubjectKind.ORDER;
  readonly order: Order;
  readonly details: OrderDetails;
  /** The flow that the order goes through; what `order.flowId` and `order.flowVersion` name. */
  readonly flow: StatusFlow;
}

/** A booking as it is kept. */
export interface BookingSubject {
  readonly kind: typeof SubjectKind.BOOKING;
  readonly booking: Booking;
  readonly details: BookingDetails;
}

export type Subject = OrderSubject | BookingSubject;

/** What one event changes: the set part of `Event.change`. */
export type Change = Exclude<Event["change"], { case: undefined }>;

/** A change that was decided and is not recorded yet. */
export interface Draft {
  readonly ref: SubjectRef;
  readonly change: Change;
}

/** The flows of one tenant, as far as a decision or a fold needs them. Throws for one that was not loaded. */
export type Flows = (ref: FlowRef) => StatusFlow;

/** What recording adds to a draft. */
export interface Recorded {
  /** The subject's version after it: 1 for the first event. */
  readonly version: bigint;
  readonly recordedAt: Timestamp;
}

/** The subjects of a command before it. */
export interface Load {
  /** The subject; undefined: it does not exist. Throws when it was not loaded. */
  (ref: SubjectRef): Subject | undefined;
  /** Whether it was loaded; if not, a decision that needs it answers with `needs`. */
  has(ref: SubjectRef): boolean;
}

/** The subjects of a command after it, for its answer. */
export interface After {
  subject(ref: SubjectRef): Subject;
  /** The position of the subject's last event. */
  position(ref: SubjectRef): string;
}

/**
 * What was decided: the drafts in order (none: nothing changes) and how the answer is made once they are recorded, or the
 * further subjects that have to be loaded first. A refusal is thrown as a Refusal.
 */
export type Decision<A> =
  | { readonly drafts: readonly Draft[]; readonly answer: (after: After) => A }
  | { readonly needs: readonly SubjectRef[] };

/** Decides, purely: no I/O, no clock, no ids drawn. `now` is the database's time under the tenant's lock. */
export type Decide<A> = (load: Load, now: Timestamp) => Decision<A>;

export function orderRef(id: string): SubjectRef {
  return { kind: SubjectKind.ORDER, id };
}

export function bookingRef(id: string): SubjectRef {
  return { kind: SubjectKind.BOOKING, id };
}
