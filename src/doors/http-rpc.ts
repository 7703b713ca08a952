import { constants } from "node:http2";
import type { Writable } from "node:stream";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { Refusal } from "../domain/refusal.ts";
import type { Codec } from "../watch/spec.ts";
import { ActiveCall, type Arrival, newCallId, readTimeout } from "./active-call.ts";
import { bearerOf } from "./bearer.ts";
import { decodeRequest, tooLarge } from "./codec.ts";
import { COMPRESSED_FLAG, ENVELOPE_HEAD_BYTES, envelope, openEnvelope, sharedEnvelope } from "./envelopes.ts";
import { connectError } from "./failures.ts";
import {
  answerPlain,
  disregardRest,
  type HttpRequest,
  type HttpResponse,
  header,
  isHttp2,
  reset,
  streamOf,
} from "./http-messages.ts";
import type { HttpDoorOptions } from "./options.ts";
import type { Pipeline } from "./pipeline.ts";
import { ACCEPTED_TYPES, type Dialect, headOf, type Protocol } from "./protocols.ts";
import { decompress, readBody } from "./request-body.ts";
import { methodUnknown, type Route } from "./routes.ts";
import { type Outlet, type Taker, WatchCall } from "./watch-call.ts";

const zip = promisify(gzip);

type RpcOptions = Pick<HttpDoorOptions, "maxMessageBytes" | "requestTimeoutMs" | "endTimeoutMs" | "compressFromBytes">;

/** One RPC as it came over HTTP. */
export interface Exchange {
  readonly req: HttpRequest;
  readonly res: HttpResponse;
  readonly dialect: Dialect;
}

/** Answers a call of a method there is. */
export function serveRoute(pipeline: Pipeline, route: Route, exchange: Exchange, options: RpcOptions): void {
  if (!fits(route, exchange.dialect)) {
    refuseDialect(route, exchange);
  } else if (route.kind === "watch") {
    serveWatch(pipeline, route, exchange, options);
  } else {
    serveUnary(pipeline, route, exchange, options).catch((error: unknown) => {
      pipeline.log.error({ err: error, method: route.path }, "answer could not be written");
      reset(exchange.req, exchange.res);
    });
  }
}

/** Answers a call of a method there is not. */
export function refuseUnknown({ req, res, dialect }: Exchange, path: string): void {
  disregardRest(req, res);
  if (dialect.protocol.enveloped) {
    dialect.protocol.fail(res, dialect.codec, connectError(methodUnknown(path), newCallId()));
  } else {
    answerUnknown(res, path);
  }
}

/** 404 with the error as Connect writes it: for unary Connect, and for what is no call at all. */
export function answerUnknown(res: HttpResponse, path: string): void {
  const error = connectError(methodUnknown(path), newCallId());
  answerPlain(res, constants.HTTP_STATUS_NOT_FOUND, JSON.stringify(errorToJson(error, undefined)), "application/json");
}

async function serveUnary(pipeline: Pipeline, route: Route, exchange: Exchange, options: RpcOptions): Promise<void> {
  const { req, res, dialect } = exchange;
  const call = new ActiveCall(route, arrivalOf(exchange));
  let gone = false;
  res.once("close", () => {
    gone = true;
    call.abort();
  });
  try {
    const bytes = await pipeline.unary(call, () => readRequest(route, exchange, options), dialect.codec);
    if (!gone) await answerUnary(exchange, bytes, options.compressFromBytes);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (gone) return;
    disregardRest(req, res);
    dialect.protocol.fail(res, dialect.codec, connectError(error, call.callId));
  }
}

function serveWatch(pipeline: Pipeline, route: Route, exchange: Exchange, options: RpcOptions): void {
  const { res } = exchange;
  const call = new ActiveCall(route, arrivalOf(exchange));
  const watch = new WatchCall(pipeline, call, new HttpOutlet(exchange, call), options);
  res.on("close", () => watch.closed());
  void watch.run(() => readRequest(route, exchange, options));
}

/** The HTTP door's end of a watch. */
class HttpOutlet implements Outlet {
  readonly codec: Codec;
  readonly #req: HttpRequest;
  readonly #res: HttpResponse;
  readonly #protocol: Protocol;
  readonly #call: ActiveCall;
  /** Where messages go: past Node's compatibility API where there is a stream below it. */
  readonly #body: Writable;
  #begun = false;

  constructor({ req, res, dialect }: Exchange, call: ActiveCall) {
    this.codec = dialect.codec;
    this.#req = req;
    this.#res = res;
    this.#protocol = dialect.protocol;
    this.#call = call;
    this.#body = isHttp2(req) ? streamOf(req) : res;
  }

