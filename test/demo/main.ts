import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs, styleText } from "node:util";
import { Client } from "pg";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { createLeadlineClient } from "../../src/client/node.ts";
import { drawKey } from "../../src/service/api-key.ts";
import { startEmbedded } from "../../src/store/embedded.ts";
import { decodeEvents } from "../../src/wire/event-view.ts";
import { type Instance, startInstance } from "../support/instance.ts";
import { useNats } from "../support/nats.ts";
import { APP_LOGIN, databaseUrl, prepareServer, TEMPLATE } from "../support/prepare-server.ts";
import { CARRIER, journey } from "./journey.ts";
import { compare, type Door, expectedOf, Watcher, WISHES } from "./watchers.ts";

const TENANT = "demo";
const DOORS: readonly Door[] = ["gRPC", "Connect", "gRPC-Web"];
/** How long the watchers may take to hear the last of it. */
const PATIENCE_MS = 8_000;

const { values: options } = parseArgs({
  options: { "drop-one": { type: "boolean" }, json: { type: "boolean" }, help: { type: "boolean" } },
});
if (options.help) {
  console.log(`npm run demo [-- --drop-one] [--json]

Starts a throwaway service (Postgres, NATS, two instances), plays a recorded journey through the gRPC door, and compares
what watchers on three protocols and both instances were told with the journal.

  --drop-one   one watcher throws one event away: the comparison must find it, and the exit code is 1
  --json       one JSON object per line`);
} else {
  process.exitCode = await demo().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  });
}

async function demo(): Promise<number> {
  await using stack = new AsyncDisposableStack();
  say("starting Postgres, NATS and two instances");
  const directory = mkdtempSync(join(tmpdir(), "leadline-demo-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const [postgres, nats] = await Promise.all([startEmbedded({ directory, durable: false }), useNats()]);
  stack.defer(() => postgres.stop());
  stack.defer(() => nats.stop());
  await prepareServer(postgres.url());
  const ownerKey = drawKey("service", "key_0demo").text;
  const env = {
    DATABASE_URL: databaseUrl(postgres.url(), TEMPLATE, APP_LOGIN),
    NATS_URL: nats.url,
    LEADLINE_OWNER_KEY: ownerKey,
  };
  const first = stack.use(await startInstance(env));
  const second = stack.use(await startInstance(env));
  const keys = await makeKeys(first, ownerKey);

  const watchers = plan(first, second, keys.viewer).map((p) => new Watcher(p));
  await Promise.all(watchers.map((w) => w.start()));
  stack.defer(async () => void (await Promise.all(watchers.map((w) => w.kill()))));
  say(`${watchers.length} watchers are listening`);
  const dropping = watchers[0];
  if (options["drop-one"] && dropping) dropping.discardOne = true;

  await play(first, keys, watchers);
  const journal = await readJournal(databaseUrl(postgres.url(), TEMPLATE));
  return report(watchers, journal);
}

async function makeKeys(instance: Instance, ownerKey: string) {
  const owner = createLeadlineClient({ address: instance.grpc, key: ownerKey });
  await owner.tenants.createTenant({ tenantId: TENANT, name: "Demo", tier: Tier.ADAPTIVE });
  const make = async (role: Role, carrier = "") =>
    (await owner.tenants.createKey({ tenantId: TENANT, name: carrier || "shipper", role, carrier })).secret;
  const keys = {
    operator: await make(Role.OPERATOR),
    carrier: await make(Role.CARRIER, CARRIER),
    viewer: await make(Role.VIEWER),
  };
  owner.close();
  return keys;
}

/** Every wish on every door, by turns on the two instances. */
function plan(first: Instance, second: Instance, key: string) {
  const instances = [
    { name: "A", grpc: first.grpc, http: first.http },
    { name: "B", grpc: second.grpc, http: second.http },
  ];
  return WISHES.flatMap((wish, i) =>
    DOORS.flatMap((door, j) => {
      const instance = instances[(i + j) % 2];
      return instance ? [{ door, instance, wish, key }] : [];
    }),
  );
}

/** Plays the journey; one watcher on each door is killed on the way and resumes a dozen steps later. */
async function play(instance: Instance, keys: { operator: string; carrier: string }, watchers: readonly Watcher[]) {
  const operator = createLeadlineClient({ address: instance.grpc, key: keys.operator });
  const carrier = createLeadlineClient({ address: instance.grpc, key: keys.carrier });
  const steps = journey();
  const victims = watchers.filter((w) => w.plan.wish.name === "all orders");
  for (const [n, step] of steps.entries()) {
    if (n === 30) await Promise.all(victims.map((w) => w.kill()));
    if (n === 42) await Promise.all(victims.map((w) => w.start()));
    progress(n + 1, steps.length, step.title);
    await step.run({ operator, carrier }).catch((error: unknown) => {
      throw new Error(`step "${step.title}" failed: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    });
  }
  operator.close();
  carrier.close();
}

async function readJournal(url: string): Promise<Event[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query("select payload from event where tenant_id = $1 order by revision", [TENANT]);
  await client.end();
  return decodeEvents(Buffer.concat(rows.map((row) => row.payload)));
}

async function report(watchers: readonly Watcher[], journal: readonly Event[]): Promise<number> {
  const expected = new Map(watchers.map((w) => [w, expectedOf(w.plan.wish, journal)]));
  const behind = () => watchers.some((w) => w.told.length < (expected.get(w)?.length ?? 0));
  for (const end = Date.now() + PATIENCE_MS; behind() && Date.now() < end; ) await sleep(20);
  const total = { lost: 0, repeated: 0, outOfOrder: 0, deaf: 0 };
  for (const watcher of watchers) {
    const should = expected.get(watcher) ?? [];
    const result = compare(watcher.told, should);
    const { door, instance, wish } = watcher.plan;
    total.lost += result.lost;
    total.repeated += result.repeated;
    total.outOfOrder += result.outOfOrder;
    if (watcher.told.length === 0) total.deaf += 1;
    line({ door, instance: instance.name, filter: wish.name, received: watcher.told.length, expected: should.length });
  }
  const { lost, repeated, outOfOrder } = total;
  const words = `${journal.length} events, ${watchers.length} watchers: ${lost} lost, ${repeated} repeated, ${outOfOrder} out of order`;
  console.log(options.json ? JSON.stringify({ events: journal.length, watchers: watchers.length, ...total }) : words);
  return lost + repeated + outOfOrder + total.deaf === 0 && journal.length >= 100 ? 0 : 1;
}

function line(row: { door: string; instance: string; filter: string; received: number; expected: number }): void {
  const right = row.received === row.expected;
  const text = `${row.door.padEnd(9)} ${row.instance}  ${row.filter.padEnd(20)} received ${String(row.received).padStart(4)}  expected ${String(row.expected).padStart(4)}`;
  console.log(options.json ? JSON.stringify(row) : styleText(right ? "green" : "red", text));
}

function say(text: string): void {
  if (!options.json) console.log(text);
}

function progress(n: number, of: number, title: string): void {
  if (options.json || !process.stdout.isTTY) return;
  process.stdout.write(`\r\x1b[K${n}/${of} ${title}${n === of ? "\n" : ""}`);
}
