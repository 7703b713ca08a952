import { type ChildProcess, spawn } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { create, type DescMethod } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { BookingService } from "../../gen/leadline/v1/booking_service_pb.ts";
import { OrderService } from "../../gen/leadline/v1/order_service_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { TenantService } from "../../gen/leadline/v1/tenant_service_pb.ts";
import { createLeadlineClient } from "../../src/client/node.ts";
import { pathOf } from "../../src/doors/routes.ts";
import { callerKinds } from "../doors/callers.ts";
import { secondCertificate, testCertificate } from "../doors/certificate.ts";
import { everyRequest } from "../interop/every-request.ts";
import { encoded, type RawWay, rawStreamWays, rawWays } from "../interop/raw-answers.ts";
import type { Party, Row } from "../interop/rows.ts";
import { Answered, callRow } from "../interop/world.ts";
import { CARRIERS } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { type Issuer, startIssuer } from "../support/issuer.ts";
import { startNats } from "../support/nats.ts";
import { databaseUrl } from "../support/prepare-server.ts";
import { end } from "../support/process.ts";
import { startProxy } from "../support/proxy.ts";
import { leadline } from "./leadline.ts";
import { Said } from "./said.ts";
import { refusedAsOld, refusedByPeer, type TlsFiles, withoutTls, writeTls } from "./tls-peers.ts";

/*
 * A real `leadline serve` with everything secret planted where it travels, logging all it can, is called and watched in every
 * way that fails, loses its database and its bus, reads a broken key, and is asked for all that it tells of itself. No secret
 * is in any of it.
 */

const words = new Said();
const stack = new AsyncDisposableStack();
const root = join(import.meta.dirname, "../..");
let env: Record<string, string>;
let issuer: Issuer;
/** What a service that speaks TLS reads beside: it has a key of its own to keep. */
let tls: TlsFiles;

const watchRequests = [
  OrderService.method.watchOrders,
  BookingService.method.watchBookings,
  TenantService.method.watchAudit,
];

interface Serving {
  readonly child: ChildProcess;
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly grpcAddress: string;
  readonly httpUrl: string;
}

