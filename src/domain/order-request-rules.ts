import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { CreateOrderRequest } from "../../gen/leadline/v1/order_service_pb.ts";
import type { Reference } from "../../gen/leadline/v1/place_pb.ts";
import { checkContainers, refuseFields, unitViolations } from "./booking-request-rules.ts";
import { isAirWaybill, isContainerNumber, looksLikeContainer } from "./identifiers.ts";
import { Refusal, type Violation } from "./refusal.ts";
import { checkPlace } from "./report-rules.ts";
import { checkTimestamp } from "./times.ts";

/**
 * Refuses a request that breaks the rules between its fields: FIELD_INVALID for lines, units or contents named twice,
 * contents of lines that the order does not have, places that name nothing and times outside 1990 to 2100;
 * CHECK_DIGIT_WRONG for container and air waybill numbers that are none. Rules of single fields are checked before.
 */
export function checkCreateOrder(request: CreateOrderRequest): void {
  refuseFields([...lineViolations(request), ...unitViolations(request.units), ...contentViolations(request)]);
  checkPlace(request.origin, "origin");
  checkPlace(request.destination, "destination");
  checkTimestamp(request.promisedAt, "promised_at");
  checkTimestamp(request.requestedAt, "requested_at");
  checkContainers(request.units, "units");
  checkReferences(request.references, "references");
}

function lineViolations({ lines }: CreateOrderRequest): Violation[] {
  return twice(lines.map((line) => line.id)).map((i) => ({
    field: `lines[${i}].id`,
    description: `"${lines[i]?.id}" stands twice`,
  }));
}

function contentViolations({ lines, units }: CreateOrderRequest): Violation[] {
  const known = new Set(lines.map((line) => line.id));
  return units.flatMap(({ contents }, i) => {
    const ids = contents.map((content) => content.lineId);
    const field = (j: number) => `units[${i}].contents[${j}].line_id`;
    const repeated = twice(ids).map((j) => ({ field: field(j), description: `"${ids[j]}" stands twice` }));
    const unknown = ids.flatMap((id, j) =>
      known.has(id) ? [] : [{ field: field(j), description: `"${id}" is not a line of the order` }],
    );
    return [...repeated, ...unknown];
  });
}

/** The places of values that stood before already. */
function twice(values: readonly string[]): number[] {
  const seen = new Set<string>();
  return values.flatMap((value, i) => {
    if (seen.has(value)) return [i];
    seen.add(value);
    return [];
  });
}

/** Equipment and air waybills are typed as references too. Other kinds are written as the partner likes. */
function checkReferences(references: readonly Reference[], field: string): void {
  for (const [i, { type, value }] of references.entries()) {
    const wrongContainer = type === "EQ" && looksLikeContainer(value) && !isContainerNumber(value);
    const wrongWaybill = type === "AWB" && !isAirWaybill(value);
    if (!wrongContainer && !wrongWaybill) continue;
    const what = wrongWaybill ? "an air waybill number" : "a container number (ISO 6346)";
    const description = `"${value}" is not ${what}: its check digit is wrong`;
    throw new Refusal(ErrorReason.CHECK_DIGIT_WRONG, `${field}[${i}].value ${description}`, {
      metadata: { field: `${field}[${i}].value`, value },
      violations: [{ field: `${field}[${i}].value`, description }],
    });
  }
}
