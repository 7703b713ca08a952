import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { OrderService, type WatchOrdersResponse } from "../../gen/leadline/v1/order_service_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { EndReason } from "../../gen/leadline/v1/watch_pb.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { callerKinds } from "./callers.ts";
import { SECRET, World, within } from "./world.ts";

const { getOrder, holdOrder, cancelOrder, watchOrders } = OrderService.method;

/** The error of a promise that must fail. */
async function errorOf(promise: Promise<unknown>): Promise<ConnectError> {
  const error = await promise.then(
    (value) => expect.fail(`it succeeded: ${String(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof ConnectError) return error;
  throw error;
}

function infoOf(error: ConnectError): { reason: string; domain: string; metadata: Record<string, string> } {
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info === undefined) throw new Error(`no ErrorInfo in ${error.message}`);
  return info;
}

async function collect<T>(messages: AsyncIterable<T>, into: T[] = []): Promise<T[]> {
  for await (const message of messages) into.push(message);
  return into;
}

/** Takes the first message and goes on with the same stream. */
async function begin<T>(
  messages: AsyncIterable<T>,
): Promise<{ first: T; iterator: AsyncIterator<T>; rest(): Promise<T[]> }> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) throw new Error("the stream ended before its first message");
  return {
    first: first.value,
    iterator,
    async rest() {
      const all: T[] = [];
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) all.push(next.value);
      return all;
    },
  };
}

describe.concurrent.each(callerKinds)("$name", (kind) => {
  test("a unary call is answered", async () => {
    await using world = await World.open();
    const answer = await kind.open(world).unary(getOrder, { orderId: "ord_1" });
    expect(answer.order).toMatchObject({ id: "ord_1", status: "IN_TRANSIT" });
  });

  test("an answer that is encoded already arrives the same", async () => {
    await using world = await World.open();
    const answer = await kind.open(world).unary(getOrder, { orderId: "encoded" });
    expect(answer.order).toMatchObject({ id: "encoded", status: "IN_TRANSIT" });
  });

  test("an answer of 200 kB arrives whole", async () => {
    await using world = await World.open();
    const answer = await kind.open(world).unary(getOrder, { orderId: "big" });
    expect(answer.order?.status).toHaveLength(200_000);
  });

  test("a refusal carries its code, reason and metadata, and the call's id", async () => {
    await using world = await World.open();
    const error = await errorOf(kind.open(world).unary(getOrder, { orderId: "unknown" }));
    expect(error.code).toBe(Code.NotFound);
    expect(error.rawMessage).toBe('order "unknown" is unknown');
    expect(infoOf(error)).toMatchObject({
      reason: "ORDER_UNKNOWN",
      domain: "leadline.v1",
      metadata: { order_id: "unknown", call_id: expect.stringMatching(/^call_/) },
    });
  });

  test("a refusal that is worth a retry says when", async () => {
    await using world = await World.open();
    const error = await errorOf(kind.open(world).unary(holdOrder, { orderId: "ord_1", reason: "busy" }));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 1n, nanos: 500_000_000 } }]);
  });

  test("fields that break their rules are all listed", async () => {
    await using world = await World.open();
    const error = await errorOf(kind.open(world).unary(holdOrder, { orderId: "no spaces please", reason: "" }));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(infoOf(error).reason).toBe("FIELD_INVALID");
    const [badRequest] = error.findDetails(BadRequestSchema);
    expect(badRequest?.fieldViolations.map(({ field }) => field)).toEqual(["order_id", "reason"]);
  });

  test("a fault of ours tells nothing but the id under which it is logged", async () => {
    await using world = await World.open();
    const error = await errorOf(kind.open(world).unary(getOrder, { orderId: "broken" }));
    expect(error.code).toBe(Code.Internal);
    const { reason, metadata } = infoOf(error);
    expect(reason).toBe("INTERNAL");
    expect(error.rawMessage).not.toContain(SECRET);
    const logged = world.logged.find((line) => line.callId === metadata.call_id);
    expect(logged).toMatchObject({ level: 50, err: { message: SECRET } });
  });

  test.each([
    ["", "CREDENTIAL_MISSING"],
    ["another", "CREDENTIAL_INVALID"],
  ])("the credential %j is refused with %s", async (bearer, reason) => {
    await using world = await World.open();
    const error = await errorOf(kind.open(world).unary(getOrder, { orderId: "ord_1" }, { bearer }));
    expect(error.code).toBe(Code.Unauthenticated);
    expect(infoOf(error).reason).toBe(reason);
  });

  test("what the role forbids is refused", async () => {
    await using world = await World.open();
    const error = await errorOf(kind.open(world).unary(cancelOrder, { orderId: "ord_1", reason: "because" }));
    expect(error.code).toBe(Code.PermissionDenied);
    expect(infoOf(error).reason).toBe("ROLE_FORBIDS");
  });

  test("a method that there is not is refused with its path", async () => {
    await using world = await World.open();
    const error = await errorOf(kind.open(world).unary(TenantService.method.getTenant, {}));
    expect(error.code).toBe(Code.Unimplemented);
    expect(infoOf(error)).toMatchObject({
      reason: "METHOD_UNKNOWN",
      metadata: { path: "/leadline.v1.TenantService/GetTenant" },
    });
  });

  test("a request that is too large is refused", async () => {
    const bounds = { maxMessageBytes: 10_000 };
    await using world = await World.open({ http: bounds, grpc: bounds });
    const request = { orderId: "ord_1", reason: "x".repeat(100_000) };
    const error = await errorOf(kind.open(world).unary(holdOrder, request));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(infoOf(error).reason).toBe("MESSAGE_TOO_LARGE");
  });

  test("a unary call that takes too long ends at its deadline, and the service hears of it", async () => {
    await using world = await World.open();
    const error = await errorOf(kind.open(world).unary(getOrder, { orderId: "slow" }, { timeoutMs: 1_000 }));
    expect(error.code).toBe(Code.DeadlineExceeded);
    const [signal] = world.slowCalls;
    await within(5_000, abortOf(signal), "the call was not aborted");
  });

  test("a caller that leaves aborts the call's signal", async () => {
    await using world = await World.open();
    const leaving = new AbortController();
    const answer = kind.open(world).unary(getOrder, { orderId: "slow" }, { signal: leaving.signal });
    const error = errorOf(answer);
    await world.slowCall();
    leaving.abort();
    expect((await error).code).toBe(Code.Canceled);
    await within(5_000, abortOf(world.slowCalls[0]), "the call was not aborted");
  });

  test("a watch's first message arrives at once, and the others in their order", async () => {
    await using world = await World.open();
    const watch = await begin(kind.open(world).stream(watchOrders, { position: "3-x" }));
    expect(watch.first.started?.head).toBe("7-greeting");
    const opened = await world.hub.next();
    expect(opened.spec).toMatchObject({ tenant: "acme", start: { from: "position", position: "3-x" } });
    for (let i = 0; i < 50; i++) opened.send({ left: [{ id: `ord_${i}`, position: `${i}-e` }] });
    opened.reset();
    const rest = await watch.rest();
    expect(rest.flatMap(({ left }) => left.map(({ id }) => id))).toEqual(
      Array.from({ length: 50 }, (_, i) => `ord_${i}`),
    );
    await opened.cancelled;
  });

  test("a watch may end without any message", async () => {
    await using world = await World.open();
    world.hub.greets = false;
    const messages = collect(kind.open(world).stream(watchOrders, {}));
    (await world.hub.next()).reset();
    expect(await messages).toEqual([]);
  });

  test("a message of 300 kB arrives whole, between small ones", async () => {
    await using world = await World.open();
    const watch = await begin(kind.open(world).stream(watchOrders, {}));
    const opened = await world.hub.next();
    opened.send({ bookmark: { position: "1-a" } });
    opened.send({ left: [{ id: "y".repeat(300_000), position: "" }] });
    opened.send({ bookmark: { position: "2-b" } });
    opened.reset();
    const rest = await watch.rest();
    expect(rest.map(({ bookmark, left }) => bookmark?.position ?? left[0]?.id.length)).toEqual(["1-a", 300_000, "2-b"]);
  });

  test("a watch that is refused has the error and no message", async () => {
    await using world = await World.open();
    const got: WatchOrdersResponse[] = [];
    const error = await errorOf(collect(kind.open(world).stream(watchOrders, { position: "bad" }), got));
    expect(error.code).toBe(Code.InvalidArgument);
    expect(infoOf(error).reason).toBe("POSITION_INVALID");
    expect(got).toEqual([]);
  });

  test("a watch that is refused past a limit is told what the limits say of it", async () => {
    await using world = await World.open();
    const watch = await begin(kind.open(world).stream(watchOrders, {}));
    const metadata = { limit: "snapshot_rows", allowed: "3", used: "more than 3" };
    (await world.hub.next()).refuse(new Refusal(ErrorReason.LIMIT_EXCEEDED, "filter the watch", { metadata }));
    const error = await errorOf(watch.iterator.next());
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(infoOf(error).metadata).toMatchObject({ ...metadata, explained_to: "key_test" });
  });

  test.each([
    [EndReason.DRAINING, Code.Unavailable, "DRAINING"],
    [EndReason.MAX_AGE, Code.Unavailable, "MAX_AGE"],
    [EndReason.SLOW_READER, Code.ResourceExhausted, "SLOW_READER"],
    [EndReason.UNVERIFIED, Code.Unavailable, "UNVERIFIED"],
    [EndReason.CREDENTIAL, Code.Unauthenticated, "CREDENTIAL"],
    [EndReason.DEADLINE, Code.DeadlineExceeded, "DEADLINE"],
  ])("a watch that is ended with reason %i has the code %i after its last message", async (reason, code, name) => {
    await using world = await World.open();
    const watch = await begin(kind.open(world).stream(watchOrders, {}));
    const opened = await world.hub.next();
    opened.send({ end: { reason, position: "9-z" } });
    opened.end(reason, 2_000);
    const last = await watch.iterator.next();
    expect(last.value?.end).toMatchObject({ reason, position: "9-z" });
    const error = await errorOf(watch.iterator.next());
    expect(error.code).toBe(code);
    expect(infoOf(error).metadata.end_reason).toBe(name);
    expect(error.findDetails(RetryInfoSchema)).toMatchObject([{ retryDelay: { seconds: 2n } }]);
  });

  test("a reader that leaves releases its watch", async () => {
    await using world = await World.open();
    const leaving = new AbortController();
    const watch = await begin(kind.open(world).stream(watchOrders, {}, { signal: leaving.signal }));
    const opened = await world.hub.next();
    expect(await world.metric("leadline_open_watches{")).toBe(1);
    const end = watch.iterator.next().catch(() => undefined);
    leaving.abort();
    await within(5_000, opened.cancelled, "the watch was not cancelled");
    await end;
    await within(5_000, world.limits.none(), "the watch's place was not given back");
    expect(await world.metric("leadline_open_watches{")).toBe(0);
  });

  test("a watch with a deadline is ended with a bookmark before it", async () => {
    await using world = await World.open();
    const before = Date.now();
    const watch = await begin(kind.open(world).stream(watchOrders, {}, { timeoutMs: 20_000 }));
    const opened = await world.hub.next();
    const endsAtMs = opened.endsAtMs ?? 0;
    expect(endsAtMs).toBeGreaterThan(before + 15_000);
    expect(endsAtMs).toBeLessThan(Date.now() + 20_000);
    opened.send({ end: { reason: EndReason.DEADLINE, position: "9-z" } });
    opened.end(EndReason.DEADLINE);
    expect((await watch.iterator.next()).value?.end?.position).toBe("9-z");
    expect((await errorOf(watch.iterator.next())).code).toBe(Code.DeadlineExceeded);
  });

  test("a watch that its hub does not end at the deadline is ended by the door", async () => {
    await using world = await World.open();
    const watch = await begin(kind.open(world).stream(watchOrders, {}, { timeoutMs: 1_000 }));
    const opened = await world.hub.next();
    expect((await errorOf(watch.rest())).code).toBe(Code.DeadlineExceeded);
    await within(5_000, opened.cancelled, "the watch was not cancelled");
  });
});

async function abortOf(signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) throw new Error("there was no call");
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
}
