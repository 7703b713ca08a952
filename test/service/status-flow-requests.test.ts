import { clone, create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { Classifier, Flag } from "../../gen/leadline/v1/report_pb.ts";
import { CodeList, FlowDefinitionSchema, MilestoneStatusSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { LeadlineClient } from "../../src/client/node.ts";
import { journalFaults } from "../guarantees/journal.ts";
import { SERVICE_OWNER } from "../support/app.ts";
import { shared } from "../support/shared.ts";
import { DONE, definition, NEW, openFlowWorld, PACKED } from "./flow-world.ts";

const { database, app, tenantOf } = await shared(openFlowWorld());

const SHOP = definition(NEW, PACKED, DONE);
const source = { case: "definition", value: SHOP } as const;

async function acts(owner: LeadlineClient): Promise<string[]> {
  const { events } = await owner.tenants.listAuditEvents({});
  return events.flatMap(({ change }) =>
    change.case === "administered" && change.value.act.startsWith("StatusFlow") ? change.value.act : [],
  );
}

describe("a request id", () => {
  test("makes every change repeatable, on every instance: one answer, one effect, one act in the audit journal", async () => {
    const { owner, elsewhere, operator } = await tenantOf("repeats");
    const twice = async <T>(call: (flows: LeadlineClient["flows"]) => Promise<T>): Promise<T> => {
      const [first, second] = await Promise.all([call(owner.flows), call(elsewhere.flows)]);
      expect(second).toEqual(first);
      expect(await call(elsewhere.flows)).toEqual(first);
      return first;
    };
    const requestId = "same";
    const { flow } = await twice((flows) => flows.createStatusFlow({ flowId: "shop", source, requestId }));
    expect(flow?.etag).toBe("1");
    await twice((flows) => flows.updateStatusFlow({ flowId: "shop", name: "Shop", etag: "1", requestId }));
    const { version } = await twice((flows) => flows.publishStatusFlow({ flowId: "shop", requestId }));
    expect(version?.version).toBe(1);
    const { yaml } = await owner.flows.exportStatusFlow({ flowId: "template-air" });
    const mine = yaml.replace("template-air", "air");
    const imported = await twice((flows) => flows.importStatusFlow({ yaml: mine, requestId }));
    expect(imported.flow).toMatchObject({ id: "air", etag: "1" });
    const set = [{ codeList: CodeList.X12_315, code: "ZZ", milestone: "GATE_IN" }];
    await twice((flows) => flows.updateCodeMappings({ set, requestId }));
    for (const orderId of ["a", "b"]) await operator.orders.createOrder({ orderId });
    const move = { toFlowId: "shop", mappings: [{ from: "RECEIVED", to: "NEW" }], requestId };
    const { moved } = await owner.flows.migrateOrders(move);
    expect(moved).toBe(2);
    // Nothing is left to move, and it is answered as it was.
    expect(await elsewhere.flows.migrateOrders(move)).toMatchObject({ moved: 2 });
    expect(await acts(owner)).toEqual(
      [
        ...["CreateStatusFlow", "UpdateStatusFlow", "PublishStatusFlow", "ImportStatusFlow", "UpdateCodeMappings"],
        "MigrateOrders",
      ].map((method) => `StatusFlowService.${method}`),
    );
    expect(await journalFaults(database)).toEqual([]);
  });

  test("is no other request's, nor another caller's, and a refused call may be sent again", async () => {
    const { owner } = await tenantOf("reused");
    const { keys } = await app.makeTenant("stranger");
    const requestId = "one";
    await expect(owner.flows.publishStatusFlow({ flowId: "shop", requestId })).rejects.toMatchObject({
      reason: "FLOW_UNKNOWN",
    });
    await owner.flows.createStatusFlow({ flowId: "shop", source, requestId });
    await expect(owner.flows.createStatusFlow({ flowId: "more", source, requestId })).rejects.toMatchObject({
      reason: "REQUEST_ID_REUSED",
    });
    expect(await owner.flows.publishStatusFlow({ flowId: "shop", requestId })).toMatchObject({
      version: { version: 1 },
    });
    const made = await app.client(keys.owner).flows.createStatusFlow({ flowId: "shop", source, requestId });
    expect(made.flow?.publishedVersion).toBe(0);
  });
});

describe("what there is not", () => {
  test("is refused, not taken for nothing: flows, versions, orders by name", async () => {
    const { owner, operator } = await tenantOf("nothing");
    await owner.flows.createStatusFlow({ flowId: "shop", source });
    await owner.flows.publishStatusFlow({ flowId: "shop" });
    const unknown = { reason: "FLOW_UNKNOWN" };
    const { flows } = owner;
    for (const fromFlowId of ["shpo", "template-air"]) {
      await expect(flows.migrateOrders({ fromFlowId, toFlowId: "shop" })).rejects.toMatchObject(unknown);
      const dry = { flowId: "shop", ordersOfFlowId: fromFlowId };
      await expect(flows.dryRunStatusFlow(dry)).rejects.toMatchObject(unknown);
    }
    for (const version of [2, 2 ** 31, 2 ** 32 - 1]) {
      await expect(flows.getStatusFlow({ flowId: "shop", version })).rejects.toMatchObject(unknown);
      await expect(flows.exportStatusFlow({ flowId: "shop", version })).rejects.toMatchObject(unknown);
      await expect(flows.migrateOrders({ toFlowId: "shop", toVersion: version })).rejects.toMatchObject(unknown);
      await expect(flows.migrateOrders({ fromFlowId: "shop", fromVersion: version })).rejects.toMatchObject(unknown);
    }
    for (const flowId of ["standard", "template-air"]) {
      await expect(flows.getStatusFlow({ flowId, version: 1 })).rejects.toMatchObject(unknown);
      await expect(flows.exportStatusFlow({ flowId, version: 1 })).rejects.toMatchObject(unknown);
    }
    await expect(flows.migrateOrders({ fromFlowId: "shop", toFlowId: "standard", toVersion: 1 })).rejects.toMatchObject(
      unknown,
    );

    for (const orderId of ["a", "b", "c"]) await operator.orders.createOrder({ orderId });
    const move = {
      toFlowId: "shop",
      mappings: [{ from: "RECEIVED", to: "NEW" }],
      orderIds: ["b", "nobodys", "a", "c"],
    };
    const first = await flows.migrateOrders({ ...move, pageSize: 2 });
    expect(first).toMatchObject({ moved: 2, remaining: 1n, skippedOrderIds: ["nobodys"] });
    const second = await flows.migrateOrders({ ...move, pageSize: 2, pageToken: first.nextPageToken });
    expect(second).toMatchObject({ moved: 1, remaining: 0n, skippedOrderIds: [], nextPageToken: "" });
    expect((await flows.migrateOrders(move)).skippedOrderIds).toEqual(move.orderIds);
  });

  test("is an empty page of an empty list, also at its ends", async () => {
    const { owner } = await tenantOf("empty");
    expect((await owner.flows.listStatusFlows({})).flows.map(({ id }) => id)).toEqual(["standard"]);
    expect(await owner.flows.listCodeMappings({ ownOnly: true })).toMatchObject({ mappings: [], nextPageToken: "" });
    await owner.flows.createStatusFlow({ flowId: "shop", source });
    expect(await owner.flows.dryRunStatusFlow({ flowId: "shop" })).toMatchObject({ examined: 0, orders: [] });
    await owner.flows.publishStatusFlow({ flowId: "shop" });
    expect(await owner.flows.migrateOrders({ toFlowId: "shop" })).toMatchObject({ moved: 0, nextPageToken: "" });
  });
});

describe("the list of flows", () => {
  test("is paged by what it takes, however large the drafts are", async () => {
    const { owner } = await tenantOf("large");
    const statuses = SHOP.statuses.flatMap((status) =>
      Array.from({ length: 30 }, (_, i) => ({
        ...status,
        code: `${status.code}_${i}`,
        description: "€".repeat(1_000),
        names: Object.fromEntries(
          Array.from({ length: 50 }, (_, n) => [
            `en-${String.fromCharCode(97 + (n % 26)).repeat(2)}${n}`,
            "€".repeat(100),
          ]),
        ),
      })),
    );
    const value = create(FlowDefinitionSchema, { statuses });
    const ids = ["a", "m", "standardy", "t", "z"];
    for (const flowId of ids) {
      await owner.flows.createStatusFlow({ flowId, source: { case: "definition", value } });
    }
    const seen: string[][] = [];
    let pageToken = "";
    do {
      const page = await owner.flows.listStatusFlows({ pageSize: 1_000, pageToken, includeTemplates: true });
      seen.push(page.flows.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(seen.length).toBeGreaterThan(1);
    const shipped = ["air", "ocean", "parcel", "road"].map((mode) => `template-${mode}`);
    expect(seen.flat()).toEqual([...ids, "standard", ...shipped].sort());
    const small: string[] = [];
    do {
      const page = await owner.flows.listStatusFlows({ pageSize: 1, pageToken, includeTemplates: true });
      small.push(...page.flows.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(small).toEqual(seen.flat());
  });
});

describe("a file that is imported", () => {
  const yaml = (more: string) =>
    `id: shop\nname: Shop\nstatuses:\n  - code: NEW\n    phase: RECEIVED\n    names: { en: New }\n    next: [DONE]\n${more}`;
  const done = "  - code: DONE\n    phase: DELIVERED\n    names: { en: Done }\n    ends_journey: true\n";

  test("is told of every wrong value, each with its field and its line", async () => {
    const { owner } = await tenantOf("lines");
    const wrong = async (text: string) => {
      const error: unknown = await owner.flows.importStatusFlow({ yaml: text }).then(
        () => expect.fail("it was taken"),
        (one: unknown) => one,
      );
      return error as { reason: string; violations: { field: string; description: string }[] };
    };
    const { reason, violations } = await wrong(
      yaml(`${done}    expected: 0s\n    description: "a\\0b"\n  - code: lower\n    names: { english: x }\n`),
    );
    expect(reason).toBe("FIELD_INVALID");
    expect(violations.map(({ field, description }) => [field, /^line \d+/.exec(description)?.[0]])).toEqual([
      ["statuses[1].expected_time", "line 12"],
      ["statuses[2].code", "line 14"],
      ['statuses[2].names["english"]', "line 15"],
    ]);
    expect((await wrong(yaml(`${done}    description: "a\\0b"\n`))).violations).toMatchObject([
      { field: "statuses[1].description", description: expect.stringMatching(/^line 12: contains/) },
    ]);
    expect((await wrong("id: Shop\nstatuses: []")).violations).toMatchObject([
      { field: "flow_id", description: expect.stringMatching(/^line 1: /) },
    ]);
    expect((await wrong(yaml(done).replace("Shop", "x".repeat(101)))).violations).toMatchObject([
      { field: "name", description: expect.stringMatching(/^line 2: /) },
    ]);
    expect(await wrong("id: template-air")).toMatchObject({ reason: "VERB_ILLEGAL" });
  });

  test("is told its findings with field and line, as publishing is with field", async () => {
    const { owner } = await tenantOf("findings");
    const text = yaml(`${done}  - code: LOST\n    phase: READY\n    next: [NOWHERE, DONE]\n`);
    const { findings } = await owner.flows.importStatusFlow({ yaml: text });
    expect(findings.map(({ field, line }) => [field, line])).toEqual([
      ["statuses[2].next[0]", 14],
      ["statuses[2]", 12],
      ["statuses[2].names", 12],
    ]);
    const asked = await owner.flows.validateStatusFlow({ subject: { case: "flowId", value: "shop" } });
    expect(asked.findings.map(({ field, line }) => [field, line])).toEqual(findings.map(({ field }) => [field, 0]));
    await expect(owner.flows.publishStatusFlow({ flowId: "shop" })).rejects.toMatchObject({
      reason: "FLOW_INVALID",
      violations: [{ field: "draft.statuses[2].next[0]" }, { field: "draft.statuses[2]" }],
    });
  });

  test("with an etag changes what was read, and makes nothing", async () => {
    const { owner } = await tenantOf("etags");
    const take = (etag: string) => owner.flows.importStatusFlow({ yaml: yaml(done), etag });
    await expect(take("1")).rejects.toMatchObject({ reason: "FLOW_UNKNOWN" });
    await take("");
    expect(await take("1")).toMatchObject({ flow: { etag: "2" } });
    await expect(take("1")).rejects.toMatchObject({ reason: "ETAG_MISMATCH", metadata: { etag: "2" } });
  });

  test("by two at once makes one flow with one of the drafts", async () => {
    const { owner, elsewhere } = await tenantOf("both");
    const answers = await Promise.all(
      [owner, elsewhere, owner].map((one, i) =>
        one.flows.importStatusFlow({ yaml: yaml(done).replace("Shop", `Shop ${i}`) }),
      ),
    );
    expect(answers.map(({ flow }) => flow?.etag).sort()).toEqual(["1", "2", "3"]);
  });

  test("keeps what is expected to the second, and nothing finer is taken", async () => {
    const { owner } = await tenantOf("times");
    await owner.flows.importStatusFlow({
      yaml: yaml(done).replace("next: [DONE]", "next: [DONE]\n    expected: 1d2h3m4s"),
    });
    expect((await owner.flows.exportStatusFlow({ flowId: "shop" })).yaml).toContain("expected: 1d2h3m4s\n");
    const { flow } = await owner.flows.getStatusFlow({ flowId: "shop" });
    expect(flow?.draft?.statuses[0]?.expectedTime?.seconds).toBe(93_784n);
    const value = clone(FlowDefinitionSchema, SHOP);
    for (const status of value.statuses.slice(0, 1)) status.expectedTime = durationFromMs(1_500);
    await expect(owner.flows.updateStatusFlow({ flowId: "shop", draft: value })).rejects.toMatchObject({
      violations: [{ field: "draft.statuses[0].expected_time" }],
    });
    const fine = { case: "definition", value } as const;
    await expect(owner.flows.createStatusFlow({ flowId: "fine", source: fine })).rejects.toMatchObject({
      violations: [{ field: "definition.statuses[0].expected_time" }],
    });
  });
});

test("the flows that a tier allows are counted also when they are made at the same time", async () => {
  const { owner, elsewhere } = await tenantOf("five");
  await app.client(SERVICE_OWNER).tenants.setTier({ tenantId: "five", tier: Tier.ASSISTED });
  const made = await Promise.allSettled(
    Array.from({ length: 8 }, (_, i) => [owner, elsewhere][i % 2]?.flows.createStatusFlow({ flowId: `f${i}`, source })),
  );
  const refused = made.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  expect(refused).toHaveLength(3);
  for (const one of refused) {
    expect(one).toMatchObject({
      reason: "TIER_EXCLUDES",
      metadata: { used: "5", allowed: "5", tiers: "ADAPTIVE" },
    });
  }
});

test("a simulation tells what a role may not report, and what a carrier's milestones give", async () => {
  const { operator } = await tenantOf("roles");
  const value = clone(FlowDefinitionSchema, SHOP);
  for (const status of value.statuses.slice(-1)) status.reporters = [Role.CARRIER];
  value.milestones = [create(MilestoneStatusSchema, { milestone: "GATE_IN", status: "PACKED" })];
  const reports = [{ milestone: "GATE_IN" }, { milestone: "STUFFED" }, { milestone: "DELIVERED" }].map((one) => ({
    ...one,
    classifier: Classifier.ACTUAL,
  }));
  const steps = async (reporter: Role) =>
    (await operator.flows.simulateStatusFlow({ subject: { case: "definition", value }, reports, reporter })).steps.map(
      ({ status, flags, ended }) => [status, flags, ended],
    );
  const before = [
    ["NEW", [], false],
    ["PACKED", [], false],
    ["PACKED", [], false],
  ];
  expect(await steps(Role.CARRIER)).toEqual([...before, ["DONE", [], true]]);
  expect(await steps(Role.UNSPECIFIED)).toEqual([...before, ["DONE", [], true]]);
  expect(await steps(Role.OPERATOR)).toEqual([...before, ["PACKED", [Flag.REPORTER_UNEXPECTED], false]]);
});
