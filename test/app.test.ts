import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { ImportOutcome } from "../gen/leadline/v1/import_service_pb.ts";
import { Role, Tier } from "../gen/leadline/v1/tenant_pb.ts";
import { EndReason } from "../gen/leadline/v1/watch_pb.ts";
import { ExitCode, StartError } from "../src/app/start-error.ts";
import { type App, type AppParts, startApp } from "../src/app.ts";
import { InProcessBus, Wire } from "../src/bus/in-process.ts";
import { createLeadlineClient, type LeadlineClient } from "../src/client/node.ts";
import { readConfig } from "../src/config.ts";
import { createTestDatabase, type TestDatabase } from "./support/database.ts";
import { useNats } from "./support/nats.ts";
import { databaseUrl } from "./support/prepare-server.ts";

const ownerKey = "the-service-owner-has-a-long-secret";
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** Starts an instance on free ports; it is stopped after the test. */
async function start(env: Record<string, string>, parts?: AppParts): Promise<App> {
  const app = await startApp(readConfig({ LEADLINE_GRPC_PORT: "0", LEADLINE_HTTP_PORT: "0", ...env }), parts);
  cleanups.push(() => app.stop());
  return app;
}

async function refusal(env: Record<string, string>): Promise<StartError> {
  try {
    await start(env);
  } catch (error) {
    if (error instanceof StartError) return error;
    throw error;
  }
  throw new Error("it has started");
}

async function database(): Promise<TestDatabase> {
  const made = await createTestDatabase();
  cleanups.push(() => made[Symbol.asyncDispose]());
  return made;
}

function client(app: App, key: string | undefined): LeadlineClient {
  const made = createLeadlineClient({ address: app.grpcAddress, key });
  cleanups.push(() => made.close());
  return made;
}

/** A tenant with a key, made by the service owner through the gRPC door. */
async function tenantKey(app: App, tenantId = "acme"): Promise<{ id: string; secret: string }> {
  const { tenants } = client(app, ownerKey);
  await tenants.createTenant({ tenantId, name: tenantId, tier: Tier.ADAPTIVE });
  const { key, secret } = await tenants.createKey({ tenantId, name: "test", role: Role.OWNER });
  return { id: key?.id ?? "", secret };
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "leadline-app-"));
  cleanups.push(() => rmSync(made, { recursive: true, force: true }));
  return join(made, "data");
}

describe("the embedded default", () => {
  test("the first start makes a demo tenant whose keys work, and the second one finds them again", async () => {
    const env = { LEADLINE_DATA_DIR: folder() };
    const first = await start(env);
    const { keys } = first;
    expect(keys.tenant).toBe("demo");
    expect(statSync(join(env.LEADLINE_DATA_DIR, "keys.json")).mode & 0o777).toBe(0o600);
    await client(first, keys.operator).orders.createOrder({ orderId: "po-1" });
    expect((await client(first, keys.viewer).orders.getOrder({ orderId: "po-1" })).order?.status).toBe("RECEIVED");
    const { results } = await client(first, keys.operator).imports.importItems({ items: ["{}"], carrier: "MAEU" });
    expect(results.map((result) => result.outcome)).toEqual([ImportOutcome.REFUSED]);
    expect((await client(first, keys.carrier).bookings.listBookings({})).bookings).toEqual([]);
    expect((await client(first, keys.serviceOwner).tenants.listTenants({})).tenants.map((t) => t.id)).toEqual(["demo"]);
    await first.stop();

    const second = await start(env);
    expect(second.keys).toEqual(keys);
    expect(second.warnings).toEqual([]);
    expect((await client(second, keys.owner).orders.getOrder({ orderId: "po-1" })).order?.id).toBe("po-1");
  });

  test("keys that are lost are made anew, and the service owner's old one no longer holds", async () => {
    const env = { LEADLINE_DATA_DIR: folder() };
    const first = await start(env);
    await first.stop();
    writeFileSync(join(env.LEADLINE_DATA_DIR, "keys.json"), "not JSON");
    const second = await start(env);
    for (const role of ["serviceOwner", "owner", "operator", "carrier", "viewer"] as const) {
      expect(second.keys[role], role).not.toBe(first.keys[role]);
    }
    expect((await client(second, second.keys.serviceOwner).tenants.listTenants({})).tenants).toHaveLength(1);
    await expect(client(second, first.keys.serviceOwner).tenants.listTenants({})).rejects.toMatchObject({
      reason: "CREDENTIAL_INVALID",
    });
  });

  test("a second start on the same folder is refused, and says which process has it", async () => {
    const env = { LEADLINE_DATA_DIR: folder() };
    await start(env);
    const refused = await refusal(env);
    expect(refused.exitCode).toBe(ExitCode.UNAVAILABLE);
    expect(refused.message).toMatch(new RegExp(`process ${process.pid}.*LEADLINE_DATA_DIR`));
  });
});

