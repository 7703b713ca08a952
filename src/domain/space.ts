import { type BookingRequest, SpaceVerdict } from "../../gen/leadline/v1/booking_pb.ts";
import { BookingVerb } from "../../gen/leadline/v1/event_pb.ts";
import { TransportMode } from "../../gen/leadline/v1/place_pb.ts";
import type { Verb } from "./booking-transitions.ts";

/** What the carrier said of the space, and in air cargo by which IATA space allocation code. */
export interface Space {
  readonly verdict: SpaceVerdict;
  /** Empty for ocean and road. */
  readonly code: string;
}

/** The actions of an air request that take space that is the shipper's already: sold, and against an allotment. */
const HOLDING_ACTIONS: ReadonlySet<string> = new Set(["SS", "CA"]);

/** Whether a request holds its space at once, without an answer of the carrier (IATA SS and CA). */
export function holdsAtOnce(request: BookingRequest): boolean {
  return request.mode === TransportMode.AIR && HOLDING_ACTIONS.has(request.spaceAction);
}

/** The space of a request that was just made. The actions NN, NA and NL all ask; the carrier has answered none yet. */
export function spaceRequested(request: BookingRequest): Space {
  if (holdsAtOnce(request)) return { verdict: SpaceVerdict.FULL, code: "HK" };
  return { verdict: SpaceVerdict.REQUESTED, code: request.mode === TransportMode.AIR ? "HN" : "" };
}

/**
 * The space after a verb. `confirmed` is the verdict on the confirmation, of the verbs that carry one; `said` the code that
 * the carrier named, empty: the usual one.
 */
export function spaceAfter(
  before: Space,
  mode: TransportMode,
  verb: Verb,
  confirmed: SpaceVerdict,
  said: string,
): Space {
  const air = (code: string) => (mode === TransportMode.AIR ? code : "");
  switch (verb) {
    case BookingVerb.UPDATE:
      return { verdict: SpaceVerdict.REQUESTED, code: air("HN") };
    case BookingVerb.CONFIRM:
    case BookingVerb.CONFIRM_AMENDMENT:
      return { verdict: confirmed, code: air("HK") };
    case BookingVerb.WAITLIST:
      return { verdict: SpaceVerdict.WAITLISTED, code: air("HL") };
    case BookingVerb.REJECT:
    case BookingVerb.DECLINE:
      return { verdict: SpaceVerdict.UNABLE, code: air(said || "UU") };
    case BookingVerb.CANCEL:
      return { verdict: SpaceVerdict.CANCELLED, code: air("XX") };
    case BookingVerb.REQUEST_CANCELLATION:
      return { verdict: before.verdict, code: air("XX") };
    case BookingVerb.CONFIRM_CANCELLATION:
      return { verdict: SpaceVerdict.CANCELLED, code: air("CN") };
    // An amendment that is wanted or asked for takes the request to cancel off (UC6, UC7): the space is held as before.
    case BookingVerb.REQUEST_AMENDMENT:
    case BookingVerb.AMEND:
    case BookingVerb.DECLINE_CANCELLATION:
      return { verdict: before.verdict, code: air("HK") };
    default:
      return before;
  }
}
