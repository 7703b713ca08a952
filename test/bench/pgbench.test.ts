import { expect, inject, test } from "vitest";
import { databaseUrl } from "../support/prepare-server.ts";
import { DATABASE, preparePgbench } from "./pgbench.ts";
import { runSql } from "./service.ts";

test("a round that is over before its clients have connected is repeated, and longer", async ({ onTestFinished }) => {
  const server = inject("postgresUrl");
  const pgbench = await preparePgbench(server);
  onTestFinished(async () => void (await runSql(server, `drop database ${DATABASE} with (force)`)));
  // As on a machine with much else to do: to get in takes longer than the round.
  await runSql(
    databaseUrl(server, DATABASE),
    `create function hesitate() returns event_trigger language plpgsql as 'begin perform pg_sleep(1.2); end';
     create event trigger hesitate on login execute function hesitate()`,
  );
  expect((await pgbench.round(1, 2)).perSecond).toBeGreaterThan(0);
}, 60_000);
