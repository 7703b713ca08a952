import { type DescField, type DescMessage, getOption, hasOption, type Message, ScalarType } from "@bufbuild/protobuf";
import {
  type FieldRules,
  field as fieldRules,
  Ignore,
  message as messageRules,
  oneof as oneofRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

/*
 * Tells requests that evidently keep to the rules of their contract, without protovalidate, which makes a path for every field
 * that it looks at: a quarter of the memory that a write allocates. It only ever says yes or "not evident". What is not
 * evident, be it broken or under a rule that is not known here, is for the library to judge and to explain.
 */

/** Whether a value evidently keeps to its rules and has no text with U+0000. */
type Evident = (value: unknown) => boolean;

/** The values of a message by the names of its fields. */
type Values = Readonly<Record<string, unknown>>;

/** FeatureSet.FieldPresence.IMPLICIT: a field that is not set has its zero value. */
const IMPLICIT = 2;

const known = new WeakMap<DescMessage, Evident>();
const never: Evident = () => false;

/** Whether a message evidently keeps to all rules of its contract, and no text in it contains U+0000. */
export function isEvidentlyValid(schema: DescMessage, message: Message): boolean {
  return ofMessage(schema)(message);
}

function ofMessage(schema: DescMessage): Evident {
  const before = known.get(schema);
  if (before) return before;
  const checks: ((message: Values) => boolean)[] = [];
  const evident: Evident = (value) => {
    const message = value as Values; // generated messages have their fields as properties
    if (message.$typeName !== schema.typeName) return false;
    for (const check of checks) if (!check(message)) return false;
    return true;
  };
  known.set(schema, evident); // before its fields: a message may contain itself
  const hasRules = hasOption(schema, messageRules) || schema.oneofs.some((one) => hasOption(one, oneofRules));
  if (hasRules) checks.push(() => false);
  for (const field of schema.fields) {
    const check = ofField(field);
    if (check) checks.push(check);
  }
  return evident;
}

/** The check of a field in its message; undefined: there is nothing to check. */
function ofField(field: DescField): ((message: Values) => boolean) | undefined {
  const rules = hasOption(field, fieldRules) ? getOption(field, fieldRules) : undefined;
  const { localName: name, oneof } = field;
  const value = isKnown(rules) ? ofValue(field, rules) : never;
  const required = rules?.required === true;
  if (oneof !== undefined) {
    if (required) return () => false;
    return value && ((message) => isOther(message[oneof.localName], name) || value(chosenIn(message[oneof.localName])));
  }
  if (field.fieldKind !== "list" && field.presence !== IMPLICIT) {
    if (required && !field.message) return () => false;
    return (message) => (message[name] === undefined ? !required : value === undefined || value(message[name]));
  }
  if (required) return () => false; // what "set" means for the rest is the library's to say
  if (rules?.ignore === Ignore.IF_ZERO_VALUE && value) return (message) => !message[name] || value(message[name]);
  return value && ((message) => value(message[name]));
}

function isOther(oneof: unknown, name: string): boolean {
  return (oneof as { readonly case?: string }).case !== name;
}

function chosenIn(oneof: unknown): unknown {
  return (oneof as { readonly value?: unknown }).value;
}

/** Whether nothing but rules of a type, `required` and `ignore` (but not ALWAYS) is set. */
function isKnown(rules: FieldRules | undefined): boolean {
  if (rules === undefined) return true;
  return (
    rules.$unknown === undefined &&
    rules.cel.length === 0 &&
    rules.celExpression.length === 0 &&
    rules.ignore !== Ignore.ALWAYS
  );
}

/** The check of a field's value; undefined: every value will do. */
function ofValue(field: DescField, rules: FieldRules | undefined): Evident | undefined {
  const type = rules?.type;
  switch (field.fieldKind) {
    case "list":
      if (type?.case !== undefined && type.case !== "repeated") return never;
      return ofList(field, type?.case === "repeated" ? type.value : undefined);
    case "map":
      return never;
    default:
      return ofOne(field, type);
  }
}

type RepeatedRules = Extract<FieldRules["type"], { case: "repeated" }>["value"];

function ofList(field: DescField & { fieldKind: "list" }, rules: RepeatedRules | undefined): Evident | undefined {
  if (rules && !hasOnly(rules, ["minItems", "maxItems", "unique", "items"])) return never;
  if (rules?.unique && field.scalar !== ScalarType.STRING) return never;
  const { items } = rules ?? {};
  const isLeft = items?.ignore === Ignore.ALWAYS; // to whoever takes them one by one
  const one = isLeft ? undefined : isKnown(items) ? ofOne(field, items?.type) : never;
  if (items && !isLeft && (items.ignore !== Ignore.UNSPECIFIED || items.required)) return never;
  const [min, max] = [
    Number(rules?.minItems ?? 0),
    rules && isSet(rules, "maxItems") ? Number(rules.maxItems) : Infinity,
  ];
  const unique = rules?.unique === true;
  return (value) => {
    const list = value as readonly unknown[];
    if (list.length < min || list.length > max) return false;
    if (one) for (const element of list) if (!one(element)) return false;
    return !unique || list.length < 2 || new Set(list).size === list.length;
  };
}

/** The check of one value: of a field, or of an element of a list. */
function ofOne(field: DescField, type: FieldRules["type"] | undefined): Evident | undefined {
  if (field.message) return type?.case === undefined ? ofMessage(field.message) : never;
  if (field.enum) {
    if (type?.case === undefined) return undefined;
    if (type.case !== "enum" || !hasOnly(type.value, ["definedOnly", "notIn"])) return never;
    const defined = type.value.definedOnly ? new Set(field.enum.values.map((one) => one.number)) : undefined;
    const { notIn } = type.value;
    return (value) => (defined?.has(value as number) ?? true) && !notIn.includes(value as number);
  }
  if (field.scalar === ScalarType.STRING) return ofText(type);
  if (field.scalar === ScalarType.BYTES || field.scalar === ScalarType.DOUBLE || field.scalar === ScalarType.FLOAT) {
    return type?.case === undefined ? undefined : never;
  }
  return ofNumber(type);
}

function ofText(type: FieldRules["type"] | undefined): Evident {
  if (type?.case === undefined) return (value) => !(value as string).includes("\0");
  if (type.case !== "string" || !hasOnly(type.value, ["minLen", "maxLen", "pattern"])) return never;
  const rules = type.value;
  // Lengths are of characters, of which one can take two places: the longest that is evident is counted by places.
  const min = rules.minLen > 1n ? Number(rules.minLen) * 2 : Number(rules.minLen);
  const max = isSet(rules, "maxLen") ? Number(rules.maxLen) : Infinity;
  const pattern = rules.pattern === "" ? undefined : new RegExp(rules.pattern, "u");
  return (value) => {
    const text = value as string;
    if (text.length < min || text.length > max || text.includes("\0")) return false;
    return pattern === undefined || pattern.test(text);
  };
}

/** Whether of all rules of a type only these are set. */
function hasOnly(rules: object, names: readonly string[]): boolean {
  // Rules are proto2 messages: what is not set is no property, an empty list, or a choice without a case.
  return Object.entries(rules).every(([name, value]) => {
    if (name === "$typeName" || names.includes(name)) return true;
    if (Array.isArray(value)) return name !== "$unknown" && value.length === 0;
    return typeof value === "object" && "case" in value && value.case === undefined;
  });
}

function isSet(rules: object, name: string): boolean {
  return Object.hasOwn(rules, name);
}

const NUMBERS: ReadonlySet<string> = new Set(["int32", "uint32", "sint32", "int64", "uint64", "sint64"]);

function ofNumber(type: FieldRules["type"] | undefined): Evident | undefined {
  if (type?.case === undefined) return undefined;
  if (!NUMBERS.has(type.case) || !hasOnly(type.value, ["lessThan", "greaterThan"])) return never;
  const { lessThan, greaterThan } = type.value as {
    readonly lessThan: { readonly case?: string; readonly value?: number | bigint };
    readonly greaterThan: { readonly case?: string; readonly value?: number | bigint };
  };
  const [low, high] = [greaterThan.value, lessThan.value];
  if (low !== undefined && high !== undefined && low >= high) return never; // means what lies outside
  return (value) => {
    const number = value as number | bigint;
    if (low !== undefined && (greaterThan.case === "gt" ? number <= low : number < low)) return false;
    return high === undefined || (lessThan.case === "lt" ? number < high : number <= high);
  };
}
