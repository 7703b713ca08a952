import { createServer, type Server } from "node:http";
import { constants, createServer as createHttp2Server, type Http2Server } from "node:http2";
import type { Socket } from "node:net";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import type { Registry } from "prom-client";
import { equalClaims } from "../domain/deficit-round-robin.ts";
import type { Refusal } from "../domain/refusal.ts";
import { hashOf, sameHash } from "../service/api-key.ts";
import { Permits } from "../watch/permits.ts";
import { newCallId } from "./active-call.ts";
import { Anonymous } from "./anonymous.ts";
import { answerBadHttp1 } from "./bad-http1.ts";
import { bearerOf } from "./bearer.ts";
import { streamPaths } from "./builtins.ts";
import { Conduct, NO_MEASURES } from "./conduct.ts";
import { type Cors, createCors } from "./cors.ts";
import { connectError, limitOf } from "./failures.ts";
import type { DoorParts } from "./grpc.ts";
import { tooManyHeaderBytes } from "./header-bytes.ts";
import type { Health } from "./health.ts";
import { httpBuiltins } from "./http-builtins.ts";
import {
  answerPlain,
  disregardRest,
  forHttp2,
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  header,
  ignoreError,
  isHttp2,
  pathOfUrl,
  reset,
} from "./http-messages.ts";
import { answerUnknown, connectionOf, type RpcOptions, refuseDialect, refuseUnknown, serveRoute } from "./http-rpc.ts";
import { HttpSessions } from "./http-sessions.ts";
import { http2Bounds } from "./http2-bounds.ts";
import { Listener } from "./listener.ts";
import { type DoorTls, type HttpDoorOptions, httpDoorDefaults } from "./options.ts";
import type { Pipeline } from "./pipeline.ts";
import { Pipelined } from "./pipelined.ts";
import { dialectOf } from "./protocols.ts";
import { UNPACKING_QUANTUM } from "./request-body.ts";
import { RequestBytes } from "./request-bytes.ts";

const { HTTP_STATUS_REQUEST_HEADER_FIELDS_TOO_LARGE: HEADERS_TOO_LARGE, HTTP_STATUS_TOO_MANY_REQUESTS } = constants;

/** When the door closes, idle connections of HTTP/1.1 stay open for so long, milliseconds. */
const IDLE_LINGER_MS = 1_000;

/** What the HTTP door is made of, beside its settings. */
export interface HttpDoorParts extends DoorParts {
  /** What `/metrics` shows. */
  readonly registry: Registry;
  /** Whether this instance can do its work, beyond wanting to; `/readyz` asks it. Default: it can. */
  readonly ready?: () => boolean | Promise<boolean>;
  /** Takes what no path here takes: REST, pages. Default: 404 with METHOD_UNKNOWN. */
  readonly fallback?: HttpHandler;
}

/**
 * The HTTP door: Connect, gRPC-Web and gRPC over HTTP/1.1 and HTTP/2 on one port, and the pages for operators. Calls are
 * answered here and not by Connect's router: its own errors (a body that is malformed, too large or compressed in an unknown
 * way) carry no reason, and a watch's messages would be encoded for each watcher.
 */
export class HttpDoor {
  readonly #pipeline: Pipeline;
  readonly #health: Health;
  readonly #options: HttpDoorOptions;
  readonly #rpcOptions: RpcOptions;
  readonly #http1: Server;
  readonly #http2: Http2Server;
  readonly #sessions: HttpSessions;
  readonly #listener: Listener;
  readonly #cors: Cors;
  readonly #conduct: Conduct;
  readonly #anonymous: Anonymous;
  readonly #pipelined: Pipelined;
  readonly #pages: ReadonlyMap<string, HttpHandler>;
  readonly #fallback: HttpHandler;
  #closing = false;

