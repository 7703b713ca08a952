import { type DescField, type DescMessage, fromBinary, type MessageShape, ScalarType } from "@bufbuild/protobuf";
import { isPlain } from "./encode.ts";
import { Input, NOT_PLAIN } from "./input.ts";

/*
 * Decodes messages as `fromBinary` does. The library sets one field after the other in an object that grows with each, by
 * functions that all types share; a function for each type, which makes its object at once, takes a quarter of the time and
 * half of the memory. Such functions are compiled from the descriptors, when a type is first read.
 *
 * They take only what a writer that knows the same contract writes: at anything else, such as an unknown field, a message
 * field that stands twice or a varint that is longer than it need be, the library reads the whole message again. So what is
 * unusual is read, or refused, as the library does.
 */

/** Reads a message up to `end`. Throws NOT_PLAIN. */
type Reader = (input: Input, end: number) => object;

/** FeatureSet.FieldPresence.IMPLICIT: a field that is not set has its zero value. */
const IMPLICIT = 2;
const VARINT = 0;
const LENGTH_DELIMITED = 2;

/** By type; undefined: the library reads it. */
const readers = new WeakMap<DescMessage, Reader | undefined>();

/** Decodes a message: what `fromBinary` makes of it. */
export function decode<D extends DescMessage>(schema: D, bytes: Uint8Array): MessageShape<D> {
  const read = readerOf(schema);
  if (read === undefined) return fromBinary(schema, bytes);
  try {
    return read(new Input(bytes), bytes.length) as MessageShape<D>;
  } catch (error) {
    if (error !== NOT_PLAIN) throw error;
    return fromBinary(schema, bytes);
  }
}

function readerOf(schema: DescMessage): Reader | undefined {
  if (readers.has(schema)) return readers.get(schema);
  readers.set(schema, undefined); // a message that may contain itself is the library's
  const reader = isPlain(schema) ? compiled(schema) : undefined;
  readers.set(schema, reader);
  return reader;
}

/** Compiles a type's reader. A message that has a field which only the library can read is read by the library. */
function compiled(schema: DescMessage): Reader {
  const parts = new Map<string, Reader>();
  const cases: string[] = [];
  for (const field of schema.fields) {
    const value = valueReader(field, parts);
    if (value !== undefined) cases.push(caseOf(field, value));
  }
  const code = `"use strict";
    return function read(input, end) {
      ${schema.members.map((member, i) => `let m${i} = ${initialOf(member)};`).join("\n")}
      while (input.at < end) {
        switch (input.varint()) {
          ${cases.join("\n")}
          default: throw NOT_PLAIN;
        }
      }
      if (input.at !== end) throw NOT_PLAIN;
      return {
        $typeName: ${JSON.stringify(schema.typeName)},
        ${schema.members.map((member, i) => `${member.localName}: m${i},`).join("\n")}
      };
    };`;
  // The code is made of the contract's own names and numbers and of nothing that anybody sends.
  return new Function("NOT_PLAIN", ...parts.keys(), code)(NOT_PLAIN, ...parts.values()) as Reader;
}

function initialOf(member: DescMessage["members"][number]): string {
  if (member.kind === "oneof") return "{ case: undefined }";
  if (member.fieldKind === "list") return "[]";
  if (member.fieldKind === "message" || member.presence !== IMPLICIT) return "undefined";
  if (member.fieldKind === "enum") return "0";
  switch (member.scalar) {
    case ScalarType.STRING:
      return '""';
    case ScalarType.BOOL:
      return "false";
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return "0n";
    default:
      return "0";
  }
}

/** The statement that reads a field behind its tag. */
function caseOf(field: DescField, value: string): string {
  const { oneof, parent } = field;
  const tag = (wireType: number) => field.number * 8 + wireType;
  const variable = `m${parent.members.indexOf(oneof ?? field)}`;
  const wireType = field.message || field.scalar === ScalarType.STRING ? LENGTH_DELIMITED : VARINT;
  const label = `case ${tag(wireType)}:`;
  if (field.fieldKind === "list") {
    if (wireType === LENGTH_DELIMITED) return `${label} ${variable}.push(${value}); break;`;
    return `${label} ${variable}.push(${value}); break;
      case ${tag(LENGTH_DELIMITED)}: {
        const stop = input.end(end);
        while (input.at < stop) ${variable}.push(${value});
        if (input.at !== stop) throw NOT_PLAIN;
        break;
      }`;
  }
  if (oneof !== undefined) {
    return `${label} if (${variable}.case !== undefined) throw NOT_PLAIN;
      ${variable} = { case: ${JSON.stringify(field.localName)}, value: ${value} }; break;`;
  }
  if (field.message) return `${label} if (${variable} !== undefined) throw NOT_PLAIN; ${variable} = ${value}; break;`;
  return `${label} ${variable} = ${value}; break;`;
}

/** The expression that reads a value. */
function valueReader(field: DescField, parts: Map<string, Reader>): string | undefined {
  if (field.message) {
    const reader = readerOf(field.message);
    if (reader === undefined) return undefined;
    const name = `read${field.number}`;
    parts.set(name, reader);
    return `${name}(input, input.end(end))`;
  }
  if (field.enum) return field.enum.open ? "input.int()" : undefined;
  switch (field.scalar) {
    case ScalarType.STRING:
      return "input.text(end)";
    case ScalarType.BOOL:
      return "input.bool()";
    case ScalarType.INT32:
      return "input.int()";
    case ScalarType.UINT32:
      return "input.uint32()";
    case ScalarType.SINT32:
      return "input.sint32()";
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return "BigInt(input.varint())";
    default:
      return undefined;
  }
}
