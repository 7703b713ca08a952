import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { expect, test } from "vitest";
import { MessageFormatSchema } from "../../gen/leadline/v1/import_service_pb.ts";
import { CodeListSchema } from "../../gen/leadline/v1/status_flow_pb.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { createTestDatabase } from "../support/database.ts";
import { PATIENT } from "../support/patient.ts";
import { fuzzFiles } from "./fuzz-files.ts";
import { imported } from "./fuzz-messages.ts";
import { fuzz, ways } from "./fuzz-run.ts";
import { journalFaults } from "./journal.ts";
import { mutationNames } from "./mutations.ts";
import { randomFrom } from "./random-requests.ts";
import { unlikeHistory } from "./unlike-history.ts";

/*
 * Bytes that are hardly messages, at every method over every protocol. `npm run fuzz` is the long run. Whatever is sent is
 * answered or refused, nothing is a fault of ours, and the journals fold.
 */
const CASES = 6_000;
const SEED = 20_261_122;

/** `package.Service.Method` of each, by reflection. */
async function methodsServed({ httpUrl }: TestApp): Promise<string[]> {
  const buf = join(import.meta.dirname, "../../node_modules/.bin/buf");
  const { stdout } = await promisify(execFile)(buf, ["curl", "--list-methods", httpUrl]);
  return stdout.split("\n").flatMap((line) => (line.includes("/") ? [line.replace("/", ".")] : []));
}

test("there is a document of every kind and code list that is imported", () => {
  const kinds = MessageFormatSchema.values.filter(({ number }) => number !== 0).map(({ localName }) => localName);
  expect(Object.keys(imported).sort()).toEqual(kinds.sort());
  const lists = CodeListSchema.values.filter(({ number }) => number !== 0).map(({ name }) => name);
  expect(imported.CODED_EVENT.map(({ codeList }) => codeList).sort()).toEqual(lists.sort());
});

test("files that are hardly JSON become items or refusals", () => {
  const faults = fuzzFiles(randomFrom(SEED), 2_000);
  expect(faults).toEqual([]);
});

test("mutated messages are refused, or taken whole", { timeout: 120_000 }, async () => {
  await using database = await createTestDatabase();
  const logged: string[] = [];
  const log = pino({ level: "error" }, { write: (line: string) => void logged.push(line) });
  await using app = await startTestApp({ database, env: PATIENT, parts: { log } });
  const tenant = await app.makeTenant("fuzzed");
  const more = ({ cases }: { cases: number }) => cases < CASES;
  const counts = await fuzz({ app, tenant, draw: randomFrom(SEED), atOnce: 50, more });
  expect(counts.faults).toEqual([]);
  expect(logged).toEqual([]);
  expect(await journalFaults(database)).toEqual([]);
  expect(await unlikeHistory(app.client(tenant.keys.owner))).toEqual([]);
  expect(Object.keys(counts.how).sort()).toEqual([...mutationNames].sort());
  // Some are taken and some are not, or nothing would have been tried.
  expect(counts.answers["0"]).toBeGreaterThan(CASES / 50);
  expect(counts.answers["3"]).toBeGreaterThan(CASES / 50);
  // Every method that the service tells of has met every protocol.
  const served = await methodsServed(app);
  expect(served.length).toBeGreaterThan(70);
  const met = new Set(Object.keys(counts.of));
  const due = served.flatMap((name) => Object.keys(ways).map((way) => `${way}, ${name}`));
  expect(due.filter((pair) => !met.has(pair))).toEqual([]);
  const health = await fetch(`${app.httpUrl}/readyz`);
  expect(health.status).toBe(200);
});
