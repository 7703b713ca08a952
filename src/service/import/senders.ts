import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import type { EventIdentity } from "../../domain/dcsa/tracking-event.ts";
import { fieldInvalid } from "../../domain/field-invalid.ts";
import { Refusal } from "../../domain/refusal.ts";
import type { Call } from "../call.ts";
import { visibilityOf } from "../command.ts";

/** Whose bookings an event is about, and who is its source. */
export interface Sending {
  /** The carrier, as its keys and bookings carry it. */
  readonly carrier: string;
  /** The source of its report. */
  readonly source: string;
}

/**
 * The carrier that an event comes from: the one that the import names, else the event's own sender. A carrier's key imports as
 * itself alone. Throws ROLE_FORBIDS when it would speak for another, FIELD_INVALID when nobody says who sent it.
 */
export function sendingOf(call: Call, named: string, identity: EventIdentity): Sending {
  const visibility = visibilityOf(call.principal);
  if (visibility.class === "carrier") {
    checkSelf(visibility.carrier, named, "the import names");
    checkSelf(visibility.carrier, identity.sender, "the event is sent by");
    return { carrier: visibility.carrier, source: identity.source || visibility.carrier };
  }
  const carrier = named || identity.sender;
  if (carrier === "") throw fieldInvalid("carrier", "must be set: the event does not name its sender");
  return { carrier, source: identity.source || carrier };
}

/** The carrier that a booking request goes to; empty: the request's own word counts. Shipper's side only. */
export function addresseeOf(call: Call, named: string): string {
  if (visibilityOf(call.principal).class === "staff") return named;
  throw new Refusal(ErrorReason.ROLE_FORBIDS, "booking requests are imported by the shipper's side, not by a carrier");
}

function checkSelf(own: string, other: string, what: string): void {
  if (other === "" || other === own) return;
  throw new Refusal(ErrorReason.ROLE_FORBIDS, `${what} "${other}"; a carrier imports as itself, which is "${own}"`);
}
