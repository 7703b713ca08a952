import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { auditCommand } from "./audit.ts";
import { changesCommand } from "./changes.ts";
import { asCliError, type CliError, Exit, errorText, exitCodesHelp } from "./cli-error.ts";
import { resolveConnection } from "./connection.ts";
import { doctorCommand } from "./doctor.ts";
import { flowsCommand } from "./flows.ts";
import { importCommand } from "./import.ts";
import { keysCommand } from "./keys.ts";
import { migrateCommand } from "./migrate.ts";
import { redactCommand } from "./redact.ts";
import { reportCommand } from "./report.ts";
import { serveCommand } from "./serve-command.ts";
import { tenantsCommand } from "./tenants.ts";
import { isReaderGone, Terminal } from "./terminal.ts";
import { watchCommand } from "./watch.ts";

const examples = `
Examples:
  leadline serve                                       start the service, with its own Postgres
  leadline watch                                       follow all orders in the terminal
  leadline report --order po-7 --status IN_TRANSIT     say that something happened
  leadline import --carrier MAEU events.json           take a carrier's messages`;

/** The whole command line. */
export function program(terminal: Terminal): Command {
  const command = new Command("leadline")
    .description("Where every order stands, and whether the carrier has confirmed the space.")
    .version(release(), "--version", "print the release")
    .addHelpText("after", `${examples}\n${exitCodesHelp}`);
  const commands = [
    serveCommand(),
    watchCommand(terminal),
    changesCommand(terminal),
    reportCommand(terminal),
    importCommand(terminal),
    flowsCommand(terminal),
    keysCommand(terminal),
    auditCommand(terminal),
    redactCommand(terminal),
    tenantsCommand(terminal),
    migrateCommand(terminal),
    doctorCommand(terminal),
  ];
  for (const one of commands) command.addCommand(one);
  for (const one of withDescendants(command)) {
    one.exitOverride().configureOutput({
      writeOut: (text) => terminal.out.stream.write(text),
      writeErr: lineOnStderr(terminal),
    });
    one.showHelpAfterError(`hint: ${pathOf(one)} --help tells what there is`);
  }
  return command;
}

/**
 * Runs one command to its end and sets the process' exit code. `argv` is as `process.argv`: the first two are Node and the
 * script.
 */
export async function run(argv: readonly string[] = process.argv): Promise<void> {
  const exit = await runWith(argv, new Terminal(process.stdout, process.stderr, process.env));
  // `serve` sets its own.
  if (exit !== Exit.DONE) process.exitCode = exit;
}

/** The same on a given terminal; resolves to the exit code. */
export async function runWith(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    await program(terminal).parseAsync([...argv]);
    return terminal.exit;
  } catch (error) {
    // Help and version end this way too, with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? Exit.DONE : Exit.USAGE;
    if (isReaderGone(error)) return Exit.DONE;
    const shown = described(error, argv, terminal);
    terminal.err.stream.write(errorText(shown));
    return shown.exit;
  }
}

function described(error: unknown, argv: readonly string[], terminal: Terminal): CliError {
  const at = argv.indexOf("--address");
  const typed = argv.find((word) => word.startsWith("--address="))?.slice("--address=".length) ?? argv[at + 1];
  const options = at >= 0 && typed !== undefined ? { address: typed } : {};
  return asCliError(error, resolveConnection(options, terminal.env).address);
}

/** What package.json says. */
function release(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  return version;
}

/** `leadline keys create`. */
function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`;
}

function withDescendants(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withDescendants)];
}

/** Commander's own complaints in the form of all others: `leadline: <message>`. */
function lineOnStderr(terminal: Terminal): (text: string) => void {
  return (text) => {
    terminal.err.stream.write(text.replace(/^error: (.*)/, "leadline: $1 (WRONG_USE)"));
  };
}
