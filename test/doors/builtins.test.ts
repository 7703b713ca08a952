import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { BEARER, World } from "./world.ts";

const run = promisify(execFile);
const buf = new URL("../../node_modules/.bin/buf", import.meta.url).pathname;

describe.each(["grpc", "http"] as const)("on the %s door", (door) => {
  const urlOf = (world: World): string => `http://127.0.0.1:${door === "grpc" ? world.grpcPort : world.httpPort}`;

  function transportTo(world: World) {
    const baseUrl = urlOf(world);
    const sessionManager = new Http2SessionManager(baseUrl);
    world.onClose(() => sessionManager.abort());
    return createGrpcTransport({ baseUrl, sessionManager });
  }

  test("health is told to anybody, for the instance and each service", async () => {
    await using world = await World.open();
    const health = createClient(Health, transportTo(world));
    expect(await health.check({})).toMatchObject({ status: Status.SERVING });
    expect(await health.check({ service: "leadline.v1.OrderService" })).toMatchObject({ status: Status.SERVING });
    await expect(health.check({ service: "leadline.v1.Nothing" })).rejects.toMatchObject({ code: 5 });
    const { statuses } = await health.list({});
    expect(Object.keys(statuses).sort()).toEqual(["", "leadline.v1.OrderService"]);
    world.health.set(false);
    expect(await health.check({})).toMatchObject({ status: Status.NOT_SERVING });
  });

  test("a watch of health tells every change and ends when the instance stops", async () => {
    await using world = await World.open();
    const health = createClient(Health, transportTo(world));
    const changes = health.watch({})[Symbol.asyncIterator]();
    expect((await changes.next()).value?.status).toBe(Status.SERVING);
    world.health.set(false);
    expect((await changes.next()).value?.status).toBe(Status.NOT_SERVING);
    world.health.set(true);
    expect((await changes.next()).value?.status).toBe(Status.SERVING);
    world.health.close();
    expect((await changes.next()).value?.status).toBe(Status.NOT_SERVING);
    expect((await changes.next()).done).toBe(true);
    const unknown = health.watch({ service: "leadline.v1.Nothing" })[Symbol.asyncIterator]();
    expect((await unknown.next()).value?.status).toBe(Status.SERVICE_UNKNOWN);
  });

  test.each([ServerReflection, ServerReflectionAlpha])(
    "$typeName tells services, files and symbols",
    async (service) => {
      await using world = await World.open();
      const client = createClient(service, transportTo(world));
      async function* asked() {
        yield { messageRequest: { case: "listServices", value: "" } } as const;
        yield { messageRequest: { case: "fileContainingSymbol", value: "leadline.v1.OrderService.GetOrder" } } as const;
        yield { messageRequest: { case: "fileByFilename", value: "no/such.proto" } } as const;
        const extension = { containingType: "google.protobuf.FieldOptions", extensionNumber: 1159 };
        yield { messageRequest: { case: "fileContainingExtension", value: extension } } as const;
        yield { messageRequest: { case: "allExtensionNumbersOfType", value: "google.protobuf.FieldOptions" } } as const;
      }
      const told: unknown[] = [];
      for await (const { messageResponse } of client.serverReflectionInfo(asked())) {
        const { value } = messageResponse;
        if (messageResponse.case === "fileDescriptorResponse")
          told.push(messageResponse.value.fileDescriptorProto.length > 3);
        else told.push(value);
      }
      expect(told).toMatchObject([
        { service: expect.arrayContaining([expect.objectContaining({ name: "leadline.v1.OrderService" })]) },
        true,
        { errorCode: 5 },
        true,
        { extensionNumber: expect.arrayContaining([1159]) },
      ]);
    },
  );

  test("buf curl needs no schema", async () => {
    await using world = await World.open();
    const { stdout } = await run(buf, [
      "curl",
      "--protocol=grpc",
      "--http2-prior-knowledge",
      `--header=authorization: Bearer ${BEARER}`,
      '--data={"orderId":"ord_1"}',
      `${urlOf(world)}/leadline.v1.OrderService/GetOrder`,
    ]);
    expect(JSON.parse(stdout)).toEqual({ order: { id: "ord_1", status: "IN_TRANSIT" } });
  });
});
