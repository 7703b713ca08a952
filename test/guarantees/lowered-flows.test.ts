import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { FlowDefinitionSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { SERVICE_OWNER, startTestApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { report } from "./retention-world.ts";

const shop = create(FlowDefinitionSchema, {
  statuses: [
    { code: "NEW", phase: Phase.RECEIVED, next: ["DONE"] },
    { code: "DONE", phase: Phase.DELIVERED, endsJourney: true },
  ].map((one) => ({ names: { en: one.code }, ...one })),
});

test("in a tier without flows of its own a tenant's default rests: new orders take the standard flow, running ones keep theirs", async () => {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createTestDatabase());
  const env = { LEADLINE_KEY_CACHE_MS: "200", LEADLINE_KEY_SWEEP_MS: "200" };
  const here = stack.use(await startTestApp({ database, env }));
  const there = stack.use(await startTestApp({ database, env }));
  const { keys } = await here.makeTenant("acme");
  const { tenants } = here.client(SERVICE_OWNER);
  const [owner, operator, far] = [here.client(keys.owner), here.client(keys.operator), there.client(keys.operator)];
  await owner.flows.createStatusFlow({ flowId: "shop", source: { case: "definition", value: shop } });
  await owner.flows.publishStatusFlow({ flowId: "shop", makeDefault: true });
  const flowOf = async (client: typeof operator, orderId: string, flowId = "") =>
    (await client.orders.createOrder({ orderId, flowId })).order?.flowId;
  const told = async () => {
    const { tenant } = await owner.tenants.getTenant({});
    const { flows } = await owner.flows.listStatusFlows({});
    return [tenant?.startingFlowId, tenant?.restingFlowId, flows.filter((one) => one.isDefault).map(({ id }) => id)];
  };
  expect(await flowOf(operator, "before")).toBe("shop");
  expect(await told()).toEqual(["shop", "", ["shop"]]);

  await tenants.setTier({ tenantId: "acme", tier: Tier.QUICK_DEPLOY });
  expect(await told()).toEqual(["standard", "shop", ["standard"]]);
  expect(await flowOf(operator, "lowered")).toBe("");
  let n = 0;
  await expect.poll(() => flowOf(far, `far-${n++}`), { timeout: 10_000 }).toBe("");
  await expect(flowOf(operator, "named", "shop")).rejects.toMatchObject({
    reason: "TIER_EXCLUDES",
    metadata: { feature: "status_flows" },
  });
  // The order that runs goes through its flow to its end, and the flow can be read.
  await report(operator, "before", "DONE", 1);
  const { order } = await operator.orders.getOrder({ orderId: "before" });
  expect(order).toMatchObject({ flowId: "shop", flowVersion: 1, status: "DONE", phase: Phase.DELIVERED });
  expect((await owner.flows.getStatusFlow({ flowId: "shop" })).flow).toMatchObject({ publishedVersion: 1 });

  await tenants.setTier({ tenantId: "acme", tier: Tier.ASSISTED });
  expect(await told()).toEqual(["shop", "", ["shop"]]);
  expect(await flowOf(operator, "raised")).toBe("shop");
  expect((await operator.orders.getOrder({ orderId: "lowered" })).order?.flowId).toBe("");
});
