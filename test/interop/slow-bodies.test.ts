import { type IncomingMessage, request } from "node:http";
import { setTimeout as after } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ReportStatusRequestSchema, WatchOrdersRequestSchema } from "../../gen/leadline/v1/order_service_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import { frame } from "../doors/raw.ts";
import type { TestTenant } from "../support/app.ts";
import { at } from "./parts.ts";
import { type InteropWorld, openWorld } from "./world.ts";

let world: InteropWorld;
let tenant: TestTenant;

beforeAll(async () => {
  world = await openWorld();
  tenant = await world.app.makeTenant("acme");
  await world.app.client(tenant.keys.owner).orders.createOrder({ orderId: "PO-1" });
});
afterAll(() => world[Symbol.asyncDispose]());

/** Sends half of a body; the result sends the rest and answers all that comes back. */
async function half(method: string, type: string, body: Buffer, bearer: string): Promise<() => Promise<string>> {
  const call = request({
    ...{ host: "127.0.0.1", port: world.httpPort, path: `/leadline.v1.OrderService/${method}`, method: "POST" },
    headers: { authorization: `Bearer ${bearer}`, "content-type": type, "content-length": body.length },
  });
  const middle = Math.floor(body.length / 2);
  await new Promise<void>((sent) => call.write(body.subarray(0, middle), () => sent()));
  return async () => {
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      call.on("response", resolve).on("error", reject);
    });
    call.end(body.subarray(middle));
    let text = "";
    for await (const chunk of await answered) {
      text += String(chunk);
      // A watch that was opened would go on and on.
      if (text.includes("PO-1")) break;
    }
    return text;
  };
}

const halves = (bearer: string) => {
  const report = { classifier: Classifier.ACTUAL, status: "PROCESSING", occurredAt: at(1) };
  const write = create(ReportStatusRequestSchema, { orderId: "PO-1", report });
  const watch = create(WatchOrdersRequestSchema, { filter: { ids: ["PO-1"] }, includeSnapshot: true });
  return Promise.all([
    half("ReportStatus", "application/proto", Buffer.from(toBinary(ReportStatusRequestSchema, write)), bearer),
    half("WatchOrders", "application/connect+proto", frame(toBinary(WatchOrdersRequestSchema, watch)), bearer),
  ]);
};

const version = async () =>
  (await world.app.client(tenant.keys.owner).orders.getOrder({ orderId: "PO-1" })).order?.version;

test("a key that is revoked while its requests drip in neither writes nor opens a watch", async () => {
  const { tenants } = world.app.client(tenant.keys.owner);
  const rests = await halves(tenant.keys.operator);
  // The door has seen the heads by then, and let them in.
  await after(200);
  await tenants.revokeKey({ keyId: tenant.keyIds.operator });
  const answers = await Promise.all(rests.map((rest) => rest()));
  expect(answers).toEqual([
    ...[expect.stringContaining("CREDENTIAL_INVALID"), expect.stringContaining("CREDENTIAL_INVALID")],
  ]);
  expect(await version()).toBe(1n);
});

test("requests of a key that holds may drip in", async () => {
  const rests = await halves(tenant.keys.owner);
  await after(200);
  const answers = await Promise.all(rests.map((rest) => rest()));
  expect(answers).toEqual([expect.stringContaining("PROCESSING"), expect.stringContaining("PO-1")]);
  expect(await version()).toBe(2n);
});
