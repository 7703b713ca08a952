import { constants, type OutgoingHttpHeaders } from "node:http2";
import type { ConnectError } from "@connectrpc/connect";
import * as connect from "@connectrpc/connect/protocol-connect";
import * as grpc from "@connectrpc/connect/protocol-grpc";
import * as grpcWeb from "@connectrpc/connect/protocol-grpc-web";
import type { Codec } from "../watch/spec.ts";
import { envelope } from "./envelopes.ts";
import { type HttpRequest, type HttpResponse, header } from "./http-messages.ts";
import { connectTimeoutMs, grpcTimeoutMs } from "./timeouts.ts";

/** How one protocol puts messages and outcomes into HTTP. The formats themselves are those of Connect's library. */
export interface Protocol {
  readonly name: "connect unary" | "connect stream" | "grpc" | "grpc-web";
  /** Messages are in envelopes; otherwise the body is the message. */
  readonly enveloped: boolean;
  /** The header that names a message's compression, and the one that says which an answer may have. */
  readonly encodingHeader: string;
  readonly acceptHeader: string;
  contentType(codec: Codec): string;
  /** Throws a Refusal MESSAGE_MALFORMED. */
  timeoutMs(req: HttpRequest): number | undefined;
  /** Ends an answer whose headers are sent, with its outcome; undefined: OK. */
  end(res: HttpResponse, error: ConnectError | undefined): void;
  /** The whole answer of a call that failed before its first message. */
  fail(res: HttpResponse, codec: Codec, error: ConnectError): void;
}

/** The answer's headers, before those of the message. */
export function headOf(protocol: Protocol, codec: Codec): OutgoingHttpHeaders {
  return { "content-type": protocol.contentType(codec), "cache-control": "no-store" };
}

function enveloped(rest: Omit<Protocol, "enveloped" | "fail">): Protocol {
  return {
    ...rest,
    enveloped: true,
    fail(res, codec, error) {
      res.writeHead(constants.HTTP_STATUS_OK, headOf(this, codec));
      rest.end(res, error);
    },
  };
}

/** Unary calls of Connect: the body is the message, errors are JSON with an HTTP status. */
const connectUnary: Protocol = {
  name: "connect unary",
  enveloped: false,
  encodingHeader: "content-encoding",
  acceptHeader: "accept-encoding",
  contentType: (codec) => (codec === "proto" ? connect.contentTypeUnaryProto : connect.contentTypeUnaryJson),
  timeoutMs: (req) => connectTimeoutMs(header(req, "connect-timeout-ms")),
  end: (res) => res.end(),
  fail(res, _codec, error) {
    res.writeHead(connect.codeToHttpStatus(error.code), headOf(this, "json"));
    res.end(connect.errorToJsonBytes(error, undefined));
  },
};

/** Streams of Connect: the outcome is a last envelope with JSON. */
const connectStream = enveloped({
  name: "connect stream",
  encodingHeader: "connect-content-encoding",
  acceptHeader: "connect-accept-encoding",
  contentType: (codec) => (codec === "proto" ? connect.contentTypeStreamProto : connect.contentTypeStreamJson),
  timeoutMs: (req) => connectTimeoutMs(header(req, "connect-timeout-ms")),
  end(res, error) {
    const json = JSON.stringify(connect.endStreamToJson(new Headers(), error, undefined));
    res.end(envelope(connect.endStreamFlag, Buffer.from(json)));
  },
});

/** gRPC: the outcome is in HTTP trailers. */
const grpcOverHttp = enveloped({
  name: "grpc",
  encodingHeader: "grpc-encoding",
  acceptHeader: "grpc-accept-encoding",
  contentType: (codec) => (codec === "proto" ? grpc.contentTypeProto : grpc.contentTypeJson),
  timeoutMs: (req) => grpcTimeoutMs(header(req, "grpc-timeout")),
  end(res, error) {
    res.addTrailers(Object.fromEntries(grpc.setTrailerStatus(new Headers(), error)));
    res.end();
  },
});

/** gRPC-Web: the outcome is a last envelope with lines like trailers. */
const grpcWebBinary = enveloped({
  name: "grpc-web",
  encodingHeader: "grpc-encoding",
  acceptHeader: "grpc-accept-encoding",
  contentType: (codec) => (codec === "proto" ? grpcWeb.contentTypeProto : grpcWeb.contentTypeJson),
  timeoutMs: (req) => grpcTimeoutMs(header(req, "grpc-timeout")),
  end(res, error) {
    const trailer = grpcWeb.trailerSerialize(grpc.setTrailerStatus(new Headers(), error));
    res.end(envelope(grpcWeb.trailerFlag, trailer));
  },
});

/** What a request speaks. */
export interface Dialect {
  readonly protocol: Protocol;
  readonly codec: Codec;
  /** A call made with GET has its message here; undefined: in the body. */
  readonly query: URLSearchParams | undefined;
}

/** What a request speaks, told by its method and content type; undefined: no protocol of ours. */
export function dialectOf(req: HttpRequest): Dialect | undefined {
  if (req.method === "GET") return dialectOfQuery(req);
  if (req.method !== "POST") return undefined;
  const contentType = header(req, "content-type") ?? "";
  const ofConnect = connect.parseContentType(contentType);
  if (ofConnect) return dialect(ofConnect.stream ? connectStream : connectUnary, ofConnect.binary);
  const ofGrpc = grpc.parseContentType(contentType);
  if (ofGrpc) return dialect(grpcOverHttp, ofGrpc.binary);
  const ofGrpcWeb = grpcWeb.parseContentType(contentType);
  if (ofGrpcWeb && !ofGrpcWeb.text) return dialect(grpcWebBinary, ofGrpcWeb.binary);
  return undefined;
}

function dialectOfQuery(req: HttpRequest): Dialect | undefined {
  const query = new URLSearchParams(req.url?.split("?", 2)[1]);
  const encoding = query.get("encoding");
  if (encoding !== "proto" && encoding !== "json") return undefined;
  return { ...dialect(connectUnary, encoding === "proto"), query };
}

function dialect(protocol: Protocol, binary: boolean): Dialect {
  return { protocol, codec: binary ? "proto" : "json", query: undefined };
}

/** The content types that are taken, for the header accept-post. */
export const ACCEPTED_TYPES = [connectUnary, connectStream, grpcOverHttp, grpcWebBinary]
  .flatMap((protocol) => [protocol.contentType("proto"), protocol.contentType("json")])
  .join(", ");