describe("two instances on one database", () => {
  async function inOneProcess(env: Record<string, string>): Promise<App[]> {
    const wire = new Wire();
    return [await start(env, { bus: new InProcessBus(wire) }), await start(env, { bus: new InProcessBus(wire) })];
  }
  async function overNats(env: Record<string, string>): Promise<App[]> {
    const nats = await useNats();
    cleanups.push(() => nats.stop());
    return [await start({ ...env, NATS_URL: nats.url }), await start({ ...env, NATS_URL: nats.url })];
  }

  test.each([
    ["over the bus of one process", inOneProcess],
    ["over NATS", overNats],
  ])("%s, a write reaches the other's watchers, and a revocation ends the other's streams", async (_how, startBoth) => {
    const { appUrl } = await database();
    const [here, there] = await startBoth({
      DATABASE_URL: appUrl,
      LEADLINE_OWNER_KEY: ownerKey,
      // So late that only the bus can be what told.
      LEADLINE_HEAD_CHECK_MS: "60000",
      LEADLINE_KEY_SWEEP_MS: "600000",
      LEADLINE_KEY_CACHE_MS: "300000",
    });
    if (!here || !there) throw new Error("there are not two");
    expect([...here.warnings, ...there.warnings]).toEqual([]);
    const { id, secret } = await tenantKey(here);

    const states: unknown[] = [];
    const watch = client(there, secret).watchOrders({ onConnection: (state) => states.push(state) });
    const next = watch.next();
    await expect.poll(() => states).toContainEqual(expect.objectContaining({ state: "open" }));
    await client(here, secret).orders.createOrder({ orderId: "po-1" });
    for (let item = await next; ; item = await watch.next()) {
      if (item.value?.type !== "event") continue;
      expect(item.value.event.subjectId).toBe("po-1");
      break;
    }

    const end = (async () => {
      for await (const item of watch) expect(item.type).toBe("bookmark");
    })();
    await client(here, ownerKey).tenants.revokeKey({ tenantId: "acme", keyId: id });
    await expect(end).rejects.toMatchObject({ code: 16 });
    await expect(client(there, secret).orders.listOrders({})).rejects.toMatchObject({ reason: "CREDENTIAL_INVALID" });
  });

  test("without a bus between them, the second is told that it will be late", async () => {
    const { appUrl } = await database();
    const env = { DATABASE_URL: appUrl, LEADLINE_OWNER_KEY: ownerKey };
    expect((await start(env)).warnings).toEqual([]);
    const [warning, ...others] = (await start(env)).warnings;
    expect(warning).toMatch(/^1 other instance on this database, and no NATS_URL: .* 3 seconds late/);
    expect(others).toEqual([]);
  });

  test("when NATS cannot be reached, it starts all the same and says what to do", async () => {
    const { appUrl } = await database();
    const { warnings, httpUrl } = await start({ DATABASE_URL: appUrl, NATS_URL: "nats://user:secret@127.0.0.1:1" });
    expect(warnings).toEqual([
      expect.stringMatching(/^NATS \(nats:\/\/user:\*\*\*@127.0.0.1:1\) cannot be reached.*NATS_URL/),
    ]);
    expect((await fetch(`${httpUrl}/readyz`)).status).toBe(200);
  });

  test("the service owner's credential is drawn once for both, and shown by the one that drew it", async () => {
    const { appUrl, sql } = await database();
    const first = await start({ DATABASE_URL: appUrl });
    const second = await start({ DATABASE_URL: appUrl });
    expect(first.keys.serviceOwner).toMatch(/^lead_service_/);
    expect(second.keys).toEqual({});
    expect((await client(second, first.keys.serviceOwner).tenants.listTenants({})).tenants).toEqual([]);
    expect(JSON.stringify(await sql("select * from deployment"))).not.toContain(first.keys.serviceOwner);
  });
});