  begin(taker: Taker): void {
    this.#begun = true;
    const res = this.#res;
    res.on("drain", () => taker.drained());
    res.writeHead(constants.HTTP_STATUS_OK, headOf(this.#protocol, this.codec));
    res.flushHeaders();
  }

  write(message: Uint8Array): boolean {
    // Gone, and its 'close' is on the way: nothing takes the message, and nobody needs more.
    return this.#body.destroyed ? false : this.#body.write(sharedEnvelope(message));
  }

  unsentBytes(): number {
    return this.#body.writableLength;
  }

  end(refusal: Refusal | undefined): void {
    const error = refusal && connectError(refusal, this.#call.callId);
    const [req, res, protocol] = [this.#req, this.#res, this.#protocol];
    if (!this.#begun) disregardRest(req, res);
    if (error && !this.#begun) {
      protocol.fail(res, this.codec, error);
    } else {
      if (!this.#begun) res.writeHead(constants.HTTP_STATUS_OK, headOf(protocol, this.codec));
      protocol.end(res, error);
    }
  }

  reset(): void {
    reset(this.#req, this.#res);
  }
}

function arrivalOf({ req, dialect }: Exchange): Arrival {
  return {
    door: "http",
    bearer: bearerOf(header(req, "authorization")),
    peer: req.socket.remoteAddress ?? "",
    ...readTimeout(() => dialect.protocol.timeoutMs(req)),
  };
}

/** Whether a method can be called like this: watches are streams, and GET is for what changes nothing. */
function fits(route: Route, { protocol, query }: Dialect): boolean {
  if (query) return route.kind === "unary" && route.method.idempotency === Idempotency.NO_SIDE_EFFECTS;
  if (protocol.name === "connect unary") return route.kind === "unary";
  if (protocol.name === "connect stream") return route.kind === "watch";
  return true;
}

/** Answers a request to a method in a way in which it cannot be called. */
export function refuseDialect(route: Route, { req, res }: Pick<Exchange, "req" | "res">): void {
  disregardRest(req, res);
  if (req.method !== "POST") {
    res.setHeader("allow", "POST");
    answerPlain(res, constants.HTTP_STATUS_METHOD_NOT_ALLOWED, `${route.path} is called with POST\n`);
  } else {
    res.setHeader("accept-post", ACCEPTED_TYPES);
    const type = route.kind === "watch" ? "application/connect+json" : "application/json";
    const kind = `${route.path} is ${route.kind === "watch" ? "a stream" : "unary"}`;
    const line = `${kind}: send content-type: ${type} (for others see accept-post)\n`;
    answerPlain(res, constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE, line);
  }
}

async function readRequest(route: Route, exchange: Exchange, options: RpcOptions): Promise<Message> {
  const { req, dialect } = exchange;
  const { protocol, codec, query } = dialect;
  const { maxMessageBytes } = options;
  const head = protocol.enveloped ? ENVELOPE_HEAD_BYTES : 0;
  let data: Buffer;
  let encoding: string | undefined;
  if (query) {
    const message = query.get("message") ?? "";
    data = Buffer.from(message, query.get("base64") === "1" ? "base64url" : "utf8");
    encoding = query.get("compression") ?? undefined;
  } else {
    data = await readBody(req, { maxBytes: maxMessageBytes + head, timeoutMs: options.requestTimeoutMs });
    encoding = header(req, protocol.encodingHeader);
    if (protocol.enveloped) {
      const opened = openEnvelope(data);
      data = opened.data;
      if (!opened.compressed) encoding = undefined;
    }
  }
  const bytes = await decompress(data, encoding, maxMessageBytes);
  if (bytes.length > maxMessageBytes) throw tooLarge(maxMessageBytes);
  return decodeRequest(route.method.input, bytes, codec);
}

async function answerUnary({ req, res, dialect }: Exchange, bytes: Uint8Array, compressFrom: number): Promise<void> {
  const { protocol, codec } = dialect;
  const compressed = bytes.length >= compressFrom && acceptsGzip(header(req, protocol.acceptHeader));
  const data = compressed ? await zip(bytes) : bytes;
  const head = headOf(protocol, codec);
  if (compressed) head[protocol.encodingHeader] = "gzip";
  if (protocol.enveloped) {
    res.writeHead(constants.HTTP_STATUS_OK, head);
    res.write(envelope(compressed ? COMPRESSED_FLAG : 0, data));
    protocol.end(res, undefined);
  } else {
    res.writeHead(constants.HTTP_STATUS_OK, { ...head, "content-length": data.length });
    res.end(data);
  }
}

function acceptsGzip(accepted: string | undefined): boolean {
  return /(?:^|,)\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)/i.test(accepted ?? "");
}
