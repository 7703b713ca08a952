import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { type Caller, callerKinds } from "../doors/callers.ts";
import { Recording } from "../guarantees/recording.ts";
import type { TestTenant } from "../support/app.ts";
import { type InteropWorld, openWorld } from "./world.ts";

/*
 * All clients of a tenant come back at once, in one second and from one address, most of them for new watches and calls. Who
 * continues a watch gets through all the same, past every rate, on the connection that it has and on a new one.
 */

const { getOrder } = OrderService.method;
const CALLS = 15;
const REFUSED = 60;

const names = ["grpc-js on the gRPC door", "connect-node connect over HTTP/2 in JSON"];
const kinds = callerKinds.filter(({ name }) => names.includes(name));

describe.each(kinds.map((kind) => [kind.name, kind] as const))("to %s", (_name, kind) => {
  let world: InteropWorld;
  let tenant: TestTenant;
  /** What those who come back resume from. */
  let position: string;
  beforeAll(async () => {
    world = await openWorld({
      env: {
        LEADLINE_KEY_CALLS_PER_SECOND: String(CALLS),
        LEADLINE_ADDRESS_REFUSED_PER_SECOND: String(REFUSED),
      },
    });
    tenant = await world.app.makeTenant("acme");
    await using first = watch(kind.open(world));
    await first.started();
    position = first.messages[0]?.started?.head ?? expect.fail("no position");
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const watch = (caller: Caller, from = "") =>
    new Recording(caller, tenant.keys.viewer, { of: "orders", request: { position: from } });

  /** The limits that watches met; of those that got through in a second of their own, none. */
  async function limitsMet(storm: readonly Recording[]): Promise<string[]> {
    const met = await Promise.all(
      storm.map(async (recording) => {
        const started = await recording.started().catch(() => undefined);
        if (started !== undefined) return undefined;
        const error = await recording.end();
        return error?.findDetails(ErrorInfoSchema)[0]?.metadata.limit ?? String(error);
      }),
    );
    return [...new Set(met.filter((limit) => limit !== undefined))];
  }

  test("a watch that resumes gets through a storm of calls and of new watches", async () => {
    const caller = kind.open(world);
    // Far above both rates, whatever the second is in which it comes. What storms is refused, and named.
    const storm = Array.from({ length: 4 * (CALLS + REFUSED) }, () => watch(caller));
    expect(await limitsMet(storm)).toEqual(["key_calls_per_second"]);
    const bearer = tenant.keys.viewer;
    const calls = await Promise.allSettled(
      Array.from({ length: 2 * CALLS }, () => caller.unary(getOrder, { orderId: "none" }, { bearer })),
    );
    const codes = calls.map((call) => call.status === "rejected" && ConnectError.from(call.reason).code);
    expect(codes).toContain(Code.ResourceExhausted);

    await using here = watch(caller, position);
    expect((await here.started()).messages[0]?.started).toBeDefined();
    for (const recording of storm) await recording[Symbol.asyncDispose]();
  });

  test("new watches that are refused do not close the door to their address", async () => {
    const caller = kind.open(world);
    const storm = Array.from({ length: 4 * (CALLS + REFUSED) }, () => watch(caller));
    expect(await limitsMet(storm)).toEqual(["key_calls_per_second"]);
    // An address that is held to less would have most of these closed.
    const callers = Array.from({ length: 30 }, () => kind.open(world));
    const resumed = callers.map((one) => watch(one, position));
    const started = await Promise.all(resumed.map((recording) => recording.started()));
    expect(started.every(({ messages }) => messages[0]?.started !== undefined)).toBe(true);
    for (const recording of [...storm, ...resumed]) await recording[Symbol.asyncDispose]();
  });
});
