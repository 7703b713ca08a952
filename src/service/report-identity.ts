import type { Report } from "../../gen/leadline/v1/report_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { drawId } from "../wire/draw-id.ts";

/** A report with its source, and an id there, by default a drawn one. */
export function identified(report: Report, principal: Principal): Report {
  if (report.source !== "" && report.sourceId !== "") return report;
  const source = sourceOf(principal, report.source);
  return { ...report, source, sourceId: report.sourceId || drawId("rpt") };
}

/** Who says it: as the caller says, else the carrier's code, else the name of the key. */
export function sourceOf(principal: Principal, given: string): string {
  if (given !== "") return given;
  if (principal.kind !== "key" && principal.kind !== "token") return principal.id;
  return principal.role === Role.CARRIER ? principal.carrier : principal.name;
}
