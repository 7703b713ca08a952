import { Agent } from "node:http";
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type Code, ConnectError, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import {
  createConnectTransport as createWebConnectTransport,
  createGrpcWebTransport as createWebGrpcWebTransport,
} from "@connectrpc/connect-web";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { fetchOf } from "../support/own-fetch.ts";
import { BEARER, type World } from "./world.ts";

/** What a caller needs of whom it calls. */
export type Reachable = Pick<World, "httpPort" | "grpcPort" | "onClose">;

export interface CallerOptions {
  readonly bearer?: string | undefined;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A client of somebody else's making. Errors are ConnectErrors with the codes and details that came over the wire. */
export interface Caller {
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options?: CallerOptions,
  ): Promise<MessageShape<O>>;
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options?: CallerOptions,
  ): AsyncIterable<MessageShape<O>>;
}

export interface CallerKind {
  readonly name: string;
  readonly door: "grpc" | "http";
  open(world: Reachable): Caller;
}

function headersOf({ bearer = BEARER }: CallerOptions): Record<string, string> {
  return bearer === "" ? {} : { authorization: `Bearer ${bearer}` };
}

function throughTransport(transport: Transport): Caller {
  return {
    async unary(method, request, options = {}) {
      const { signal, timeoutMs } = options;
      const answer = await transport.unary(method, signal, timeoutMs, headersOf(options), request);
      return answer.message;
    },
    async *stream(method, request, options = {}) {
      const { signal, timeoutMs } = options;
      async function* one(): AsyncGenerator<typeof request> {
        yield request;
      }
      const answer = await transport.stream(method, signal, timeoutMs, headersOf(options), one());
      yield* answer.message;
    },
  };
}

function nodeKinds(): CallerKind[] {
  const kinds: CallerKind[] = [];
  const transports = { connect: createConnectTransport, grpc: createGrpcTransport, "grpc-web": createGrpcWebTransport };
  for (const [protocol, createTransport] of Object.entries(transports)) {
    for (const httpVersion of ["1.1", "2"] as const) {
      for (const useBinaryFormat of [true, false]) {
        kinds.push({
          name: `connect-node ${protocol} over HTTP/${httpVersion} in ${useBinaryFormat ? "proto" : "JSON"}`,
          door: "http",
          open(world) {
            const baseUrl = `http://127.0.0.1:${world.httpPort}`;
            if (httpVersion === "1.1") {
              // Of its own, so that its idle connections end before the door does: it would let them linger for a second.
              const agent = new Agent({ keepAlive: true });
              world.onClose(() => agent.destroy());
              return throughTransport(
                createTransport({ baseUrl, httpVersion, useBinaryFormat, nodeOptions: { agent } }),
              );
            }
            const sessionManager = new Http2SessionManager(baseUrl);
            world.onClose(() => sessionManager.abort());
            return throughTransport(createTransport({ baseUrl, httpVersion, useBinaryFormat, sessionManager }));
          },
        });
      }
    }
  }
  return kinds;
}

const webTransports = { connect: createWebConnectTransport, "grpc-web": createWebGrpcWebTransport };

const webKinds = Object.entries(webTransports).map(
  ([protocol, createTransport]): CallerKind => ({
    name: `connect-web ${protocol} through fetch`,
    door: "http",
    open: (world) =>
      throughTransport(createTransport({ baseUrl: `http://127.0.0.1:${world.httpPort}`, fetch: fetchOf(world) })),
  }),
);

const grpcJs: CallerKind = {
  name: "grpc-js on the gRPC door",
  door: "grpc",
  open: (world) => grpcJsCaller(world, world.grpcPort),
};

const grpcJsOnHttp: CallerKind = {
  name: "grpc-js on the HTTP door",
  door: "http",
  open: (world) => grpcJsCaller(world, world.httpPort),
};

export const callerKinds: readonly CallerKind[] = [grpcJs, grpcJsOnHttp, ...nodeKinds(), ...webKinds];

function grpcJsCaller(world: Reachable, port: number): Caller {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.enable_retries": 0,
    // Each caller has a connection of its own, and does not inherit how long another one waits before it connects again.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
  });
  world.onClose(() => client.close());
  const metadataOf = (options: CallerOptions): Metadata => {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headersOf(options))) metadata.set(name, value);
    return metadata;
  };
  const deadlineOf = ({ timeoutMs }: CallerOptions): { deadline?: number } =>
    timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
  const pathOf = (method: DescMethodUnary | DescMethodServerStreaming): string =>
    `/${method.parent.typeName}/${method.name}`;
  return {
    unary: (method, request, options = {}) =>
      new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          pathOf(method),
          (message: MessageInitShape<typeof method.input>) =>
            Buffer.from(toBinary(method.input, create(method.input, message))),
          (bytes: Buffer) => fromBinary(method.output, bytes),
          request,
          metadataOf(options),
          deadlineOf(options),
          (error, response) => (error ? reject(connectErrorOf(error)) : response && resolve(response)),
        );
        options.signal?.addEventListener("abort", () => call.cancel());
      }),
    async *stream(method, request, options = {}) {
      const call = client.makeServerStreamRequest(
        pathOf(method),
        (message: MessageInitShape<typeof method.input>) =>
          Buffer.from(toBinary(method.input, create(method.input, message))),
        (bytes: Buffer) => fromBinary(method.output, bytes),
        request,
        metadataOf(options),
        deadlineOf(options),
      );
      options.signal?.addEventListener("abort", () => call.cancel());
      try {
        yield* call;
      } catch (error) {
        throw connectErrorOf(error as ServiceError);
      } finally {
        call.cancel();
      }
    },
  };
}

/** A grpc-js error with its details, told as a ConnectError so that all clients' errors read the same. */
function connectErrorOf(error: ServiceError): ConnectError {
  const told = new ConnectError(error.details, error.code as number as Code);
  const [status] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (Buffer.isBuffer(status)) {
    told.details = fromBinary(StatusSchema, status).details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
      value,
    }));
  }
  return told;
}
