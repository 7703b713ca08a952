import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ImportOutcome } from "../../gen/leadline/v1/import_service_pb.ts";
import { CodeList, type CodeMapping, FlowDefinitionSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import {
  ListCodeMappingsRequestSchema,
  UpdateCodeMappingsRequestSchema,
} from "../../gen/leadline/v1/status_flow_service_pb.ts";
import { CODE_LISTS } from "../../src/domain/flows/code-lists.ts";
import { Refusal } from "../../src/domain/refusal.ts";
import { createAudit } from "../../src/service/audit.ts";
import { codeMappings, OWN_MAPPINGS_MAX } from "../../src/service/flows/mappings.ts";
import { openOrm } from "../../src/store/orm.ts";
import { PageTokens } from "../../src/wire/page-token.ts";
import { equipmentEvent30, shipmentEvent22 } from "../fixtures/dcsa/events.ts";
import { createTenant } from "../support/database.ts";
import { carrierCall, eachInAWorld, outcomes, staffCall, TENANT, type World } from "./import-world.ts";

let world: World;
eachInAWorld((started) => {
  world = started;
});

const { IATA_FSU, X12_315, DCSA_EQUIPMENT, DCSA_SHIPMENT } = CodeList;

let said = 0;
function coded(list: string, code: string) {
  said += 1;
  return {
    sourceId: `said-${said}`,
    codeList: `CODE_LIST_${list}`,
    code,
    occurredAt: { instant: "2026-03-02T10:00:00Z" },
    references: [{ type: "ORDER", value: "o1" }],
  };
}

async function list(request: { codeList?: CodeList; ownOnly?: boolean; pageSize?: number; pageToken?: string } = {}) {
  const page = await world.codes.listCodeMappings(create(ListCodeMappingsRequestSchema, request), staffCall());
  if (!("mappings" in page)) throw new Error("the reply is encoded already");
  return page;
}

const short = ({ codeList, code, carrier, milestone, own }: CodeMapping) => [codeList, code, carrier, milestone, own];
async function milestonesOf(id: string) {
  return (await world.orderSubject(id)).details.reports.map(({ report }) => report?.milestone);
}

describe("own mappings", () => {
  test("go before what ships with the service, and one for the carrier before one for all", async () => {
    await world.order("o1");
    await world.map([
      { codeList: IATA_FSU, code: "FOH", milestone: "RECEIVED_BY_CARRIER" },
      { codeList: IATA_FSU, code: "FOH", carrier: "LH", milestone: "GATE_IN", exception: true },
    ]);
    await world.import([coded("IATA_FSU", "FOH")], { carrier: "AF" });
    await world.import([coded("IATA_FSU", "FOH")], { carrier: "LH" });
    expect(await milestonesOf("o1")).toEqual(["RECEIVED_BY_CARRIER", "GATE_IN"]);
    expect((await world.orderSubject("o1")).order.exception).toBe(true);

    await world.map([], [{ codeList: IATA_FSU, code: "FOH", carrier: "LH" }]);
    await world.import([coded("IATA_FSU", "FOH")], { carrier: "LH" });
    await world.map([], [{ codeList: IATA_FSU, code: "FOH" }]);
    await world.import([coded("IATA_FSU", "FOH")], { carrier: "LH" });
    expect(await milestonesOf("o1")).toEqual(["RECEIVED_BY_CARRIER", "GATE_IN", "RECEIVED_BY_CARRIER", "ON_HAND"]);
  });

  test("hold for Track & Trace too, also where a container's state or place would decide", async () => {
    const references = [{ type: "BKG", value: "PSEA7700412" }];
    await world.book("b1", { references });
    const event = (eventID: string, equipmentEventTypeCode: string) => {
      const eventClassification = {
        eventTypeCode: "EQUIPMENT",
        eventClassifierCode: "ACT",
        equipmentEventTypeCode,
      };
      const equipmentDetails = { equipmentReference: "CSQU3054383", emptyIndicatorCode: "EMPTY" };
      return equipmentEvent30({ eventID, eventClassification, equipmentDetails });
    };
    await world.import([event("e1", "GTOT")]);
    await world.map([
      { codeList: DCSA_EQUIPMENT, code: "GTOT", milestone: "GATE_OUT" },
      { codeList: DCSA_EQUIPMENT, code: "NEWC", milestone: "INSPECTED" },
      { codeList: DCSA_EQUIPMENT, code: "RSEA", carrier: "PSEA", milestone: "" },
    ]);
    const results = await world.import([event("e2", "GTOT"), event("e3", "NEWC"), event("e4", "RSEA")]);
    expect(outcomes(results).at(-1)).toBe("PASSED_OVER");
    const kinds = (await world.booking("b1")).details.reports.map(({ report }) => report?.milestone);
    expect(kinds).toEqual(["EMPTY_PICKED_UP", "GATE_OUT", "INSPECTED"]);
  });

  test("hold for the states of documents and for what sensors tell", async () => {
    await world.order("o1");
    await world.book("b1", { references: [{ type: "BKG", value: "PSEA7700412" }] }, ["o1"]);
    const state = (eventID: string, documentTypeCode: string) =>
      shipmentEvent22({ eventID, documentTypeCode, shipmentEventTypeCode: "CONF" });
    await world.import([state("e1", "BKG")]);
    await world.map([
      { codeList: DCSA_SHIPMENT, code: "BKG:CONF", milestone: "BOOKED" },
      { codeList: DCSA_SHIPMENT, code: "TRD:CONF", milestone: "" },
    ]);
    const results = await world.import([state("e2", "BKG"), state("e3", "TRD")]);
    expect(outcomes(results)[1]).toBe("PASSED_OVER");
    const kinds = (await world.booking("b1")).details.reports.map(({ report }) => report?.milestone);
    expect(kinds).toEqual(["BKG_CONFIRMED", "BOOKED"]);
    expect((await world.orderSubject("o1")).order.status).toBe("BOOKED");
    // One that no table has waits, and can be mapped.
    const [lost] = await world.import([shipmentEvent22({ eventID: "e5", shipmentEventTypeCode: "NEWS" })]);
    expect(lost).toMatchObject({ reason: "CODE_UNMAPPED" });
    const document = shipmentEvent22().documentTypeCode as string;
    const mended = { codeList: DCSA_SHIPMENT, code: `${document}:NEWS`, milestone: "INSPECTED" };
    expect(await world.map([mended])).toMatchObject({ workItemsMapped: 1 });
  });

  test("hold from then on: what was recorded stays, until the source says the same event again", async () => {
    await world.order("o1");
    const said = (code: string, more: object) => ({ ...coded("X12_315", code), ...more });
    const untimed = said("I", { sourceId: "untimed" });
    const timed = said("OA", { sourceId: "timed", sourceUpdatedAt: "2026-03-02T11:00:00Z" });
    await world.import([untimed, timed]);
    await world.map([
      { codeList: X12_315, code: "I", milestone: "INSPECTED" },
      { codeList: X12_315, code: "OA", milestone: "DELIVERED" },
    ]);
    expect(await milestonesOf("o1")).toEqual(["GATE_IN", "GATE_OUT"]);
    expect((await world.orderSubject("o1")).order.status).toBe("OUT_FOR_DELIVERY");
    const later = { ...timed, sourceUpdatedAt: "2026-03-02T12:00:00Z" };
    expect(outcomes(await world.import([untimed, later]))).toEqual(["APPLIED", "APPLIED"]);
    expect((await milestonesOf("o1")).sort()).toEqual(["DELIVERED", "INSPECTED"]);
    expect((await world.orderSubject("o1")).order.status).toBe("DELIVERED");
    expect(outcomes(await world.import([untimed, later]))).toEqual(["ALREADY_KNOWN", "ALREADY_KNOWN"]);
  });

  test("are a carrier's own when its key imports", async () => {
    const references = [{ type: "BKG", value: "B1" }];
    await world.book("b1", { references });
    await world.map([{ codeList: X12_315, code: "ZZ", carrier: "PSEA", milestone: "GATE_IN" }]);
    const [result] = await world.import([{ ...coded("X12_315", "ZZ"), references }], {
      call: carrierCall("PSEA"),
      carrier: "",
    });
    expect(result).toMatchObject({ outcome: ImportOutcome.APPLIED, bookingIds: ["b1"] });
  });

  test("are no other tenant's", async () => {
    await createTenant(world.database, "other");
    await world.map([{ codeList: X12_315, code: "ZZ", milestone: "GATE_IN" }]);
    await world.database.sql(
      "insert into code_mapping (tenant_id, code_list, code, carrier, milestone, exception) values ('other', 5, 'YY', '', 'LOADED', false)",
    );
    expect((await list({ ownOnly: true })).mappings.map(short)).toEqual([[X12_315, "ZZ", "", "GATE_IN", true]]);
    expect(outcomes(await world.import([coded("X12_315", "YY")]))).toEqual(["UNMATCHED"]);
  });
});

describe("a code that is not mapped", () => {
  test("waits on the work list until its mapping is mended, and is replayed over it", async () => {
    await world.order("o1");
    const [lost, other] = await world.import([coded("X12_315", "ZZ"), coded("X12_315", "YY")]);
    expect(lost).toMatchObject({
      outcome: ImportOutcome.UNMATCHED,
      reason: "CODE_UNMAPPED",
      message: "X12_315 ZZ is not in the mapping table",
      workItemId: expect.stringMatching(/^wrk_/),
    });
    expect(outcomes(await world.retry())).toEqual(["UNMATCHED", "UNMATCHED"]);

    // Another list's code, and another carrier's, do not concern it.
    expect(await world.map([{ codeList: IATA_FSU, code: "ZZ", milestone: "DEPARTED" }])).toMatchObject({
      workItemsMapped: 0,
    });
    const ofOther = { codeList: X12_315, code: "ZZ", carrier: "MAEU", milestone: "DEPARTED" };
    expect(await world.map([ofOther])).toMatchObject({ ownMappings: 2, workItemsMapped: 0 });
    const mended = { codeList: X12_315, code: "ZZ", milestone: "DEPARTED" };
    expect(await world.map([mended])).toMatchObject({ ownMappings: 3, workItemsMapped: 1 });
    expect(await world.map([mended])).toMatchObject({ ownMappings: 3, workItemsMapped: 0 });

    const again = await world.retry();
    expect(outcomes(again).sort()).toEqual(["APPLIED", "UNMATCHED"]);
    expect((await world.orderSubject("o1")).order.status).toBe("IN_TRANSIT");
    expect((await world.listWork()).items.map(({ id }) => id)).toEqual([other?.workItemId]);
  });

  test("of Track & Trace waits alike, for the carrier that sent it", async () => {
    await world.book("b1", { references: [{ type: "BKG", value: "PSEA7700412" }] });
    const eventClassification = {
      eventTypeCode: "EQUIPMENT",
      eventClassifierCode: "ACT",
      equipmentEventTypeCode: "NEWC",
    };
    const [lost] = await world.import([equipmentEvent30({ eventClassification })], { carrier: "" });
    expect(lost).toMatchObject({ reason: "CODE_UNMAPPED", flags: [expect.anything()] });
    const mended = { codeList: DCSA_EQUIPMENT, code: "NEWC", carrier: "PSEA", milestone: "INSPECTED" };
    expect(await world.map([mended])).toMatchObject({ workItemsMapped: 1 });
    expect(outcomes(await world.retry())).toEqual(["WARNED"]);
  });

  test("waits with more than a thousand others, and all are replayed call by call", async () => {
    await Promise.all(["o1", "o2"].map((id) => world.order(id)));
    for (let from = 0; from < 1_100; from += 500) {
      const items = Array.from({ length: Math.min(500, 1_100 - from) }, (_, i) => ({
        ...coded("X12_315", "ZZ"),
        references: [{ type: "ORDER", value: i % 2 === 0 ? "o1" : "o2" }],
      }));
      await world.import(items);
    }
    expect(await world.map([{ codeList: X12_315, code: "ZZ", milestone: "EN_ROUTE" }])).toMatchObject({
      workItemsMapped: 1_100,
    });
    const tries = [await world.retry(), await world.retry(), await world.retry(), await world.retry()];
    expect(tries.map((results) => results.length)).toEqual([500, 500, 100, 0]);
    expect(new Set(outcomes(tries.flat()))).toEqual(new Set(["APPLIED"]));
    expect((await world.orderSubject("o2")).details.reports).toHaveLength(550);
  }, 60_000);

  test("does not keep the others from being tried: those tried the longest ago come first", async () => {
    await world.order("o1");
    const first = await world.import(Array.from({ length: 500 }, () => coded("X12_315", "YY")));
    expect(first.every(({ outcome }) => outcome === ImportOutcome.UNMATCHED)).toBe(true);
    await world.import([coded("X12_315", "ZZ")]);
    await world.map([{ codeList: X12_315, code: "ZZ", milestone: "DEPARTED" }]);
    await world.retry();
    expect(outcomes(await world.retry())).toContain("APPLIED");
  });
});

describe("the list of mappings", () => {
  test("has what ships with the service and the tenant's own in its place, page by page", async () => {
    await world.map([
      { codeList: IATA_FSU, code: "DEP", milestone: "EN_ROUTE" },
      { codeList: IATA_FSU, code: "DEP", carrier: "LH", milestone: "MANIFESTED" },
      { codeList: IATA_FSU, code: "XYZ", milestone: "" },
      { codeList: X12_315, code: "ZZ", milestone: "GATE_IN" },
    ]);
    const all = (await list({ codeList: IATA_FSU, pageSize: 1000 })).mappings;
    expect(all).toHaveLength((CODE_LISTS.get(IATA_FSU)?.size ?? 0) + 2);
    expect(all.filter(({ code }) => code === "DEP").map(short)).toEqual([
      [IATA_FSU, "DEP", "", "EN_ROUTE", true],
      [IATA_FSU, "DEP", "LH", "MANIFESTED", true],
    ]);
    expect(all.find(({ code }) => code === "DEP")?.meaning).toBe("departed on a flight");

    const paged: CodeMapping[] = [];
    let pageToken = "";
    do {
      const page = await list({ codeList: IATA_FSU, pageSize: 7, pageToken });
      paged.push(...page.mappings);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(paged.map(short)).toEqual(all.map(short));

    const equipment = (await list({ codeList: DCSA_EQUIPMENT, pageSize: 1000 })).mappings;
    const meaningOf = (wanted: string) => equipment.find(({ code }) => code === wanted)?.meaning;
    expect(meaningOf("DROP")).toBe(
      "dropped off; EMPTY_RETURNED of an empty container, but not at the customer's (CLOC); DELIVERED of a laden container at the " +
        "customer's (CLOC). An own mapping replaces all of these",
    );
    for (const code of ["GTIN", "GTOT", "PICK"])
      expect(meaningOf(code)).toMatch(/; EMPTY_\w+ of an empty .* replaces all/);
    expect(equipment.filter(({ meaning }) => meaning.includes("replaces all"))).toHaveLength(4);

    const own = await list({ ownOnly: true, pageSize: 3 });
    expect(own.mappings.map(({ code }) => code)).toEqual(["DEP", "DEP", "XYZ"]);
    await expect(list({ ownOnly: false, pageToken: own.nextPageToken })).rejects.toMatchObject({
      reason: ErrorReason.PAGE_TOKEN_INVALID,
    });
    const shipped = [...CODE_LISTS.values()].reduce((sum, codes) => sum + codes.size, 0);
    const first = await list({ pageSize: 1000 });
    const rest = await list({ pageSize: 1000, pageToken: first.nextPageToken });
    expect([first.mappings.length, rest.mappings.length]).toEqual([1000, shipped + 3 - 1000]);
    expect(rest.nextPageToken).toBe("");
  });
});

describe("changes of mappings", () => {
  test("are refused whole when they say a thing twice, or that nothing went wrong", async () => {
    const one = { codeList: IATA_FSU, code: "DEP", milestone: "EN_ROUTE" };
    for (const [set, remove, field] of [
      [[one, one], [], "set[1]"],
      [[one], [one], "remove[0]"],
      [[one, { ...one, code: "OCI", milestone: "", exception: true }], [], "set[1].milestone"],
    ] as const) {
      await expect(world.map([...set], [...remove])).rejects.toMatchObject({
        reason: ErrorReason.FIELD_INVALID,
        violations: [{ field }],
      });
    }
    expect((await list({ ownOnly: true })).mappings).toEqual([]);
  });

  test("warn of milestones that nothing knows, and set them all the same", async () => {
    const set = (...milestones: string[]) =>
      world.map(milestones.map((milestone, i) => ({ codeList: X12_315, code: `C${i}`, milestone })));
    const known = ["GATE_OUT", "BKG_CONFIRMED", "EMPTY_RETURNED", ""]; // of orders, of documents, by its condition, of none
    expect((await set("GATE_OTU", ...known, "WEIGHED", "GATE_OTU")).unknownMilestones).toEqual(["GATE_OTU", "WEIGHED"]);
    expect((await list({ ownOnly: true })).mappings.map(({ milestone }) => milestone)).toContain("GATE_OTU");

    const flowWith = (milestone: string) =>
      toBinary(FlowDefinitionSchema, create(FlowDefinitionSchema, { milestones: [{ milestone }] }));
    await createTenant(world.database, "other");
    // In a version after many others, in a draft, and in a draft of another tenant.
    await world.database.sql(
      `insert into status_flow (tenant_id, id, name, draft, published_version, edition, created_at, updated_at)
       values ($1, 'shop', 'shop', $3, 30, 1, now(), now()), ($2, 'shop', 'shop', $4, 0, 1, now(), now())`,
      [TENANT, "other", flowWith("WEIGHED"), flowWith("GATE_OTU")],
    );
    await world.database.sql(
      `insert into status_flow_version (tenant_id, flow_id, version, definition, published_at, published_by)
       select $1, 'shop', n, case n when 29 then $2::bytea else $3::bytea end, now(), 'key' from generate_series(1, 30) n`,
      [TENANT, flowWith("ASSEMBLED"), flowWith("DEPARTED")],
    );
    const { unknownMilestones } = await set("WEIGHED", "ASSEMBLED", "GATE_OTU");
    expect(unknownMilestones).toEqual(["GATE_OTU"]);
  });

  test(`stop at ${OWN_MAPPINGS_MAX} own mappings`, async () => {
    await world.database.sql(
      `insert into code_mapping (tenant_id, code_list, code, carrier, milestone, exception)
       select $1, 3, 'C' || n, '', 'LOADED', false from generate_series(1, $2::int) n`,
      [TENANT, OWN_MAPPINGS_MAX],
    );
    const more = { codeList: IATA_FSU, code: "DEP", milestone: "EN_ROUTE" };
    await expect(world.map([more])).rejects.toMatchObject({ reason: ErrorReason.SUBJECT_FULL });
    const answer = await world.map([more, { ...more, code: "C2" }], [{ codeList: IATA_FSU, code: "C1" }]);
    expect(answer.ownMappings).toBe(OWN_MAPPINGS_MAX);
  });

  test("ask for the tier first, and removing asks for none", async () => {
    const asked: boolean[] = [];
    const orm = await openOrm(world.database.appUrl);
    const excluded = new Refusal(ErrorReason.TIER_EXCLUDES, "not in this tier");
    const codes = codeMappings({
      orm,
      audit: createAudit(orm, () => undefined),
      pageTokens: new PageTokens(new Uint8Array(32)),
      mayMap: (_, perCarrier) => {
        asked.push(perCarrier);
        throw excluded;
      },
    });
    const update = (set: { code: string; carrier: string }[], remove: { code: string }[] = []) => {
      const of = { codeList: IATA_FSU, milestone: "LOADED" };
      const request = create(UpdateCodeMappingsRequestSchema, {
        set: set.map((one) => ({ ...of, ...one })),
        remove: remove.map((one) => ({ ...of, ...one })),
      });
      return codes.updateCodeMappings(request, staffCall());
    };
    const forAll = { code: "DEP", carrier: "" };
    await expect(update([forAll])).rejects.toBe(excluded);
    await expect(update([forAll, { code: "ARR", carrier: "LH" }])).rejects.toBe(excluded);
    await expect(update([], [{ code: "DEP" }])).resolves.toMatchObject({ ownMappings: 0 });
    expect(asked).toEqual([false, true]);
    await orm.close(true);
  });
});
