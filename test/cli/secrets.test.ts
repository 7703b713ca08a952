import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { createLeadlineClient } from "../../src/client/node.ts";
import { pathOf } from "../../src/doors/routes.ts";
import { everyRequest } from "../interop/every-request.ts";
import { allThatIsSaid, encoded, type RawWay, rawWays } from "../interop/raw-answers.ts";
import { Answered } from "../interop/world.ts";
import { createTestDatabase } from "../support/database.ts";
import { type Issuer, startIssuer } from "../support/issuer.ts";
import { startNats } from "../support/nats.ts";
import { databaseUrl } from "../support/prepare-server.ts";
import { end } from "../support/process.ts";
import { startProxy } from "../support/proxy.ts";
import { leadline } from "./leadline.ts";

/*
 * A real `leadline serve` with everything secret planted where it travels, logging all it can, is called in every way that
 * fails, loses its database and its bus, and is asked for all that it tells of itself. No secret is in any of it.
 */

/** Texts that nobody may ever read, by what they are. */
const secrets = new Map<string, string>();
const stack = new AsyncDisposableStack();
const root = join(import.meta.dirname, "../..");

/** Everything that was said: by whom, and what. */
const said: { readonly by: string; readonly text: string }[] = [];
let env: Record<string, string>;
let issuer: Issuer;

/** The secrets that stand in a text, in whole or in a half. */
function foundIn(text: string): string[] {
  const all = allThatIsSaid(Buffer.from(text));
  return [...secrets].filter(([, secret]) => partsOf(secret).some((part) => all.includes(part))).map(([what]) => what);
}

/** A secret is given away by half of it as well: each half, and of tokens each part. */
function partsOf(secret: string): string[] {
  const middle = Math.floor(secret.length / 2);
  const parts = secret.split(".").filter((part) => part.length > 30);
  return [secret, secret.slice(0, middle), secret.slice(middle), ...parts].filter((part) => part.length >= 8);
}

interface Serving {
  readonly child: ChildProcess;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly httpUrl: string;
}

