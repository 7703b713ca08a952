import { type BenchOptions, type BenchResult, type Figure, machine } from "./measure.ts";

/** A target: `most` for what should be small, else what must be reached. */
interface Target {
  readonly must: number;
  readonly aim: number;
  readonly most?: boolean;
}

const least = (must: number, aim: number): Target => ({ must, aim });
const most = (must: number, aim: number): Target => ({ must, aim, most: true });

/** What each bench has to reach, by the names of its ratios. */
export const TARGETS: Readonly<Record<string, Readonly<Record<string, Target>>>> = {
  write: { vs_pgbench: least(0.9, 1.3) },
  tenants: { vs_one_tenant: least(0.6, 0.85) },
  batch: { vs_pgbench: least(1.6, 2.5) },
  one: { latency_vs_pgbench: most(3.5, 2.5) },
  read: { vs_grpc_js: least(0.45, 0.6) },
  fanout: { cpu_vs_raw: most(2.2, 1.6), burst_cpu_vs_raw: most(0.5, 0.3), rate_vs_etcd: least(1, 2) },
  "fanout-http": { connect_cpu_vs_raw: most(2.5, 1.6), grpc_web_cpu_vs_raw: most(2.5, 1.6) },
  idle: {
    grpc_heap_vs_grpc_js: most(1.3, 1.1),
    grpc_rss_vs_grpc_js: most(1.3, 1.1),
    connect_heap_vs_grpc_js: most(2, 1.5),
  },
  selective: { p99_vs_100: most(1.5, 1.2) },
  hop: { p50_vs_local_plus_nats: most(1.5, 1.2) },
  catchup: { vs_copy: least(0.4, 0.7) },
  slow: { p99_vs_unstalled: most(1.5, 1.1), growth_mb: most(32, 8) },
  fairness: { share_error: most(0.1, 0.05), adaptive_p99_vs_quiet: most(2, 1.5) },
  hostile: { p99_vs_quiet: most(2, 1.3) },
  growth: { write: most(1.3, 1.1), read: most(1.3, 1.1), list: most(1.3, 1.1), resume: most(1.3, 1.1) },
};

/** A bench's ratios beside their targets, and its figures, for people. */
export function printed(result: BenchResult, options: Pick<BenchOptions, "pairs" | "seconds">): string {
  const rows = [["", "measured", "must", "aim", ""], ...rowsOf(result)];
  const figures = Object.entries(result.figures).map(([name, figure]) => [`  ${name}`, shown(figure)]);
  const { cpu, cores, node } = machine();
  const sample = `${options.pairs} pairs, ${options.seconds} s in all; ${cores} cores of ${cpu}; Node ${node}`;
  return ["", `${result.bench} (${sample})`, ...aligned(rows), "", ...aligned(figures), ""].join("\n");
}

/** One row for each ratio: name, measured, must, aim, verdict. */
function rowsOf(result: BenchResult): string[][] {
  return Object.entries(result.ratios).map(([name, value]) => {
    const target = TARGETS[result.bench]?.[name];
    if (!target) return [name, String(value), "", "", ""];
    const sign = target.most ? "<=" : ">=";
    const reached = (bound: number) => (target.most ? value <= bound : value >= bound);
    const verdict = reached(target.aim) ? "aim reached" : reached(target.must) ? "reached" : "MISSED";
    return [name, String(value), `${sign} ${target.must}`, `${sign} ${target.aim}`, verdict];
  });
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function shown(figure: Figure): string {
  if (typeof figure === "number" || typeof figure === "string") return String(figure);
  if (Array.isArray(figure)) return figure.join(" ");
  return Object.entries(figure)
    .map(([name, value]) => `${name} ${shown(value)}`)
    .join(", ");
}

const BEGIN = "<!-- summary -->";
const END = "<!-- /summary -->";

/** The README with the bench's rows in its table: those of earlier runs are replaced, those of other benches stay. */
export function summarised(readme: string, result: BenchResult): string {
  const [before = "", rest = ""] = readme.split(BEGIN);
  const [table = "", after = ""] = rest.split(END);
  const kept = table.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| bench"));
  const others = kept.filter((line) => !line.startsWith("| ---") && !line.startsWith(`| ${result.bench} |`));
  const { cpu, cores, node, date } = machine();
  const rows = rowsOf(result).map((row) => `| ${[result.bench, ...row, date].join(" | ")} |`);
  const order = Object.keys(TARGETS);
  const placeOf = (line: string) => order.indexOf(line.split(" | ")[0]?.slice(2) ?? "");
  const sorted = [...others, ...rows].sort((a, b) => placeOf(a) - placeOf(b));
  const head = ["| bench | ratio | measured | must | aim | | date |", "| --- | --- | --- | --- | --- | --- | --- |"];
  const on = `Measured on ${cores} cores of ${cpu}, Node ${node}.`;
  return [before, BEGIN, "\n\n", on, "\n\n", [...head, ...sorted].join("\n"), "\n\n", END, after].join("");
}