  constructor(parts: HttpDoorParts, options: Partial<HttpDoorOptions> = {}) {
    const { pipeline, health, fallback } = parts;
    this.#pipeline = pipeline;
    this.#health = health;
    this.#options = { ...httpDoorDefaults, ...options };
    this.#conduct = new Conduct(this.#options);
    this.#anonymous = new Anonymous(this.#options);
    this.#rpcOptions = {
      ...this.#options,
      requestBytes: new RequestBytes(this.#options),
      unpacking: new Permits(this.#options.maxUnpacking, UNPACKING_QUANTUM, equalClaims),
      conduct: this.#conduct,
    };
    this.#pipelined = new Pipelined(this.#rpcOptions.requestBytes);
    this.#cors = createCors(this.#options);
    this.#pages = new Map([
      ...httpBuiltins({
        ...parts,
        log: pipeline.log,
        requestTimeoutMs: this.#options.requestTimeoutMs,
        asked: (req) => this.#anonymous.call(connectionOf(req, this.#conduct).network),
      }),
      ...this.#operatorPages(parts),
    ]);
    this.#fallback = fallback ?? ((req, res) => this.#refuseUnknown(req, res));
    this.#sessions = new HttpSessions(this.#options);
    this.#http1 = this.#createHttp1();
    this.#http2 = this.#createHttp2();
    const speakers = {
      http1: (socket: unknown) => this.#http1.emit("connection", socket),
      http2: (socket: unknown) => this.#http2.emit("connection", socket),
    };
    this.#listener = new Listener("http", this.#options, speakers, pipeline.metrics, this.#conduct);
  }

  /** Starts to listen; the result is the port. Rejects when the address cannot be had. */
  open(): Promise<number> {
    return this.#listener.listen();
  }

  /** Shows another certificate to new connections. */
  renew(tls: DoorTls): void {
    this.#listener.renew(tls);
  }

  /** Takes no more connections. */
  stop(): void {
    this.#listener.stop();
  }

  /** Lets the open calls end, at most `graceMs`, and closes everything. */
  async close(graceMs: number): Promise<void> {
    this.stop();
    this.#closing = true;
    this.#sessions.close();
    // A request may be on its way on one that is idle. Whoever calls in this time is told that its answer is the last one.
    const idle = setInterval(() => this.#http1.closeIdleConnections(), Math.min(IDLE_LINGER_MS, graceMs));
    await this.#listener.empty(graceMs);
    clearInterval(idle);
    this.#http1.close();
    this.#http2.close();
  }

  #createHttp1(): Server {
    const { headersTimeoutMs, keepAliveTimeoutMs, maxHeaderBytes, requestTimeoutMs } = this.#options;
    const headersTimeout = Math.min(headersTimeoutMs, requestTimeoutMs);
    const server = createServer(
      {
        maxHeaderSize: maxHeaderBytes,
        headersTimeout,
        requestTimeout: requestTimeoutMs,
        keepAliveTimeout: keepAliveTimeoutMs,
        connectionsCheckingInterval: Math.ceil(headersTimeout / 4),
      },
      (req, res) => this.#take(req, res),
    );
    server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
      const refused = (req: HttpRequest, res: HttpResponse): void => {
        this.#guarded(req, res, () => this.#refuseHeaders(req, res));
      };
      answerBadHttp1(error, socket, refused);
    });
    // A server that does not listen itself watches over its connections' timeouts only once it believes that it does.
    server.emit("listening");
    return server;
  }

  /** HTTP/1.1 headers above the bound, of which only some are known. */
  #refuseHeaders(req: HttpRequest, res: HttpResponse): void {
    const { socket } = req;
    const connection =
      this.#conduct.known(socket) ?? this.#conduct.introduce(socket, socket.remoteAddress ?? "", () => NO_MEASURES);
    connection.refused();
    if (this.#cors(req, res)) return;
    this.#refuse(req, res, tooManyHeaderBytes(this.#options.maxHeaderBytes), HEADERS_TOO_LARGE);
  }

  #createHttp2(): Http2Server {
    const server = createHttp2Server(http2Bounds(this.#options));
    server.on("session", (session) => this.#sessions.add(session));
    server.on(
      "request",
      forHttp2((req, res) => this.#take(req, res)),
    );
    return server;
  }

  #take(req: HttpRequest, res: HttpResponse): void {
    // A peer that leaves while we write is told by 'close'.
    res.on("error", ignoreError);
    const begin = (): void => this.#guarded(req, res, () => this.#handle(req, res));
    if (isHttp2(req) || res.socket !== null) {
      begin();
      return;
    }
    // What else was in the packet in which one came that the connection was ended for.
    if (req.socket.destroyed) return;
    const connection = connectionOf(req, this.#conduct);
    const refusal = this.#pipelined.wait(req, res, connection.network, begin);
    if (refusal === undefined) return;
    // It has no place to be told: the answer before it is not over.
    connection.refused();
    const limit = limitOf(refusal);
    if (limit !== undefined) this.#pipeline.metrics.limited(limit);
    req.socket.destroy();
  }

  /** Does something for a request; nothing that it throws ends the process. */
  #guarded(req: HttpRequest, res: HttpResponse, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(req, res, error);
    }
  }

  #handle(req: HttpRequest, res: HttpResponse): void {
    if (this.#closing && req.httpVersionMajor < 2) res.setHeader("connection", "close");
    if (this.#cors(req, res)) return;
    const path = pathOfUrl(req);
    const route = this.#pipeline.routes.get(path);
    const page = this.#pages.get(path);
    const dialect = dialectOf(req);
    if (route && dialect) {
      serveRoute(this.#pipeline, route, { req, res, dialect }, this.#rpcOptions);
      return;
    }
    if (page) {
      const connection = connectionOf(req, this.#conduct);
      const isStream = streamPaths.has(path);
      const refusal = isStream ? this.#anonymous.stream(connection, res) : this.#anonymous.call(connection.network);
      if (refusal === undefined) {
        page(req, res);
        return;
      }
      this.#countRefused(req, res);
      this.#refuse(req, res, refusal, HTTP_STATUS_TOO_MANY_REQUESTS);
      return;
    }
    if (route === undefined && !dialect?.protocol.enveloped) {
      this.#fallback(req, res);
      return;
    }
    this.#countRefused(req, res);
    if (route) refuseDialect(route, { req, res });
    else if (dialect) refuseUnknown({ req, res, dialect }, path);
  }

  #refuseUnknown(req: HttpRequest, res: HttpResponse): void {
    this.#countRefused(req, res);
    answerUnknown(res, pathOfUrl(req));
  }

  /** A request was refused that its peer need not have made. */
  #countRefused(req: HttpRequest, res: HttpResponse): void {
    const connection = connectionOf(req, this.#conduct);
    connection.refused();
    if (connection.sentAway && !isHttp2(req)) res.setHeader("connection", "close");
  }

  /** Refuses a request that is no call of ours, or one that cannot be read, as far as it says how. */
  #refuse(req: HttpRequest, res: HttpResponse, refusal: Refusal, status: number): void {
    const limit = limitOf(refusal);
    if (limit !== undefined) this.#pipeline.metrics.limited(limit);
    const error = connectError(refusal, newCallId());
    const dialect = dialectOf(req);
    disregardRest(req, res);
    if (refusal.retryAfterMs !== undefined && !refusal.tooMuch)
      res.setHeader("retry-after", Math.ceil(refusal.retryAfterMs / 1_000));
    if (dialect?.protocol.enveloped) dialect.protocol.fail(res, dialect.codec, error);
    else answerPlain(res, status, JSON.stringify(errorToJson(error, undefined)), "application/json");
  }

  #operatorPages({ registry, ready = () => true }: HttpDoorParts): [string, HttpHandler][] {
    const { metricsToken } = this.#options;
    const { HTTP_STATUS_OK: OK, HTTP_STATUS_SERVICE_UNAVAILABLE: UNAVAILABLE } = constants;
    return [
      ["/healthz", (_req, res) => answerPlain(res, OK, "ok\n")],
      [
        "/readyz",
        this.#page(async (_req, res) => {
          const isReady = this.#health.serving && (await ready());
          answerPlain(res, isReady ? OK : UNAVAILABLE, isReady ? "ready\n" : "not ready\n");
        }),
      ],
      [
        "/metrics",
        this.#page(async (req, res) => {
          if (metricsToken !== undefined && !isToken(bearerOf(header(req, "authorization")), metricsToken)) {
            answerPlain(res, constants.HTTP_STATUS_UNAUTHORIZED, "the metrics have a token of their own\n");
          } else {
            answerPlain(res, OK, await registry.metrics(), registry.contentType);
          }
        }),
      ],
    ];
  }

  /** A page that is made asynchronously; a fault is logged and answered 500. */
  #page(handle: (req: HttpRequest, res: HttpResponse) => Promise<void>): HttpHandler {
    return (req, res) => {
      handle(req, res).catch((error: unknown) => this.#fail(req, res, error));
    };
  }

  /** A fault of ours, on the way to a call or on a page. */
  #fail(req: HttpRequest, res: HttpResponse, error: unknown): void {
    this.#pipeline.log.error({ err: error, path: pathOfUrl(req) }, "request failed");
    if (res.headersSent) reset(req, res);
    else answerPlain(res, constants.HTTP_STATUS_INTERNAL_SERVER_ERROR, "internal error\n");
  }
}

/** In a time that does not depend on how much of it is right. */
function isToken(said: string | undefined, token: string): boolean {
  return said !== undefined && sameHash(hashOf(said), hashOf(token));
}
