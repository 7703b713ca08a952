import { expect, test } from "vitest";
import { shared } from "../support/shared.ts";
import { DONE, definition, NEW, openFlowWorld, publish, report, SHIPPED } from "./flow-world.ts";

const world = await shared(openFlowWorld());

/** What an instance tells of orders that entered phases, by phase. */
async function figuresOf({ httpUrl }: { readonly httpUrl: string }): Promise<Record<string, number>> {
  const text = await (await fetch(`${httpUrl}/metrics`)).text();
  const lines = [...text.matchAll(/^leadline_orders_entered_total\{phase="(\w+)"\} (\d+)$/gm)];
  return Object.fromEntries(lines.map(([, phase = "", orders]) => [phase, Number(orders)]));
}

test("figures count orders by phase over tenants and flows, whatever their statuses are called", async () => {
  const [shop, plain] = [await world.tenantOf("shop"), await world.tenantOf("plain")];
  await publish(shop.owner, "shop", definition(NEW, SHIPPED, DONE));
  await shop.operator.orders.createOrder({ orderId: "S-1", flowId: "shop" });
  await plain.operator.orders.createOrder({ orderId: "P-1" });
  await report(shop.operator, "S-1", "SHIPPED");
  await report(plain.operator, "P-1", "IN_TRANSIT");
  // Twice the same is one order that has entered the phase.
  await report(plain.operator, "P-1", "IN_TRANSIT");
  // A move to another flow maps the status, and the phase is the same.
  const mappings = [
    { from: "NEW", to: "RECEIVED" },
    { from: "SHIPPED", to: "IN_TRANSIT" },
    { from: "DONE", to: "DELIVERED" },
  ];
  await shop.owner.flows.migrateOrders({ fromFlowId: "shop", toFlowId: "standard", mappings });
  expect(await figuresOf(world.app)).toEqual({ RECEIVED: 2, IN_TRANSIT: 2 });
  // Each instance tells of what it has committed itself: a sum over them is what happened.
  expect(await figuresOf(world.other)).toEqual({});
});
