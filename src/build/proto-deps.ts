/**
 * Lays out the contracts of others that ours import, or that we serve, as a buf module in `node_modules/.proto-deps`.
 * All of them are already inside the npm packages we depend on, so nothing foreign is committed and buf needs no network:
 * `buf/validate` is written back from the descriptor in `@bufbuild/protovalidate` (the package has no `.proto`), gRPC's
 * health and reflection are copied, and the few messages of `google.rpc` that errors carry are restated. Runs after every
 * install and before everything that calls buf.
 */
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { googleRpcFiles } from "./google-rpc.ts";
import { printProto } from "./print-proto.ts";

const modules = join(import.meta.dirname, "../../node_modules");
const out = join(modules, ".proto-deps");

const copies = [
  ["grpc-health-check/proto/health/v1/health.proto", "grpc/health/v1/health.proto"],
  ["@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto", "grpc/reflection/v1/reflection.proto"],
  ["@grpc/reflection/build/proto/grpc/reflection/v1alpha/reflection.proto", "grpc/reflection/v1alpha/reflection.proto"],
] as const;

function place(path: string): string {
  const target = join(out, path);
  mkdirSync(dirname(target), { recursive: true });
  return target;
}

// An install without development dependencies has neither buf nor these packages, and needs neither.
if (existsSync(join(modules, copies[0][0]))) {
  rmSync(out, { recursive: true, force: true });
  writeFileSync(place("buf/validate/validate.proto"), printProto(file_buf_validate_validate.proto));
  for (const [path, source] of Object.entries(googleRpcFiles)) writeFileSync(place(path), source);
  for (const [from, to] of copies) cpSync(join(modules, from), place(to));
}
