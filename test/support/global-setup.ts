import { mkdtempSync, rmSync, statfsSync } from "node:fs";
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

/** Far more than a run needs: a database takes 8 MB, two workers have a few at a time, and the server's log of changes 256 MB. */
const MEMORY_NEEDED = 4 * 1_073_741_824;

let server: EmbeddedPostgres | undefined;
let directory: string | undefined;

/** Runs once before all test files: the Postgres that they share, with a migrated template. */
export async function setup(project: TestProject): Promise<void> {
  directory = mkdtempSync(join(placeOfData(), "leadline-tests-"));
  // Databases come and go by the hundred: each that goes is looked for in all of the shared buffers.
  const settings = { max_connections: 200, shared_buffers: "128MB", max_wal_size: "256MB" };
  process.once("exit", remove); // when it is interrupted
  server = await startEmbedded({ directory, durable: false, settings });
  await prepareServer(server.url());
  project.provide("postgresUrl", server.url());
}

/** Runs once after all test files. */
export async function teardown(): Promise<void> {
  await server?.stop();
  process.removeListener("exit", remove);
  remove();
}

/** Also while its server is on its way out: that one may not have let go of all of it yet. */
function remove(): void {
  if (directory) rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** Memory where there is plenty: a copy of the template is three hundred files, which a disk takes long to make. */
function placeOfData(): string {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    // A container may see a large folder and be allowed little memory.
    return Math.min(bavail * bsize, process.availableMemory()) >= MEMORY_NEEDED ? "/dev/shm" : tmpdir();
  } catch {
    return tmpdir();
  }
}
