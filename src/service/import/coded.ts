import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/leadline/v1/error_pb.ts";
import { type CodedEvent, CodedEventSchema } from "../../../gen/leadline/v1/import_service_pb.ts";
import { Refusal } from "../../domain/refusal.ts";
import { checkRequest } from "../validation.ts";
import { fieldsRefused } from "./items.ts";

/**
 * A CodedEvent from its JSON. Throws MESSAGE_MALFORMED when it is none, a field that it does not have included, and
 * FIELD_INVALID with every violation when it breaks a rule of its contract.
 */
export function parseCodedEvent(json: unknown): CodedEvent {
  const event = decoded(json);
  try {
    checkRequest(CodedEventSchema, event);
  } catch (error) {
    throw error instanceof Refusal && error.violations.length > 0 ? fieldsRefused(error.violations) : error;
  }
  return event;
}

/** The event's id as far as it can be read. */
export function codedSourceId(json: unknown): string {
  const { sourceId, source_id: otherwise } = Object(json) as Readonly<Record<string, unknown>>;
  const id = sourceId ?? otherwise;
  return typeof id === "string" ? id.slice(0, 500) : "";
}

function decoded(json: unknown): CodedEvent {
  try {
    // What was parsed as JSON is a JSON value.
    return fromJson(CodedEventSchema, json as JsonValue);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Refusal(ErrorReason.MESSAGE_MALFORMED, `the item is no coded event: ${why}`, { cause: error });
  }
}
