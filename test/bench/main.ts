import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { catchup } from "./catchup.ts";
import { fairness } from "./fairness.ts";
import { fanout, fanoutHttp } from "./fanout.ts";
import { growth } from "./growth.ts";
import { hostile } from "./hostile.ts";
import { idle } from "./idle.ts";
import { hop, selective } from "./latency.ts";
import { type BenchOptions, type BenchResult, MEASURING_SECONDS, machine, PAIRS } from "./measure.ts";
import { printed, summarised, TARGETS } from "./report.ts";
import { slow } from "./slow.ts";
import { batch, one, read, tenants, write } from "./unary.ts";

const benches: Readonly<Record<string, (options: BenchOptions) => Promise<BenchResult>>> = {
  ...{ write, tenants, batch, one, read, fanout, "fanout-http": fanoutHttp, idle, selective, hop, catchup, slow },
  ...{ fairness, hostile, growth },
};
const summary = join(import.meta.dirname, "../../README.md");
/** Takes fifteen minutes, so it runs only when it is named. */
const LONG = "growth";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string" },
    pairs: { type: "string" },
    scale: { type: "string" },
    profile: { type: "string" },
    "no-summary": { type: "boolean" },
    help: { type: "boolean" },
  },
});

if (values.help) {
  console.log(`npm run bench [-- NAME ...] [--seconds N] [--pairs N] [--scale N] [--profile FOLDER] [--no-summary]

Measures Leadline beside its references. Names: ${Object.keys(benches).join(", ")}. Without: all but ${LONG}, and the
figures go into the README.

  --seconds N       of measuring in each bench, both sides together (${MEASURING_SECONDS})
  --pairs N         rounds of each side (${PAIRS})
  --scale N         divides orders, tenants and watchers: to try a bench out (1)
  --profile FOLDER  write CPU profiles of the server (write, tenants, batch, one, read, fanout) and print the hottest functions
  --no-summary      leave the README as it is`);
} else {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  process.exitCode = await run(positionals).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    return 1;
  });
}

async function run(named: readonly string[]): Promise<number> {
  const names = named.length > 0 ? named : Object.keys(benches).filter((name) => name !== LONG);
  const unknown = names.filter((name) => !(name in benches));
  if (unknown.length > 0)
    throw new Error(`no bench ${unknown.join(", ")}: there are ${Object.keys(benches).join(", ")}`);
  const options: BenchOptions = {
    seconds: Number(values.seconds ?? MEASURING_SECONDS),
    pairs: Number(values.pairs ?? PAIRS),
    scale: Number(values.scale ?? 1),
    profile: values.profile,
    say: (text) => console.log(text),
  };
  const full = values.seconds === undefined && values.pairs === undefined && values.scale === undefined;
  for (const name of names) {
    console.log(`${name}: ${options.pairs} pairs of rounds`);
    const result = await benches[name]?.(options);
    if (!result) continue;
    console.log(printed(result, options));
    if (full && !values["no-summary"] && existsSync(summary)) {
      writeFileSync(summary, summarised(readFileSync(summary, "utf8"), result));
    }
    console.log(JSON.stringify({ ...result, machine: machine() }));
  }
  return names.some((name) => !(name in TARGETS)) ? 1 : 0;
}
