import { constants } from "node:http2";
import { create, type DescMethod, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { Logger } from "pino";
import {
  type HealthCheckResponse,
  type HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
  Health as HealthService,
} from "../../gen/grpc/health/v1/health_pb.ts";
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import {
  ServerReflectionRequestSchema as AlphaRequestSchema,
  ServerReflectionResponseSchema as AlphaResponseSchema,
  ServerReflection as ServerReflectionAlpha,
} from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { equalClaims } from "../domain/deficit-round-robin.ts";
import { Refusal } from "../domain/refusal.ts";
import { Permits } from "../watch/permits.ts";
import { newCallId } from "./active-call.ts";
import { healthList } from "./builtins.ts";
import { decodeRequest, malformed } from "./codec.ts";
import { openEnvelope } from "./envelopes.ts";
import { connectError } from "./failures.ts";
import type { Health } from "./health.ts";
import {
  answerPlain,
  disregardRest,
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  header,
  reset,
} from "./http-messages.ts";
import { dialectOf } from "./protocols.ts";
import type { Reflection } from "./reflection.ts";
import { type BodyBounds, decompress, readBody, type Unpacking } from "./request-body.ts";
import { MAX_TIMEOUT_MS } from "./timeouts.ts";

/** No request of these services comes near it. */
const MAX_REQUEST_BYTES = 64 * 1024;

/** How the handlers of one request tell of the questions in it. */
const ASKED = createContextKey((): Refusal | undefined => undefined);

export interface BuiltinParts {
  readonly health: Health;
  readonly reflection: Reflection;
  readonly log: Logger;
  /** A request must have arrived whole in this time. */
  readonly requestTimeoutMs: number;
  /** Told of each question on a stream of questions; the result says why it is not answered. */
  asked(req: HttpRequest): Refusal | undefined;
}

/**
 * Health and reflection over HTTP, by Connect's own router: they are called rarely, and reflection streams both ways. The
 * handlers are found by path.
 */
export function httpBuiltins({
  health,
  reflection,
  log,
  requestTimeoutMs,
  asked,
}: BuiltinParts): ReadonlyMap<string, HttpHandler> {
  const bounds = {
    maxBytes: MAX_REQUEST_BYTES,
    timeoutMs: requestTimeoutMs,
    unpacking: new Permits(1, 1, equalClaims),
  };
  const router = createConnectRouter({ readMaxBytes: MAX_REQUEST_BYTES, maxTimeoutMs: MAX_TIMEOUT_MS });
  routeHealth(router, health);
  routeReflection(router, reflection);
  return new Map(
    router.handlers.map((handle): [string, HttpHandler] => {
      // Connect's adapter does the same, but prints failures to the console; a caller that left is one of them.
      const serve = async (req: HttpRequest, res: HttpResponse): Promise<void> => {
        const contextValues = createContextValues().set(ASKED, () => asked(req));
        const request = universalRequestFromNodeRequest(req, res, undefined, contextValues);
        // Questions have to come in time, as other requests.
        if (handle.method.methodKind === "bidi_streaming") resetIn(requestTimeoutMs, req, res);
        const body =
          handle.method.methodKind === "bidi_streaming" ? undefined : await readable(handle.method, req, res, bounds);
        if (body === "refused") return;
        const answer = await handle(body ? { ...request, body: createAsyncIterable([body]) } : request);
        await universalResponseToNodeResponse(answer, res);
      };
      const method = handle.requestPath;
      return [
        method,
        (req, res) => {
          serve(req, res).catch((error: unknown) => {
            log.debug({ err: error, method }, "builtin call failed");
            // Its refusal could not be written, as of half a character: Connect's encoder throws.
            if (res.headersSent) reset(req, res);
            else answerPlain(res, constants.HTTP_STATUS_BAD_REQUEST, "the request cannot be read\n");
          });
        },
      ];
    }),
  );
}

function resetIn(ms: number, req: HttpRequest, res: HttpResponse): void {
  const timer = setTimeout(() => reset(req, res), ms);
  res.once("close", () => clearTimeout(timer));
}

/** Nobody is charged for what is unpacked here, so it has to be little; what these calls ask is a name. */
const UNPACKED_MAX_BYTES = 16 * 1024;

/**
 * The body of a request of one message, once it is known to be one: Connect would call what it cannot read a fault of ours.
 * "refused": it is none, and the caller has been told. Undefined: there is no body, or nothing that we know of reads it.
 */
async function readable(
  method: DescMethod,
  req: HttpRequest,
  res: HttpResponse,
  bounds: BodyBounds & { readonly unpacking: Unpacking },
): Promise<Buffer | "refused" | undefined> {
  const dialect = dialectOf(req);
  if (dialect === undefined || dialect.query) return undefined;
  const { protocol, codec } = dialect;
  try {
    const body = await readBody(req, bounds);
    const encoding = header(req, protocol.encodingHeader);
    const { compressed, data } = protocol.enveloped ? openEnvelope(body) : { compressed: true, data: body };
    if (protocol.enveloped && compressed && encoding === undefined)
      throw malformed("how the message is compressed is not said");
    const maxBytes = Math.min(bounds.maxBytes, UNPACKED_MAX_BYTES);
    const unpack = { ...bounds, maxBytes, tenant: "", charge: () => {}, wanted: () => !res.destroyed };
    decodeRequest(method.input, await decompress(data, compressed ? encoding : undefined, unpack), codec);
    return body;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    disregardRest(req, res);
    protocol.fail(res, codec, connectError(error, newCallId()));
    return "refused";
  }
}

/** The requests of a stream; what cannot be read is told to be the caller's, and so are too many. */
async function* readableEach<T>(requests: AsyncIterable<T>, { values }: HandlerContext): AsyncGenerator<T> {
  const asked = values.get(ASKED);
  try {
    for await (const request of requests) {
      const refusal = asked();
      if (refusal !== undefined) throw refusal;
      yield request;
    }
  } catch (error) {
    const refusal = error instanceof Refusal ? error : malformed(ConnectError.from(error).rawMessage);
    throw connectError(refusal, newCallId());
  }
}

function routeHealth(router: ConnectRouter, health: Health): void {
  router.service(HealthService, {
    check({ service }) {
      const status = health.check(service);
      if (status === undefined) throw new ConnectError("there is no such service", Code.NotFound);
      return { status };
    },
    list: () => healthList(health),
    watch: ({ service }, { signal }) => healthChanges(health, service, signal),
  });
}

/** The states of a service as they come; a state that is replaced before it was taken is skipped. */
async function* healthChanges(
  health: Health,
  service: string,
  signal: AbortSignal,
): AsyncGenerator<HealthCheckResponse> {
  let latest: HealthCheckResponse_ServingStatus | undefined;
  let over = false;
  let wake = (): void => {};
  const end = (): void => {
    over = true;
    wake();
  };
  const stop = health.watch(
    service,
    (status) => {
      latest = status;
      wake();
    },
    end,
  );
  signal.addEventListener("abort", end);
  try {
    for (;;) {
      if (latest !== undefined) {
        const status = latest;
        latest = undefined;
        yield create(HealthCheckResponseSchema, { status });
      } else if (over) {
        return;
      } else {
        const woken = Promise.withResolvers<void>();
        wake = woken.resolve;
        await woken.promise;
      }
    }
  } finally {
    stop();
  }
}

function routeReflection(router: ConnectRouter, reflection: Reflection): void {
  router.service(ServerReflection, {
    async *serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>, context) {
      for await (const request of readableEach(requests, context)) yield reflection(request);
    },
  });
  router.service(ServerReflectionAlpha, {
    async *serverReflectionInfo(requests, context) {
      // The two versions differ in their names only.
      for await (const request of readableEach(requests, context)) {
        const asked = fromBinary(ServerReflectionRequestSchema, toBinary(AlphaRequestSchema, request));
        const answer = toBinary(ServerReflectionResponseSchema, reflection(asked));
        yield fromBinary(AlphaResponseSchema, answer);
      }
    },
  });
}
