import { type DescField, type DescMessage, isMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { checkRequest } from "../../src/service/validation.ts";

/**
 * Texts that mean something to the service, so that they cannot hold a mark: codes, and ids by which later requests find what
 * was made. What else takes a text takes a mark.
 */
const MEANT = new Set([
  ...[
    "order_id",
    "booking_id",
    "order_ids",
    "booking_ids",
    "tenant_id",
    "key_id",
    "request_id",
    "page_token",
    "id",
    "ids",
  ],
  ...["line_id", "unit_id", "unit_ids", "units", "carrier", "carriers", "status", "type", "role", "code", "severity"],
  ...[
    "unlocode",
    "iata",
    "iso_equipment_code",
    "unit_of_measure",
    "time_zone",
    "etag",
    "position",
    "vessel_imo",
    "items",
  ],
  ...["source", "source_id", "booking_reference", "master_number", "number", "transport_document"],
]);

/** Appends the mark to every free text of a message, as far as the contract lets it. Answers how many texts took it. */
export function mark(schema: DescMessage, message: Message, text: string): number {
  return markIn(schema, message, text, () => {
    try {
      checkRequest(schema, message);
      return true;
    } catch {
      return false;
    }
  });
}

function markIn(schema: DescMessage, message: Message, text: string, holds: () => boolean): number {
  const view = reflect(schema, message);
  let marked = 0;
  for (const field of schema.fields) {
    if (field.fieldKind === "scalar" && isFree(field) && !field.oneof) {
      const before = view.get(field) as string;
      view.set(field, `${before}${text}`);
      if (holds()) marked += 1;
      else view.set(field, before);
    } else if (field.fieldKind === "message" && view.isSet(field)) {
      marked += below(field.message, view.get(field).message, text, holds);
    } else if (field.fieldKind === "list" && field.listKind === "message") {
      for (const item of view.get(field))
        if ("message" in Object(item))
          marked += below(field.message, (item as { message: Message }).message, text, holds);
    }
  }
  return marked;
}

function below(schema: DescMessage, message: Message, text: string, holds: () => boolean): number {
  return isMessage(message) && !schema.typeName.startsWith("google.") ? markIn(schema, message, text, holds) : 0;
}

function isFree(field: DescField & { fieldKind: "scalar" }): boolean {
  return field.scalar === ScalarType.STRING && !MEANT.has(field.name);
}
