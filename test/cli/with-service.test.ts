import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLeadlineClient } from "../../src/client/node.ts";
import { type Ready, ServiceProcess } from "../client/service-process.ts";
import { dryRequest } from "../fixtures/dcsa/booking-requests.ts";
import { equipmentEvent30 } from "../fixtures/dcsa/events.ts";
import { leadlineHere, Watching } from "./leadline.ts";

let service: ServiceProcess;
let ready: Ready;
let env: Record<string, string>;

beforeAll(async () => {
  service = await ServiceProcess.prepare();
  ready = await service.start();
  env = {
    LEADLINE_ADDRESS: ready.grpc,
    LEADLINE_DATA_DIR: service.dataDir,
    LEADLINE_HTTP_PORT: new URL(ready.http).port,
  };
}, 60_000);

afterAll(async () => {
  await service?.[Symbol.asyncDispose]();
});

async function createOrder(orderId: string): Promise<void> {
  const client = createLeadlineClient({ address: ready.grpc, key: ready.operator });
  try {
    await client.orders.createOrder({ orderId });
  } finally {
    client.close();
  }
}

function lines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

describe("report", () => {
  test("uses the key that the local service keeps, and says what became of it", async () => {
    await createOrder("po-1");
    const { exit, out, err } = await leadlineHere(["report", "--order", "po-1", "--status", "in_transit"], env);
    expect(err).toBe("");
    expect(out).toMatch(/^po-1: applied; it is IN_TRANSIT, version 2 \(report \S+, position \d+-\S+\)\n$/);
    expect(exit).toBe(0);
  });

  test("repeated with its request id is answered alike and counts once", async () => {
    await createOrder("po-2");
    const words = ["report", "--order", "po-2", "--status", "READY", "--at", "2026-11-22T10:00+01:00"];
    const first = await leadlineHere([...words, "--request-id", "r1", "--json"], env);
    const second = await leadlineHere([...words, "--request-id", "r1", "--json"], env);
    expect(lines(first.out)).toMatchObject([{ outcome: "REPORT_OUTCOME_APPLIED", status: "READY", version: "2" }]);
    expect(second.out).toBe(first.out);
  });

  test("of an unknown order is refused with the service's reason", async () => {
    const { exit, out, err } = await leadlineHere(["report", "--order", "nope", "--status", "READY"], env);
    expect(exit).toBe(1);
    expect(out).toBe("");
    expect(err).toBe('leadline: order "nope" is unknown (ORDER_UNKNOWN)\n');
  });

  test("with a field that is refused is one line, which names the field", async () => {
    const { exit, err } = await leadlineHere(["report", "--order", "../x", "--status", "READY"], env);
    expect(exit).toBe(1);
    expect(err).toMatch(/^leadline: order_id: .* \(FIELD_INVALID\)\n$/);
  });

  test("with a key that is none says how to give one", async () => {
    const { exit, err } = await leadlineHere(
      ["report", "--order", "po-1", "--status", "READY", "--key", "lead_x"],
      env,
    );
    expect(exit).toBe(77);
    expect(err).toMatch(/^leadline: .* \(CREDENTIAL_INVALID\)\nhint: give a key with --key or LEADLINE_KEY/);
  });
});

describe("keys and tenants", () => {
  test("the service owner makes a tenant and its first key, which makes others and revokes them", async () => {
    const made = await leadlineHere(["tenants", "create", "--name", "Acme", "--id", "acme", "--tier", "adaptive"], env);
    expect(made).toMatchObject({ exit: 0, out: "acme\n" });
    const first = await leadlineHere(["keys", "create", "--tenant", "acme", "--name", "first", "--role", "owner"], env);
    const ownerKey = first.out.trim();
    expect(ownerKey).toMatch(/^lead_owner_/);

    const acme = { ...env, LEADLINE_KEY: ownerKey };
    const words = ["keys", "create", "--name", "reader", "--role", "viewer", "--expires", "1h", "--json"];
    const [second] = lines((await leadlineHere(words, acme)).out);
    const { id } = Object(second?.key) as { id: string };
    const listed = lines((await leadlineHere(["keys", "list", "--json"], acme)).out);
    expect(listed.map(({ name }) => name)).toEqual(["reader", "first"]);

    expect((await leadlineHere(["keys", "revoke", id], acme)).out).toMatch(new RegExp(`^${id}: revoked \\d{4}-`));
    expect((await leadlineHere(["keys", "list"], acme)).out).toMatch(new RegExp(`^${id} .* revoked \\d{4}-`, "m"));
  });
});

