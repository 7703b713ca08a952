import { create, type DescField, type DescFile, type DescMessage, getOption, hasOption } from "@bufbuild/protobuf";
import { nestedTypes, pathToString, reflect } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { ImportService } from "../../gen/leadline/v1/import_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { checkRequest } from "../../src/service/validation.ts";

function filesOf(file: DescFile): DescFile[] {
  return [file, ...file.dependencies.flatMap(filesOf)].filter(({ name }) => name.startsWith("leadline/"));
}

const services = [OrderService, BookingService, ImportService, TenantService];
const messages = new Set(services.flatMap(({ file }) => filesOf(file)).flatMap((file) => [...nestedTypes(file)]));

/** The pattern of a text, or of the texts in a list. */
function patternOf(field: DescField): string {
  if (!hasOption(field, fieldRules)) return "";
  const { type } = getOption(field, fieldRules);
  const rules = type.case === "repeated" ? type.value.items?.type : type;
  return rules?.case === "string" ? rules.value.pattern : "";
}

const fields = [...messages]
  .filter((type) => type.kind === "message")
  .flatMap((schema) =>
    schema.fields.map((field) => ({ schema, field, name: String(field), pattern: patternOf(field) })),
  )
  .filter(({ pattern }) => pattern !== "");

/** What the library says of a message with its own engine, RE2. */
const library = createValidator();

test.each(fields)("$name: RegExp and RE2 say the same of it", ({ schema, field, pattern }) => {
  const like = fc.stringMatching(new RegExp(pattern, "u"));
  const nearly = fc.tuple(like, fc.string({ unit: "binary", maxLength: 2 }), fc.nat()).map(([text, other, place]) => {
    const at = place % (text.length + 1);
    return text.slice(0, at) + other + text.slice(at);
  });
  const texts = fc.oneof(
    like,
    nearly,
    like.map((text) => `${text}\n`),
    fc.string({ unit: "binary" }),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const message = create(schema);
      const fieldsOf = reflect(schema, message);
      if (field.fieldKind === "list") fieldsOf.get(field).add(text);
      else fieldsOf.set(field, text);
      expect(told(schema, message)).toEqual(
        library.validate(schema, message).violations?.map((v) => [pathToString(v.field), v.message]) ?? [],
      );
    }),
  );
});

function told(schema: DescMessage, message: ReturnType<typeof create>): [string, string][] {
  try {
    checkRequest(schema, message);
    return [];
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.violations.map(({ field, description }) => [field, description]);
  }
}
