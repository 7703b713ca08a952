import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from "node:http2";
import { fromBinary } from "@bufbuild/protobuf";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { BEARER, type World } from "./world.ts";

/** An HTTP/2 connection of Node's own, without any RPC library. */
export function rawSession(world: Pick<World, "onClose">, port: number): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  world.onClose(() => session.destroy());
  return session;
}

/** Opens a stream with the headers of a gRPC call. */
export function rawCall(
  session: ClientHttp2Session,
  path: string,
  headers: Record<string, string> = {},
): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    authorization: `Bearer ${BEARER}`,
    ...headers,
  });
  stream.on("error", () => {});
  return stream;
}

export interface RawAnswer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly rstCode: number | undefined;
}

/** Waits for the whole answer. */
export function rawAnswer(stream: ClientHttp2Stream): Promise<RawAnswer> {
  const chunks: Buffer[] = [];
  let headers: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  stream.on("response", (got) => {
    headers = got;
  });
  stream.on("trailers", (got) => {
    trailers = got;
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    stream.on("close", () => resolve({ headers, trailers, body: Buffer.concat(chunks), rstCode: stream.rstCode }));
  });
}

/** Frames a message as all protocols do, by hand. */
export function frame(data: Uint8Array, flags = 0): Buffer {
  const head = Buffer.from([flags, 0, 0, 0, 0]);
  head.writeUInt32BE(data.length, 1);
  return Buffer.concat([head, data]);
}

/** The frames of a body. */
export function framesOf(body: Buffer): { flags: number; data: Buffer }[] {
  const frames: { flags: number; data: Buffer }[] = [];
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    frames.push({ flags: body.readUInt8(at), data: body.subarray(at + 5, end) });
    at = end;
  }
  return frames;
}

/** The reason in the trailer grpc-status-details-bin, whether it came as a trailer or in a header. */
export function reasonOf(answer: RawAnswer): string | undefined {
  return detailsOf(answer).reason;
}

/** The reason, the metadata, and whether it says how long to wait. */
export function detailsOf({ headers, trailers }: RawAnswer): { readonly [name: string]: string | boolean } & {
  readonly reason?: string;
} {
  const value = trailers["grpc-status-details-bin"] ?? headers["grpc-status-details-bin"];
  if (typeof value !== "string") return {};
  const { details } = fromBinary(StatusSchema, Buffer.from(value, "base64"));
  const [first] = details;
  if (first === undefined) return {};
  const { metadata, reason } = fromBinary(ErrorInfoSchema, first.value);
  return { ...metadata, reason, waits: details.some(({ typeUrl }) => typeUrl.endsWith("google.rpc.RetryInfo")) };
}

export function grpcStatusOf({ headers, trailers }: RawAnswer): string | undefined {
  const value = trailers["grpc-status"] ?? headers["grpc-status"];
  return value === undefined ? undefined : String(value);
}
