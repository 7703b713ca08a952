import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Phase } from "../../gen/leadline/v1/order_pb.ts";
import { Classifier } from "../../gen/leadline/v1/report_pb.ts";
import {
  type FlowDefinition,
  FlowDefinitionSchema,
  type FlowStatusSchema,
} from "../../gen/leadline/v1/status_flow_pb.ts";
import type { LeadlineClient } from "../../src/client/node.ts";
import { startTestApp, type TestApp, type TestTenant } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";

/** Two instances on one database, whose tenants have flows of their own. */
export interface FlowWorld extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly app: TestApp;
  readonly other: TestApp;
  tenantOf(id: string): Promise<FlowTenant>;
}

/** A tenant, its owner at each instance, and its operator. */
export interface FlowTenant {
  readonly tenant: TestTenant;
  readonly owner: LeadlineClient;
  readonly elsewhere: LeadlineClient;
  readonly operator: LeadlineClient;
}

export async function openFlowWorld(): Promise<FlowWorld> {
  await using stack = new AsyncDisposableStack();
  const database = stack.use(await createTestDatabase());
  const app = stack.use(await startTestApp({ database }));
  const other = stack.use(await startTestApp({ database }));
  const opened = stack.move();
  return {
    database,
    app,
    other,
    async tenantOf(id) {
      const tenant = await app.makeTenant(id);
      const { owner, operator } = tenant.keys;
      return { tenant, owner: app.client(owner), elsewhere: other.client(owner), operator: app.client(operator) };
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** A flow of these statuses: each has its code for a name, and may be followed by any later one unless it says which. */
export function definition(...statuses: MessageInitShape<typeof FlowStatusSchema>[]): FlowDefinition {
  return create(FlowDefinitionSchema, {
    statuses: statuses.map((one) => ({
      names: { en: one.code ?? "" },
      nextAnyLater: !one.endsJourney && !one.next,
      ...one,
    })),
  });
}

export const NEW = { code: "NEW", phase: Phase.RECEIVED };
export const PACKED = { code: "PACKED", phase: Phase.READY };
export const SHIPPED = { code: "SHIPPED", phase: Phase.IN_TRANSIT };
export const DONE = { code: "DONE", phase: Phase.DELIVERED, endsJourney: true };
export const SHOP = definition(NEW, PACKED, SHIPPED, DONE);

/** Publishes a draft as the next version of a flow, which is made if there is none. */
export async function publish(owner: LeadlineClient, flowId: string, draft: FlowDefinition, makeDefault = false) {
  const listed = await owner.flows.listStatusFlows({});
  if (listed.flows.some(({ id }) => id === flowId)) await owner.flows.updateStatusFlow({ flowId, draft });
  else await owner.flows.createStatusFlow({ flowId, source: { case: "definition", value: draft } });
  return owner.flows.publishStatusFlow({ flowId, makeDefault });
}

let reports = 0;
/** Reports a status, observed a second after the one before. */
export function report(
  client: LeadlineClient,
  orderId: string,
  status: string,
  more: { refuseIfUnfit?: boolean } = {},
) {
  reports += 1;
  const occurredAt = { instant: { seconds: 1_770_000_000n + BigInt(reports) } };
  const made = { sourceId: `r${reports}`, classifier: Classifier.ACTUAL, status, occurredAt };
  return client.orders.reportStatus({ orderId, report: made, ...more });
}

export async function orderOf(client: LeadlineClient, orderId: string) {
  const { order } = await client.orders.getOrder({ orderId });
  if (order === undefined) throw new Error(`${orderId} was answered without an order`);
  return order;
}
