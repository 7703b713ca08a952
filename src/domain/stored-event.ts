import type { Phase } from "../../gen/leadline/v1/order_pb.ts";
import type { SubjectKind } from "./subject.ts";

/** A place in a journal: a revision and the id of the event there; revision 0 carries the journal's own id. */
export interface Place {
  readonly revision: bigint;
  /** 13 characters, drawn at random: with the revision it makes the position. */
  readonly eventId: string;
}

/** An event as it is stored. */
export interface StoredEvent extends Place {
  readonly kind: SubjectKind;
  readonly subjectId: string;
  readonly version: bigint;
  /** The booking's carrier; empty for orders. Decides what a carrier may see without decoding. */
  readonly carrier: string;
  /** The encoding of `repeated Event events = 1` with this one element: tag, length, event. Staff's view of it. */
  readonly payload: Uint8Array;
  /** The phase that an order entered by it; known only where it is committed. */
  readonly entered?: Phase;
}

/** New events of one tenant, in order and without a hole, and the place that they follow. */
export interface Extension {
  readonly tenant: string;
  readonly previous: Place;
  readonly events: readonly StoredEvent[];
}
