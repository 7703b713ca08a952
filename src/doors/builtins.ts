import { create, type DescService } from "@bufbuild/protobuf";
import {
  HealthCheckResponseSchema,
  type HealthListResponse,
  HealthListResponseSchema,
  Health as HealthService,
} from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { Health } from "./health.ts";
import { pathOf } from "./routes.ts";

/** The services that both doors serve beside their own, to callers without a credential. */
export const builtinServices: readonly DescService[] = [HealthService, ServerReflection, ServerReflectionAlpha];

/** The paths of their methods. */
export const builtinPaths: ReadonlySet<string> = new Set(
  builtinServices.flatMap((service) => service.methods.map(pathOf)),
);

/** Those of them whose calls are streams. */
export const streamPaths: ReadonlySet<string> = new Set(
  builtinServices.flatMap(({ methods }) => methods.filter((one) => one.methodKind !== "unary").map(pathOf)),
);

/** Of the streams those that stay open for as long as the caller likes: questions have to come in time. */
export const lastingPaths: ReadonlySet<string> = new Set([pathOf(HealthService.method.watch)]);

/** The answer of grpc.health.v1's List. */
export function healthList(health: Health): HealthListResponse {
  const statuses = Object.fromEntries(
    [...health.list()].map(([name, status]) => [name, create(HealthCheckResponseSchema, { status })]),
  );
  return create(HealthListResponseSchema, { statuses });
}
