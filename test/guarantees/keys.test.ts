import { timestampMs } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { useNats } from "../support/nats.ts";

/** Keys as two instances see them. */

const stack = new AsyncDisposableStack();
let here: TestApp;
let second: () => Promise<TestApp>;
let tenant: TestTenant;
beforeAll(async () => {
  const database = stack.use(await createTestDatabase());
  const nats = await useNats();
  stack.defer(() => nats.stop());
  second = () => startTestApp({ database, natsUrl: nats.url, env: { LEADLINE_HEARTBEAT_MS: "1000" } });
  here = stack.use(await second());
  tenant = await here.makeTenant("acme");
});
afterAll(() => stack.disposeAsync());

const lastUse = async (id: string) => {
  const { keys } = await here.client(tenant.keys.owner).tenants.listKeys({ pageSize: 1_000 });
  const key = keys.find((one) => one.id === id) ?? expect.fail("it is not listed");
  return key.lastUsedAt && timestampMs(key.lastUsedAt);
};

test("when a key was last used is told by every instance, whichever met it", async () => {
  const owner = here.client(tenant.keys.owner);
  const { key, secret } = await owner.tenants.createKey({ name: "a gate", role: Role.VIEWER });
  const id = key?.id ?? "";
  expect(await lastUse(id)).toBeUndefined();
  const uses: number[] = [];
  for (let i = 0; i < 2; i++) {
    const there = await second();
    const before = Date.now();
    await there.client(secret).orders.listOrders({});
    const after = Date.now();
    await there[Symbol.asyncDispose](); // it writes what it knows before it stops
    const use = await lastUse(id);
    expect(use).toBeGreaterThanOrEqual(before);
    expect(use).toBeLessThanOrEqual(after);
    uses.push(use ?? 0);
  }
  expect(uses[1]).toBeGreaterThan(uses[0] ?? 0);
});
