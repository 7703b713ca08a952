import type { EventType } from "./codes.ts";
import type { EventParts } from "./event-parts.ts";
import type { JsonObject } from "./json-reader.ts";
import type { LegHints } from "./leg-hints.ts";

/** Characters of `Report.remark`. */
const REMARK_MAX = 2_000;
/** Characters that a source may write; what is longer than a remark is cut. */
const WRITTEN_MAX = 5_000;
const REASON_CODE = { max: 32, pattern: /^[A-Za-z0-9_-]+$/, expected: "a reason code" } as const;

/** What a report says beside its facts. */
export interface Remark {
  readonly remark: string;
  /** An SMDG delay reason code; empty: none. */
  readonly reasonCode: string;
}

/** Reads why something is late, and what is said of it. The first of several reason codes counts; the remark tells the others. */
export function readRemark(parts: EventParts, type: EventType, leg: LegHints): Remark {
  const { transport, event, shipment } = parts;
  const single = transport.text("delayReasonCode", REASON_CODE);
  const [first = "", ...others] = single === "" ? transport.texts("delayReasonCodes", REASON_CODE) : [single];
  const sentences = [
    transport.text(["changeRemark", "vesselScheduleChangeRemark"], { max: WRITTEN_MAX }),
    event.text("reason", { max: WRITTEN_MAX }) || shipment.text("reason", { max: WRITTEN_MAX }),
    others.length > 0 ? `also ${others.join(", ")}` : "",
    type === "REEFER" ? readTemperatures(parts.reefer) : "",
    meansText(leg),
  ];
  const remark = sentences.filter((sentence) => sentence !== "").join("; ");
  const characters = [...remark];
  return {
    remark: characters.length <= REMARK_MAX ? remark : `${characters.slice(0, REMARK_MAX - 1).join("")}…`,
    reasonCode: first,
  };
}

/** With what it travels, for people: a report has no field for it. */
function meansText({ vessel, vesselImo, voyages }: LegHints): string {
  return [
    vessel === "" ? "" : `vessel ${vessel}`,
    vesselImo === "" ? "" : `IMO ${vesselImo}`,
    voyages.length === 0 ? "" : `voyage ${voyages.join(" / ")}`,
  ]
    .filter((text) => text !== "")
    .join(", ");
}

/** The temperatures of a reefer for people: `set to -18.5 CEL, ambient 22.3 CEL, probes -18.2 CEL`. */
function readTemperatures(reefer: JsonObject): string {
  const unit = reefer.text("temperatureUnit", { max: 10 });
  const degrees = (value: number | undefined) => (value === undefined ? "" : `${value} ${unit}`.trim());
  const set = degrees(reefer.number("internalSetpointTemperature"));
  const ambient = degrees(reefer.number("ambientMeasuredTemperature"));
  const probes = reefer
    .objects("temperatureProbeMeasurements")
    .map((probe) => {
      probe.passOver("USDAProbeNumber");
      return degrees(probe.number("measuredTemperatureValue"));
    })
    .filter((text) => text !== "");
  return [
    set === "" ? "" : `set to ${set}`,
    ambient === "" ? "" : `ambient ${ambient}`,
    probes.length === 0 ? "" : `probes ${probes.join(", ")}`,
  ]
    .filter((text) => text !== "")
    .join(", ");
}