describe("a tenant's life", () => {
  test("it is shown, moved between tiers, suspended, resumed and closed", async () => {
    const run = (...words: string[]) => leadlineHere(["tenants", ...words], env);
    await run("create", "--name", "Globex", "--id", "globex");
    expect((await run("set-tier", "globex", "adaptive", "--calls-per-second", "7")).out).toMatch(
      /^globex: ADAPTIVE, ACTIVE /,
    );
    const shown = (await run("show", "globex")).out;
    expect(shown).toMatch(/^calls_per_second +yes +7 +- +- /m);
    expect(shown).toMatch(/^streams +yes +40000 +- +40000 /m);
    expect(await run("set-tier", "globex", "assisted", "--streams", "7")).toMatchObject({ exit: 1 });
    // What was agreed before stays, in a lower tier it rests.
    await run("set-tier", "globex", "assisted");
    await run("set-tier", "globex", "adaptive", "--streams", "9");
    expect((await run("show", "globex")).out).toMatch(/^calls_per_second +yes +7 .*^streams +yes +9 +- +9 /ms);
    expect((await run("suspend", "globex", "--reason", "unpaid")).out).toMatch(/^globex: ADAPTIVE, SUSPENDED /);
    expect((await run("list")).out).toMatch(/^globex +ADAPTIVE +SUSPENDED /m);
    expect((await run("resume", "globex")).out).toMatch(/ACTIVE/);
    expect((await run("close", "globex", "--reason", "done", "--delete-at", "2d")).out).toMatch(
      /CLOSED .*\nits data is deleted \d{4}-/,
    );
    expect(await run("resume", "globex")).toMatchObject({ exit: 1, err: expect.stringContaining("TENANT_CLOSED") });
  });
});

describe("changes", () => {
  test("are told from a position on, which is told again at the end", async () => {
    await createOrder("feed-1");
    const first = await leadlineHere(["changes", "--json"], env);
    const events = lines(first.out);
    expect(events.map(({ revision }) => Number(revision))).toEqual(events.map((_, i) => i + 1));
    await createOrder("feed-2");
    const rest = await leadlineHere(["changes", "--from", first.err.trim()], env);
    expect(rest.out).toMatch(/^\d+ {2}\S+Z {2}feed-2 {2}v1 {2}\w+\n$/);
    const following = new Watching(["changes", "--from", rest.err.trim(), "--follow", "--json"], env);
    await createOrder("feed-3");
    await following.seen('"feed-3"');
    expect(await following.interrupt()).toBe(130);
    expect(lines(following.out)).toHaveLength(1);
  });
});

describe("import", () => {
  function fileWith(...items: unknown[]): string {
    const file = join(mkdtempSync(join(tmpdir(), "leadline-")), "items.json");
    writeFileSync(file, JSON.stringify(items));
    return file;
  }

  test("says of each item what became of it, and a second import changes nothing", async () => {
    const file = fileWith(dryRequest(), { hello: "world" }, equipmentEvent30());
    const words = ["import", "--carrier", "MAEU", "--json", file];
    const first = await leadlineHere(words, env);
    expect(lines(first.out).map(({ outcome }) => outcome)).toEqual([
      "IMPORT_OUTCOME_APPLIED",
      "IMPORT_OUTCOME_REFUSED",
      "IMPORT_OUTCOME_WARNED",
      undefined,
    ]);
    expect(lines(first.out).at(-1)).toMatchObject({ summary: { items: 3, APPLIED: 1, REFUSED: 1, WARNED: 1 } });
    expect(first.exit).toBe(1);
    const second = await leadlineHere(words, env);
    expect(lines(second.out).at(-1)).toMatchObject({ summary: { items: 3, ALREADY_KNOWN: 2, REFUSED: 1 } });
  });

  test("what matched nothing is on the work list, can be tried again, and is no failure", async () => {
    const { exit, out } = await leadlineHere(["import", fileWith(equipmentEvent30({ eventID: "lost" }))], env);
    expect(exit).toBe(0);
    expect(out).toMatch(/^UNMATCHED .* lost /);
    const [item] = lines((await leadlineHere(["import", "--work-list", "--json"], env)).out).filter(
      ({ sourceId }) => sourceId === "lost",
    );
    expect(item).toMatchObject({ format: "MESSAGE_FORMAT_DCSA_TNT_3" });
    const again = await leadlineHere(["import", "--retry", String(item?.id)], env);
    expect(again.out).toMatch(new RegExp(`^UNMATCHED {6}${item?.id} .*\\n1 item: 1 unmatched\\n$`));
  });
});

