import {
  type DescField,
  type DescMessage,
  getOption,
  hasOption,
  isMessage,
  type Message,
  ScalarType,
} from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { field as fieldRules, Ignore } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { fieldInvalid } from "../domain/field-invalid.ts";
import { Refusal } from "../domain/refusal.ts";
import { isEvidentlyValid } from "./evident.ts";

/** More violations than this are counted, not listed: errors travel in headers, whose size is bounded. */
const MAX_VIOLATIONS = 20;

const patterns = new Map<string, RegExp>();

/**
 * Matches a pattern of the contracts with the platform's engine, which takes a hundredth of the time that RE2 takes in
 * JavaScript. What RE2 protects from, patterns that others write, there is not: the tests hold that both say the same of ours.
 */
function matches(pattern: string, text: string): boolean {
  let known = patterns.get(pattern);
  if (known === undefined) {
    known = new RegExp(pattern, "u");
    patterns.set(pattern, known);
  }
  return known.test(text);
}

const validator = createValidator({ regexMatch: matches });

/**
 * Refuses with FIELD_INVALID a request that breaks a rule of its contract, or that has U+0000 in a text: Postgres can store it
 * in none. Items of a batch whose rules the contract suspends (`items.ignore`) are left to whoever takes them one by one.
 */
export function checkRequest(schema: DescMessage, request: Message): void {
  if (isEvidentlyValid(schema, request)) return;
  const result = validator.validate(schema, request);
  if (result.kind === "error") throw result.error;
  if (result.kind === "invalid") {
    const violations = result.violations.slice(0, MAX_VIOLATIONS).map(({ field, message }) => ({
      field: pathToString(field),
      description: message,
    }));
    const [first] = violations;
    throw new Refusal(ErrorReason.FIELD_INVALID, `${first?.field}: ${first?.description}`, {
      violations,
      metadata: { violations: String(result.violations.length) },
    });
  }
  const nul = nulIn(schema, request);
  if (nul !== undefined) throw fieldInvalid(nul, "contains the character U+0000");
}

/** The path of the first text with U+0000. */
function nulIn(schema: DescMessage, message: Message): string | undefined {
  for (const field of textFields(schema)) {
    const value = setIn(message, field);
    if (value === undefined) continue;
    const found = Array.isArray(value) ? nulInList(field, value) : nulInValue(field, value);
    if (found !== undefined) return `${field.name}${found}`;
  }
  return undefined;
}

function nulInList(field: DescField, values: readonly unknown[]): string | undefined {
  for (let i = 0; i < values.length; i += 1) {
    const found = nulInValue(field, values[i]);
    if (found !== undefined) return `[${i}]${found}`;
  }
  return undefined;
}

/** The path below a value, from its dot on; empty: it is the value itself. */
function nulInValue(field: DescField, value: unknown): string | undefined {
  if (typeof value === "string") return value.includes("\0") ? "" : undefined;
  const found = field.message && isMessage(value) ? nulIn(field.message, value) : undefined;
  return found && `.${found}`;
}

function setIn(message: Message, { oneof, localName }: DescField): unknown {
  const fields = message as unknown as Readonly<Record<string, unknown>>; // a generated message has its fields as properties
  if (oneof === undefined) return fields[localName];
  const chosen = fields[oneof.localName] as { readonly case?: string; readonly value?: unknown };
  return chosen.case === localName ? chosen.value : undefined;
}

const known = new WeakMap<DescMessage, readonly DescField[]>();

/** The fields in which a text may be, or a message that may have one. */
function textFields(schema: DescMessage): readonly DescField[] {
  const before = known.get(schema);
  if (before) return before;
  const fields = schema.fields.filter(
    (field) => (field.scalar === ScalarType.STRING || field.message !== undefined) && !isLeftToItsTaker(field),
  );
  known.set(schema, fields);
  return fields;
}

function isLeftToItsTaker(field: DescField): boolean {
  if (!hasOption(field, fieldRules)) return false;
  const { type } = getOption(field, fieldRules);
  return type.case === "repeated" && type.value.items?.ignore === Ignore.ALWAYS;
}
