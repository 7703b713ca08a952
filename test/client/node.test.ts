import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Metadata } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { WatchOrdersResponseSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { GetTenantResponseSchema } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { createLeadlineClient, type LeadlineClient } from "../../src/client/node.ts";
import { Status } from "../../src/client/status.ts";
import { GrpcServer, type WatchCall } from "./grpc-server.ts";
import { events, positionAt, started } from "./scripted-streams.ts";

const opened: { close(): void }[] = [];

afterEach(() => {
  for (const one of opened.splice(0)) one.close();
});

async function serving(answers: ConstructorParameters<typeof GrpcServer>[0], port = 0): Promise<[GrpcServer, string]> {
  const server = new GrpcServer(answers);
  opened.push({ close: () => server.cut() });
  return [server, await server.listen(port)];
}

function clientOf(address: string, key: string | (() => string) = "lead_x"): LeadlineClient {
  const client = createLeadlineClient({ address, key });
  opened.push(client);
  return client;
}

async function failureOf(call: Promise<unknown>): Promise<LeadlineError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof LeadlineError)) throw new Error(`no LeadlineError: ${String(error)}`);
  return error;
}

describe("a call", () => {
  test("carries the key of the moment and is answered with a typed message", async () => {
    const keys: unknown[] = [];
    const [, address] = await serving({
      getTenant(call, reply) {
        keys.push(call.metadata.get("authorization")[0]);
        reply(null, create(GetTenantResponseSchema, { tenant: { id: call.request.tenantId } }));
      },
    });
    let key = "lead_first";
    const client = clientOf(address, () => key);
    expect((await client.tenants.getTenant({ tenantId: "acme" })).tenant?.id).toBe("acme");
    key = "lead_second";
    await client.tenants.getTenant({});
    expect(keys).toEqual(["Bearer lead_first", "Bearer lead_second"]);
  });

  test("that is refused rejects with reason, metadata, violations and advice", async () => {
    const status = create(StatusSchema, {
      code: Status.INVALID_ARGUMENT,
      details: [
        anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationFromMs(1_500) })),
        anyPack(
          ErrorInfoSchema,
          create(ErrorInfoSchema, { reason: "FIELD_INVALID", domain: "leadline.v1", metadata: { order_id: "x" } }),
        ),
        anyPack(
          BadRequestSchema,
          create(BadRequestSchema, { fieldViolations: [{ field: "tenant_id", description: "is too long" }] }),
        ),
      ],
    });
    const metadata = new Metadata();
    metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
    const [, address] = await serving({
      getTenant: (_call, reply) => reply({ code: Status.INVALID_ARGUMENT, details: "no good", metadata }),
    });
    const error = await failureOf(clientOf(address).tenants.getTenant({}));
    expect(error).toMatchObject({
      code: Status.INVALID_ARGUMENT,
      message: "no good",
      reason: "FIELD_INVALID",
      metadata: { order_id: "x" },
      retryAfterMs: 1_500,
    });
    expect(error.violations).toMatchObject([{ field: "tenant_id", description: "is too long" }]);
  });

  test("that is refused by something that knows no details has its code only", async () => {
    const metadata = new Metadata();
    metadata.set("grpc-status-details-bin", Buffer.from([0xff, 0xff, 0xff]));
    const [, address] = await serving({
      getTenant: (_call, reply) => reply({ code: Status.UNAVAILABLE, details: "proxy", metadata }),
    });
    expect(await failureOf(clientOf(address).tenants.getTenant({}))).toMatchObject({
      code: Status.UNAVAILABLE,
      message: "proxy",
      reason: "",
      reasonName: "UNAVAILABLE",
    });
  });

  test("that is not answered ends at its timeout, or when its signal aborts", async () => {
    const [, address] = await serving({ getTenant: () => undefined });
    const { tenants } = clientOf(address);
    expect(await failureOf(tenants.getTenant({}, { timeoutMs: 50 }))).toMatchObject({ code: Status.DEADLINE_EXCEEDED });
    const stop = new AbortController();
    const call = failureOf(tenants.getTenant({}, { signal: stop.signal }));
    stop.abort();
    expect(await call).toMatchObject({ code: Status.CANCELLED });
    expect(await failureOf(tenants.getTenant({}, { signal: AbortSignal.abort() }))).toMatchObject({
      code: Status.CANCELLED,
    });
  });
});

describe("a watch", () => {
  function answer(call: WatchCall, ...revisions: number[]): void {
    call.write(create(WatchOrdersResponseSchema, started(positionAt(1))));
    call.write(create(WatchOrdersResponseSchema, events(...revisions)));
  }

  test("resumes on the same address after every connection was cut", async () => {
    const asked: string[] = [];
    const watchOrders = (call: WatchCall): void => {
      asked.push(call.request.position);
      answer(call, 2, 3, asked.length + 2);
    };
    const [server, address] = await serving({ watchOrders });
    const watch = clientOf(address).watchOrders({ position: positionAt(1), backoff: { firstMs: 1, maxMs: 1 } });
    const seen: string[] = [];
    for await (const item of watch) {
      if (item.type !== "event") continue;
      seen.push(item.event.position);
      if (seen.length === 2) {
        server.cut();
        await serving({ watchOrders }, server.port);
      }
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([positionAt(2), positionAt(3), positionAt(4)]);
    expect(asked).toEqual([positionAt(1), positionAt(3)]);
  });

  test("that is left cancels its call", async () => {
    let cancelled: (() => void) | undefined;
    const left = new Promise<void>((resolve) => {
      cancelled = resolve;
    });
    const [, address] = await serving({
      watchOrders(call) {
        call.on("cancelled", () => cancelled?.());
        answer(call, 2);
      },
    });
    for await (const item of clientOf(address).watchOrders({ position: positionAt(1) })) {
      expect(item.type).toBe("event");
      break;
    }
    await left;
  });

  test("that may not be opened fails with the service's reason", async () => {
    const [, address] = await serving({
      watchOrders: (call) => call.emit("error", { code: Status.PERMISSION_DENIED, details: "not you" }),
    });
    const watch = clientOf(address).watchOrders();
    expect(await failureOf(watch.next())).toMatchObject({ code: Status.PERMISSION_DENIED, message: "not you" });
  });

  test("takes a hundred thousand events of a catch-up in order", async () => {
    const count = 100_000;
    const [, address] = await serving({
      watchOrders(call) {
        call.write(create(WatchOrdersResponseSchema, started(positionAt(1))));
        for (let from = 2; from < count + 2; from += 1_000) {
          const page = Array.from({ length: 1_000 }, (_, index) => from + index);
          call.write(create(WatchOrdersResponseSchema, events(...page)));
        }
      },
    });
    let next = 2n;
    for await (const item of clientOf(address).watchOrders({ position: positionAt(1) })) {
      if (item.type !== "event") continue;
      if (item.event.revision !== next) throw new Error(`revision ${item.event.revision} came in place of ${next}`);
      next += 1n;
      if (next === BigInt(count) + 2n) break;
    }
    expect(next).toBe(BigInt(count) + 2n);
  });
});
