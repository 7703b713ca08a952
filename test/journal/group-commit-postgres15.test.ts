import { afterAll, beforeAll } from "vitest";
import { type Postgres15, startPostgres15 } from "../support/postgres15.ts";
import { prepareServer } from "../support/prepare-server.ts";
import { groupCommitSuite } from "./group-commit.suite.ts";

let server: Postgres15;
beforeAll(async () => {
  server = await startPostgres15();
  await prepareServer(server.url());
});
afterAll(() => server.stop());

groupCommitSuite(() => server.url());