/** Starts the service; what it logs is kept. */
async function serve(settings: Record<string, string>): Promise<Serving> {
  const child = spawn(process.execPath, [join(root, "src/main.js"), "serve", "--json"], {
    cwd: root,
    env: { PATH: process.env.PATH, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  stack.defer(() => end(child, "SIGKILL"));
  child.stderr.on("data", (chunk: Buffer) => words.note("the log", chunk));
  for await (const line of createInterface({ input: child.stdout })) {
    // The first line tells new keys to whoever starts it: here there are none to tell.
    words.note("standard output", line);
    const { grpc, http } = JSON.parse(line) as { grpc: string; http: string };
    const portOf = (url: string) => Number(url.split(":").at(-1));
    return { child, grpcPort: portOf(grpc), httpPort: portOf(http), grpcAddress: grpc, httpUrl: http };
  }
  throw new Error(`it did not start: ${words.textOf()}`);
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
  for (const [what, secret] of Object.entries({ databasePassword: password, natsPassword, ownerKey, metricsToken }))
    words.plant(what, secret);
  const [deployment] = await database.sql<{ value: Buffer }>("select value from deployment where name = 'secret'");
  words.plantBytes("the deployment's secret", deployment?.value ?? expect.fail("the deployment has no secret"));
  tls = writeTls(stack);
  for (const [i, line] of testCertificate.key.trim().split("\n").slice(1, -1).entries())
    words.plant(`line ${i + 1} of the TLS key`, line);
  const { d = "" } = createPrivateKey(testCertificate.key).export({ format: "jwk" });
  words.plantBytes("the TLS key", Buffer.from(d, "base64url"));
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
  const { grpcAddress: address } = service;
  const owner = createLeadlineClient({ address, key: ownerKey });
  stack.defer(() => owner.close());
  await owner.tenants.createTenant({ tenantId: "acme", name: "Acme", tier: 3 });
  const keyOf = async (what: string, role: Role, carrier = "") => {
    const { key, secret } = await owner.tenants.createKey({ tenantId: "acme", name: what, role, carrier });
    words.plant(`the secret of the ${what}'s key`, secretOf(secret));
    return { id: key?.id ?? "", secret };
  };
  const party = {
    owner: await keyOf("owner", Role.OWNER),
    operator: await keyOf("operator", Role.OPERATOR),
    carrier: await keyOf("carrier", Role.CARRIER, CARRIERS.carrier),
    rival: await keyOf("rival", Role.CARRIER, CARRIERS.rival),
    viewer: await keyOf("viewer", Role.VIEWER),
  };
  const revoked = await keyOf("revoked", Role.VIEWER);
  const leaving = await keyOf("leaving", Role.VIEWER);
  const { operator, carrier } = party;
  const client = createLeadlineClient({ address, key: operator.secret });
  stack.defer(() => client.close());
  await client.orders.createOrder({ orderId: "PO-1" });
  const { token: link } = await client.tenants.createLink({ orderId: "PO-1" });
  words.plant("the link", link.slice("link_".length));
  await owner.tenants.revokeKey({ tenantId: "acme", keyId: revoked.id });
  const token = async (what: string, claims: Record<string, unknown>) => {
    const made = await issuer.token({ claims: { leadline_tenant: "acme", leadline_role: "viewer", ...claims } });
    words.plant(`the ${what} token`, made.split(".").slice(1).join("."));
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
  const ways = rawWays(world);
  const connect = ways[3] ?? expect.fail("there is no such way");
  const holding = [party.owner.secret, operator.secret, carrier.secret, link, ownerKey, ...tokens.slice(0, 1)];
  const streams = rawStreamWays(world).flatMap((way) =>
    watchRequests.flatMap((method) =>
      [operator.secret, leaving.secret, link, ...tokens.slice(0, 2), revoked.secret].map((bearer) => ({
        by: `${method.name} over ${way.name}`,
        ...way.open(pathOf(method), encoded(way, method, create(method.input, { includeSnapshot: true })), bearer),
      })),
    ),
  );
  stack.defer(() => {
    for (const { close } of streams) close();
  });
  await vi.waitFor(() => expect(streams.filter(({ chunks }) => chunks.length === 0)).toEqual([]), { timeout: 20_000 });
  await owner.tenants.revokeKey({ tenantId: "acme", keyId: leaving.id });
  const answers = new Answered();
  const caller = callerKinds[0]?.open(world) ?? expect.fail("there are no callers");
  const bearerOf = async (as: Party) => (as === "service owner" ? ownerKey : as === "link" ? link : party[as].secret);
  const rows = everyRequest("secrets");
  // Each once as it is meant, so that what is called below has ids that there are.
  for (const row of rows) await callRow(caller, row, bearerOf, answers).catch(() => undefined);
  await callAll(ways, holding, rows, answers);
  await callAll(ways, bearers, rows.slice(0, 4), answers);
  // Where a credential does not belong: in a path, in a request, in a header of another kind.
  for (const secret of good) {
    const path = "/leadline.v1.TenantService/RevokeKey";
    const request = Buffer.from(JSON.stringify({ keyId: secret, tenantId: "acme" }));
    words.note("a secret as a key's id", await connect.send(path, request, ownerKey));
    for (const authorization of [secret, `Basic ${secret}`, `Bearer ${secret} ${secret}`, `bearer  ${secret}`]) {
      const response = await fetch(`${service.httpUrl}/leadline.v1.OrderService/ListOrders`, {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: "{}",
      });
      words.note("an odd header's answer", `${JSON.stringify([...response.headers])}${await response.text()}`);
    }
  }
  // Bad days: without the bus, then without the database.
  await nats.kill();
  // Who has guessed so often is slowed down for a second.
  const list = () => connect.send("/leadline.v1.OrderService/ListOrders", Buffer.from("{}"), operator.secret);
  await vi.waitFor(async () => expect((await list()).includes("PO-1")).toBe(true), { timeout: 10_000 });
  await callAll(ways, holding, rows.slice(0, 8), answers);
  proxy.close();
  await callAll(ways, holding, rows.slice(0, 8), answers);
  const refused = await fetch(`${service.httpUrl}/metrics`, {
    headers: { authorization: `Bearer ${metricsToken.slice(1)}` },
  });
  words.note("refused metrics", await refused.text());
  const metrics = await fetch(`${service.httpUrl}/metrics`, { headers: { authorization: `Bearer ${metricsToken}` } });
  words.note("metrics", await metrics.text());
  proxy.open();
  service.child.kill("SIGTERM");
  await once(service.child, "exit");
  for (const { by, chunks } of streams) words.note(by, Buffer.concat(chunks));
  await overTls(operator.secret);
}, 180_000);
afterAll(() => stack.disposeAsync());

/** Of a key's text; what is public stands before the last separator. */
function secretOf(key: string): string {
  return key.slice(key.lastIndexOf("_") + 1);
}

async function callAll(
  ways: readonly RawWay[],
  bearers: readonly string[],
  rows: readonly Row[],
  answers: Answered,
): Promise<void> {
  for (const way of ways) {
    for (const { method, request } of rows) {
      const message = encoded(way, method, create(method.input, safely(() => request(answers)) ?? {}));
      const told = await Promise.all(bearers.map((bearer) => way.send(pathOf(method), message, bearer)));
      for (const answer of told) {
        // These two tell a new secret to whoever asked for it, once; from then on it is one that nobody may read.
        if (newSecrets.has(method)) plantNew(answer);
        else words.note(`${method.name} over ${way.name}`, answer);
      }
    }
  }
}

const newSecrets = new Set<DescMethod>([TenantService.method.createKey, TenantService.method.createLink]);

function plantNew(answer: Buffer): void {
  for (const [text] of answer.toString("latin1").matchAll(/(?:lead|link)_[\w.-]{40,}/g)) {
    const secret = text.startsWith("link_") ? text.slice("link_".length) : secretOf(text);
    words.plant(`a new secret, the ${words.secrets.size + 1}th`, secret);
  }
}

function safely<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined; // it needs an answer that nobody has had
  }
}

/** An instance that speaks TLS is called well and badly, and reads its files again when they are wrong and when they are right. */
async function overTls(key: string): Promise<void> {
  const service = await serve({ ...env, ...tls });
  const address = service.grpcAddress.replace("127.0.0.1", "localhost");
  const client = createLeadlineClient({ address, key, ca: testCertificate.cert });
  stack.defer(() => client.close());
  words.note("an answer over TLS", String((await client.orders.getOrder({ orderId: "PO-1" })).order?.id));
  for (const port of [service.grpcPort, service.httpPort]) {
    words.note("a handshake", await refusedByPeer(port));
    words.note("a handshake", await refusedAsOld(port));
    words.note("a port of TLS", await withoutTls(port));
  }
  const logged = (text: string) =>
    vi.waitFor(() => expect(words.textOf("the log")).toContain(text), { timeout: 10_000, interval: 200 });
  const half = testCertificate.key.replace(/\n(.*)\n/, (_all, line: string) => `\n${line.slice(0, 40)}\n`);
  writeFileSync(tls.LEADLINE_TLS_KEY, half);
  service.child.kill("SIGHUP");
  await logged("are no certificate and its private key in PEM");
  writeFileSync(tls.LEADLINE_TLS_KEY, testCertificate.key);
  service.child.kill("SIGHUP");
  await logged("the certificates were read again");
  service.child.kill("SIGTERM");
  await once(service.child, "exit");
}

describe("no secret is said", () => {
  test("in any answer, log line or metric of a service on its worst day", () => {
    expect(words.leaks()).toEqual([]);
  });

  test("and much was said: failures of every kind were answered and logged, and the search finds what is there", () => {
    const text = words.textOf();
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
    const log = words.textOf("the log");
    for (const word of ["serving", "draining", "ECONN", "NATS"]) expect(log, word).toContain(word);
    expect(words.textOf("metrics")).toContain("leadline_call_seconds");
    expect(words.textOf("an answer over TLS")).toContain("PO-1");
    // Of streams: some had rows and events to the end, others never began, and one ended with its key.
    for (const way of [
      "gRPC on the gRPC door",
      "gRPC on the HTTP door",
      "Connect over HTTP/2",
      "Connect over HTTP/1.1",
    ]) {
      const told = words.textOf(`WatchOrders over ${way}`);
      for (const word of ["PO-1", "CREDENTIAL_INVALID", "CREDENTIAL_EXPIRED"]) expect(told, way).toContain(word);
    }
    expect(words.textOf("WatchOrders over Connect over HTTP/2")).toContain("END_REASON_CREDENTIAL");
    // Both kinds of new secrets were made on every way.
    const made = [...words.secrets.keys()].filter((what) => what.startsWith("a new secret"));
    expect(made.length).toBeGreaterThanOrEqual(10);
    expect(words.secrets.size).toBeGreaterThanOrEqual(40);
    for (const [what, secret] of words.secrets) {
      expect(words.foundIn(Buffer.from(`{"err":"${secret}"}`, "latin1")), what).toContain(what);
      const hidden = Buffer.from(`detail ${secret}`, "latin1").toString("base64");
      expect(words.foundIn(hidden), what).toContain(what);
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
  ])("by leadline %s %s", async (...asked) => {
    const key = words.secrets.get("the secret of the operator's key") ?? "";
    const calling = {
      LEADLINE_KEY: `lead_operator_x_${key}`,
      LEADLINE_ADDRESS: "127.0.0.1:1",
      LEADLINE_HTTP_PORT: "1",
    };
    const { out, err } = await leadline(asked.filter(Boolean), { env: { ...env, ...tls, ...calling } });
    expect(out + err).not.toBe("");
    expect(words.foundIn(out + err)).toEqual([]);
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
    expect(words.foundIn(out + err)).toEqual([]);
  });

  test("by a start whose key is of another certificate, or stands in its place", async () => {
    const other = join(mkdtempSync(join(tmpdir(), "leadline-secrets-")), "other.pem");
    stack.defer(() => rmSync(dirname(other), { recursive: true, force: true }));
    writeFileSync(other, secondCertificate.cert);
    const { LEADLINE_TLS_CERTIFICATE, LEADLINE_TLS_KEY } = tls;
    for (const files of [
      { LEADLINE_TLS_KEY, LEADLINE_TLS_CERTIFICATE: other },
      { LEADLINE_TLS_KEY: LEADLINE_TLS_CERTIFICATE, LEADLINE_TLS_CERTIFICATE: LEADLINE_TLS_KEY },
    ]) {
      const { exit, out, err } = await leadline(["serve"], { env: { ...env, ...files } });
      expect(exit).toBe(78);
      expect(words.foundIn(out + err)).toEqual([]);
    }
  });

  test("by a start whose key file holds another's key", async () => {
    const folder = mkdtempSync(join(tmpdir(), "leadline-secrets-"));
    stack.defer(() => rmSync(folder, { recursive: true, force: true }));
    const file = join(folder, "key.pem");
    writeFileSync(
      file,
      `-----BEGIN PRIVATE KEY-----\n${words.secrets.get("metricsToken")}\n-----END PRIVATE KEY-----\n`,
    );
    const { exit, out, err } = await leadline(["serve"], {
      env: { ...env, LEADLINE_TLS_KEY: file, LEADLINE_TLS_CERTIFICATE: file },
    });
    expect(exit).toBe(78);
    expect(words.foundIn(out + err)).toEqual([]);
  });
});
