import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  create,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromJsonString,
  type MessageInitShape,
  toJsonString,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Caller, CallerKind, CallerOptions, Reachable } from "../doors/callers.ts";
import { fetchOf } from "../support/own-fetch.ts";

/** Clients that know none of our code: they send and read JSON as the contract says it. */

const run = promisify(execFile);
const buf = join(import.meta.dirname, "../../node_modules/.bin/buf");

/** JSON over fetch, as a program without any library would do it. */
export const plainFetch: CallerKind = {
  name: "plain fetch with JSON",
  door: "http",
  open: (world) =>
    speaking(async (method, json, { bearer = "" }) => {
      const response = await fetchOf(world)(`http://127.0.0.1:${world.httpPort}/${pathOf(method)}`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${bearer}` },
        body: json,
      });
      return { ok: response.ok, text: await response.text() };
    }),
};

/** `buf curl`, which learns the contract by reflection. */
export const bufCurls: readonly CallerKind[] = [
  { name: "buf curl with gRPC on the gRPC door", door: "grpc", open: (world) => bufCurl(world, "grpc", "grpcPort") },
  { name: "buf curl with gRPC on the HTTP door", door: "http", open: (world) => bufCurl(world, "grpc", "httpPort") },
  { name: "buf curl with gRPC-Web", door: "http", open: (world) => bufCurl(world, "grpcweb", "httpPort") },
  { name: "buf curl with Connect", door: "http", open: (world) => bufCurl(world, "connect", "httpPort") },
];

function bufCurl(world: Reachable, protocol: string, port: "grpcPort" | "httpPort"): Caller {
  return speaking(async (method, json, { bearer = "" }) => {
    const how = ["curl", "--protocol", protocol, "--http2-prior-knowledge", "--emit-defaults"];
    const what = ["--header", `Authorization: Bearer ${bearer}`, "--data", json];
    const where = `http://127.0.0.1:${world[port]}/${pathOf(method)}`;
    try {
      return { ok: true, text: (await run(buf, [...how, ...what, where])).stdout };
    } catch (error) {
      if (error instanceof Error && "stderr" in error) return { ok: false, text: String(error.stderr) };
      throw error;
    }
  });
}

type Send = (
  method: DescMethodUnary,
  json: string,
  options: CallerOptions,
) => Promise<{ readonly ok: boolean; readonly text: string }>;

function speaking(send: Send): Caller {
  return {
    async unary(method, request, options = {}) {
      const message: MessageInitShape<typeof method.input> = request;
      const { ok, text } = await send(method, toJsonString(method.input, create(method.input, message)), options);
      if (!ok) throw errorFrom(text);
      return fromJsonString(method.output, text);
    },
    stream() {
      throw new Error("for unary calls only");
    },
  };
}

function pathOf(method: DescMethodUnary | DescMethodServerStreaming): string {
  return `${method.parent.typeName}/${method.name}`;
}

/** A Connect error as JSON: `{"code": "not_found", "message": ..., "details": [{"type": ..., "value": base64}]}`. */
function errorFrom(text: string): ConnectError {
  const {
    code,
    message,
    details = [],
  } = JSON.parse(text) as {
    code: string;
    message: string;
    details?: { type: string; value: string }[];
  };
  const name = code.replaceAll(/(^|_)([a-z])/g, (_all, _start, letter: string) => letter.toUpperCase());
  const error = new ConnectError(message, Code[name as keyof typeof Code]);
  error.details = details.map(({ type, value }) => ({ type, value: Buffer.from(value, "base64") }));
  return error;
}
