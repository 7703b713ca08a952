import { type DescField, type DescMessage, type MessageShape, ScalarType, toBinary } from "@bufbuild/protobuf";
import { Output } from "./output.ts";

/*
 * Encodes messages as `toBinary` does, byte for byte, into one buffer that is used again and again; `toBinary` makes several
 * for each message, which was a tenth of a write's CPU time. Kinds of fields that it does not know are left to `toBinary`.
 */

/** A message by the names of its fields. */
type Fields = Readonly<Record<string, unknown>>;

/** Writes what a message has of one field. */
type FieldWriter = (out: Output, message: Fields) => void;

/** Writes a value that is set, after its tag. */
type ValueWriter = (out: Output, value: unknown) => void;

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
  const writer: MessageWriter = { fields, write: isWritable(schema) ? writeFields : writeAsLibrary };
  function writeFields(to: Output, message: Fields): void {
    if (message.$typeName !== schema.typeName) throw new Error(`not a ${schema.typeName}: ${message.$typeName}`);
    // A message that a newer release made has fields that only the library knows how to keep.
    if (message.$unknown !== undefined) writeAsLibrary(to, message);
    else for (const field of fields) field.write(to, message);
  }
  function writeAsLibrary(to: Output, message: Fields): void {
    to.raw(toBinary(schema, message as unknown as MessageShape<DescMessage>)); // it checks the type itself
  }
  writers.set(schema, writer); // before its fields: a message may contain itself
  if (!isWritable(schema)) return writer;
  for (const desc of [...schema.fields].sort((a, b) => a.number - b.number)) {
    fields.push({ desc, write: fieldWriter(desc) });
  }
  return writer;
}

/** Reads a message by the names of its fields. */
export function fieldsOf(message: MessageShape<DescMessage>): Fields {
  return message as unknown as Fields; // a generated message has its fields as properties
}

/** Writes the tag of a field whose value has its length before it. */
export function lengthTag(number: number): number {
  return number * 8 + LENGTH_DELIMITED;
}

function isWritable(schema: DescMessage): boolean {
  return schema.fields.every((field) => {
    if (field.fieldKind === "map") return false;
    if (field.message !== undefined) {
      const { typeName } = field.message;
      return !field.delimitedEncoding && (!typeName.startsWith("google.protobuf.") || PLAIN.has(typeName));
    }
    return field.enum !== undefined || (field.scalar !== undefined && scalarWriter(field.scalar) !== undefined);
  });
}

function fieldWriter(field: DescField): FieldWriter {
  const { localName: name } = field;
  const write = valueWriter(field);
  if (field.fieldKind === "list") return listWriter(field, write);
  if (field.oneof !== undefined) {
    const group = field.oneof.localName;
    return (to, message) => {
      const chosen = message[group] as { readonly case?: string; readonly value?: unknown }; // how oneofs are generated
      if (chosen.case === name) write(to, chosen.value);
    };
  }
  if (field.message !== undefined || field.presence !== IMPLICIT) {
    return (to, message) => {
      const value = message[name];
      if (value !== undefined) write(to, value);
    };
  }
  return (to, message) => {
    const value = message[name];
    if (value !== "" && value !== 0 && value !== 0n && value !== false) write(to, value);
  };
}

function listWriter(field: DescField, write: ValueWriter): FieldWriter {
  const { localName: name } = field;
  if (field.fieldKind !== "list" || !field.packed) {
    return (to, message) => {
      for (const value of message[name] as readonly unknown[]) write(to, value); // how lists are generated
    };
  }
  const writeBare = bareWriter(field);
  const tag = lengthTag(field.number);
  return (to, message) => {
    const values = message[name] as readonly unknown[];
    if (values.length === 0) return;
    to.varint(tag);
    const start = to.open();
    for (const value of values) writeBare(to, value);
    to.close(start);
  };
}

function valueWriter(field: DescField): ValueWriter {
  if (field.message !== undefined) {
    const writer = writerOf(field.message);
    const tag = lengthTag(field.number);
    return (to, value) => {
      to.varint(tag);
      const start = to.open();
      writer.write(to, value as Fields);
      to.close(start);
    };
  }
  const write = bareWriter(field);
  const tag = field.scalar === ScalarType.STRING ? lengthTag(field.number) : field.number * 8;
  return (to, value) => {
    to.varint(tag);
    write(to, value);
  };
}

function bareWriter(field: DescField): ValueWriter {
  const write = scalarWriter(field.scalar ?? ScalarType.INT32);
  if (write === undefined) throw new Error(`${field.toString()} is of a kind that is not written here`);
  return write;
}

/** Values have the types that their messages' types give them. */
function scalarWriter(type: ScalarType): ValueWriter | undefined {
  switch (type) {
    case ScalarType.STRING:
      return (to, value) => to.text(value as string);
    case ScalarType.BOOL:
      return (to, value) => to.varint(value === true ? 1 : 0);
    case ScalarType.INT32:
    case ScalarType.UINT32:
    case ScalarType.INT64:
    case ScalarType.UINT64:
      return (to, value) => to.varint64(value as number | bigint);
    case ScalarType.SINT32:
      return (to, value) => to.varint(zigzag(value as number));
    default:
      return undefined;
  }
}

/** -1, 1, -2, 2 ... as 1, 2, 3, 4 ... */
function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}
