import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createLeadlineClient } from "../../src/client/node.ts";
import { isAlive } from "../../src/store/embedded-process.ts";
import { clientCertificate, secondCertificate, testCertificate } from "../doors/certificate.ts";
import { end } from "../support/process.ts";

const root = join(import.meta.dirname, "../..");
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

interface Serving {
  readonly child: ChildProcess;
  /** All that it says on standard error, once it has ended. */
  readonly errors: Promise<string>;
}

function serve(env: Record<string, string>, ...words: string[]): Serving {
  const ports = { LEADLINE_GRPC_PORT: "0", LEADLINE_HTTP_PORT: "0" };
  const child = spawn(process.execPath, ["src/main.js", "serve", ...words], {
    cwd: root,
    env: { PATH: process.env.PATH, ...ports, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  cleanups.push(() => end(child, "SIGKILL"));
  return { child, errors: text(child.stderr) };
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error("nothing to read from");
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error("it said nothing");
}

async function ended({ child, errors }: Serving): Promise<{ code: number | null; lines: string[] }> {
  if (child.exitCode === null) await once(child, "exit");
  return { code: child.exitCode, lines: (await errors).trimEnd().split("\n") };
}

/** Resolves once the file is there and has a line. */
async function appears(path: string): Promise<void> {
  await expect
    .poll(() => existsSync(path) && readFileSync(path, "utf8").includes("\n"), { interval: 2, timeout: 30_000 })
    .toBe(true);
}

function folder(): string {
  const place = mkdtempSync(join(tmpdir(), "leadline-serve-"));
  cleanups.push(() => rmSync(place, { recursive: true, force: true }));
  return join(place, "data");
}

/** The first start of all: its folder is what later ones find. */
const firstStart = { folder: "", ready: "", end: {} };

beforeAll(async () => {
  firstStart.folder = mkdtempSync(join(tmpdir(), "leadline-serve-"));
  const serving = serve({ LEADLINE_DATA_DIR: firstStart.folder, LEADLINE_LOG_LEVEL: "silent" }, "--json");
  firstStart.ready = await firstLine(serving.child);
  serving.child.kill("SIGTERM");
  firstStart.end = await ended(serving);
});
afterAll(() => rmSync(firstStart.folder, { recursive: true, force: true }));

function usedFolder(): string {
  const data = folder();
  execFileSync("cp", ["-a", firstStart.folder, data]);
  return data;
}

test("it says in one JSON line where it serves and with which keys, and SIGTERM ends it with 0", () => {
  expect(JSON.parse(firstStart.ready)).toMatchObject({
    ready: true,
    grpc: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    http: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    tenant: "demo",
    owner: expect.stringMatching(/^lead_owner_/),
    serviceOwner: expect.stringMatching(/^lead_service_/),
  });
  expect(firstStart.end).toEqual({ code: 0, lines: [""] });
});

test("SIGTERM to npm start ends the service with it", async () => {
  const env = {
    PATH: process.env.PATH,
    LEADLINE_GRPC_PORT: "0",
    LEADLINE_HTTP_PORT: "0",
    LEADLINE_DATA_DIR: usedFolder(),
  };
  const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
  const child = spawn("npm", ["start", "--silent", "--", "--json"], { cwd: root, env, stdio });
  cleanups.push(() => end(child, "SIGKILL"));
  const starting: Serving = { child, errors: text(child.stderr) };
  expect(JSON.parse(await firstLine(child))).toMatchObject({ ready: true });
  child.kill("SIGTERM");
  // Standard error ends when the service does, which holds it open as long as npm.
  expect(await ended(starting)).toMatchObject({
    code: 0,
    lines: [expect.stringContaining("serving"), expect.stringContaining("draining")],
  });
});

test("a Ctrl-C that comes twice, from the terminal and from npm, is one", async () => {
  const serving = serve({ LEADLINE_DATA_DIR: usedFolder() }, "--json");
  await firstLine(serving.child);
  serving.child.stderr?.on("data", (words: Buffer) => {
    if (words.includes("draining")) serving.child.kill("SIGINT");
  });
  serving.child.kill("SIGINT");
  expect(await ended(serving)).toMatchObject({ code: 0 });
});

test("a signal during the start stops what it has started", async () => {
  const dataDir = folder();
  const serving = serve({ LEADLINE_DATA_DIR: dataDir, LEADLINE_LOG_LEVEL: "silent" });
  const lockFile = join(dataDir, "postgres/data/postmaster.pid");
  await appears(lockFile);
  const pid = Number(readFileSync(lockFile, "utf8").split("\n")[0]);
  serving.child.kill("SIGTERM");
  expect(await ended(serving)).toMatchObject({ code: 0 });
  expect(isAlive(pid)).toBe(false);
});

test("a second start on the same folder is one line and 69; the first one goes on", async () => {
  const env = { LEADLINE_DATA_DIR: usedFolder() };
  const first = serve(env, "--json");
  await firstLine(first.child);
  const second = await ended(serve(env));
  expect(second.code).toBe(69);
  expect(second.lines).toEqual([
    expect.stringMatching(`^leadline: Another Leadline \\(process ${first.child.pid}\\) serves`),
  ]);
  expect(first.child.exitCode).toBeNull();
});

test("a start after a kill adopts the database that was left, without a warning", async () => {
  const env = { LEADLINE_DATA_DIR: usedFolder(), LEADLINE_LOG_LEVEL: "silent" };
  const first = serve(env, "--json");
  const { operator } = JSON.parse(await firstLine(first.child));
  await end(first.child, "SIGKILL");
  const second = serve(env, "--json");
  expect(JSON.parse(await firstLine(second.child))).toMatchObject({ operator });
  second.child.kill("SIGINT");
  expect(await ended(second)).toEqual({ code: 0, lines: [""] });
});

test("wrong settings are all told, each in a line, with 78", async () => {
  const { code, lines } = await ended(
    serve({ LEADLINE_GRPC_PORT: "99999", DATABASE_URL: "db", LEADLINE_DATADIR: "x" }),
  );
  expect(code).toBe(78);
  expect(lines).toEqual([
    "leadline: LEADLINE_DATADIR is no setting of ours and does nothing; did you mean LEADLINE_DATA_DIR?",
    expect.stringMatching(/^leadline: DATABASE_URL is "\(not a URL\)": it must be a URL such as/),
    expect.stringMatching(/^leadline: LEADLINE_GRPC_PORT is "99999": it must be a whole number from 0 to 65535$/),
  ]);
});

test("an unreachable database is one line and 69, and a misspelt setting is pointed out", async () => {
  const env = { DATABASE_URL: "postgres://leadline:secret@127.0.0.1:1/leadline", LEADLINE_GRCP_PORT: "1" };
  const { code, lines } = await ended(serve(env));
  expect(code).toBe(69);
  expect(lines).toEqual([
    "leadline: LEADLINE_GRCP_PORT is no setting of ours and does nothing; did you mean LEADLINE_GRPC_PORT?",
    expect.stringMatching(/^leadline: the database at 127\.0\.0\.1:1\/leadline cannot be reached/),
  ]);
});

test("when the embedded database goes by itself, the service ends with 69", async () => {
  const dataDir = usedFolder();
  const serving = serve({ LEADLINE_DATA_DIR: dataDir, LEADLINE_LOG_LEVEL: "silent" }, "--json");
  await firstLine(serving.child);
  const pid = Number(readFileSync(join(dataDir, "postgres/data/postmaster.pid"), "utf8").split("\n")[0]);
  process.kill(pid, "SIGINT");
  const { code, lines } = await ended(serving);
  expect(code).toBe(69);
  expect(lines[0]).toMatch(/^leadline: the embedded Postgres has gone by itself/);
});

describe("with certificates", () => {
  /** The certificate that the door shows. */
  async function shown(grpc: string): Promise<string | undefined> {
    const { hostname, port } = new URL(grpc);
    const options = { host: hostname, port: Number(port), servername: "localhost", rejectUnauthorized: false };
    const socket = connectTls({ ...options, ALPNProtocols: ["h2"] });
    await once(socket, "secureConnect");
    const fingerprint = socket.getPeerX509Certificate()?.fingerprint256;
    socket.destroy();
    return fingerprint;
  }
  const fingerprintOf = (pem: string) => new X509Certificate(pem).fingerprint256;

  test("clients show theirs, and SIGHUP reads ours again: a good one is shown, a bad one is not", async () => {
    const files = mkdtempSync(join(tmpdir(), "leadline-tls-"));
    cleanups.push(() => rmSync(files, { recursive: true, force: true }));
    const [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map((name) => join(files, name));
    if (!cert || !key || !ca) throw new Error("no files");
    const put = (pair: { cert: string; key: string }) => {
      writeFileSync(cert, pair.cert);
      writeFileSync(key, pair.key);
    };
    put(testCertificate);
    writeFileSync(ca, clientCertificate.ca);
    const tls = { LEADLINE_TLS_CERTIFICATE: cert, LEADLINE_TLS_KEY: key, LEADLINE_TLS_CLIENT_CA: ca };
    const serving = serve({ ...tls, LEADLINE_DATA_DIR: usedFolder() }, "--json");
    let said = "";
    serving.child.stderr?.on("data", (words: Buffer) => {
      said += words.toString();
    });
    const { grpc, http, operator } = JSON.parse(await firstLine(serving.child)) as Record<
      "grpc" | "http" | "operator",
      string
    >;
    const address = grpc.replace("127.0.0.1", "localhost");

    const list = async (certificate?: { cert: string; key: string }) => {
      const pems = { ca: testCertificate.cert + secondCertificate.cert, certificate };
      const client = createLeadlineClient({ address, key: operator, ...pems });
      cleanups.push(() => client.close());
      return client.orders.listOrders({}, { timeoutMs: 10_000 });
    };
    expect((await list(clientCertificate)).orders).toEqual([]);
    await expect(list()).rejects.toMatchObject({ code: expect.toBeOneOf([4, 14]) });
    expect(await shown(grpc)).toBe(fingerprintOf(testCertificate.cert));
    // The other door asks for one, too.
    const health = (certificate?: { cert: string; key: string }) =>
      new Promise<number | undefined>((resolve, reject) => {
        const options = { ca: testCertificate.cert, servername: "localhost", ...certificate };
        get(`${http}/healthz`, options, (res) => resolve(res.resume().statusCode)).on("error", reject);
      });
    expect(await health({ cert: clientCertificate.cert, key: clientCertificate.key })).toBe(200);
    await expect(health()).rejects.toThrow();

    put(secondCertificate);
    serving.child.kill("SIGHUP");
    await expect.poll(() => shown(grpc), { timeout: 10_000 }).toBe(fingerprintOf(secondCertificate.cert));
    expect((await list(clientCertificate)).orders).toEqual([]);

    put({ ...secondCertificate, key: testCertificate.key });
    serving.child.kill("SIGHUP");
    await expect
      .poll(() => said, { timeout: 10_000 })
      .toMatch(/leadline: the certificates stay as they are: LEADLINE_TLS/);
    expect(await shown(grpc)).toBe(fingerprintOf(secondCertificate.cert));
    serving.child.kill("SIGTERM");
    expect(await ended(serving)).toMatchObject({ code: 0 });
  });
});
