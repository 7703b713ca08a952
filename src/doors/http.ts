import { createServer, type Server } from "node:http";
import { constants, createServer as createHttp2Server, type Http2Server } from "node:http2";
import type { Registry } from "prom-client";
import { bearerOf } from "./bearer.ts";
import { type Cors, createCors } from "./cors.ts";
import type { DoorParts } from "./grpc.ts";
import type { Health } from "./health.ts";
import { httpBuiltins } from "./http-builtins.ts";
import {
  answerPlain,
  forHttp2,
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  header,
  ignoreError,
  pathOfUrl,
  reset,
} from "./http-messages.ts";
import { answerUnknown, refuseDialect, refuseUnknown, serveRoute } from "./http-rpc.ts";
import { HttpSessions } from "./http-sessions.ts";
import { Listener } from "./listener.ts";
import { type HttpDoorOptions, httpDoorDefaults } from "./options.ts";
import type { Pipeline } from "./pipeline.ts";
import { dialectOf } from "./protocols.ts";

/** What the HTTP door is made of, beside its settings. */
export interface HttpDoorParts extends DoorParts {
  /** What `/metrics` shows. */
  readonly registry: Registry;
  /** Whether this instance can do its work, beyond wanting to; `/readyz` asks it. Default: it can. */
  readonly ready?: () => boolean | Promise<boolean>;
  /** Takes what no path here takes: REST, pages. Default: 404 with METHOD_UNKNOWN. */
  readonly fallback?: HttpHandler;
}

/** Node's default of 10 MB per connection is less than the streams of one connection may have unsent. */
const MAX_SESSION_MEMORY_MB = 256;

/**
 * The HTTP door: Connect, gRPC-Web and gRPC over HTTP/1.1 and HTTP/2 on one port, and the pages for operators. Calls are
 * answered here and not by Connect's router: its own errors (a body that is malformed, too large or compressed in an unknown
 * way) carry no reason, and a watch's messages would be encoded for each watcher.
 */
export class HttpDoor {
  readonly #pipeline: Pipeline;
  readonly #health: Health;
  readonly #options: HttpDoorOptions;
  readonly #http1: Server;
  readonly #http2: Http2Server;
  readonly #sessions: HttpSessions;
  readonly #listener: Listener;
  readonly #cors: Cors;
  readonly #pages: ReadonlyMap<string, HttpHandler>;
  readonly #fallback: HttpHandler;
  #closing = false;

  constructor(parts: HttpDoorParts, options: Partial<HttpDoorOptions> = {}) {
    const { pipeline, health, fallback } = parts;
    this.#pipeline = pipeline;
    this.#health = health;
    this.#options = { ...httpDoorDefaults, ...options };
    this.#cors = createCors(this.#options);
    this.#pages = new Map([...httpBuiltins({ ...parts, log: pipeline.log }), ...this.#operatorPages(parts)]);
    this.#fallback = fallback ?? ((req, res) => answerUnknown(res, pathOfUrl(req)));
    this.#sessions = new HttpSessions(this.#options);
    this.#http1 = this.#createHttp1();
    this.#http2 = this.#createHttp2();
    const speakers = {
      http1: (socket: unknown) => this.#http1.emit("connection", socket),
      http2: (socket: unknown) => this.#http2.emit("connection", socket),
    };
    this.#listener = new Listener("http", this.#options, speakers, pipeline.metrics);
  }

  /** Starts to listen; the result is the port. Rejects when the address cannot be had. */
  open(): Promise<number> {
    return this.#listener.listen();
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
    this.#http1.closeIdleConnections();
    await this.#listener.empty(graceMs);
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
    // A server that does not listen itself watches over its connections' timeouts only once it believes that it does.
    server.emit("listening");
    return server;
  }

  #createHttp2(): Http2Server {
    const { maxConcurrentStreams, maxHeaderBytes } = this.#options;
    const server = createHttp2Server({
      maxSessionMemory: MAX_SESSION_MEMORY_MB,
      settings: { maxConcurrentStreams, maxHeaderListSize: maxHeaderBytes },
    });
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
    try {
      this.#handle(req, res);
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
    if (route) {
      if (dialect) serveRoute(this.#pipeline, route, { req, res, dialect }, this.#options);
      else refuseDialect(route, { req, res });
    } else if (page) {
      page(req, res);
    } else if (dialect?.protocol.enveloped) {
      refuseUnknown({ req, res, dialect }, path);
    } else {
      this.#fallback(req, res);
    }
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
          if (metricsToken !== undefined && bearerOf(header(req, "authorization")) !== metricsToken) {
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
