import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { type EmbeddedPostgres, startEmbedded } from "../../src/store/embedded.ts";
import { prepareServer } from "./prepare-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The superuser's URL of the database `postgres` on the server that the tests share. */
    readonly postgresUrl: string;
  }
}

let server: EmbeddedPostgres | undefined;
let directory: string | undefined;

/** Runs once before all test files: the Postgres that they share, with a migrated template. */
export async function setup(project: TestProject): Promise<void> {
  directory = mkdtempSync(join(tmpdir(), "leadline-tests-"));
  server = await startEmbedded({ directory, durable: false, settings: { max_connections: "200" } });
  await prepareServer(server.url());
  project.provide("postgresUrl", server.url());
}

/** Runs once after all test files. */
export async function teardown(): Promise<void> {
  await server?.stop();
  if (directory) rmSync(directory, { recursive: true, force: true });
}