describe("codes of partners", () => {
  const event = {
    sourceId: "fsu-1",
    codeList: "CODE_LIST_IATA_FSU",
    code: "ZZZ",
    occurredAt: { instant: "2026-03-02T10:00:00Z" },
    references: [{ type: "ORDER", value: "po-codes" }],
  };

  test("are listed, mapped for all or for one carrier, and what waited for them is tried again", async () => {
    await createOrder("po-codes");
    const file = join(mkdtempSync(join(tmpdir(), "leadline-")), "fsu.json");
    writeFileSync(file, JSON.stringify(event));
    const words = ["import", "--carrier", "LH", "--format", "coded-event", file];
    expect((await leadlineHere(words, env)).out).toMatch(/^UNMATCHED .* fsu-1 .*CODE_UNMAPPED: IATA_FSU ZZZ is not/);

    const set = ["iata_fsu:ZZZ@LH=departed", "IATA_FSU:YYY=DAMAGED!", "IATA_FSU:WWW="];
    const mapped = await leadlineHere(["flows", "codes", "--set", ...set], env);
    expect(mapped).toMatchObject({ exit: 0, err: "" });
    expect(mapped.out).toBe(
      "3 set, 0 removed; 3 of your own\n1 work item waited for it: leadline import --retry tries again, 500 at a time\n",
    );
    expect((await leadlineHere(["import", "--retry"], env)).out).toMatch(/^APPLIED .* fsu-1 {2}po-codes$/m);

    const own = await leadlineHere(["flows", "codes", "--own"], env);
    expect(own.out.replaceAll(/ +/g, " ")).toBe(
      [
        "LIST CODE CARRIER MILESTONE MEANING",
        "IATA_FSU WWW - - own",
        "IATA_FSU YYY - DAMAGED exception own",
        "IATA_FSU ZZZ LH DEPARTED own",
        "",
      ].join("\n"),
    );
    const remove = ["flows", "codes", "--json", "--remove", "iata_fsu:ZZZ@LH", "iata_fsu:YYY", "iata_fsu:WWW"];
    expect(lines((await leadlineHere(remove, env)).out)).toEqual([
      { ownMappings: 0, workItemsMapped: 0, unknownMilestones: [] },
    ]);
    const shipped = lines((await leadlineHere(["flows", "codes", "--list", "iata-fsu", "--json"], env)).out);
    expect(shipped.find(({ code }) => code === "DLV")).toMatchObject({
      codeList: "CODE_LIST_IATA_FSU",
      milestone: "DELIVERED",
    });
  });

  test("are warned of where nothing knows the milestone", async () => {
    const words = ["flows", "codes", "--set", "x12_315:OA=GATE_OTU", "x12_315:P=GATE_OTU", "x12_315:I=GATE_IN"];
    const { exit, out, err } = await leadlineHere(words, env);
    expect([exit, out]).toEqual([0, "3 set, 0 removed; 3 of your own\n"]);
    expect(err).toBe(
      "no list that ships and no flow of yours has a milestone GATE_OTU: orders take no status from it\n",
    );
    const removed = await leadlineHere(["flows", "codes", "--remove", "x12_315:OA", "x12_315:P", "x12_315:I"], env);
    expect(removed).toMatchObject({ exit: 0, err: "" });
  });

  test.each([
    [["--set", "iata_fsu:ZZZ"], /is no meaning/],
    [["--set", "iata_fsu=DEPARTED"], /names no code/],
    [["--remove", "nolist:ZZZ"], /must be one of DCSA_TRANSPORT/],
  ])("%j is wrong use", async (words, why) => {
    const { exit, err } = await leadlineHere(["flows", "codes", ...words], env);
    expect(exit).toBe(64);
    expect(err).toMatch(why);
  });
});

describe("items as they came", () => {
  test("are listed where the tier keeps them, the newest first", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "leadline-")), "events.json");
    writeFileSync(file, JSON.stringify([equipmentEvent30({ eventID: "raw-1" }), { eventID: "raw-2" }]));
    await leadlineHere(["import", file], env);
    const listed = await leadlineHere(["import", "--inbound"], env);
    const [, second = "", first = ""] = listed.out.split("\n");
    expect(first).toMatch(/^msg_\S+ +DCSA_TNT_3 .* raw-1 +UNMATCHED: BOOKING_UNKNOWN$/);
    expect(second).toMatch(/^msg_\S+ +DCSA_TNT_2 .* raw-2 +REFUSED: FIELD_INVALID$/);
    const one = lines((await leadlineHere(["import", "--inbound", "--source-id", "raw-2", "--json"], env)).out);
    expect(one).toMatchObject([{ item: '{"eventID":"raw-2"}', result: { reason: "FIELD_INVALID" } }]);
  });
});

