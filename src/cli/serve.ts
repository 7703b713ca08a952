import { setFlagsFromString } from "node:v8";
import { pino } from "pino";
import { ExitCode, reasonOf, StartError } from "../app/start-error.ts";
import type { App } from "../app.ts";
import { ConfigError, readConfig, unknownVariables } from "../config.ts";
import { clientVariables } from "./connection.ts";
import { onEndSignal } from "./end-signals.ts";

export interface ServeOptions {
  /** One JSON line on standard output when the service is ready, in place of text. */
  readonly json?: boolean;
}

/** What stops a process that has closed everything and still does not end. */
const endTimeoutMs = 2_000;

/**
 * Runs the service until SIGTERM or SIGINT, then drains it; a second signal ends it at once. Says on standard output where
 * it serves and, for the embedded default, with which keys; the log and what is wrong go to standard error. Sets the
 * process' exit code: 0 after a signal, else one of `ExitCode`; it does not throw.
 *
 * A signal that comes during the start is kept until there is all to stop: a start cut off would leave its Postgres running.
 */
export async function serve(options: ServeOptions = {}): Promise<void> {
  const signalled = new Promise<"signal">((resolve) => onEndSignal(() => resolve("signal")));
  const app = await start();
  if (app === undefined) return;
  process.on("SIGHUP", () => renewCertificates(app));
  process.stdout.write(options.json ? `${JSON.stringify(readyOf(app))}\n` : greetingOf(app));
  const end = await Promise.race([signalled, app.lost.then(() => "lost" as const)]);
  if (end === "lost") complain("the embedded Postgres has gone by itself; its log is in the data folder. Start again");
  process.exitCode = end === "lost" ? ExitCode.UNAVAILABLE : 0;
  await app.stop().catch((error: unknown) => complain(`stopping: ${reasonOf(error)}`));
  setTimeout(() => process.exit(), endTimeoutMs).unref();
}

async function start(): Promise<App | undefined> {
  // V8 puts objects straight among the old ones when many from the same place of the code have lived long, as calls in flight
  // at a full collection seem to. There they stay until the next one, with all that they point at: each call, a few KB.
  setFlagsFromString("--no-allocation-site-pretenuring");
  try {
    for (const { variable, nearest } of unknownVariables(process.env, clientVariables)) {
      complain(`${variable} is no setting of ours and does nothing; did you mean ${nearest}?`);
    }
    const config = readConfig(process.env);
    // What is wrong with the settings is told at once: all that serves is loaded for good ones only.
    const { startApp } = await import("../app.ts");
    const log = pino({ level: config.logLevel, base: { pid: process.pid } }, pino.destination({ dest: 2, sync: true }));
    const app = await startApp(config, { log });
    for (const warning of app.warnings) complain(warning);
    return app;
  } catch (error) {
    if (error instanceof ConfigError) for (const problem of error.problems) complain(problem);
    else if (error instanceof StartError) complain(error.message);
    else complain(`a fault of ours: ${error instanceof Error ? (error.stack ?? reasonOf(error)) : String(error)}`);
    process.exitCode =
      error instanceof ConfigError ? ExitCode.CONFIG : error instanceof StartError ? error.exitCode : ExitCode.SOFTWARE;
    return undefined;
  }
}

/** SIGHUP: certificates are renewed while the service runs. What is wrong with new ones does not end it. */
function renewCertificates(app: App): void {
  try {
    app.renewCertificates();
  } catch (error) {
    complain(`the certificates stay as they are: ${reasonOf(error)}`);
  }
}

function complain(line: string): void {
  process.stderr.write(`leadline: ${line}\n`);
}

/** What a program reads: where the doors are, and the keys where they are known. */
function readyOf(app: App) {
  return { ready: true, grpc: app.grpcAddress, http: app.httpUrl, ...app.keys };
}

function greetingOf(app: App): string {
  const { keys } = app;
  const lines = ["", "Leadline is ready.", "", `  gRPC  ${app.grpcAddress}`, `  HTTP  ${app.httpUrl}`, ""];
  if (keys.serviceOwner !== undefined) {
    lines.push("  Service owner (makes tenants and keys; keep it):", `    ${keys.serviceOwner}`, "");
  }
  if (keys.tenant !== undefined) {
    lines.push(`  Tenant "${keys.tenant}":`);
    lines.push(`    owner     ${keys.owner}`, `    operator  ${keys.operator}`);
    lines.push(`    carrier   ${keys.carrier}  (${keys.carrierCode})`, `    viewer    ${keys.viewer}`, "");
    // The command line finds the keys of a service on this machine by itself, and the service at its usual port.
    const at = app.grpcPort === 50_051 ? "" : ` --address ${app.grpcAddress}`;
    lines.push("  In another terminal:", "", `    npx leadline watch${at}`, "");
    lines.push(`    curl ${app.httpUrl}/leadline.v1.OrderService/CreateOrder \\`);
    lines.push(`      -H 'authorization: Bearer ${keys.operator}' \\`);
    lines.push("      -H 'content-type: application/json' -d '{\"orderId\":\"po-1\"}'", "");
    lines.push(`    npx leadline report --order po-1 --status IN_TRANSIT${at}`, "");
  }
  return `${lines.join("\n")}\n`;
}
