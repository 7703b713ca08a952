import { create, toBinary } from "@bufbuild/protobuf";
import pino from "pino";
import { Registry } from "prom-client";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import {
  GetOrderResponseSchema,
  HoldOrderResponseSchema,
  OrderService,
} from "../../gen/leadline/v1/order_service_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { compileOrderFilter } from "../../src/domain/filter.ts";
import type { Principal } from "../../src/domain/principal.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { SubjectKind } from "../../src/domain/subject.ts";
import { builtinServices } from "../../src/doors/builtins.ts";
import { GrpcDoor } from "../../src/doors/grpc.ts";
import { Health } from "../../src/doors/health.ts";
import { HttpDoor, type HttpDoorParts } from "../../src/doors/http.ts";
import { createDoorMetrics } from "../../src/doors/metrics.ts";
import type { GrpcDoorOptions, HttpDoorOptions } from "../../src/doors/options.ts";
import { createPipeline, type Limits } from "../../src/doors/pipeline.ts";
import { createReflection } from "../../src/doors/reflection.ts";
import { EncodedReply, type Implementation } from "../../src/service/call.ts";
import { HubDouble } from "./hub-double.ts";

export const BEARER = "test-key";
export const SECRET = "the text of a fault that nobody outside may read";

const principal: Principal = {
  kind: "key",
  id: "key_test",
  name: "test",
  tenant: "acme",
  role: Role.OPERATOR,
  carrier: "",
  expiresAtMs: undefined,
};

/** Watches that were admitted and not given back. */
class CountingLimits implements Limits {
  open = 0;
  calls = 0;
  #waiting: (() => void)[] = [];

  call(): void {
    this.calls++;
  }

  snapshotRows(): number {
    return Number.MAX_SAFE_INTEGER;
  }

  /** Says whom it was asked for, as the limits say the tier. */
  explained({ id }: Principal, { reason, message, metadata }: Refusal): Refusal {
    return new Refusal(reason, message, { metadata: { ...metadata, explained_to: id } });
  }

