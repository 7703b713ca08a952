import type { ServerHttp2Stream, ServerOptions } from "node:http2";
import type { Socket } from "node:net";
import type { Message } from "@bufbuild/protobuf";
import {
  type ConnectionInjector,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { equalClaims } from "../domain/deficit-round-robin.ts";
import type { Refusal } from "../domain/refusal.ts";
import { Permits } from "../watch/permits.ts";
import { ActiveCall, type Arrival, newCallId, readTimeout } from "./active-call.ts";
import { Anonymous } from "./anonymous.ts";
import { bearerOf } from "./bearer.ts";
import { builtinPaths, lastingPaths, streamPaths } from "./builtins.ts";
import { decodeRequest, tooLarge } from "./codec.ts";
import { Conduct } from "./conduct.ts";
import { envelope } from "./envelopes.ts";
import { codeName, limitOf } from "./failures.ts";
import { addHealth, addReflection } from "./grpc-builtins.ts";
import { GrpcRequest, requestOf } from "./grpc-request.ts";
import { type GrpcStream, GrpcStreams } from "./grpc-streams.ts";
import { GrpcOutlet, serviceError } from "./grpc-watch.ts";
import type { Health } from "./health.ts";
import { http2Bounds } from "./http2-bounds.ts";
import { Listener } from "./listener.ts";
import { type DoorTls, type GrpcDoorOptions, grpcDoorDefaults } from "./options.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Reflection } from "./reflection.ts";
import { decodeUnpacked, decompress, isGzip, UNPACKING_QUANTUM, unpackBounds } from "./request-body.ts";
import { RequestBytes } from "./request-bytes.ts";
import { methodUnknown, type Route } from "./routes.ts";
import { grpcTimeoutMs } from "./timeouts.ts";
import { WatchCall } from "./watch-call.ts";

/** What a door is made of, beside its settings. */
export interface DoorParts {
  readonly pipeline: Pipeline;
  readonly health: Health;
  readonly reflection: Reflection;
}

type Unary = ServerUnaryCall<GrpcRequest, Uint8Array>;
type Streaming = ServerWritableStream<GrpcRequest, Uint8Array>;

/** The end of a call whose stream was closed before its handler ran; nobody is there to read it. */
const CLOSED = { code: status.CANCELLED, details: "the stream is closed" };

const UNKNOWN_PATH = "/leadline.internal.Unknown/Method";

/**
 * The gRPC door: native gRPC over HTTP/2, on grpc-js. Requests are decoded and answers encoded by the pipeline, so grpc-js
 * moves bytes: what the services and the hub have encoded already goes out as it is.
 */
export class GrpcDoor {
  readonly #pipeline: Pipeline;
  readonly #options: GrpcDoorOptions;
  readonly #server: Server;
  readonly #unpacking: Permits;
  readonly #conduct: Conduct;
  readonly #anonymous: Anonymous;
  readonly #injector: ConnectionInjector;
  readonly #listener: Listener;
  #streams: GrpcStreams | undefined;

  constructor({ pipeline, health, reflection }: DoorParts, options: Partial<GrpcDoorOptions> = {}) {
    this.#pipeline = pipeline;
    this.#options = { ...grpcDoorDefaults, ...options };
    this.#unpacking = new Permits(this.#options.maxUnpacking, UNPACKING_QUANTUM, equalClaims);
    this.#conduct = new Conduct(this.#options);
    this.#anonymous = new Anonymous(this.#options);
    this.#server = new Server({
      "grpc.max_receive_message_length": this.#options.maxMessageBytes,
      "grpc.max_send_message_length": -1,
      "grpc.keepalive_time_ms": this.#options.pingIntervalMs,
      "grpc.keepalive_timeout_ms": this.#options.pingTimeoutMs,
      "grpc.enable_channelz": 0,
    });
    // grpc-js has options for some of these only, and leaves a connection's memory unbounded; what it makes its HTTP/2 server
    // with is a property of its own.
    Object.assign(
      (this.#server as unknown as { commonServerOptions: ServerOptions }).commonServerOptions,
      http2Bounds(this.#options),
    );
    for (const route of pipeline.routes.values()) this.#serve(route);
    this.#serveUnknown();
    addHealth(this.#server, health);
    addReflection(this.#server, reflection, this.#anonymous);
    // TLS ends at the listener.
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const speakers = { http1: refuseHttp1, http2: (socket: Socket) => this.#injector.injectConnection(socket) };
    this.#listener = new Listener("grpc", this.#options, speakers, pipeline.metrics, this.#conduct);
  }

  /** Starts to listen; the result is the port. Rejects when the address cannot be had. */
  async open(): Promise<number> {
    const port = await this.#listener.listen();
    this.#streams = new GrpcStreams({
      port,
      ours: new Set(this.#pipeline.routes.keys()),
      plain: builtinPaths,
      streams: streamPaths,
      lasting: lastingPaths,
      unknownPath: UNKNOWN_PATH,
      requestTimeoutMs: this.#options.requestTimeoutMs,
      answerTimeoutMs: this.#options.answerTimeoutMs,
      conduct: this.#conduct,
      anonymous: this.#anonymous,
      requestBytes: new RequestBytes(this.#options),
      limited: (limit) => this.#pipeline.metrics.limited(limit),
      maxHeaderBytes: this.#options.maxHeaderBytes,
    });
    this.#streams.start();
    return port;
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
    this.#injector.drain(graceMs);
    await this.#listener.empty(graceMs);
    this.#injector.destroy();
    this.#server.forceShutdown();
    this.#streams?.stop();
  }

  #serve(route: Route): void {
    const definition = { method: passThrough(route.path, route.kind === "watch") };
    if (route.kind === "watch") {
      this.#server.addService(definition, { method: (call: Streaming) => this.#watch(route, call) });
    } else {
      this.#server.addService(definition, {
        method: (call: Unary, callback: sendUnaryData<Uint8Array>) => this.#unary(route, call, callback),
      });
    }
  }

  #unary(route: Route, rpc: Unary, callback: sendUnaryData<Uint8Array>): void {
    const grpcStream = this.#streams?.take(rpc.metadata, () => call.abort());
    if (grpcStream === undefined) {
      callback(CLOSED);
      return;
    }
    const request = requestOf(rpc);
    const call = new ActiveCall(route, { ...arrivalOf(grpcStream), bytes: request.length });
    const read = (most: number): Message | Promise<Message> => this.#read(call, grpcStream, request, most);
    this.#pipeline.unary(call, read, "proto").then(
      (bytes) => {
        this.#letGo(grpcStream, request);
        // Its end has been told already: what is counted now as on its way would stay so.
        if (grpcStream.stream.closed) return;
        this.#streams?.answered(grpcStream, bytes.length);
        answer(grpcStream.stream, bytes);
      },
      (refusal: Refusal) => {
        this.#letGo(grpcStream, request);
        // What a refusal says takes longer to put together than most refusals take.
        if (!grpcStream.stream.closed) callback(serviceError(refusal, call.callId));
      },
    );
  }

  #watch(route: Route, rpc: Streaming): void {
    const grpcStream = this.#streams?.take(rpc.metadata);
    if (grpcStream === undefined) {
      rpc.emit("error", CLOSED);
      return;
    }
    const request = requestOf(rpc);
    const call = new ActiveCall(route, { ...arrivalOf(grpcStream), bytes: request.length });
    const { stream } = grpcStream;
    const outlet = new GrpcOutlet({ rpc, stream, call, bufferBytes: this.#options.watchBufferBytes });
    const watch = new WatchCall(this.#pipeline, call, outlet, this.#options);
    closeWith(stream, watch);
    const read = (most: number): Message | Promise<Message> => this.#read(call, grpcStream, request, most);
    void watch.run(read).finally(() => this.#letGo(grpcStream, request));
  }

  #read(call: ActiveCall, { encoding }: GrpcStream, request: GrpcRequest, most: number): Message | Promise<Message> {
    const { input } = call.route.method;
    const bytes = request.take();
    if (encoding === undefined || !isGzip(bytes)) {
      if (bytes.length > most) throw tooLarge(most);
      return decodeRequest(input, bytes, "proto");
    }
    const maxBytes = Math.min(most, this.#options.maxMessageBytes);
    const bounds = unpackBounds(call, this.#pipeline.limits, maxBytes, this.#unpacking);
    return decompress(bytes, encoding, bounds).then((unpacked) => decodeUnpacked(input, unpacked, "proto"));
  }

  /** The call is over, or has become a watch. */
  #letGo(call: GrpcStream, request: GrpcRequest): void {
    request.empty();
    this.#streams?.letGo(call);
  }

  /** Refuses calls of methods that there are not, and of those that may not be called so often. It takes any number of requests, so that none is waited for. */
  #serveUnknown(): void {
    const refuse = (rpc: ServerDuplexStream<GrpcRequest, Uint8Array>): void => {
      const call = this.#streams?.take(rpc.metadata);
      if (call !== undefined) this.#streams?.letGo(call);
      const refusal = call?.refused ?? methodUnknown(call?.path ?? "");
      call?.connection.refused();
      const { metrics } = this.#pipeline;
      metrics.called("unknown", "grpc", codeName(refusal), 0);
      const limit = limitOf(refusal);
      if (limit !== undefined) metrics.limited(limit);
      rpc.emit("error", serviceError(refusal, newCallId()));
    };
    const definition = { ...passThrough(UNKNOWN_PATH, true), requestStream: true };
    this.#server.addService({ method: definition }, { method: refuse });
  }
}

/** A listener lives as long as the watch: written where the request is known, it would keep that, too. */
function closeWith(stream: ServerHttp2Stream, watch: WatchCall): void {
  stream.on("close", () => watch.closed());
}

function arrivalOf({ connection, authorization, timeout, refused }: GrpcStream): Arrival {
  return {
    door: "grpc",
    connection,
    bearer: bearerOf(authorization),
    peer: connection.address,
    ...readTimeout(() => grpcTimeoutMs(timeout), refused),
  };
}

/** The headers and trailers of an answer with status OK, as grpc-js sends them. */
const OK_HEADERS = {
  ":status": 200,
  "content-type": "application/grpc+proto",
  "grpc-encoding": "identity",
  "grpc-accept-encoding": "identity,gzip",
};
const OK_TRAILERS = { "grpc-status": 0, "grpc-message": "OK" };

/**
 * Answers a unary call with status OK, past grpc-js: it writes the message, waits until it is sent, and ends the stream
 * then, which is two writes to the socket where headers, message and trailers fit into one.
 */
function answer(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (stream.destroyed || stream.closed) return;
  stream.respond(OK_HEADERS, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers(OK_TRAILERS));
  stream.end(envelope(0, message));
}

/** A method whose messages grpc-js leaves as bytes. */
function passThrough(path: string, responseStream: boolean): MethodDefinition<GrpcRequest, Uint8Array> {
  return {
    path,
    requestStream: false,
    responseStream,
    requestSerialize: (request) => request.take(),
    requestDeserialize: (bytes) => new GrpcRequest(bytes),
    responseSerialize: asBuffer,
    responseDeserialize: (bytes) => bytes,
  };
}

/** The same bytes as a Buffer, which grpc-js copies from. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const HTTP1_ANSWER = "this port speaks gRPC over HTTP/2; HTTP/1.1 has a port of its own\n";

function refuseHttp1(socket: Socket): void {
  const head = "HTTP/1.1 426 Upgrade Required\r\nupgrade: h2c\r\nconnection: close\r\ncontent-type: text/plain\r\n";
  socket.end(`${head}content-length: ${HTTP1_ANSWER.length}\r\n\r\n${HTTP1_ANSWER}`, () => socket.destroy());
}
