import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { type CallerKind, callerKinds } from "../doors/callers.ts";
import { journalFaults } from "../guarantees/journal.ts";
import { everyRequest } from "./every-request.ts";
import { ORDER } from "./order-requests.ts";
import { bufCurls, plainFetch } from "./plain-callers.ts";
import type { Row } from "./rows.ts";
import { Answered, callRow, credentials, type InteropWorld, openWorld } from "./world.ts";

let world: InteropWorld;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const nameOf = ({ method }: Row) => `${method.parent.typeName}/${method.name}`;

test("every unary RPC that the service tells of by reflection has a row", async () => {
  const buf = join(import.meta.dirname, "../../node_modules/.bin/buf");
  const { stdout } = await promisify(execFile)(buf, ["curl", "--list-methods", world.app.httpUrl]);
  const served = stdout.split("\n").filter((line) => line.startsWith("leadline.") && !line.includes("/Watch"));
  const tried = new Set(everyRequest("none").map(nameOf));
  expect(served.length).toBeGreaterThan(40);
  expect(served.filter((name) => !tried.has(name))).toEqual([]);
});

/** The requests in order, each by whom it is made; what is answered is what the row says. */
async function callAll(kind: CallerKind, tenantId: string, rows: readonly Row[]): Promise<void> {
  const tenant = await world.app.makeTenant(tenantId);
  const bearerOf = credentials(tenant, ORDER);
  const caller = kind.open(world);
  const answers = new Answered();
  for (const row of rows) {
    const answer = await callRow(caller, row, bearerOf, answers).catch((error: unknown) => {
      throw new Error(`${nameOf(row)} was refused: ${error}`, { cause: error });
    });
    expect(answer, nameOf(row)).toMatchObject(row.says);
  }
}

const libraries = [...callerKinds, plainFetch].map((kind, i) => [kind.name, kind, `tenant-${i}`] as const);
const processes = bufCurls.map((kind, i) => [kind.name, kind, `buf-${i}`] as const);

describe.concurrent("every RPC is answered", () => {
  test.each(libraries)("to %s", (_name, kind, tenantId) => callAll(kind, tenantId, everyRequest(tenantId)));
});

describe.concurrent("orders are created and reported on, and each other service is called once, by", () => {
  // A process for each call is slow.
  test.each(processes)("%s", async (_name, kind, tenantId) => {
    const rows = everyRequest(tenantId);
    const onOrders = rows.filter(({ method }) => method.parent === OrderService).slice(0, 5);
    const others = new Map(rows.toReversed().map((row) => [row.method.parent, row] as const));
    others.delete(OrderService);
    expect(others.size).toBe(5);
    await callAll(kind, tenantId, [...onOrders, ...others.values()]);
  });
});

test("all of them together have left journals without a fault", async () => {
  const [count] = await world.database.sql<{ n: number }>("select count(*)::int as n from event");
  expect(count?.n).toBeGreaterThan(libraries.length * 50);
  expect(await journalFaults(world.database)).toEqual([]);
});
