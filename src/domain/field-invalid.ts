import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "./refusal.ts";

/** The refusal of one field, by its path in the request; the message says the same for people. */
export function fieldInvalid(field: string, description: string): Refusal {
  return new Refusal(ErrorReason.FIELD_INVALID, `${field} ${description}`, { violations: [{ field, description }] });
}
