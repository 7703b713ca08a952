import type { DescMessage, DescMethod, Message } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Call, Reply, ServiceEntry } from "../service/call.ts";
import type { WatchSpec } from "../watch/spec.ts";

/** One RPC with the function that answers it. */
export type Route =
  | {
      readonly kind: "unary";
      readonly path: string;
      readonly method: DescMethod;
      readonly run: (request: Message, call: Call) => Promise<Reply<DescMessage>>;
    }
  | {
      readonly kind: "watch";
      readonly path: string;
      readonly method: DescMethod;
      readonly run: (request: Message, call: Call) => Promise<WatchSpec>;
    };

/** The path under which every protocol calls a method: `/leadline.v1.OrderService/GetOrder`. */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** The refusal of a call to a path where there is no method. */
export function methodUnknown(path: string): Refusal {
  const shown = path.slice(0, MAX_PATH_CHARS);
  return new Refusal(ErrorReason.METHOD_UNKNOWN, `there is no method "${shown}"`, { metadata: { path: shown } });
}

/** A path that is told back is cut to this. */
const MAX_PATH_CHARS = 200;

/**
 * The RPCs of the services by their paths. Throws an `Error` for one that is neither unary nor server streaming, or that has
 * no function: the doors would refuse it at run time otherwise.
 */
export function routesOf(services: readonly ServiceEntry[]): ReadonlyMap<string, Route> {
  const routes = new Map<string, Route>();
  for (const { service, implementation } of services) {
    for (const method of service.methods) {
      const run: unknown = Reflect.get(implementation, method.localName);
      const path = pathOf(method);
      if (typeof run !== "function") throw new Error(`${path} has no function`);
      routes.set(path, routeOf(method, path, run.bind(implementation)));
    }
  }
  return routes;
}

// `ServiceEntry` has checked each function against its method; with the service's type the compiler loses the connection.
function routeOf(method: DescMethod, path: string, run: Route["run"]): Route {
  switch (method.methodKind) {
    case "unary":
      return { kind: "unary", path, method, run: run as Extract<Route, { kind: "unary" }>["run"] };
    case "server_streaming":
      return { kind: "watch", path, method, run: run as Extract<Route, { kind: "watch" }>["run"] };
    default:
      throw new Error(`${path} streams requests, which the doors do not serve`);
  }
}