  watch(): () => void {
    this.open++;
    return () => {
      this.open--;
      if (this.open === 0) for (const tell of this.#waiting.splice(0)) tell();
    };
  }

  /** Resolves when no watch is held. */
  none(): Promise<void> {
    return this.open === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export interface WorldOptions {
  readonly http?: Partial<HttpDoorOptions>;
  readonly grpc?: Partial<GrpcDoorOptions>;
  readonly parts?: Partial<HttpDoorParts>;
}

/** Both doors with a few real RPCs behind them, on ports of their own. */
export class World implements AsyncDisposable {
  readonly hub = new HubDouble();
  readonly limits = new CountingLimits();
  readonly registry = new Registry();
  readonly health = new Health([OrderService.typeName]);
  readonly logged: Record<string, unknown>[] = [];
  readonly log = pino({ level: "debug" }, { write: (line: string) => void this.logged.push(JSON.parse(line)) });
  readonly pipeline = createPipeline({
    services: [{ service: OrderService, implementation: this.#orders() }],
    authenticate: (bearer) => {
      if (bearer === undefined) throw new Refusal(ErrorReason.CREDENTIAL_MISSING, "there is no credential");
      if (bearer !== BEARER) throw new Refusal(ErrorReason.CREDENTIAL_INVALID, "the credential is unknown");
      return principal;
    },
    authorise: (_call, method) => {
      if (method === OrderService.method.cancelOrder) throw new Refusal(ErrorReason.ROLE_FORBIDS, "not you");
      return undefined;
    },
    entitlements: { check() {}, checkWatch() {} },
    limits: this.limits,
    openWatch: this.hub.open,
    metrics: createDoorMetrics(this.registry),
    log: this.log,
  });
  readonly httpDoor: HttpDoor;
  readonly grpcDoor: GrpcDoor;
  readonly #closers: (() => void | Promise<void>)[] = [];
  /** Signals of the calls of GetOrder with the id "slow", which answers only when it is aborted. */
  readonly slowCalls: AbortSignal[] = [];
  #slowWaiting: (() => void)[] = [];
  httpPort = 0;
  grpcPort = 0;

  constructor({ http, grpc, parts }: WorldOptions) {
    const reflection = createReflection([OrderService, ...builtinServices]);
    const shared = { pipeline: this.pipeline, health: this.health, reflection };
    this.httpDoor = new HttpDoor({ ...shared, registry: this.registry, ...parts }, { port: 0, ...http });
    this.grpcDoor = new GrpcDoor(shared, { port: 0, ...grpc });
  }

  static async open(options: WorldOptions = {}): Promise<World> {
    const world = new World(options);
    world.httpPort = await world.httpDoor.open();
    world.grpcPort = await world.grpcDoor.open();
    world.health.set(true);
    return world;
  }

  /** Runs before the doors close: closes a client. */
  onClose(close: () => void | Promise<void>): void {
    this.#closers.push(close);
  }

  /** Resolves when a "slow" call has come in. */
  slowCall(): Promise<void> {
    return this.slowCalls.length > 0 ? Promise.resolve() : new Promise((resolve) => this.#slowWaiting.push(resolve));
  }

  /** The value of one metric, by its line in the exposition; 0 when there is none. */
  async metric(start: string): Promise<number> {
    const lines = (await this.registry.metrics()).split("\n");
    return Number(
      lines
        .find((line) => line.startsWith(start))
        ?.split(" ")
        .at(-1) ?? 0,
    );
  }

  /** Closes the clients, then the doors. A watch or a connection that is left over is a leak, and fails the test. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers) await close();
    await within(5_000, this.limits.none(), `${this.limits.open} watches were not released`);
    const closed = Promise.all([this.httpDoor.close(60_000), this.grpcDoor.close(60_000)]);
    await within(5_000, closed, "connections were left open");
  }

  #orders(): Implementation<typeof OrderService> {
    const refuse = (): Promise<never> => Promise.reject(new Refusal(ErrorReason.OVERLOADED, "not in this test"));
    const rest = Object.fromEntries(OrderService.methods.map(({ localName }) => [localName, refuse]));
    const served: Partial<Implementation<typeof OrderService>> = {
      getOrder: async ({ orderId }, call) => {
        if (orderId === "unknown") {
          throw new Refusal(ErrorReason.ORDER_UNKNOWN, `order "${orderId}" is unknown`, {
            metadata: { order_id: orderId },
          });
        }
        if (orderId === "broken") throw new Error(SECRET);
        if (orderId === "slow") {
          const { signal } = call;
          this.slowCalls.push(signal);
          for (const tell of this.#slowWaiting.splice(0)) tell();
          await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        }
        const status = orderId === "big" ? "x".repeat(200_000) : "IN_TRANSIT";
        const response = create(GetOrderResponseSchema, { order: { id: orderId, status } });
        return orderId === "encoded" ? new EncodedReply(toBinary(GetOrderResponseSchema, response)) : response;
      },
      holdOrder: async ({ orderId, reason }) => {
        if (reason === "busy") throw new Refusal(ErrorReason.RATE_LIMITED, "too often", { retryAfterMs: 1_500 });
        return create(HoldOrderResponseSchema, { order: { id: orderId, status: reason } });
      },
      watchOrders: async ({ filter, position, mode }) => {
        if (position === "bad")
          throw new Refusal(ErrorReason.POSITION_INVALID, `position "${position}" is not one of ours`);
        return {
          tenant: position === "astray" ? "other" : "acme",
          credential: principal.id,
          expiresAtMs: undefined,
          kind: SubjectKind.ORDER,
          visibility: { class: "staff" },
          filter: compileOrderFilter(filter),
          start: position === "" ? { from: "now" } : { from: "position", position },
          mode: mode === 2 ? "LATEST" : "ALL",
        };
      },
    };
    // The rest refuses, whatever it is asked.
    return { ...rest, ...served } as Implementation<typeof OrderService>;
  }
}

/** The promise, or an error when it takes longer. */
export async function within<T>(ms: number, promise: Promise<T>, complaint: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(complaint)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
