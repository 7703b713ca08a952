import { create, type DescMessage, type DescMethod, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  Server,
} from "@grpc/grpc-js";
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponseSchema,
  type HealthListRequest,
  type HealthListResponse,
  Health as HealthService,
} from "../../gen/grpc/health/v1/health_pb.ts";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Code } from "../domain/refusal.ts";
import { networkOf } from "../service/address.ts";
import { newCallId } from "./active-call.ts";
import type { Anonymous } from "./anonymous.ts";
import { healthList } from "./builtins.ts";
import { serviceError } from "./grpc-watch.ts";
import type { Health } from "./health.ts";
import type { Reflection } from "./reflection.ts";
import { pathOf } from "./routes.ts";

/** Adds grpc.health.v1 to a grpc-js server. */
export function addHealth(server: Server, health: Health): void {
  const check: handleUnaryCall<HealthCheckRequest, HealthCheckResponse> = ({ request }, callback) => {
    const status = health.check(request.service);
    if (status === undefined) callback({ code: Code.NOT_FOUND, details: "there is no such service" });
    else callback(null, create(HealthCheckResponseSchema, { status }));
  };
  const list: handleUnaryCall<HealthListRequest, HealthListResponse> = (_call, callback) =>
    callback(null, healthList(health));
  const watch: handleServerStreamingCall<HealthCheckRequest, HealthCheckResponse> = (call) => {
    const stop = health.watch(
      call.request.service,
      (status) => call.write(create(HealthCheckResponseSchema, { status })),
      () => call.end(),
    );
    call.on("cancelled", stop);
  };
  const { method } = HealthService;
  const definition = {
    check: definitionOf(method.check),
    list: definitionOf(method.list),
    watch: definitionOf(method.watch),
  };
  server.addService(definition, { check, list, watch });
}

/** Adds grpc.reflection.v1 and v1alpha to a grpc-js server. Their messages have the same encoding. */
export function addReflection(server: Server, reflection: Reflection, anonymous: Anonymous): void {
  const reflect: handleBidiStreamingCall<ServerReflectionRequest, ServerReflectionResponse> = (call) => {
    const network = networkOf(call.getPeer().replace(/:\d+$/, ""));
    call.on("data", (request: ServerReflectionRequest) => {
      const refusal = anonymous.call(network);
      if (refusal !== undefined) {
        call.emit("error", serviceError(refusal, newCallId()));
        return;
      }
      if (call.write(reflection(request))) return;
      call.pause();
      call.once("drain", () => call.resume());
    });
    call.on("end", () => call.end());
  };
  const v1 = definitionOf(ServerReflection.method.serverReflectionInfo);
  const v1alpha = { ...v1, path: pathOf(ServerReflectionAlpha.method.serverReflectionInfo) };
  for (const definition of [v1, v1alpha]) server.addService({ reflect: definition }, { reflect });
}

/** How grpc-js knows a method. */
function definitionOf<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  const { input, methodKind, output } = method;
  return {
    path: pathOf(method),
    requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
    responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
    requestSerialize: (message) => Buffer.from(toBinary(input, message)),
    requestDeserialize: (bytes) => fromBinary(input, bytes),
    responseSerialize: (message) => Buffer.from(toBinary(output, message)),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}
