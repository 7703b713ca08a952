import { describe, expect, test } from "vitest";
import { examineSession, SESSION_SETTINGS } from "../../src/app/database-session.ts";
import { ExitCode, StartError } from "../../src/app/start-error.ts";
import { startApp } from "../../src/app.ts";
import { databaseFindings } from "../../src/cli/doctor-database.ts";
import { readConfig } from "../../src/config.ts";
import { WRITER_SETTINGS } from "../../src/journal/sql.ts";
import { SERVICE_OWNER, startTestApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { startPgBouncer } from "../support/pgbouncer.ts";
import { shared } from "../support/shared.ts";

/*
 * Before Postgres stands a pooler. Whatever it is set to, a start through it is refused with what to do, unless sessions are
 * the instance's own: an instance that loses its timeouts would work until the day that another one stops.
 */

const database = await shared(createTestDatabase());

const ignored = "options, extra_float_digits, statement_timeout, lock_timeout, idle_in_transaction_session_timeout";

/** What our sessions ask for when they connect, put in by hand. */
const byHand = Object.entries({ ...SESSION_SETTINGS, ...WRITER_SETTINGS })
  .map(([name, value]) => `set ${name}=${value}`)
  .join(";");

const cases: [string, Record<string, string>, RegExp, string?][] = [
  ["in transaction mode", { pool_mode: "transaction" }, /unsupported startup parameter: \w+/],
  ["in session mode", { pool_mode: "session" }, /unsupported startup parameter: \w+/],
  [
    "in transaction mode that is told to ignore what it does not know",
    { pool_mode: "transaction", ignore_startup_parameters: ignored },
    /drops the settings of a session \(statement_timeout, lock_timeout, idle_in_transaction_session_timeout, .+\)/,
  ],
  [
    "in session mode that is told to ignore what it does not know",
    { pool_mode: "session", ignore_startup_parameters: ignored },
    /drops the settings of a session/,
  ],
  [
    "in transaction mode that gives every session the settings that are asked for",
    { pool_mode: "transaction", ignore_startup_parameters: ignored },
    /lends a connection for one transaction only/,
    byHand,
  ],
];

test("a pooler that gives every client a session with the settings is as good as Postgres", async () => {
  // Nor may it take them away between two clients.
  const settings = { pool_mode: "session", ignore_startup_parameters: ignored, server_reset_query: "" };
  await using pooler = await startPgBouncer(new URL(database.appUrl), settings, byHand);
  const through = new URL(database.appUrl);
  through.port = String(pooler.port);
  await expect(examineSession({ connectionString: through.href })).resolves.toBeUndefined();
});

describe("a start through PgBouncer", () => {
  test.each(cases)("%s is refused", { timeout: 120_000 }, async (_what, settings, why, connectQuery) => {
    const direct = new URL(database.appUrl);
    await using pooler = await startPgBouncer(direct, settings, connectQuery);
    const through = new URL(direct);
    through.port = String(pooler.port);
    const ports = { LEADLINE_GRPC_PORT: "0", LEADLINE_HTTP_PORT: "0" };
    const config = readConfig({ DATABASE_URL: through.href, LEADLINE_OWNER_KEY: SERVICE_OWNER, ...ports });
    const error = await startApp(config).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(StartError);
    const { message, exitCode } = error as StartError;
    expect(exitCode).toBe(ExitCode.CONFIG);
    expect(message).toMatch(
      /^DATABASE_URL names a pooler \(PgBouncer\) that .+: instances need sessions of their own: name/,
    );
    expect(message).toMatch(why);
    expect(message).not.toContain("\n");
    expect(message).not.toContain(direct.password === "leadline" ? ":leadline@" : direct.password);
    // And the doctor says the same of it.
    const sessions = (await databaseFindings(through.href)).find(({ check }) => check === "sessions");
    expect(sessions).toMatchObject({ result: "fail", message });
  });
});

test("a start past it is not", async () => {
  await using app = await startTestApp({ database });
  expect(app.warnings).toEqual([]);
});
