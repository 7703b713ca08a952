import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { create, type DescMethod, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Client, type CallOptions as GrpcCallOptions, Metadata, type ServiceError } from "@grpc/grpc-js";
import { fromServiceError } from "./grpc-error.ts";
import { judgedBy, type KeySource, keyNow } from "./key.ts";

/** What a single call may say. */
export interface CallOptions {
  /** Gives up after this time with DEADLINE_EXCEEDED, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined;
  /** Gives up when it aborts, with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

type UnaryNames<S extends DescService> = {
  [M in keyof S["method"]]: S["method"][M] extends DescMethodUnary ? M : never;
}[keyof S["method"]];

/** The unary methods of a service as functions; they reject with a LeadlineError. */
export type UnaryMethods<S extends DescService> = {
  [M in UnaryNames<S>]: S["method"][M] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : never;
};

const defaultTimeoutMs = 30_000;

/** Functions for all unary methods of a service. `client` is asked for at each call, and so is the key. */
export function unaryMethods<S extends DescService>(service: S, client: () => Client, key: KeySource): UnaryMethods<S> {
  const methods = service.methods
    .filter((method) => method.methodKind === "unary")
    .map((method) => [
      method.localName,
      (request: MessageInitShape<DescMessage>, options: CallOptions = {}) =>
        unary(client, key, method, request, options),
    ]);
  // The descriptors' types say which names there are; that they are made from the same descriptors cannot be told here.
  return Object.fromEntries(methods) as UnaryMethods<S>;
}

function unary(
  client: () => Client,
  key: KeySource,
  method: DescMethod,
  request: MessageInitShape<DescMessage>,
  options: CallOptions,
): Promise<MessageShape<DescMessage>> {
  // What throws in here rejects.
  return new Promise((resolve, reject) => {
    const metadata = bearer(keyNow(key));
    const message = create(method.input, request);
    const deadline = Date.now() + (options.timeoutMs ?? defaultTimeoutMs);
    const cancel = (): void => call.cancel();
    const done = (error: ServiceError | null, response?: MessageShape<DescMessage>): void => {
      options.signal?.removeEventListener("abort", cancel);
      if (response !== undefined) resolve(response);
      else if (error) reject(fromServiceError(error));
    };
    const call = client().makeUnaryRequest(
      pathOf(method),
      (value: MessageShape<DescMessage>) => Buffer.from(toBinary(method.input, value)),
      (bytes: Buffer) => fromBinary(method.output, bytes),
      message,
      metadata,
      { deadline },
      done,
    );
    if (options.signal?.aborted) cancel();
    options.signal?.addEventListener("abort", cancel);
  });
}

/** Opens one server stream with the key of now; it ends with CANCELLED when the signal aborts. */
export async function* serverStream<I extends DescMessage, O extends DescMessage>(
  client: () => Client,
  source: KeySource,
  method: DescMethodServerStreaming<I, O>,
  request: MessageShape<I>,
  signal: AbortSignal,
): AsyncGenerator<MessageShape<O>, void> {
  const options: GrpcCallOptions = {};
  const key = keyNow(source);
  const call = client().makeServerStreamRequest(
    pathOf(method),
    (value: MessageShape<I>) => Buffer.from(toBinary(method.input, value)),
    (bytes: Buffer) => fromBinary(method.output, bytes),
    request,
    bearer(key),
    options,
  );
  const cancel = (): void => call.cancel();
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  try {
    for await (const message of call) yield message;
  } catch (error) {
    throw isServiceError(error) ? judgedBy(source, key, fromServiceError(error)) : error;
  } finally {
    signal.removeEventListener("abort", cancel);
    // A reader that leaves early would otherwise leave the stream open.
    cancel();
    call.on("error", () => undefined);
  }
}

function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" && "details" in error;
}

/** The headers of a call: `authorization: Bearer <key>`, or none. */
function bearer(key: string): Metadata {
  const metadata = new Metadata();
  if (key !== "") metadata.set("authorization", `Bearer ${key}`);
  return metadata;
}
