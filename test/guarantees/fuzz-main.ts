/** The long run of what `mutated.test.ts` does for seconds. `npm run fuzz -- --help` */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { pino } from "pino";
import { startEmbedded } from "../../src/store/embedded.ts";
import { runSql } from "../bench/service.ts";
import { startTestApp } from "../support/app.ts";
import type { TestDatabase } from "../support/database.ts";
import { PATIENT } from "../support/patient.ts";
import { APP_LOGIN, databaseUrl, prepareServer, TEMPLATE } from "../support/prepare-server.ts";
import { fuzzFiles } from "./fuzz-files.ts";
import { fuzz } from "./fuzz-run.ts";
import { journalFaults } from "./journal.ts";
import { randomFrom } from "./random-requests.ts";
import { unlikeHistory } from "./unlike-history.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    minutes: { type: "string", default: "600" },
    help: { type: "boolean" },
  },
});

if (values.help) {
  console.log(`npm run fuzz [-- --cases N] [--seed S] [--minutes M]

Sends mutated messages and random bytes to every method over every protocol of both doors,\nand mutated files to the command line's import; then folds the journals.

  --cases N    how many (1000000)
  --seed S     decides everything that is sent (1)
  --minutes M  stops earlier, and says so (600)`);
} else {
  process.exitCode = await run(Number(values.cases), Number(values.seed), Number(values.minutes) * 60_000);
}

async function run(cases: number, seed: number, mostMs: number): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const directory = mkdtempSync(join(tmpdir(), "leadline-fuzz-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  const server = await startEmbedded({ directory, durable: false });
  stack.defer(() => server.stop());
  await prepareServer(server.url());
  const ownerUrl = databaseUrl(server.url(), TEMPLATE);
  const database: TestDatabase = {
    ownerUrl,
    appUrl: databaseUrl(server.url(), TEMPLATE, APP_LOGIN),
    sql: (text, parameters) => runSql(ownerUrl, text, parameters),
    [Symbol.asyncDispose]: async () => {},
  };
  const logged: string[] = [];
  const errors = { write: (line: string) => void logged.push(line) };
  // What is away is told with its cause.
  const warnings = {
    write: (line: string) => void (line.includes("UNAVAILABLE") && console.log(line.slice(0, 1_500))),
  };
  const log = pino(
    { level: "warn" },
    pino.multistream([
      { level: "error", stream: errors },
      { level: "warn", stream: warnings },
    ]),
  );
  const app = stack.use(await startTestApp({ database, env: PATIENT, parts: { log } }));
  const tenant = await app.makeTenant("fuzzed");
  const begin = Date.now();
  let [told, shown] = [0, 0];
  const counts = await fuzz({
    ...{ app, tenant, draw: randomFrom(seed), atOnce: 100 },
    more({ cases: done, faults }) {
      for (; shown < faults.length; shown += 1) console.log(faults[shown]);
      if (done - told >= 20_000) {
        told = done;
        console.log(`${done} cases, ${Math.round(done / ((Date.now() - begin) / 1_000))}/s, ${faults.length} faults`);
      }
      return done < cases && Date.now() - begin < mostMs && faults.length < 20;
    },
  });
  const files = Math.ceil(counts.cases / 100);
  counts.faults.push(...fuzzFiles(randomFrom(seed), files));
  for (; shown < counts.faults.length; shown += 1) console.log(counts.faults[shown]);
  const unlike = await unlikeHistory(app.client(tenant.keys.owner));
  const broken = [...(await journalFaults(database)), ...unlike.map((id) => `${id} is not what its history folds to`)];
  for (const line of [...logged, ...broken].slice(0, 40)) console.log(line);
  console.log(`mutations ${JSON.stringify(counts.how)}`);
  console.log(`answers ${JSON.stringify(counts.answers)}`);
  const wrong = counts.faults.length + logged.length + broken.length;
  const methods = Object.keys(counts.of).length;
  console.log(
    `seed ${seed}: ${counts.cases} cases at ${methods} methods and protocols, ${files} files: ${wrong} faults`,
  );
  return wrong === 0 && counts.cases >= cases ? 0 : 1;
}
