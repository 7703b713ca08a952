import type { Socket } from "node:net";
import type { Message } from "@bufbuild/protobuf";
import {
  type ConnectionInjector,
  type Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import type { Refusal } from "../domain/refusal.ts";
import { ActiveCall, type Arrival, newCallId, readTimeout } from "./active-call.ts";
import { bearerOf } from "./bearer.ts";
import { builtinPaths } from "./builtins.ts";
import { decodeRequest } from "./codec.ts";
import { addHealth, addReflection } from "./grpc-builtins.ts";
import { type GrpcStream, GrpcStreams } from "./grpc-streams.ts";
import { GrpcOutlet, serviceError } from "./grpc-watch.ts";
import type { Health } from "./health.ts";
import { Listener } from "./listener.ts";
import { type GrpcDoorOptions, grpcDoorDefaults } from "./options.ts";
import type { Pipeline } from "./pipeline.ts";
import type { Reflection } from "./reflection.ts";
import { methodUnknown, type Route } from "./routes.ts";
import { grpcTimeoutMs } from "./timeouts.ts";
import { WatchCall } from "./watch-call.ts";

/** What a door is made of, beside its settings. */
export interface DoorParts {
  readonly pipeline: Pipeline;
  readonly health: Health;
  readonly reflection: Reflection;
}

type Unary = ServerUnaryCall<Buffer, Uint8Array>;
type Streaming = ServerWritableStream<Buffer, Uint8Array>;

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
  readonly #injector: ConnectionInjector;
  readonly #listener: Listener;
  #streams: GrpcStreams | undefined;

  constructor({ pipeline, health, reflection }: DoorParts, options: Partial<GrpcDoorOptions> = {}) {
    this.#pipeline = pipeline;
    this.#options = { ...grpcDoorDefaults, ...options };
    this.#server = new Server({
      "grpc.max_receive_message_length": this.#options.maxMessageBytes,
      "grpc.max_send_message_length": -1,
      "grpc.max_concurrent_streams": this.#options.maxConcurrentStreams,
      "grpc.keepalive_time_ms": this.#options.pingIntervalMs,
      "grpc.keepalive_timeout_ms": this.#options.pingTimeoutMs,
      "grpc.enable_channelz": 0,
    });
    for (const route of pipeline.routes.values()) this.#serve(route);
    this.#serveUnknown();
    addHealth(this.#server, health);
    addReflection(this.#server, reflection);
    // TLS ends at the listener.
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const speakers = { http1: refuseHttp1, http2: (socket: Socket) => this.#injector.injectConnection(socket) };
    this.#listener = new Listener("grpc", this.#options, speakers, pipeline.metrics);
  }

  /** Starts to listen; the result is the port. Rejects when the address cannot be had. */
  async open(): Promise<number> {
    const port = await this.#listener.listen();
    this.#streams = new GrpcStreams({
      port,
      ours: new Set(this.#pipeline.routes.keys()),
      plain: builtinPaths,
      unknownPath: UNKNOWN_PATH,
      requestTimeoutMs: this.#options.requestTimeoutMs,
    });
    this.#streams.start();
    return port;
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
    const grpcStream = this.#streams?.take(rpc.metadata);
    if (grpcStream === undefined) {
      callback(CLOSED);
      return;
    }
    const call = new ActiveCall(route, arrivalOf(rpc.metadata, grpcStream));
    grpcStream.stream.on("close", () => call.abort());
    const read = (): Message => decodeRequest(route.method.input, rpc.request, "proto");
    this.#pipeline.unary(call, read, "proto").then(
      (bytes) => callback(null, bytes),
      (refusal: Refusal) => callback(serviceError(refusal, call.callId)),
    );
  }

  #watch(route: Route, rpc: Streaming): void {
    const grpcStream = this.#streams?.take(rpc.metadata);
    if (grpcStream === undefined) {
      rpc.emit("error", CLOSED);
      return;
    }
    const call = new ActiveCall(route, arrivalOf(rpc.metadata, grpcStream));
    const { stream } = grpcStream;
    const outlet = new GrpcOutlet({ rpc, stream, call, bufferBytes: this.#options.watchBufferBytes });
    const watch = new WatchCall(this.#pipeline, call, outlet, this.#options);
    stream.on("close", () => watch.closed());
    void watch.run(() => decodeRequest(route.method.input, rpc.request, "proto"));
  }

  /** Refuses calls of methods that there are not. It takes any number of requests, so that none is waited for. */
  #serveUnknown(): void {
    const refuse = (rpc: ServerDuplexStream<Buffer, Uint8Array>): void => {
      const path = this.#streams?.take(rpc.metadata)?.path ?? "";
      this.#pipeline.metrics.called("unknown", "grpc", "UNIMPLEMENTED", 0);
      rpc.emit("error", serviceError(methodUnknown(path), newCallId()));
    };
    const definition = { ...passThrough(UNKNOWN_PATH, true), requestStream: true };
    this.#server.addService({ method: definition }, { method: refuse });
  }
}

function arrivalOf(metadata: Metadata, { stream, timeout }: GrpcStream): Arrival {
  const [authorization] = metadata.get("authorization");
  return {
    door: "grpc",
    bearer: bearerOf(authorization?.toString()),
    peer: stream.session?.socket.remoteAddress ?? "",
    ...readTimeout(() => grpcTimeoutMs(timeout)),
  };
}

/** A method whose messages grpc-js leaves as bytes. */
function passThrough(path: string, responseStream: boolean): MethodDefinition<Uint8Array, Uint8Array> {
  return {
    path,
    requestStream: false,
    responseStream,
    requestSerialize: asBuffer,
    requestDeserialize: (bytes) => bytes,
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
