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
