import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { EventSchema } from "../../gen/leadline/v1/event_pb.ts";
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import { type Caller, callerKinds } from "../doors/callers.ts";
import { SERVICE_OWNER, type TestTenant } from "../support/app.ts";
import { everyRequest } from "./every-request.ts";
import { ORDER } from "./order-requests.ts";
import type { Row } from "./rows.ts";
import { Answered, callRow, credentials, type InteropWorld, openWorld } from "./world.ts";

/*
 * Every RPC with a request that succeeds, called again by a tenant that is suspended, and by one whose tier is the lowest; and
 * what each leaves in the audit journal.
 */

let world: InteropWorld;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const doors = [
  "grpc-js on the gRPC door",
  "connect-node connect over HTTP/1.1 in JSON",
  "connect-web grpc-web through fetch",
];
const kinds = callerKinds.filter(({ name }) => doors.includes(name));
const nameOf = ({ method }: Row) => `${method.parent.name}.${method.name}`;
const ofTenant = ({ as }: Row) => as !== "service owner";

/** A tenant for which every request has succeeded, and what was answered. */
interface Lived {
  readonly tenant: TestTenant;
  readonly rows: readonly Row[];
  readonly answers: Answered;
  readonly bearerOf: ReturnType<typeof credentials>;
}

async function live(name: string, each?: (row: Row, call: () => Promise<unknown>) => Promise<void>): Promise<Lived> {
  const tenant = await world.app.makeTenant(name);
  const bearerOf = credentials(tenant, ORDER);
  const caller = kinds[0]?.open(world) ?? expect.fail("there is no caller");
  const answers = new Answered();
  const rows = everyRequest(name);
  for (const row of rows) {
    await bearerOf(row.as); // a link is an act of its own
    const call = () => callRow(caller, row, bearerOf, answers);
    await (each ? each(row, call) : call());
  }
  return { tenant, rows, answers, bearerOf };
}

/** What a call is refused with; undefined: it is not. */
async function refusalOf(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => ConnectError.from(reason),
  );
  if (error === undefined) return undefined;
  const [info] = error.findDetails(ErrorInfoSchema);
  const { call_id: _callId, ...metadata } = info?.metadata ?? {};
  return { reason: info?.reason ?? "none", metadata, message: error.rawMessage };
}

/** Each row called again, and what it is refused with. */
async function callAgain({ rows, answers, bearerOf }: Lived, caller: Caller) {
  const refusals = [];
  for (const row of rows.filter(ofTenant)) {
    const request = row.request(answers);
    const bearer = await bearerOf(row.as);
    refusals.push({ row, refusal: await refusalOf(caller.unary(row.method, request, { bearer })) });
  }
  return refusals;
}

/** The revisions of all journals. */
function revisions() {
  return world.database.sql("select tenant_id, revision::text from journal_head order by 1");
}

describe("a suspended tenant", () => {
  test("reads by every RPC that reads, changes nothing by any other, at every door, and goes on when it is resumed", async () => {
    const lived = await live("suspended");
    const owner = world.app.client(SERVICE_OWNER).tenants;
    const { flows, orders } = world.app.client(lived.tenant.keys.owner);
    // A long move, stopped in its middle.
    const moving = { fromFlowId: "shop", toFlowId: "standard", pageSize: 1, includeEnded: true };
    for (const orderId of ["M-1", "M-2", "M-3"]) await orders.createOrder({ orderId, flowId: "shop" });
    const begun = await flows.migrateOrders(moving);
    expect(begun.remaining).toBeGreaterThan(1n);
    await owner.suspendTenant({ tenantId: "suspended", reason: "unpaid" });
    const before = await revisions();
    for (const kind of kinds) {
      for (const { row, refusal } of await callAgain(lived, kind.open(world))) {
        const reads = row.method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
        const open = reads || row.method === TenantService.method.revokeKey;
        expect(refusal?.reason, `${nameOf(row)} to ${kind.name}`).toBe(open ? undefined : "TENANT_SUSPENDED");
      }
    }
    const stopped = flows.migrateOrders({ ...moving, pageToken: begun.nextPageToken });
    await expect(stopped).rejects.toMatchObject({ reason: "TENANT_SUSPENDED", metadata: { tenant_id: "suspended" } });
    expect(await revisions()).toEqual(before);
    await owner.resumeTenant({ tenantId: "suspended" });
    let moved = begun.moved;
    for (let pageToken = begun.nextPageToken; pageToken !== ""; ) {
      const page = await flows.migrateOrders({ ...moving, pageToken });
      moved += page.moved;
      pageToken = page.nextPageToken;
    }
    expect(BigInt(moved)).toBe(BigInt(begun.moved) + begun.remaining);
  });
});

