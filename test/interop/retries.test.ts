import { create, type DescMessage, type DescMethodUnary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { repeatedly } from "../../src/cli/repeatedly.ts";
import { LeadlineError } from "../../src/client/leadline-error.ts";
import { createLeadlineClient } from "../../src/client/node.ts";
import type { TestTenant } from "../support/app.ts";
import { type InteropWorld, openWorld } from "./world.ts";

/*
 * Who tries again after RESOURCE_EXHAUSTED, and how often: gRPC's own retry policies, our watch client, our command line. A
 * request that asks for too much is refused once and not made again; one that came too fast is, when it may.
 */

const { listOrders, holdOrder } = OrderService.method;
const FIVE = { filter: { ids: ["a", "b", "c", "d", "e"] } };

let world: InteropWorld;
let tenant: TestTenant;
beforeAll(async () => {
  const env = { LEADLINE_FILTER_TERMS: "4", LEADLINE_SNAPSHOT_ROWS: "1", LEADLINE_MESSAGE_MAX_BYTES: "65536" };
  world = await openWorld({ env: { ...env, LEADLINE_TENANT_CALLS_PER_SECOND: "20" } });
  tenant = await world.app.makeTenant("acme");
  const { orders } = world.app.client(tenant.keys.operator);
  for (const orderId of ["PO-1", "PO-2"]) await orders.createOrder({ orderId });
});
afterAll(() => world[Symbol.asyncDispose]());

/** A client whose policy tries whatever is RESOURCE_EXHAUSTED up to five times, at once. */
function retrying(port: number): Client {
  const retryPolicy = {
    ...{ maxAttempts: 5, initialBackoff: "0.01s", maxBackoff: "0.01s", backoffMultiplier: 1 },
    retryableStatusCodes: ["RESOURCE_EXHAUSTED"],
  };
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.enable_retries": 1,
    "grpc.service_config": JSON.stringify({ methodConfig: [{ name: [{}], retryPolicy }] }),
  });
  world.onClose(() => client.close());
  return client;
}

function call<I extends DescMessage>(client: Client, method: DescMethodUnary<I>, init: MessageInitShape<I>) {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${tenant.keys.operator}`);
  const bytes = Buffer.from(toBinary(method.input, create(method.input, init)));
  const same = (message: Buffer) => message;
  return new Promise<ServiceError | undefined>((resolve) =>
    client.makeUnaryRequest(`/${method.parent.typeName}/${method.name}`, same, same, bytes, metadata, (error) =>
      resolve(error ?? undefined),
    ),
  );
}

/** How many calls of a method have been counted, whatever they ended with. */
async function callsOf(method: string): Promise<number> {
  const metrics = await (await fetch(`${world.app.httpUrl}/metrics`)).text();
  const counts = metrics.split("\n").filter((line) => line.startsWith("leadline_call_seconds_count{"));
  return counts
    .filter((line) => line.includes(`/${method}"`))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** How many calls of a method something makes. */
async function made(method: string, work: () => Promise<unknown>): Promise<number> {
  const before = await callsOf(method);
  await work();
  return (await callsOf(method)) - before;
}

describe.each(["grpc", "http"] as const)("gRPC's retry policy at the %s door", (door) => {
  test("asks once for what is too much", async () => {
    const client = retrying(door === "grpc" ? world.grpcPort : world.httpPort);
    let told: ServiceError | undefined;
    expect(
      await made("ListOrders", async () => {
        told = await call(client, listOrders, FIVE);
      }),
    ).toBe(1);
    expect(told).toMatchObject({ code: 8 });
    expect(told?.metadata.get("grpc-retry-pushback-ms")).toEqual(["-1"]);
    const large = await call(client, holdOrder, { orderId: "PO-1", reason: "x".repeat(70_000) });
    expect([large?.code, large?.metadata.get("grpc-retry-pushback-ms")]).toEqual([8, ["-1"]]);
  });
});

// The HTTP door sends headers before the status, after which gRPC's clients try nothing again.
test("gRPC's retry policy at the grpc door waits for the next second with what came too fast, and gets it", async () => {
  const client = retrying(world.grpcPort);
  const told = await Promise.all(Array.from({ length: 30 }, () => call(client, listOrders, { pageSize: 1 })));
  expect(told.filter((error) => error !== undefined)).toEqual([]);
});

test("our watch gives up on a snapshot that is too large, and on a filter that is", async () => {
  const client = createLeadlineClient({ address: `127.0.0.1:${world.grpcPort}`, key: tenant.keys.viewer });
  world.onClose(() => client.close());
  for (const options of [{ includeSnapshot: true }, FIVE]) {
    const items: string[] = [];
    const end = await (async () => {
      for await (const item of client.watchOrders(options)) items.push(item.type);
    })().catch((error: unknown) => error);
    expect(end).toBeInstanceOf(LeadlineError);
    expect(end).toMatchObject({ code: 8, reason: "LIMIT_EXCEEDED", retryAfterMs: 3_600_000 });
  }
});

test("our command line makes a call again that came too fast, and not one that asks for too much", async () => {
  const { signal } = new AbortController();
  const { orders } = world.app.client(tenant.keys.viewer);
  const tooMuch = () => repeatedly(() => orders.listOrders(FIVE), signal).catch((error: unknown) => error);
  expect(await made("ListOrders", tooMuch)).toBe(1);
  const all = await Promise.all(
    Array.from({ length: 30 }, () => repeatedly(() => orders.listOrders({ pageSize: 1 }), signal)),
  );
  expect(all.map(({ orders: { length } }) => length)).toEqual(Array(30).fill(1));
});