describe("stopping", () => {
  test("a watch ends with the reason, and everything that was started is gone", async () => {
    const { appUrl, sql } = await database();
    const app = await start({ DATABASE_URL: appUrl, LEADLINE_OWNER_KEY: ownerKey });
    const { secret } = await tenantKey(app);
    const states: { state: string; end?: EndReason | undefined }[] = [];
    const watch = client(app, secret).watchOrders({ onConnection: (state) => states.push(state) });
    const going = (async () => {
      for await (const item of watch) expect(item.type).toBe("bookmark");
    })();
    await expect.poll(() => states).toContainEqual(expect.objectContaining({ state: "open" }));
    await app.stop();
    await expect.poll(() => states).toContainEqual(expect.objectContaining({ end: EndReason.DRAINING }));
    await watch.return();
    await going;
    expect(await sql("select * from instance")).toEqual([]);
    const left =
      "select count(*)::int as n from pg_stat_activity where datname = current_database() and usename = 'leadline'";
    await expect.poll(() => sql(left)).toEqual([{ n: 0 }]);
    await expect(fetch(`${app.httpUrl}/readyz`)).rejects.toThrow();
  });
});

describe("a start that is refused says what to do in one line", () => {
  test("the database cannot be reached", async () => {
    const refused = await refusal({ DATABASE_URL: "postgres://leadline:secret@127.0.0.1:1/leadline" });
    expect(refused.exitCode).toBe(ExitCode.UNAVAILABLE);
    expect(refused.message).toMatch(/^the database at 127\.0\.0\.1:1\/leadline cannot be reached .*DATABASE_URL$/);
    expect(refused.message).not.toContain("secret");
  });

  test("the password is wrong, or there is no such database", async () => {
    const { appUrl } = await database();
    const wrong = await refusal({ DATABASE_URL: appUrl.replace(":leadline@", ":wrong@") });
    expect(wrong.exitCode).toBe(ExitCode.CONFIG);
    expect(wrong.message).toMatch(/refuses "leadline" .*correct DATABASE_URL$/);
    const none = await refusal({ DATABASE_URL: databaseUrl(appUrl, "no_such_database") });
    expect(none.exitCode).toBe(ExitCode.CONFIG);
    expect(none.message).toMatch(/create it, and run `leadline migrate`$/);
  });

  test.each<[string, string, RegExp]>([
    ["a superuser", "superuser", /"fit", which is a superuser/],
    ["a role past row-level security", "bypassrls", /"fit", which has BYPASSRLS/],
  ])("%s", async (_what, attribute, words) => {
    const { appUrl, sql } = await database();
    await sql(`create role fit login password 'fit' ${attribute}`);
    cleanups.push(() => sql("drop role fit"));
    const name = new URL(appUrl).pathname.slice(1);
    const refused = await refusal({ DATABASE_URL: databaseUrl(appUrl, name, { user: "fit", password: "fit" }) });
    expect(refused.exitCode).toBe(ExitCode.CONFIG);
    expect(refused.message).toMatch(words);
    expect(refused.message).toContain("DATABASE_ADMIN_URL");
  });

  test("the owner of the tables", async () => {
    const { appUrl, sql } = await database();
    const owner = `owner_${new URL(appUrl).pathname.slice(-6)}`;
    await sql(`create role ${owner}`);
    await sql(`alter table tenant owner to ${owner}`);
    await sql(`grant ${owner} to leadline`);
    cleanups.push(async () => {
      await sql(`reassign owned by ${owner} to postgres`);
      await sql(`drop role ${owner}`);
    });
    const refused = await refusal({ DATABASE_URL: appUrl });
    expect(refused.exitCode).toBe(ExitCode.CONFIG);
    expect(refused.message).toContain('"leadline", which owns the tables');
  });

  test("there is no schema, or an older one", async () => {
    const { appUrl, sql } = await database();
    await sql("delete from migration");
    const older = await refusal({ DATABASE_URL: appUrl });
    expect(older.exitCode).toBe(ExitCode.CONFIG);
    expect(older.message).toMatch(/older than this release \(it lacks 0001-journal.*\): run `leadline migrate`$/);
    await sql("drop table migration");
    const none = await refusal({ DATABASE_URL: appUrl });
    expect(none.exitCode).toBe(ExitCode.CONFIG);
    expect(none.message).toMatch(/no schema of Leadline: run `leadline migrate`/);
  });

  test("the role may not use the schema", async () => {
    const { appUrl, sql } = await database();
    await sql("revoke select on migration from leadline_app");
    const refused = await refusal({ DATABASE_URL: appUrl });
    expect(refused.message).toMatch(/the role "leadline" may not use the schema: run `leadline migrate`/);
  });

  test("a newer schema is only warned of", async () => {
    const { appUrl, sql } = await database();
    await sql("insert into migration (name) values ('9999-later')");
    const { warnings } = await start({ DATABASE_URL: appUrl });
    expect(warnings).toEqual([expect.stringMatching(/schema is newer \(9999-later\)/)]);
  });

  test("a port is taken: the other door is closed again, and the database is let go", async () => {
    const { appUrl, sql } = await database();
    const taken = createServer();
    await new Promise<void>((resolve) => void taken.listen(0, "127.0.0.1", resolve));
    cleanups.push(() => new Promise((resolve) => taken.close(resolve)));
    const address = taken.address();
    const port = typeof address === "object" && address ? String(address.port) : "";
    const refused = await refusal({ DATABASE_URL: appUrl, LEADLINE_HTTP_PORT: port });
    expect(refused.exitCode).toBe(ExitCode.UNAVAILABLE);
    expect(refused.message).toBe(
      `port ${port} on 127.0.0.1 is taken: stop what listens there, or set LEADLINE_HTTP_PORT`,
    );
    expect(await sql("select * from instance")).toEqual([]);
  });

  test("a certificate that is not there", async () => {
    const refused = await refusal({
      LEADLINE_TLS_CERTIFICATE: "/nonexistent/c.pem",
      LEADLINE_TLS_KEY: "/nonexistent/k.pem",
    });
    expect(refused.exitCode).toBe(ExitCode.CONFIG);
    expect(refused.message).toMatch(/^LEADLINE_TLS_CERTIFICATE names a file that cannot be read: .*c\.pem/);
  });

  test("a certificate that is none", async () => {
    const LEADLINE_TLS_CERTIFICATE = import.meta.filename;
    const refused = await refusal({ LEADLINE_TLS_CERTIFICATE, LEADLINE_TLS_KEY: LEADLINE_TLS_CERTIFICATE });
    expect(refused.exitCode).toBe(ExitCode.CONFIG);
    expect(refused.message).toMatch(
      /^LEADLINE_TLS_CERTIFICATE and LEADLINE_TLS_KEY are no certificate.*correct the files$/,
    );
  });

  test("a data folder that is a file", async () => {
    const refused = await refusal({ LEADLINE_DATA_DIR: import.meta.filename });
    expect(refused.exitCode).toBe(ExitCode.CONFIG);
    expect(refused.message).toMatch(/app\.test\.ts \(EEXIST: .*\): set LEADLINE_DATA_DIR to a folder of your own$/);
  });
});
