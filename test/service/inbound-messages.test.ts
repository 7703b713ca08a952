import { describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { ImportOutcome, type InboundMessage, MessageFormat } from "../../gen/leadline/v1/import_service_pb.ts";
import { transportEvent22 } from "../fixtures/dcsa/events.ts";
import { createTenant } from "../support/database.ts";
import { carrierCall, eachInAWorld, type World } from "./import-world.ts";

let world: World;
eachInAWorld((started) => {
  world = started;
  world.inbound.kept = true;
});

const event = (eventID: string) => JSON.stringify(transportEvent22({ eventID }));

async function allPages(pageSize: number): Promise<InboundMessage[]> {
  const all: InboundMessage[] = [];
  let pageToken = "";
  do {
    const page = await world.messages({ pageSize, pageToken });
    expect(page.messages.length).toBeLessThanOrEqual(pageSize);
    all.push(...page.messages);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return all;
}

describe("items as they came in", () => {
  test("are kept as they are, with what became of each, the newest first", async () => {
    await world.import([event("e1"), "{", event("e2")], { carrier: "PSEA" });
    const [later] = await world.import([event("e1")], { call: carrierCall("PSEA"), carrier: "" });
    const { messages, nextPageToken } = await world.messages();
    expect(nextPageToken).toBe("");
    expect(messages.map(({ item }) => item)).toEqual([event("e1"), event("e2"), "{", event("e1")]);
    expect(messages.map(({ carrier }) => carrier)).toEqual(["", "PSEA", "PSEA", "PSEA"]);
    expect(messages[0]).toMatchObject({ format: MessageFormat.DCSA_TNT_2, actor: "key_1", result: later });
    expect(messages[2]?.result).toMatchObject({ outcome: ImportOutcome.REFUSED, reason: "MESSAGE_MALFORMED" });
    const work = (await world.listWork()).items;
    expect(messages[1]?.result?.workItemId).toBe(work.find(({ sourceId }) => sourceId === "e2")?.id);
  });

  test("are read page by page, and by their source's id", async () => {
    await world.import(["e1", "e2", "e3", "e4", "e5"].map(event));
    await world.import(["e1", "e6"].map(event));
    const pages = await allPages(2);
    const ids = pages.map(({ result }) => result?.sourceId);
    expect(ids).toEqual(["e6", "e1", "e5", "e4", "e3", "e2", "e1"]);
    const { messages, nextPageToken } = await world.messages({ sourceId: "e1", pageSize: 1 });
    expect(messages).toHaveLength(1);
    const rest = await world.messages({ sourceId: "e1", pageToken: nextPageToken });
    expect([...messages, ...rest.messages].map(({ id }) => id)).toEqual([pages[1]?.id, pages[6]?.id]);
    await expect(world.messages({ pageToken: nextPageToken })).rejects.toMatchObject({
      reason: ErrorReason.PAGE_TOKEN_INVALID,
    });
  });

  test("fit on a page by their bytes", async () => {
    const large = (n: number) => `{"n":${n},"a":"${"x".repeat(260_000)}"}`;
    await world.import(Array.from({ length: 15 }, (_, n) => large(n)));
    const { messages, nextPageToken } = await world.messages();
    expect(messages.length).toBeLessThan(15);
    const rest = await world.messages({ pageToken: nextPageToken });
    const items = [...messages, ...rest.messages].map(({ item }) => JSON.parse(item).n);
    expect(items).toEqual(Array.from({ length: 15 }, (_, n) => 14 - n));
  });

  test("that Postgres cannot keep as they are, or that are too long, are kept as far as they can be", async () => {
    const results = await world.import([`{"a":"\0"}`, `{"a":"${"x".repeat(262_144)}"}`]);
    const { messages } = await world.messages();
    expect(messages.map(({ item }) => item)).toEqual(["", `{"a":"\ufffd"}`]);
    expect(messages.map(({ result }) => result?.reason)).toEqual([results[1]?.reason, results[0]?.reason]);
  });

  test("are not kept where the tier does not say so", async () => {
    world.inbound.kept = false;
    await world.import([event("e1")]);
    expect((await world.messages()).messages).toEqual([]);
  });

  test("are no other tenant's", async () => {
    await createTenant(world.database, "other");
    await world.import([event("e1")]);
    await world.database.sql("update inbound_message set tenant_id = 'other'");
    expect((await world.messages()).messages).toEqual([]);
  });

  test("that cannot be kept fail no import, and undo nothing of it", async () => {
    await world.database.sql("revoke insert on inbound_message from leadline_app");
    const [result] = await world.import([event("e1")]);
    expect(result).toMatchObject({ outcome: ImportOutcome.UNMATCHED, workItemId: expect.stringMatching(/^wrk_/) });
    expect((await world.listWork()).items.map(({ id }) => id)).toEqual([result?.workItemId]);
    const faults = world.faults.splice(0);
    expect(faults).toHaveLength(1);
    expect(String(faults[0])).toContain("permission denied");
  });
});