describe("a tenant whose tier was lowered", () => {
  /** What the same requests need in the end, by RPC. */
  const needed = [
    {
      tier: Tier.QUICK_DEPLOY,
      name: "QUICK_DEPLOY",
      needs: [
        "BookingService.ListBookings: filters of ASSISTED,ADAPTIVE",
        "ChangeService.ReadChanges: change_feed of ADAPTIVE",
        "ImportService.ListInboundMessages: inbound_messages of ADAPTIVE",
        "OrderService.GetOrder: as_of_reads of ASSISTED,ADAPTIVE",
        "OrderService.ListOrders: filters of ASSISTED,ADAPTIVE",
        "StatusFlowService.CreateStatusFlow: status_flows of ASSISTED,ADAPTIVE",
        "StatusFlowService.ImportStatusFlow: status_flows of ASSISTED,ADAPTIVE",
        "StatusFlowService.MigrateOrders: status_flows of ASSISTED,ADAPTIVE",
        "StatusFlowService.PublishStatusFlow: status_flows of ASSISTED,ADAPTIVE",
        "StatusFlowService.UpdateCodeMappings: code_mappings of ASSISTED,ADAPTIVE",
        "StatusFlowService.UpdateStatusFlow: status_flows of ASSISTED,ADAPTIVE",
      ],
    },
    {
      tier: Tier.ASSISTED,
      name: "ASSISTED",
      needs: [
        "ChangeService.ReadChanges: change_feed of ADAPTIVE",
        "ImportService.ListInboundMessages: inbound_messages of ADAPTIVE",
        "StatusFlowService.UpdateCodeMappings: carrier_mappings of ADAPTIVE",
      ],
    },
  ];

  let lived: Lived;
  beforeAll(async () => {
    lived = await live("lowered");
  });

  test.each(needed)("to $name is refused what it lost, by old page tokens too, and nothing else", async (lowered) => {
    await world.app.client(SERVICE_OWNER).tenants.setTier({ tenantId: "lowered", tier: lowered.tier });
    for (const kind of kinds) {
      const told = new Set<string>();
      // Keys of its own for each: the lowest tier has 100 calls in a second of one key.
      const bearerOf = credentials(await world.app.makeKeys("lowered"), ORDER);
      for (const { row, refusal } of await callAgain({ ...lived, bearerOf }, kind.open(world))) {
        expect(refusal?.reason, nameOf(row)).not.toBe("RATE_LIMITED");
        if (refusal?.reason !== "TIER_EXCLUDES") continue;
        const { tier, feature, tiers } = refusal.metadata;
        expect(tier).toBe(lowered.name);
        expect(refusal.message).toMatch(/: .+, or ask for (Assisted or )?Adaptive$/);
        told.add(`${nameOf(row)}: ${feature} of ${tiers}`);
      }
      expect([...told].sort(), kind.name).toEqual(lowered.needs);
    }
    const pages = lived.rows.filter((row) => "pageToken" in row.request(lived.answers));
    expect(pages.map(nameOf)).toContain("OrderService.ListOrders");
  });
});

describe("the audit journal", () => {
  /** What is administration; everything else leaves nothing in it. */
  const ADMINISTRATION = [
    "OrderService.RedactOrder",
    "OrderService.RedactParty",
    "StatusFlowService.CreateStatusFlow",
    "StatusFlowService.ImportStatusFlow",
    "StatusFlowService.MigrateOrders",
    "StatusFlowService.PublishStatusFlow",
    "StatusFlowService.UpdateCodeMappings",
    "StatusFlowService.UpdateStatusFlow",
    "TenantService.CloseTenant",
    "TenantService.CreateKey",
    "TenantService.CreateLink",
    "TenantService.CreateTenant",
    "TenantService.ResumeTenant",
    "TenantService.RevokeKey",
    "TenantService.SetTier",
    "TenantService.SuspendTenant",
  ];

  /** The acts in all audit journals, each with its journal. */
  async function acts(): Promise<string[]> {
    const rows = await world.database.sql<{ tenant_id: string; payload: Buffer }>(
      "select tenant_id, payload from event where tenant_id like '%.audit' order by tenant_id, revision",
    );
    return rows.map(({ tenant_id, payload }) => {
      const [event] = decodeEvents(payload);
      if (event?.change.case !== "administered") throw new Error(`no ${EventSchema.name} of administration`);
      return `${tenant_id} ${event.change.value.act} ${event.revision}`;
    });
  }

  test("has exactly one event of each act of administration, none of anything else, and none of one that is repeated", async () => {
    const seen = new Set<string>();
    const lived = await live("audited", async (row, call) => {
      const before = new Set(await acts());
      await call();
      const added = (await acts()).filter((act) => !before.has(act)).map((act) => act.split(" ")[1]);
      const isAct = ADMINISTRATION.includes(nameOf(row));
      expect(added, nameOf(row)).toEqual(isAct ? [nameOf(row)] : []);
      if (isAct) seen.add(nameOf(row));
    });
    expect([...seen].sort()).toEqual(ADMINISTRATION);
    const before = await acts();
    const again = ["OrderService.RedactOrder", "OrderService.RedactParty", "TenantService.RevokeKey"];
    const caller = kinds[0]?.open(world) ?? expect.fail("there is no caller");
    for (const row of lived.rows.filter((one) => again.includes(nameOf(one)))) {
      await callRow(caller, row, lived.bearerOf, lived.answers);
    }
    expect(await acts()).toEqual(before);
  });
});
