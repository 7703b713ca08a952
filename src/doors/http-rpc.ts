import { constants, type ServerHttp2Stream } from "node:http2";
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
import { type Conduct, type Connection, NO_MEASURES, QUICK_RESET_MS } from "./conduct.ts";
import { COMPRESSED_FLAG, ENVELOPE_HEAD_BYTES, envelope, openEnvelope, writeMessage } from "./envelopes.ts";
import { connectError } from "./failures.ts";
import { headersTooLarge } from "./header-bytes.ts";
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
import { http2Measures } from "./http2-bounds.ts";
import type { HttpDoorOptions } from "./options.ts";
import type { Pipeline } from "./pipeline.ts";
import { ACCEPTED_TYPES, type Dialect, headOf, type Protocol } from "./protocols.ts";
import { decodeUnpacked, decompress, readBody, type Unpacking, unpackBounds } from "./request-body.ts";
import { HeldRequest, type RequestBytes } from "./request-bytes.ts";
import { methodUnknown, type Route } from "./routes.ts";
import { keepStreamsByNumber } from "./session-streams.ts";
import { type Outlet, type Taker, WatchCall } from "./watch-call.ts";

const zip = promisify(gzip);

/** The door's settings, as far as calls go. */
export type RpcOptions = {
  readonly unpacking: Unpacking;
  readonly conduct: Conduct;
  readonly requestBytes: RequestBytes;
} & Pick<
  HttpDoorOptions,
  "maxMessageBytes" | "maxHeaderBytes" | "requestTimeoutMs" | "answerTimeoutMs" | "endTimeoutMs" | "compressFromBytes"
>;

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
  const call = new ActiveCall(route, arrivalOf(exchange, options));
  const { connection } = call.arrival;
  const held = new HeldRequest(options.requestBytes, connection.network);
  let gone = false;
  let over = false;
  res.once("close", () => {
    gone = true;
    held.release();
    call.abort();
    if (!over && isHttp2(req) && wasTakenBack(streamOf(req), call)) connection.refused();
  });
  try {
    const read = (most: number): Promise<Message> =>
      readRequest(pipeline, call, exchange, bounded(options, most), held);
    const bytes = await pipeline.unary(call, read, dialect.codec);
    over = true;
    if (!gone) await answerUnary(exchange, bytes, call, options);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    over = true;
    if (gone) return;
    disregardRest(req, res);
    if (connection.sentAway && !isHttp2(req)) res.setHeader("connection", "close");
    dialect.protocol.fail(res, dialect.codec, connectError(error, call.callId));
  }
}