/** Starts the service; what it logs is kept. */
async function serve(settings: Record<string, string>): Promise<Serving> {
  const child = spawn(process.execPath, [join(root, "src/main.ts"), "serve", "--json"], {
    cwd: root,
    env: { PATH: process.env.PATH, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  stack.defer(() => end(child, "SIGKILL"));
  child.stderr.on("data", (words: Buffer) => said.push({ by: "the log", text: words.toString() }));
  for await (const line of createInterface({ input: child.stdout })) {
    // The first line tells new keys to whoever starts it: here there are none to tell.
    said.push({ by: "standard output", text: line });
    const { grpc, http } = JSON.parse(line) as { grpc: string; http: string };
    return { child, grpcPort: Number(grpc.split(":").at(-1)), httpPort: Number(new URL(http).port), httpUrl: http };
  }
  throw new Error(`it did not start: ${said.map(({ text }) => text).join("")}`);
}

beforeAll(async () => {
  issuer = stack.use(await startIssuer());
  const database = stack.use(await createTestDatabase());
  const password = "DatabasePasswordThatNobodyReads1";
  const login = `secretly_${new URL(database.appUrl).pathname.slice(-6)}`;
  await database.sql(`create role ${login} login password '${password}' in role leadline_app`);
  stack.defer(async () => void (await database.sql(`drop role ${login}`)));
  const target = new URL(database.appUrl);
  const proxy = stack.use(await startProxy({ host: target.hostname, port: Number(target.port) }));
  const name = target.pathname.slice(1);
  const url = new URL(databaseUrl(database.appUrl, name, { user: login, password }));
  url.port = String(proxy.port);
  const nats = await startNats();
  stack.defer(() => nats.stop());
  const natsPassword = "NatsPasswordThatNobodyReads22222";
  const ownerKey = "ServiceOwnerCredentialThatNobodyReads3";
  const metricsToken = "MetricsTokenThatNobodyReads444444444";
  const set = { databasePassword: password, natsPassword, ownerKey, metricsToken };
  for (const [what, secret] of Object.entries(set)) secrets.set(what, secret);
  env = {
    ...issuer.env,
    DATABASE_URL: url.href,
    NATS_URL: `nats://somebody:${natsPassword}@127.0.0.1:${nats.port}`,
    LEADLINE_OWNER_KEY: ownerKey,
    LEADLINE_METRICS_TOKEN: metricsToken,
    ...{ LEADLINE_GRPC_PORT: "0", LEADLINE_HTTP_PORT: "0", LEADLINE_LOG_LEVEL: "trace" },
    ...{ LEADLINE_KEY_CACHE_MS: "0", LEADLINE_STATEMENT_TIMEOUT_MS: "2000", LEADLINE_COMMIT_GIVE_UP_MS: "500" },
  };
  const service = await serve(env);
  const address = `127.0.0.1:${service.grpcPort}`;
  const owner = createLeadlineClient({ address, key: ownerKey });
  stack.defer(() => owner.close());
  await owner.tenants.createTenant({ tenantId: "acme", name: "Acme", tier: 3 });
  const keyOf = async (what: string, role: Role, carrier = "") => {
    const { key, secret } = await owner.tenants.createKey({ tenantId: "acme", name: what, role, carrier });
    // What is public stands before the last separator.
    secrets.set(`the secret of the ${what}'s key`, secret.slice(secret.lastIndexOf("_") + 1));
    return { id: key?.id ?? "", secret };
  };
  const operator = await keyOf("operator", Role.OPERATOR);
  const carrier = await keyOf("carrier", Role.CARRIER, "MAEU");
  const revoked = await keyOf("revoked", Role.VIEWER);
  const client = createLeadlineClient({ address, key: operator.secret });
  stack.defer(() => client.close());
  await client.orders.createOrder({ orderId: "PO-1" });
  const { token: link } = await client.tenants.createLink({ orderId: "PO-1" });
  secrets.set("the link", link.slice("link_".length));
  await owner.tenants.revokeKey({ tenantId: "acme", keyId: revoked.id });
  const token = async (what: string, claims: Record<string, unknown>) => {
    const made = await issuer.token({ claims: { leadline_tenant: "acme", leadline_role: "viewer", ...claims } });
    secrets.set(`the ${what} token`, made.split(".").slice(1).join("."));
    return made;
  };
  const tokens = [
    await token("good", {}),
    await token("expired", { exp: 1 }),
    await token("tenantless", { leadline_tenant: "nobody" }),
    await token("misdirected", { aud: "others" }),
  ];
  const good = [operator.secret, carrier.secret, revoked.secret, link, ownerKey, ...tokens];
  const bearers = good.flatMap((text) => [text, text.slice(0, -1), `${text}x`, text.toUpperCase()]);
  const world = Object.assign(service, {
    onClose: (close: () => unknown) => stack.defer(async () => void (await close())),
  });
  const ways = rawWays(world as never);
  const connect = ways[3] ?? expect.fail("there is no such way");
  const holding = [operator.secret, carrier.secret, link, ownerKey, ...tokens.slice(0, 1)];
  await callAll(ways, holding, everyRequest("secrets").slice(0, 30));
  await callAll(ways, bearers, everyRequest("secrets").slice(0, 4));
  // Where a credential does not belong: in a path, in a request, in a header of another kind.
  for (const secret of good) {
    const path = "/leadline.v1.TenantService/RevokeKey";
    const request = Buffer.from(JSON.stringify({ keyId: secret, tenantId: "acme" }));
    note("a secret as a key's id", await connect.send(path, request, ownerKey));
    for (const authorization of [secret, `Basic ${secret}`, `Bearer ${secret} ${secret}`, `bearer  ${secret}`]) {
      const response = await fetch(`${service.httpUrl}/leadline.v1.OrderService/ListOrders`, {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: "{}",
      });
      said.push({
        by: "an odd header's answer",
        text: `${JSON.stringify([...response.headers])}${await response.text()}`,
      });
    }
  }
  // Bad days: without the bus, then without the database.
  await nats.kill();
  // Who has guessed so often is slowed down for a second.
  const list = () => connect.send("/leadline.v1.OrderService/ListOrders", Buffer.from("{}"), operator.secret);
  await vi.waitFor(async () => expect((await list()).includes("PO-1")).toBe(true), { timeout: 10_000 });
  await callAll(ways, holding, everyRequest("secrets").slice(0, 8));
  proxy.close();
  await callAll(ways, holding, everyRequest("secrets").slice(0, 8));
  const refused = await fetch(`${service.httpUrl}/metrics`, {
    headers: { authorization: `Bearer ${metricsToken.slice(1)}` },
  });
  said.push({ by: "refused metrics", text: await refused.text() });
  const metrics = await fetch(`${service.httpUrl}/metrics`, { headers: { authorization: `Bearer ${metricsToken}` } });
  said.push({ by: "metrics", text: await metrics.text() });
  proxy.open();
  service.child.kill("SIGTERM");
  await once(service.child, "exit");
}, 120_000);
afterAll(() => stack.disposeAsync());

function note(by: string, answer: Buffer): void {
  said.push({ by, text: allThatIsSaid(answer) });
}

async function callAll(
  ways: readonly RawWay[],
  bearers: readonly string[],
  rows: ReturnType<typeof everyRequest>,
): Promise<void> {
  for (const way of ways) {
    for (const { method, request } of rows) {
      const message = encoded(way, method, create(method.input, safely(() => request(new Answered())) ?? {}));
      const answers = await Promise.all(bearers.map((bearer) => way.send(pathOf(method), message, bearer)));
      for (const answer of answers) note(`${method.name} over ${way.name}`, answer);
    }
  }
}

function safely<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined; // it needs an answer that nobody has had
  }
}

/** What was said by these, as far as secrets stand in it. */
function leaks(): string[] {
  return said.flatMap(({ by, text }) => foundIn(text).map((what) => `${what}, by ${by}`));
}

describe("no secret is said", () => {
  test("in any answer, log line or metric of a service on its worst day", () => {
    expect([...new Set(leaks())]).toEqual([]);
  });

  test("and much was said: failures of every kind were answered and logged, and the search finds what is there", () => {
    const text = said.map((one) => one.text).join("\n");
    for (const word of [
      "CREDENTIAL_INVALID",
      "CREDENTIAL_EXPIRED",
      "ROLE_FORBIDS",
      "TENANT_UNKNOWN",
      "DATABASE_UNAVAILABLE",
      "ORDER_UNKNOWN",
    ]) {
      expect(text, word).toContain(word);
    }
    const log = said
      .filter(({ by }) => by === "the log")
      .map((one) => one.text)
      .join("");
    for (const word of ["serving", "draining", "ECONN", "NATS"]) expect(log, word).toContain(word);
    expect(said.find(({ by }) => by === "metrics")?.text).toContain("leadline_call_seconds");
    expect(secrets.size).toBeGreaterThanOrEqual(12);
    for (const [what, secret] of secrets) {
      expect(foundIn(`{"err":"${secret}"}`), what).toContain(what);
      expect(foundIn(Buffer.from(`detail ${secret}`).toString("base64")), what).toContain(what);
    }
  });

  test.each([
    ["doctor"],
    ["doctor", "--settings"],
    ["doctor", "--json"],
    ["--help"],
    ["serve", "--help"],
    ["report", "--order", "PO-1", "--status", "READY"],
    ["keys", "list"],
  ])("by leadline %s %s", async (...words) => {
    const key = secrets.get("the secret of the operator's key") ?? "";
    const calling = {
      LEADLINE_KEY: `lead_operator_x_${key}`,
      LEADLINE_ADDRESS: "127.0.0.1:1",
      LEADLINE_HTTP_PORT: "1",
    };
    const { out, err } = await leadline(words.filter(Boolean), { env: { ...env, ...calling } });
    expect(out + err).not.toBe("");
    expect(foundIn(out + err)).toEqual([]);
  });

  test.each<[string, Record<string, string>]>([
    ["malformed", { DATABASE_URL: "not a url DatabasePasswordThatNobodyReads1" }],
    ["of another kind", { DATABASE_URL: "mysql://u:DatabasePasswordThatNobodyReads1@h/d" }],
    [
      "wrong",
      {
        DATABASE_URL:
          "postgres://u:DatabasePasswordThatNobodyReads1@127.0.0.1:1/d?password=DatabasePasswordThatNobodyReads1",
      },
    ],
    ["short", { LEADLINE_OWNER_KEY: "ServiceOwnerCredentialThatNobodyReads3 !" }],
    ["in the bus's address", { NATS_URL: "NatsPasswordThatNobodyReads22222" }],
    ["in the issuer's address", { LEADLINE_JWT_JWKS_URL: "https://u:NatsPasswordThatNobodyReads22222@id.test/keys" }],
    [
      "in the file's place",
      { LEADLINE_TLS_KEY: join(tmpdir(), "none.pem"), LEADLINE_TLS_CERTIFICATE: join(tmpdir(), "none.pem") },
    ],
  ])("by a start with a setting that is %s", async (_what, bad) => {
    const { exit, out, err } = await leadline(["serve"], { env: { ...env, ...bad } });
    expect(exit).toBeGreaterThan(0);
    expect(foundIn(out + err)).toEqual([]);
  });

  test("by a start whose key file holds another's key", async () => {
    const folder = mkdtempSync(join(tmpdir(), "leadline-secrets-"));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "key.pem");
    writeFileSync(file, `-----BEGIN PRIVATE KEY-----\n${secrets.get("metricsToken")}\n-----END PRIVATE KEY-----\n`);
    const { exit, out, err } = await leadline(["serve"], {
      env: { ...env, LEADLINE_TLS_KEY: file, LEADLINE_TLS_CERTIFICATE: file },
    });
    expect(exit).toBe(78);
    expect(foundIn(out + err)).toEqual([]);
  });
});
