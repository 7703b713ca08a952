import type { Leg } from "../../../gen/leadline/v1/booking_pb.ts";
import type { Place } from "../../../gen/leadline/v1/place_pb.ts";
import { TransportMode } from "../../../gen/leadline/v1/place_pb.ts";
import { samePlace } from "../milestone-kinds.ts";
import { lookUp, MODES } from "./codes.ts";
import type { JsonObject } from "./json-reader.ts";

/** What an event says of the transport it belongs to. Empty texts and UNSPECIFIED: not said. */
export interface LegHints {
  /** Which end of the leg the event belongs to; undefined: neither in particular. */
  readonly end: "from" | "to" | undefined;
  readonly mode: TransportMode;
  readonly vessel: string;
  /** As the source wrote it: its check digit may be wrong. */
  readonly vesselImo: string;
  /** The voyage numbers, of export and import, whichever are named. */
  readonly voyages: readonly string[];
  readonly service: string;
  /** The carrier's number of the call; tells two calls at one place apart within a voyage. 0: not said. */
  readonly callSequence: number;
}

const IMO_NUMBER = /^\d{7,8}$/;

/** Reads `transportCall`, in any version's spelling. An absent one hints at nothing. */
export function readLegHints(call: JsonObject, end: "from" | "to" | undefined): LegHints {
  const vessel = call.object(["vesselTransport", "vessel", "barge"]);
  const imo = vessel.text(["vesselIMONumber"], { max: 20 });
  const mode = call.text("modeOfTransport", { max: 50 });
  const numbered = (name: string) => call.object(name).text(["carrierVoyageNumber", "universalVoyageReference"]);
  const voyages = [
    call.text(["carrierExportVoyageNumber", "exportVoyageNumber", "universalExportVoyageReference"]),
    call.text(["carrierImportVoyageNumber", "importVoyageNumber", "universalImportVoyageReference"]),
    numbered("exportVoyageNumberOrReference"),
    numbered("importVoyageNumberOrReference"),
  ];
  const service = call.object("serviceCodeOrReference");
  if (imo !== "" && !IMO_NUMBER.test(imo)) vessel.note("vesselIMONumber", "is not kept: it is no IMO number");
  return {
    end,
    mode: lookUp(MODES, mode) ?? TransportMode.UNSPECIFIED,
    vessel: vessel.text(["vesselName", "name"]),
    vesselImo: IMO_NUMBER.test(imo) ? imo : "",
    voyages: [...new Set(voyages.filter((voyage) => voyage !== ""))],
    service:
      call.text(["carrierServiceCode", "universalServiceReference"]) ||
      service.text(["carrierServiceCode", "universalServiceReference"]),
    callSequence: call.number("transportCallSequenceNumber", { whole: true, min: 0, max: 1_000_000 }) ?? 0,
  };
}

/**
 * The sequence number of the leg of a transport plan that an event belongs to; 0: none, or it cannot be told. The place decides
 * together with the end of the leg it is; where the plan passes a place twice, vessel, voyage and mode decide. What the plan does
 * not say contradicts nothing.
 */
export function legOf(hints: LegHints, place: Place | undefined, legs: readonly Leg[]): number {
  if (hints.end === undefined || place === undefined) return 0;
  const end = hints.end;
  const there = legs.filter((leg) => samePlace(end === "from" ? leg.from : leg.to, place));
  const agreeing = there.filter((leg) => agrees(hints, leg));
  const [only, ...others] = agreeing;
  if (only === undefined) return 0;
  if (others.length === 0) return only.sequence;
  const named = agreeing.filter((leg) => names(hints, leg));
  return named.length === 1 ? (named[0]?.sequence ?? 0) : 0;
}

/** Nothing that both name is different. */
function agrees(hints: LegHints, leg: Leg): boolean {
  const means = leg.means;
  const modes = hints.mode === TransportMode.UNSPECIFIED || leg.mode === TransportMode.UNSPECIFIED;
  if (!modes && hints.mode !== leg.mode) return false;
  if (means === undefined) return true;
  if (hints.vesselImo !== "" && means.vesselImo !== "")
    return hints.vesselImo === means.vesselImo && sameVoyage(hints, means.voyage);
  if (hints.vessel !== "" && means.vessel !== "" && !sameText(hints.vessel, means.vessel)) return false;
  return sameVoyage(hints, means.voyage);
}

function sameVoyage(hints: LegHints, voyage: string): boolean {
  return voyage === "" || hints.voyages.length === 0 || hints.voyages.some((one) => sameText(one, voyage));
}

/** Both name the vessel or the voyage, and it is the same. */
function names(hints: LegHints, leg: Leg): boolean {
  const means = leg.means;
  if (means === undefined) return false;
  const vessel = hints.vesselImo !== "" && hints.vesselImo === means.vesselImo;
  return vessel || (means.voyage !== "" && hints.voyages.some((one) => sameText(one, means.voyage)));
}

function sameText(a: string, b: string): boolean {
  return a.trim().toLowerCase() === b.trim().toLowerCase();
}