function serveWatch(pipeline: Pipeline, route: Route, exchange: Exchange, options: RpcOptions): void {
  const { res } = exchange;
  const call = new ActiveCall(route, arrivalOf(exchange, options));
  const watch = new WatchCall(pipeline, call, new HttpOutlet(exchange, call), options);
  res.on("close", () => watch.closed());
  const held = new HeldRequest(options.requestBytes, call.arrival.connection.network);
  // What was asked for is not kept for as long as the watch lives.
  void watch.run((most) =>
    readRequest(pipeline, call, exchange, bounded(options, most), held).finally(() => held.release()),
  );
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
  #writing = false;

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
    res.on("drain", () => this.#writing || taker.drained());
    res.writeHead(constants.HTTP_STATUS_OK, headOf(this.#protocol, this.codec));
    res.flushHeaders();
  }

  write(message: Uint8Array, isLast: boolean): boolean {
    // Gone, and its 'close' is on the way: nothing takes the message, and nobody needs more.
    if (this.#body.destroyed) return false;
    this.#writing = true;
    const wantsMore = writeMessage(this.#body, message, isLast);
    this.#writing = false;
    // A response over HTTP/1.1 may have told that it has drained before it could answer that it was full.
    return wantsMore || !this.#body.writableNeedDrain;
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

function arrivalOf({ req, dialect }: Exchange, { conduct, maxHeaderBytes }: RpcOptions): Arrival {
  // Of HTTP/1.1 what is larger is refused before it gets here.
  const refused = isHttp2(req) ? headersTooLarge(req.headers, maxHeaderBytes) : undefined;
  const connection = connectionOf(req, conduct);
  return {
    door: "http",
    connection,
    bearer: bearerOf(header(req, "authorization")),
    peer: connection.address,
    ...readTimeout(() => dialect.protocol.timeoutMs(req), refused),
  };
}

/** The connection of a request, introduced with its first one. */
export function connectionOf(req: HttpRequest, conduct: Conduct): Connection {
  const session = isHttp2(req) ? streamOf(req).session : undefined;
  const key = session ?? req.socket;
  const known = conduct.known(key);
  if (known !== undefined) return known;
  if (session) keepStreamsByNumber(session);
  const measures = (its: Connection) => (session ? http2Measures(session, () => its.refused()) : NO_MEASURES);
  return conduct.introduce(key, req.socket.remoteAddress ?? "", measures);
}

/** Whether the peer has reset the stream as soon as it was open. */
function wasTakenBack(stream: ServerHttp2Stream, { startedMs }: ActiveCall): boolean {
  if (stream.rstCode === constants.NGHTTP2_NO_ERROR || stream.session?.destroyed !== false) return false;
  return Date.now() - startedMs < QUICK_RESET_MS;
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

/** The same for requests of so many bytes at most. */
function bounded(options: RpcOptions, maxBytes: number): RpcOptions {
  return maxBytes < options.maxMessageBytes ? { ...options, maxMessageBytes: maxBytes } : options;
}

async function readRequest(
  { limits }: Pick<Pipeline, "limits">,
  call: ActiveCall,
  { req, dialect }: Exchange,
  options: RpcOptions,
  held: HeldRequest,
): Promise<Message> {
  const { protocol, codec, query } = dialect;
  const { maxMessageBytes } = options;
  const headBytes = protocol.enveloped ? ENVELOPE_HEAD_BYTES : 0;
  let data: Buffer;
  let encoding: string | undefined;
  if (query) {
    const message = query.get("message") ?? "";
    data = Buffer.from(message, query.get("base64") === "1" ? "base64url" : "utf8");
    encoding = query.get("compression") ?? undefined;
  } else {
    const hold = (bytes: number): Refusal | undefined => held.add(bytes);
    data = await readBody(req, { maxBytes: maxMessageBytes, headBytes, timeoutMs: options.requestTimeoutMs, hold });
    encoding = header(req, protocol.encodingHeader);
    if (protocol.enveloped) {
      const opened = openEnvelope(data);
      data = opened.data;
      if (!opened.compressed) encoding = undefined;
    }
  }
  const bytes = await decompress(data, encoding, unpackBounds(call, limits, maxMessageBytes, options.unpacking));
  if (bytes.length > maxMessageBytes) throw tooLarge(maxMessageBytes);
  if (bytes !== data) return decodeUnpacked(call.route.method.input, bytes, codec);
  return decodeRequest(call.route.method.input, bytes, codec);
}

async function answerUnary(
  exchange: Exchange,
  bytes: Uint8Array,
  call: ActiveCall,
  options: RpcOptions,
): Promise<void> {
  const { req, res, dialect } = exchange;
  const { protocol, codec } = dialect;
  const compressed = bytes.length >= options.compressFromBytes && acceptsGzip(header(req, protocol.acceptHeader));
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
  // What the network has not taken at once waits for the reader, which may never come for it.
  if (res.writableFinished || res.closed) return;
  const timer = setTimeout(() => reset(req, res), options.answerTimeoutMs);
  const { connection } = call.arrival;
  connection.sending(data.length);
  res.once("close", () => {
    connection.sent(data.length);
    clearTimeout(timer);
  });
}

function acceptsGzip(accepted: string | undefined): boolean {
  return /(?:^|,)\s*gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))[\d.]+\s*)?(?:,|$)/i.test(accepted ?? "");
}
