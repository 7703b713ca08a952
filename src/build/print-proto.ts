import { isFieldSet } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProtoSchema,
  type FileDescriptorProto,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";

/** The keyword of a scalar field: the enum's own names in lower case (`TYPE_INT32` is `int32`). */
const scalarNames = new Map(
  Object.entries(Type)
    .filter(([, value]) => typeof value === "number")
    .map(([name, value]) => [value as Type, name.replace(/^TYPE_/, "").toLowerCase()]),
);

/** The largest field number plus one: where a range that ends there says `max`. */
const fieldNumberEnd = 536_870_912;

/**
 * Writes a file descriptor back as `.proto` source: syntax proto2 or proto3, with messages, enums, oneofs, extensions,
 * ranges and reserved names. Comments and custom options are not in a descriptor that npm packages carry, and are left out:
 * the text declares the same types and numbers, which is all that an importing file needs.
 *
 * Throws an `Error` naming the element for what it cannot write (editions, services, groups, maps), rather than write
 * something that means less.
 */
export function printProto(file: FileDescriptorProto): string {
  const syntax = file.syntax === "" ? "proto2" : file.syntax;
  if (syntax === "editions") throw new Error(`${file.name}: editions are not supported by this printer`);
  if (file.service.length > 0) throw new Error(`${file.name}: services are not supported by this printer`);
  const lines = [`syntax = "${syntax}";`, "", `package ${file.package};`, ""];
  for (const path of file.dependency) lines.push(`import "${path}";`);
  lines.push("", ...fileOptions(file), "");
  lines.push(...extensions(file.extension, syntax));
  for (const message of file.messageType) lines.push(...printMessage(message, syntax), "");
  for (const item of file.enumType) lines.push(...printEnum(item), "");
  return `${lines.join("\n").trimEnd()}\n`;
}

function fileOptions(file: FileDescriptorProto): string[] {
  const options = file.options;
  if (!options) return [];
  const lines: string[] = [];
  if (options.goPackage) lines.push(`option go_package = "${options.goPackage}";`);
  if (options.javaMultipleFiles) lines.push("option java_multiple_files = true;");
  if (options.javaOuterClassname) lines.push(`option java_outer_classname = "${options.javaOuterClassname}";`);
  if (options.javaPackage) lines.push(`option java_package = "${options.javaPackage}";`);
  return lines;
}

function printMessage(message: DescriptorProto, syntax: string): string[] {
  if (message.options?.mapEntry) throw new Error(`${message.name}: maps are not supported by this printer`);
  const body: string[] = [];
  for (const item of message.enumType) body.push(...printEnum(item));
  for (const nested of message.nestedType) body.push(...printMessage(nested, syntax));
  body.push(...extensions(message.extension, syntax));
  const printed = new Set<number>();
  for (const field of message.field) {
    // A proto3 `optional` field has a oneof of its own in the descriptor that is not in the source.
    if (field.proto3Optional || !isInOneof(field)) {
      body.push(printField(field, syntax));
    } else if (!printed.has(field.oneofIndex)) {
      printed.add(field.oneofIndex);
      const members = message.field.filter((other) => isInOneof(other) && other.oneofIndex === field.oneofIndex);
      const name = message.oneofDecl[field.oneofIndex]?.name;
      body.push(`oneof ${name} {`, ...indent(members.map((member) => printField(member, syntax, true))), "}");
    }
  }
  for (const range of message.extensionRange) body.push(`extensions ${span(range.start, range.end)};`);
  for (const range of message.reservedRange) body.push(`reserved ${span(range.start, range.end)};`);
  if (message.reservedName.length > 0) body.push(`reserved ${message.reservedName.map(quote).join(", ")};`);
  return [`message ${message.name} {`, ...indent(body), "}"];
}

function printEnum(item: EnumDescriptorProto): string[] {
  const body = item.options?.allowAlias ? ["option allow_alias = true;"] : [];
  for (const value of item.value) {
    body.push(`${value.name} = ${value.number}${value.options?.deprecated ? " [deprecated = true]" : ""};`);
  }
  // Unlike a message's, an enum's reserved range includes its end.
  for (const range of item.reservedRange) body.push(`reserved ${span(range.start, range.end + 1)};`);
  if (item.reservedName.length > 0) body.push(`reserved ${item.reservedName.map(quote).join(", ")};`);
  return [`enum ${item.name} {`, ...indent(body), "}"];
}

function extensions(fields: FieldDescriptorProto[], syntax: string): string[] {
  return fields.flatMap((field) => [`extend ${field.extendee} {`, ...indent([printField(field, syntax)]), "}", ""]);
}

function printField(field: FieldDescriptorProto, syntax: string, inOneof = false): string {
  if (field.type === Type.GROUP) throw new Error(`${field.name}: groups are not supported by this printer`);
  const type = field.typeName === "" ? scalarNames.get(field.type) : field.typeName;
  const options: string[] = [];
  if (field.defaultValue !== "") {
    options.push(`default = ${field.type === Type.STRING ? quote(field.defaultValue) : field.defaultValue}`);
  }
  if (field.options?.deprecated) options.push("deprecated = true");
  if (field.options?.packed) options.push("packed = true");
  const suffix = options.length > 0 ? ` [${options.join(", ")}]` : "";
  return `${inOneof ? "" : label(field, syntax)}${type} ${field.name} = ${field.number}${suffix};`;
}

function label(field: FieldDescriptorProto, syntax: string): string {
  if (field.label === Label.REPEATED) return "repeated ";
  if (field.label === Label.REQUIRED) return "required ";
  return syntax === "proto2" || field.proto3Optional ? "optional " : "";
}

/** Whether the field names a oneof: 0 is both the first oneof and the default, so the value alone does not tell. */
function isInOneof(field: FieldDescriptorProto): boolean {
  return isFieldSet(field, FieldDescriptorProtoSchema.field.oneofIndex);
}

/** `start` to `end` exclusive, as `.proto` source writes it: inclusive, or one number. */
function span(start: number, end: number): string {
  if (end >= fieldNumberEnd) return `${start} to max`;
  return end - start === 1 ? `${start}` : `${start} to ${end - 1}`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function indent(lines: string[]): string[] {
  return lines.map((line) => (line === "" ? line : `  ${line}`));
}
