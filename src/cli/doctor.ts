import { accessSync, constants, existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { styleText } from "node:util";
import { Command } from "commander";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "../../gen/grpc/health/v1/health_pb.ts";
import { reasonOf } from "../app/start-error.ts";
import type { Config } from "../config.ts";
import { Exit } from "./cli-error.ts";
import { type ConnectionOptions, clientVariables, connect, resolveConnection, withConnection } from "./connection.ts";
import { type Finding, fail, ok, warn } from "./doctor-finding.ts";
import type { Terminal } from "./terminal.ts";

const answerTimeoutMs = 3_000;

const help = `
Looks at the settings, the database (role, sessions, schema, row-level security, clock), NATS, and whether a running service answers on
both doors and takes the key. Nothing is changed. The exit code is 1 when a check failed.

Examples:
  leadline doctor
  leadline doctor --settings                 all settings with their values, without secrets
  leadline doctor --json`;

interface DoctorOptions extends ConnectionOptions {
  readonly settings?: boolean;
}

/** `leadline doctor`. */
export function doctorCommand(terminal: Terminal): Command {
  const command = new Command("doctor")
    .description("check settings, database, bus and doors, and say what to do")
    .option("--settings", "list the settings instead")
    .addHelpText("after", help);
  return withConnection(command).action((options: DoctorOptions) =>
    options.settings ? listSettings(options, terminal) : examine(options, terminal),
  );
}

async function listSettings(options: DoctorOptions, terminal: Terminal): Promise<void> {
  const { describeConfig } = await import("../config.ts");
  for (const setting of describeConfig(terminal.env)) {
    if (options.json) await terminal.out.json(setting);
    else await terminal.out.line(`${setting.variable}=${setting.value}${setting.set ? "" : "  (default)"}`);
  }
}

async function examine(options: DoctorOptions, terminal: Terminal): Promise<void> {
  let failed = false;
  for await (const finding of findings(options, terminal)) {
    failed ||= finding.result === "fail";
    if (options.json) await terminal.out.json(finding);
    else await terminal.out.line(shown(finding));
  }
  if (failed) terminal.exit = Exit.REFUSED;
}

async function* findings(options: DoctorOptions, terminal: Terminal): AsyncGenerator<Finding> {
  yield ok("node", process.version);
  const { config, found } = await settingsFindings(terminal);
  yield* found;
  if (config === undefined) return;
  yield* await storeFindings(config);
  yield await busFinding(config);
  yield* await doorFindings(config, options, terminal);
}

async function settingsFindings(terminal: Terminal): Promise<{ config: Config | undefined; found: Finding[] }> {
  const { ConfigError, readConfig, unknownVariables } = await import("../config.ts");
  const found = unknownVariables(terminal.env, clientVariables).map(({ variable, nearest }) =>
    warn("settings", `${variable} is no setting`, `did you mean ${nearest}?`),
  );
  try {
    const config = readConfig(terminal.env);
    if (found.length === 0) found.push(ok("settings", "all in bounds"));
    return { config, found };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const wrong = error.problems.map((problem) => fail("settings", problem, "correct the environment"));
    return { config: undefined, found: [...found, ...wrong] };
  }
}

async function storeFindings(config: Config): Promise<Finding[]> {
  if (config.databaseUrl === undefined) return [folderFinding(config.dataDir)];
  const { databaseFindings } = await import("./doctor-database.ts");
  return databaseFindings(config.databaseUrl);
}

function folderFinding(dataDir: string): Finding {
  const folder = resolve(dataDir);
  const nearest = existsSync(folder) ? folder : dirname(folder);
  try {
    accessSync(nearest, constants.W_OK);
  } catch (error) {
    return fail(
      "database",
      `embedded, in ${folder}: ${reasonOf(error)}`,
      "set LEADLINE_DATA_DIR to a folder of your own",
    );
  }
  const state = existsSync(folder) ? "is there" : "is made at the first start";
  return ok("database", `embedded: ${folder} ${state}; leadline serve starts it`);
}

async function busFinding(config: Config): Promise<Finding> {
  if (config.natsUrl === undefined) {
    if (config.databaseUrl === undefined) return ok("bus", "in this process: one instance needs no NATS");
    return warn(
      "bus",
      "none: changes made through another instance arrive seconds late",
      "set NATS_URL when there is more than one instance",
    );
  }
  const { connect: connectNats } = await import("nats");
  const servers = config.natsUrl;
  try {
    const nats = await connectNats({ servers, timeout: answerTimeoutMs, reconnect: false });
    const server = nats.getServer();
    await nats.close();
    return ok("bus", `NATS at ${server}`);
  } catch (error) {
    return fail(
      "bus",
      `NATS: ${reasonOf(error)}`,
      "start nats-server, or correct NATS_URL; changes arrive seconds late",
    );
  }
}

async function doorFindings(config: Config, options: DoctorOptions, terminal: Terminal): Promise<Finding[]> {
  const grpc = await grpcFinding(options, terminal);
  if (grpc.result === "fail") return [grpc];
  return [grpc, await httpFinding(config), await keyFinding(options, terminal)];
}

async function grpcFinding(options: DoctorOptions, terminal: Terminal): Promise<Finding> {
  const { address } = resolveConnection(options, terminal.env);
  const client = connect(options, terminal.env);
  try {
    const { status } = await client.service(Health).check({}, { timeoutMs: answerTimeoutMs });
    if (status === Serving.SERVING) return ok("gRPC door", `${address} serves`);
    return warn("gRPC door", `${address} is not serving: it is starting or stopping`, "try again in some seconds");
  } catch (error) {
    const advice = "start it with `leadline serve`, or say where it is with --address";
    return fail("gRPC door", `${address} does not answer: ${reasonOf(error)}`, advice);
  } finally {
    client.close();
  }
}

async function httpFinding(config: Config): Promise<Finding> {
  const scheme = config.tlsCertificate === undefined ? "http" : "https";
  const host = ["0.0.0.0", "::"].includes(config.httpHost) ? "127.0.0.1" : config.httpHost;
  const url = `${scheme}://${host}:${config.httpPort}/readyz`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(answerTimeoutMs) });
    if (response.ok) return ok("HTTP door", `${url} answers ${response.status}`);
    return warn(
      "HTTP door",
      `${url} answers ${response.status}`,
      "it is starting or stopping: try again in some seconds",
    );
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return warn("HTTP door", `${url}: ${reasonOf(cause)}`, "browsers cannot reach it: look at LEADLINE_HTTP_PORT");
  }
}

async function keyFinding(options: DoctorOptions, terminal: Terminal): Promise<Finding> {
  const { key } = resolveConnection(options, terminal.env);
  if (key === "") return warn("key", "there is none", "give one with --key or LEADLINE_KEY");
  const client = connect(options, terminal.env);
  try {
    const { tenant } = await client.tenants.getTenant({}, { timeoutMs: answerTimeoutMs });
    return ok("key", `is of tenant ${tenant?.id ?? "?"}`);
  } catch (error) {
    return warn("key", reasonOf(error), "give another with --key or LEADLINE_KEY");
  } finally {
    client.close();
  }
}

const marks = { ok: ["green", "ok  "], warn: ["yellow", "warn"], fail: ["red", "FAIL"] } as const;

function shown(finding: Finding): string {
  const [colour, word] = marks[finding.result];
  const advice = finding.advice === undefined ? "" : `\n      -> ${finding.advice}`;
  return `${styleText(colour, word)}  ${finding.check}: ${finding.message}${advice}`;
}
