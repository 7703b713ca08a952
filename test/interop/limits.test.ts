import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import type { Caller } from "../doors/callers.ts";
import { Recording } from "../guarantees/recording.ts";
import type { TestTenant } from "../support/app.ts";
import { kindsOfEachDoor as kinds, limitOf } from "./limit-told.ts";
import { type InteropWorld, openWorld } from "./world.ts";

/*
 * Each limit with a name, reached at both doors of an instance whose settings make it small. How each counts is shown in
 * test/service/limits.test.ts on a clock that stands still; bounds on what waits for slow readers in test/watch/walls.test.ts.
 */

const { getOrder, holdOrder, listOrders, watchOrders } = OrderService.method;

/** Who calls: each test has a tenant of its own, and with it a key. */
let tenants = 0;

/** What every refusal for a size says. */
const TOO_MUCH = { waits: "until it is raised", helps: expect.stringMatching(/^ask for less/) };

/** Calls until it is refused, a thousand times at most. */
async function pressed(call: () => Promise<unknown>) {
  for (let i = 0; i < 50; i++) {
    const told = await Promise.all(Array.from({ length: 20 }, () => limitOf(call())));
    const refused = told.find((one) => one !== undefined);
    if (refused) return refused;
  }
  throw new Error("nothing was refused");
}

interface Case {
  readonly limit: string;
  readonly env: Readonly<Record<string, string>>;
  readonly allowed: string;
  readonly of: "calls" | "streams" | "opens";
}

const cases: readonly Case[] = [
  ...(["KEY", "TENANT", "ADDRESS", "INSTANCE"] as const).map(
    (scope): Case => ({
      limit: `${scope.toLowerCase()}_calls_per_second`,
      env: { [`LEADLINE_${scope}_CALLS_PER_SECOND`]: "15" },
      allowed: "15",
      of: "calls",
    }),
  ),
  ...(
    [
      ["key", "LEADLINE_KEY_STREAMS"],
      ["tenant", "LEADLINE_TENANT_WATCHERS_MAX"],
      ["address", "LEADLINE_ADDRESS_STREAMS"],
      ["instance", "LEADLINE_WATCHERS_MAX"],
    ] as const
  ).map(
    ([scope, setting]): Case => ({ limit: `${scope}_streams`, env: { [setting]: "5" }, allowed: "4", of: "streams" }),
  ),
  {
    ...{ limit: "key_streams", allowed: "2", of: "streams" },
    env: { LEADLINE_KEY_STREAMS: "5", LEADLINE_RESUME_RESERVE_PERCENT: "60" },
  },
  ...(["KEY", "TENANT", "ADDRESS", "INSTANCE"] as const).map(
    (scope): Case => ({
      limit: `${scope.toLowerCase()}_stream_opens_per_second`,
      env: { [`LEADLINE_${scope}_STREAM_OPENS_PER_SECOND`]: "5" },
      allowed: "4",
      of: "opens",
    }),
  ),
];

describe.each(cases.map((one) => [one.limit, one.allowed, one] as const))(
  "%s of %s",
  (limit, _allowed, { env, allowed, of }) => {
    let world: InteropWorld;
    let tenant: TestTenant;
    let callers: Caller[];
    beforeAll(async () => {
      world = await openWorld({ env });
      // The tenant and its keys are made in a second of their own.
      tenant = await world.app.makeTenant(`t${tenants++}`);
      callers = kinds.map((kind) => kind.open(world));
    });
    // Streams are not counted by the second.
    if (of !== "streams") beforeEach(() => nextSecond());
    afterAll(() => world[Symbol.asyncDispose]());

    test.each(kinds.map(({ name }, i) => [name, i] as const))("to %s", async (_name, i) => {
      const caller = callers[i] ?? expect.fail("no caller");
      const bearer = tenant.keys.viewer;
      if (of === "calls") {
        const told = await pressed(() => caller.unary(listOrders, { pageSize: 1 }, { bearer }));
        const used = String(Number(allowed) + 1);
        expect(told).toEqual({ code: 8, reason: "RATE_LIMITED", limit, allowed, used, waits: "a moment" });
        return;
      }
      await using stack = new AsyncDisposableStack();
      const open = async (position = "") => {
        const watch = stack.use(new Recording(caller, bearer, { of: "orders", request: { position } }));
        try {
          await watch.started();
          return watch;
        } catch (error) {
          throw (await watch.end()) ?? error;
        }
      };
      const first = await open();
      const position = first.messages[0]?.started?.head ?? expect.fail("no position");
      const told = await pressed(() => open());
      expect(told).toMatchObject({
        code: Code.ResourceExhausted,
        reason: "RATE_LIMITED",
        limit,
        allowed,
        waits: "a moment",
      });
      // The storm has left room for one that resumes, in this second and of the open ones.
      expect((await open(position)).messages[0]?.started).toBeDefined();
    });
  },
);