describe("watch", () => {
  test("continues from its file where the last run was interrupted, which ends with 130", async () => {
    const file = join(mkdtempSync(join(tmpdir(), "leadline-")), "position");
    const words = ["watch", "--id", "po-10,po-11", "--json", "--resume", file];
    await createOrder("po-10");
    const first = new Watching(words, env);
    await first.seen('"type":"synced"');
    expect(await first.interrupt()).toBe(130);
    expect(lines(first.out).map(({ type }) => type)).toEqual(["snapshot", "synced"]);
    expect(readFileSync(file, "utf8")).toMatch(/^\d+-\S+\n$/);

    await createOrder("po-11");
    const second = new Watching(words, env);
    await second.seen("po-11");
    expect(await second.interrupt()).toBe(130);
    expect(lines(second.out)).toMatchObject([{ type: "event", event: { subjectId: "po-11", version: "1" } }]);
  });

  test("writes one line for each change where there is no terminal", async () => {
    await createOrder("po-20");
    const watching = new Watching(["watch", "--order", "po-20"], env);
    await watching.seen("-- all that is there");
    await leadlineHere(["report", "--order", "po-20", "--status", "READY", "--place", "NLRTM"], env);
    await watching.seen("actual READY at NLRTM");
    await watching.interrupt();
    expect(watching.out.split("\n")[0]).toMatch(/^\S+Z {2}po-20 {2}v1 {2}RECEIVED \(RECEIVED\) {2}is$/);
  });
});

describe("doctor", () => {
  test("finds everything in order", async () => {
    const { exit, out } = await leadlineHere(["doctor", "--json"], env);
    expect(lines(out).filter(({ result }) => result !== "ok")).toEqual([]);
    expect(lines(out).map(({ check }) => check)).toEqual([
      "node",
      "settings",
      "database",
      "bus",
      "gRPC door",
      "HTTP door",
      "key",
    ]);
    expect(exit).toBe(0);
  });
});

describe("audit and redact", () => {
  test("say what was administered, and remove what is personal", async () => {
    const client = createLeadlineClient({ address: ready.grpc, key: ready.operator });
    await client.orders.createOrder({ orderId: "po-private", parties: [{ role: "CONSIGNEE", name: "Jane Doe" }] });
    client.close();
    const why = ["--reason", "request 7"];
    const party = await leadlineHere(["redact", "--party", "Jane Doe", ...why], env);
    expect([party.exit, party.err]).toEqual([0, ""]);
    expect(party.out).toMatch(/^po-private\n1 of \d+ orders and bookings named the party\n$/);
    const order = await leadlineHere(["redact", "--order", "po-private", ...why], env);
    expect(order).toMatchObject({ exit: 0, out: "po-private: 0 events rewritten\n" });
    const both = await leadlineHere(["redact", "--order", "po-private", "--party", "Jane Doe", ...why], env);
    expect([both.exit, both.err]).toEqual([64, expect.stringContaining("one of the two")]);
    const audit = await leadlineHere(["audit"], env);
    expect(audit.out).toMatch(/ service-owner {2}TenantService\.CreateTenant {2}demo {2}/);
    expect(audit.out.trimEnd().split("\n").at(-1)).toMatch(
      / {2}OrderService\.RedactParty {2}po-private {2}.*reason=request 7$/,
    );
    const json = lines((await leadlineHere(["audit", "--json"], env)).out);
    expect(json.at(-1)).toMatchObject({ administered: { act: "OrderService.RedactParty", target: "po-private" } });
  });

  test("goes on with --follow, each act once, until it is interrupted", async () => {
    const following = new Watching(["audit", "--follow", "--json"], env);
    await following.seen('"TenantService.CreateTenant"');
    const made = await leadlineHere(["keys", "create", "--name", "followed", "--role", "viewer"], env);
    expect(made.exit).toBe(0);
    await following.seen("followed");
    expect(await following.interrupt()).toBe(130);
    const revisions = lines(following.out).map(({ revision }) => Number(revision));
    expect(revisions).toEqual(revisions.map((_, i) => i + 1));
  });

  test("a support key is the service owner's to make, with a reason", async () => {
    const words = ["keys", "create", "--tenant", "demo", "--support", "--name", "ticket 7", "--role", "viewer"];
    const without = await leadlineHere(words, env);
    expect(without.err).toMatch(/^leadline: reason is needed with a support key.* \(FIELD_INVALID\)\n/);
    const made = await leadlineHere([...words, "--reason", "cannot see po-1"], env);
    expect([made.exit, made.out]).toEqual([0, expect.stringMatching(/^lead_viewer_/)]);
    const audit = await leadlineHere(["audit"], env);
    expect(audit.out).toMatch(
      /service-owner from \S+ {2}TenantService\.CreateKey .*support=true {2}reason=cannot see po-1\n$/,
    );
  });
});
