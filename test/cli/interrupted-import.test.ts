import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, durationFromMs } from "@bufbuild/protobuf/wkt";
import { Metadata } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { ImportItemsResponseSchema, ImportOutcome } from "../../gen/leadline/v1/import_service_pb.ts";
import { chunkItems } from "../../src/cli/import-items.ts";
import { Status } from "../../src/client/status.ts";
import { GrpcServer, type ImportItemsCall } from "../client/grpc-server.ts";
import { Watching } from "./leadline.ts";

let server: GrpcServer;
let folder: string;
let calls: number;
/** Resolves when the call has come that is not answered with results. */
let unanswered: Promise<void>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "leadline-import-"));
  calls = 0;
});

afterEach(() => {
  server.cut();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs an import against a server that applies so many chunks, and then does with a call what the test says. */
async function importing(
  answered: number,
  items: number,
  options: { readonly json?: boolean; readonly late: ImportItemsCall },
): Promise<Watching> {
  const { promise, resolve } = Promise.withResolvers<void>();
  unanswered = promise;
  server = new GrpcServer({
    importItems(call, reply) {
      calls += 1;
      if (calls > answered) {
        resolve();
        options.late(call, reply);
        return;
      }
      const results = call.request.items.map(() => ({ outcome: ImportOutcome.APPLIED }));
      reply(null, create(ImportItemsResponseSchema, { results }));
    },
  });
  const address = await server.listen();
  const file = join(folder, "items.json");
  writeFileSync(file, JSON.stringify(Array.from({ length: items }, (_, n) => ({ eventID: `e${n}` }))));
  return new Watching(["import", ...(options.json ? ["--json"] : []), file], {
    LEADLINE_ADDRESS: address,
    LEADLINE_KEY: "lead_x",
    LEADLINE_DATA_DIR: "/nonexistent",
  });
}

const never: ImportItemsCall = () => undefined;

test("an import that is interrupted in a call says what it has done so far, and ends with 130", async () => {
  const run = await importing(1, chunkItems + 50, { late: never });
  await run.seen(`#${chunkItems}`);
  await unanswered;
  expect(await run.interrupt()).toBe(130);
  expect(run.err).toBe("");
  const lines = run.out.trimEnd().split("\n");
  expect(lines).toHaveLength(chunkItems + 1);
  expect(lines.at(-1)).toBe(`${chunkItems} of ${chunkItems + 50} items: ${chunkItems} applied`);
});

test("so it does with --json", async () => {
  const run = await importing(1, chunkItems + 50, { json: true, late: never });
  await run.seen(`#${chunkItems}"`);
  await unanswered;
  expect(await run.interrupt()).toBe(130);
  expect(run.err).toBe("");
  const lines = run.out.trimEnd().split("\n");
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ summary: { items: chunkItems, APPLIED: chunkItems } });
});

test("before anything is answered, it says so", async () => {
  const run = await importing(0, 3, { late: never });
  await unanswered;
  expect(await run.interrupt()).toBe(130);
  expect(run.out).toBe("0 of 3 items: none was answered\n");
});

test("while it waits for a service that has too much to do, it is not sent again", async () => {
  const retryDelay = create(RetryInfoSchema, { retryDelay: durationFromMs(60_000) });
  const details = [anyPack(RetryInfoSchema, retryDelay)];
  const metadata = new Metadata();
  const status = create(StatusSchema, { code: Status.UNAVAILABLE, details });
  metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  const run = await importing(0, 3, {
    late: (_call, reply) => reply({ code: Status.UNAVAILABLE, details: "later", metadata }),
  });
  await unanswered;
  expect(await run.interrupt()).toBe(130);
  expect(run.out).toBe("0 of 3 items: none was answered\n");
  expect(calls).toBe(1);
});