/** Resolves when the clock has come to another second, by which rates are counted. */
async function nextSecond(): Promise<void> {
  const second = Math.floor(Date.now() / 1_000);
  await expect.poll(() => Math.floor(Date.now() / 1_000), { interval: 5, timeout: 2_000 }).toBeGreaterThan(second);
}

describe("sizes", () => {
  let world: InteropWorld;
  let tenant: TestTenant;
  beforeAll(async () => {
    world = await openWorld({
      env: {
        LEADLINE_SNAPSHOT_ROWS: "3",
        LEADLINE_FILTER_TERMS: "4",
        LEADLINE_MESSAGE_MAX_BYTES: "65536",
        LEADLINE_HEADER_MAX_BYTES: "4096",
      },
    });
    tenant = await world.app.makeTenant("acme");
    const { orders } = world.app.client(tenant.keys.operator);
    for (let i = 0; i < 4; i++) await orders.createOrder({ orderId: `PO-${i}` });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  const each = kinds.map((kind) => [kind.name, kind] as const);

  test.each(each)("filter_terms: calls and watches alike, to %s", async (_name, kind) => {
    const caller = kind.open(world);
    const bearer = tenant.keys.viewer;
    const ids = ["a", "b", "c", "d", "e"];
    const due = { code: 8, reason: "LIMIT_EXCEEDED", limit: "filter_terms", allowed: "4", used: "5", ...TOO_MUCH };
    expect(await limitOf(caller.unary(listOrders, { filter: { ids } }, { bearer }))).toEqual(due);
    expect(await limitOf(first(caller, watchOrders, { filter: { ids } }, bearer))).toEqual(due);
    expect(await limitOf(caller.unary(listOrders, { filter: { ids: ids.slice(1) } }, { bearer }))).toBeUndefined();
  });

  test.each(each)("snapshot_rows: the watch ends, and a filtered one is whole, to %s", async (_name, kind) => {
    const caller = kind.open(world);
    const request = { includeSnapshot: true };
    await using large = new Recording(caller, tenant.keys.viewer, { of: "orders", request });
    const error = await large.end();
    expect(await limitOf(Promise.reject(error))).toEqual({
      ...{ code: 8, reason: "LIMIT_EXCEEDED", limit: "snapshot_rows", allowed: "3", used: "more than 3" },
      ...TOO_MUCH,
    });
    const filter = { ids: ["PO-1", "PO-2", "PO-3"] };
    await using whole = new Recording(caller, tenant.keys.viewer, { of: "orders", request: { ...request, filter } });
    await whole.synced();
  });

  test.each(each)("message_bytes, to %s", async (_name, kind) => {
    const request = { orderId: "PO-1", reason: "x".repeat(70_000) };
    const told = await limitOf(kind.open(world).unary(holdOrder, request, { bearer: tenant.keys.operator }));
    const due = { code: 8, reason: "MESSAGE_TOO_LARGE", limit: "message_bytes", allowed: "65536", ...TOO_MUCH };
    expect(told).toMatchObject(due);
  });

  test.each(each)("header_bytes, to %s", async (_name, kind) => {
    const caller = kind.open(world);
    // A credential is a header as well as any, and one that no client refuses to send.
    const told = await limitOf(caller.unary(getOrder, { orderId: "PO-1" }, { bearer: "x".repeat(5_000) }));
    const due = { code: 8, reason: "MESSAGE_TOO_LARGE", limit: "header_bytes", allowed: "4096", ...TOO_MUCH };
    expect(told).toMatchObject(due);
    expect(await limitOf(caller.unary(getOrder, { orderId: "PO-1" }, { bearer: "x".repeat(2_000) }))).toMatchObject({
      reason: "CREDENTIAL_INVALID",
    });
  });

  test("page_items: more than a page holds is taken for a whole page", async () => {
    const { orders } = world.app.client(tenant.keys.viewer);
    expect((await orders.listOrders({ pageSize: 2_000_000_000 })).orders).toHaveLength(4);
  });

  test("refusals are counted by the limit's name", async () => {
    const metrics = await (await fetch(`${world.app.httpUrl}/metrics`)).text();
    // Every kind of caller was refused once for each of the sizes, and for filters in a call and in a watch.
    for (const limit of ["filter_terms", "snapshot_rows", "message_bytes", "header_bytes"]) {
      const [, count] = new RegExp(`^leadline_limited_total\\{limit="${limit}"\\} (\\d+)`, "m").exec(metrics) ?? [];
      expect(Number(count), limit).toBe(limit === "filter_terms" ? 2 * kinds.length : kinds.length);
    }
    expect(metrics).toMatch(/^leadline_wall_breaches 0$/m);
  });
});

async function first(
  caller: Caller,
  method: typeof watchOrders,
  request: MessageInitShape<typeof watchOrders.input>,
  bearer: string,
): Promise<void> {
  for await (const _message of caller.stream(method, request, { bearer })) return;
}
