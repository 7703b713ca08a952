import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { HealthCheckRequestSchema } from "../../gen/grpc/health/v1/health_pb.ts";
import { GetOrderRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { frame, grpcStatusOf, rawAnswer, rawCall, rawSession } from "./raw.ts";
import { World, within } from "./world.ts";

const GET_ORDER = "/leadline.v1.OrderService/GetOrder";
const CHECK = "/grpc.health.v1.Health/Check";

const ask = (orderId: string) => frame(toBinary(GetOrderRequestSchema, create(GetOrderRequestSchema, { orderId })));

test("an answer that goes past grpc-js has the headers and trailers of one of its own", async () => {
  await using world = await World.open();
  const session = rawSession(world, world.grpcPort);
  const ours = rawCall(session, GET_ORDER).end(ask("PO-1"));
  const theirs = rawCall(session, CHECK).end(
    frame(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema))),
  );
  const [answer, own] = await Promise.all([rawAnswer(ours), rawAnswer(theirs)]);
  // We unpack gzip alone.
  const dated = { ...own.headers, date: expect.any(String), "grpc-accept-encoding": "identity,gzip" };
  expect(answer.headers).toEqual(dated);
  expect({ ...answer.trailers }).toEqual({ ...own.trailers });
  expect(answer.trailers["grpc-status"]).toBe("0");
});

test("a caller that leaves before its answer is ready is heard of, and leaves its connection to the others", async () => {
  await using world = await World.open();
  const session = rawSession(world, world.grpcPort);
  const leaving = rawCall(session, GET_ORDER).end(ask("slow"));
  await world.slowCall();
  leaving.close();
  const [signal] = world.slowCalls;
  await within(5_000, new Promise((resolve) => signal?.addEventListener("abort", resolve)), "nobody was told");
  expect(grpcStatusOf(await rawAnswer(rawCall(session, GET_ORDER).end(ask("PO-1"))))).toBe("0");
});
