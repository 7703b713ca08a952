import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
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
import { healthList } from "./builtins.ts";
import type { Health } from "./health.ts";
import { type HttpHandler, type HttpRequest, type HttpResponse, reset } from "./http-messages.ts";
import type { Reflection } from "./reflection.ts";
import { MAX_TIMEOUT_MS } from "./timeouts.ts";

/** No request of these services comes near it. */
const MAX_REQUEST_BYTES = 64 * 1024;

export interface BuiltinParts {
  readonly health: Health;
  readonly reflection: Reflection;
  readonly log: Logger;
}

/**
 * Health and reflection over HTTP, by Connect's own router: they are called rarely, and reflection streams both ways. The
 * handlers are found by path.
 */
export function httpBuiltins({ health, reflection, log }: BuiltinParts): ReadonlyMap<string, HttpHandler> {
  const router = createConnectRouter({ readMaxBytes: MAX_REQUEST_BYTES, maxTimeoutMs: MAX_TIMEOUT_MS });
  routeHealth(router, health);
  routeReflection(router, reflection);
  return new Map(
    router.handlers.map((handle): [string, HttpHandler] => {
      // Connect's adapter does the same, but prints failures to the console; a caller that left is one of them.
      const serve = async (req: HttpRequest, res: HttpResponse): Promise<void> => {
        const answer = await handle(universalRequestFromNodeRequest(req, res, undefined, undefined));
        await universalResponseToNodeResponse(answer, res);
      };
      const method = handle.requestPath;
      return [
        method,
        (req, res) => {
          serve(req, res).catch((error: unknown) => {
            log.debug({ err: error, method }, "builtin call failed");
            reset(req, res);
          });
        },
      ];
    }),
  );
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
    async *serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>) {
      for await (const request of requests) yield reflection(request);
    },
  });
  router.service(ServerReflectionAlpha, {
    async *serverReflectionInfo(requests) {
      // The two versions differ in their names only.
      for await (const request of requests) {
        const asked = fromBinary(ServerReflectionRequestSchema, toBinary(AlphaRequestSchema, request));
        const answer = toBinary(ServerReflectionResponseSchema, reflection(asked));
        yield fromBinary(AlphaResponseSchema, answer);
      }
    },
  });
}
