import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { clone, create, equals, fromBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type FieldDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
  file_google_protobuf_descriptor,
} from "@bufbuild/protobuf/wkt";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, test } from "vitest";
import { printProto } from "../../src/build/print-proto.ts";

/** The descriptor that buf makes of `.proto` source. */
function compile(name: string, source: string): FileDescriptorProto | undefined {
  const folder = mkdtempSync(join(tmpdir(), "leadline-proto-"));
  try {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), source);
    const image = execFileSync("buf", ["build", folder, "--output", "-"], { maxBuffer: 1 << 24 });
    return fromBinary(FileDescriptorSetSchema, image).file.find((file) => file.name === name);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a printed file keeps of a descriptor: everything but options and where things stood in the source. */
function essence(file: FileDescriptorProto): FileDescriptorProto {
  const copy = clone(FileDescriptorProtoSchema, file);
  const blank = create(FileDescriptorProtoSchema);
  const field = (item: FieldDescriptorProto) => {
    delete item.options;
    item.jsonName = "";
  };
  const message = (item: DescriptorProto) => {
    delete item.options;
    for (const range of item.extensionRange) delete range.options;
    item.field.forEach(field);
    item.extension.forEach(field);
    item.nestedType.forEach(message);
    for (const { value } of item.enumType) for (const entry of value) delete entry.options;
  };
  copy.messageType.forEach(message);
  copy.extension.forEach(field);
  for (const item of copy.enumType) {
    delete item.options;
    for (const value of item.value) delete value.options;
  }
  delete copy.options;
  delete copy.sourceCodeInfo;
  delete copy.$unknown;
  copy.syntax = blank.syntax;
  return copy;
}

for (const { proto } of [file_buf_validate_validate, file_google_protobuf_descriptor]) {
  test(`${proto.name} survives being printed and compiled`, () => {
    const compiled = compile(proto.name, printProto(proto));
    expect(compiled && equals(FileDescriptorProtoSchema, essence(compiled), essence(proto))).toBe(true);
  });
}

test("what cannot be printed is refused by name", () => {
  const file = create(FileDescriptorProtoSchema, { name: "a.proto", syntax: "proto3", service: [{ name: "S" }] });
  expect(() => printProto(file)).toThrow("a.proto: services are not supported");
});
