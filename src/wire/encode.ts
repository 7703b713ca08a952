import { type DescField, type DescMessage, type MessageShape, ScalarType, toBinary } from "@bufbuild/protobuf";
import { Output } from "./output.ts";

/*
 * Encodes messages as `toBinary` does, byte for byte, into one buffer that is used again and again; `toBinary` makes several
 * for each message, which was a tenth of a write's CPU time. Each type has a function of its own, compiled from its
 * descriptor when it is first written. Kinds of fields that it does not know are left to `toBinary`.
 */

/** A message by the names of its fields. */
type Fields = Readonly<Record<string, unknown>>;

/** Writes what a message has of one field. */
type FieldWriter = (out: Output, message: Fields) => void;

const LENGTH_DELIMITED = 2;
/** FeatureSet.FieldPresence.IMPLICIT: a field that has its zero value is not written. */
const IMPLICIT = 2;
/** Those of Google's types that are messages like others, and not values of JavaScript. */
const PLAIN: ReadonlySet<string> = new Set(["google.protobuf.Timestamp", "google.protobuf.Duration"]);

const out = new Output();
const writers = new WeakMap<DescMessage, MessageWriter>();

/** How messages of one type are written. */
export interface MessageWriter {
  /** By field number, which is the order of writing; none when the library writes the message. */
  readonly fields: readonly { readonly desc: DescField; readonly write: FieldWriter }[];
  write(out: Output, message: Fields): void;
}

/** The encoding of a message: that of `toBinary`. It is for use at once: it shares memory with others of its kind. */
export function encode<D extends DescMessage>(schema: D, message: MessageShape<D>): Uint8Array {
  return written((to) => writerOf(schema).write(to, fieldsOf(message))).finishShared();
}

/** What a function writes, to be finished at once: the next one is written over it. The function may not write another. */
export function written(write: (out: Output) => void): Output {
  out.start();
  write(out);
  return out;
}

/** How messages of a type are written, made when it is first asked for. */
export function writerOf(schema: DescMessage): MessageWriter {
  const known = writers.get(schema);
  if (known) return known;
  const fields: { desc: DescField; write: FieldWriter }[] = [];
  const writer = { fields, write: writeAsLibrary };
  writers.set(schema, writer); // before its fields: a message may contain itself
  if (!isPlain(schema)) return writer;
  const parts = new Map<string, MessageWriter>();
  const codes: string[] = [];
  for (const desc of [...schema.fields].sort((a, b) => a.number - b.number)) {
    const code = fieldCode(desc, parts);
    codes.push(code);
    fields.push({ desc, write: compiled(code, parts) });
  }
  const writeFields = compiled(codes.join("\n"), parts);
  writer.write = (to, message) => {
    if (message.$typeName !== schema.typeName) throw new Error(`not a ${schema.typeName}: ${message.$typeName}`);
    // A message that a newer release made has fields that only the library knows how to keep.
    if (message.$unknown !== undefined) writeAsLibrary(to, message);
    else writeFields(to, message);
  };
  return writer;
  function writeAsLibrary(to: Output, message: Fields): void {
    to.raw(toBinary(schema, message as unknown as MessageShape<DescMessage>)); // it checks the type itself
  }
}

/** The code is made of the contract's own names and numbers and of nothing that anybody sends. */
function compiled(code: string, parts: ReadonlyMap<string, MessageWriter>): FieldWriter {
  const make = new Function(...parts.keys(), `"use strict"; return function write(out, message) { ${code} };`);
  return make(...parts.values()) as FieldWriter;
}

/** Reads a message by the names of its fields. */
export function fieldsOf(message: MessageShape<DescMessage>): Fields {
  return message as unknown as Fields; // a generated message has its fields as properties
}

/** Writes the tag of a field whose value has its length before it. */
export function lengthTag(number: number): number {
  return number * 8 + LENGTH_DELIMITED;
}

/** Whether a type has only fields of the kinds that are written and read here. */
export function isPlain(schema: DescMessage): boolean {
  return schema.fields.every((field) => {
    if (field.fieldKind === "map") return false;
    if (field.message !== undefined) {
      const { typeName } = field.message;
      return !field.delimitedEncoding && (!typeName.startsWith("google.protobuf.") || PLAIN.has(typeName));
    }
    return field.enum !== undefined || (field.scalar !== undefined && bareCode(field.scalar) !== undefined);
  });
}

/** The statement that writes what a message has of a field. */
function fieldCode(field: DescField, parts: Map<string, MessageWriter>): string {
  const { localName: name } = field;
  const write = valueCode(field, parts);
  if (field.fieldKind === "list") {
    const each = `for (let i = 0; i < list.length; i += 1) { const value = list[i];`;
    const list = `const list = message.${name};`;
    if (!field.packed) return `{ ${list} ${each} ${write} } }`;
    const bare = bareCode(field.scalar ?? ScalarType.INT32);
    return `{ ${list} if (list.length > 0) {
      out.varint(${lengthTag(field.number)}); const start = out.open(); ${each} ${bare} } out.close(start);
    } }`;
  }
  if (field.oneof !== undefined) {
    const chosen = `const chosen = message.${field.oneof.localName};`;
    return `{ ${chosen} if (chosen.case === ${JSON.stringify(name)}) { const value = chosen.value; ${write} } }`;
  }
  const isSet =
    field.message !== undefined || field.presence !== IMPLICIT
      ? "value !== undefined"
      : 'value !== "" && value !== 0 && value !== 0n && value !== false';
  return `{ const value = message.${name}; if (${isSet}) { ${write} } }`;
}

/** The statements that write `value` after its tag. */
function valueCode(field: DescField, parts: Map<string, MessageWriter>): string {
  if (field.message !== undefined) {
    const part = `part${field.number}`;
    parts.set(part, writerOf(field.message));
    return `out.varint(${lengthTag(field.number)}); const begun = out.open(); ${part}.write(out, value); out.close(begun);`;
  }
  const tag = field.scalar === ScalarType.STRING ? lengthTag(field.number) : field.number * 8;
  return `out.varint(${tag}); ${bareCode(field.scalar ?? ScalarType.INT32)}`;
}

/** The statement that writes `value`, which has the type that its message's type gives it. */
function bareCode(type: ScalarType): string | undefined {
  switch (type) {
    case ScalarType.STRING:
      return "out.text(value);";
    case ScalarType.BOOL:
      return "out.varint(value === true ? 1 : 0);";
    case ScalarType.INT32:
    case ScalarType.UINT32:
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return "out.varint64(value);";
    case ScalarType.SINT32:
      return "out.varint(value < 0 ? -2 * value - 1 : 2 * value);"; // zigzag
    default:
      return undefined;
  }
}
