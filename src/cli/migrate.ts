import { Command } from "commander";
import { CliError, Exit } from "./cli-error.ts";
import type { Terminal } from "./terminal.ts";

const help = `
Run it as the role that owns the tables, before instances of the new release start: DATABASE_ADMIN_URL, or DATABASE_URL
where that role is the owner. The role of DATABASE_URL, which instances log in with, is given what it needs. Migrations
only add, so instances of the release before keep running. The embedded Postgres is brought up to date by
\`leadline serve\` itself.

Examples:
  DATABASE_URL=postgres://leadline@db/leadline DATABASE_ADMIN_URL=postgres://owner@db/leadline leadline migrate`;

interface MigrateOptions {
  readonly json?: boolean;
}

/** `leadline migrate`. */
export function migrateCommand(terminal: Terminal): Command {
  return new Command("migrate")
    .description("bring the database in DATABASE_URL to this release's schema")
    .option("--json", "JSON in place of text: one object for each migration")
    .addHelpText("after", help)
    .action((options: MigrateOptions) => runMigrate(options, terminal));
}

async function runMigrate(options: MigrateOptions, terminal: Terminal): Promise<void> {
  const { ConfigError, readConfig } = await import("../config.ts");
  const config = (() => {
    try {
      return readConfig(terminal.env);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new CliError(
        Exit.USAGE,
        "SETTING_WRONG",
        error.problems.join("\n"),
        "`leadline doctor` lists the settings",
      );
    }
  })();
  const url = config.databaseAdminUrl ?? config.databaseUrl;
  if (url === undefined) {
    throw new CliError(
      Exit.CONFIG,
      "DATABASE_URL_MISSING",
      "there is no DATABASE_URL",
      "the embedded Postgres needs no migrating: `leadline serve` does it",
    );
  }
  const appRole = config.databaseAdminUrl === undefined ? undefined : roleOf(config.databaseUrl);
  const { migrate } = await import("../store/migrate.ts");
  const shown = (name: string, index: number, count: number): void => {
    const line = options.json
      ? JSON.stringify({ migration: name, index: index + 1, count })
      : `${index + 1}/${count}  ${name}`;
    terminal.out.stream.write(`${line}\n`);
  };
  try {
    const ran = await migrate(url, { onMigration: shown, ...(appRole === undefined ? {} : { appRole }) });
    if (options.json) await terminal.out.json({ migrated: ran });
    else await terminal.out.line(ran.length === 0 ? "nothing to do: the schema is current" : `done: ${ran.length} run`);
  } catch (error) {
    throw databaseError(error);
  }
}

function roleOf(url: string | undefined): string | undefined {
  const name = url === undefined ? "" : decodeURIComponent(new URL(url).username);
  return name === "" ? undefined : name;
}

const advice = new Map([
  ["42501", "run it as the role that owns the tables: DATABASE_ADMIN_URL"],
  ["28P01", "the password in the URL is wrong"],
  ["28000", "Postgres does not let this role in: look at pg_hba.conf"],
  ["3D000", "create the database first: createdb"],
  ["42704", "create the role of DATABASE_URL first: create role ... login"],
]);

const roleAdvice =
  "give it CREATEROLE, or let an administrator make the role before: create role leadline_app nologin; grant" +
  " leadline_app to the role of DATABASE_URL";

/** What Postgres or the network said, as an error of the command. */
function databaseError(error: unknown): CliError {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const message = error instanceof Error ? error.message || code : String(error);
  if (/^E[A-Z]+$/.test(code)) {
    const hint = "is Postgres running, and is the host in the URL right?";
    return new CliError(Exit.UNREACHABLE, "DATABASE_UNAVAILABLE", `cannot reach the database: ${message}`, hint);
  }
  const hint = /create role|grant role|admin option/.test(message) ? roleAdvice : advice.get(code);
  return new CliError(Exit.REFUSED, "MIGRATION_FAILED", message, hint);
}
