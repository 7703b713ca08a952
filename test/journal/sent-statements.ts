import { Client } from "pg";
import { Reader } from "../../src/journal/reader.ts";
import { Connection } from "../../src/store/connection.ts";
import type { Statement } from "../../src/store/flight.ts";
import type { TestDatabase } from "../support/database.ts";

/** A COPY runs the query within it, which alone can be explained. */
const COPY = /^copy \((.*)\) to stdout \(format binary\)$/s;

/** A connection that notes what it sends. */
class NotingConnection extends Connection {
  readonly sent: Statement[] = [];

  override flight(statements: readonly Statement[]) {
    this.sent.push(...statements);
    return super.flight(statements);
  }
}

/** A reader of the journal that tells which statements it sent. */
export class NotingReader extends Reader {
  readonly #connection: NotingConnection;

  constructor(database: TestDatabase) {
    const connection = new NotingConnection({ url: database.appUrl, applicationName: "plans" });
    super([connection]);
    this.#connection = connection;
  }

  /** What was sent since it was last asked, without what is around every read. */
  taken(): Statement[] {
    const around = /^(begin|commit|select set_config)/;
    return this.#connection.sent.splice(0).filter(({ text }) => !around.test(text));
  }
}

/** What Postgres did, as far as it is looked at here. */
interface PlanNode {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Index Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly Plans?: readonly PlanNode[];
}

/** How a statement was carried out. */
export interface Conduct {
  /** Indexes of tables, each once, sorted. */
  readonly indexes: readonly string[];
  /** Tables that were read from end to end. */
  readonly scanned: readonly string[];
  /** Rows of tables that were looked at, those that did not fit among them. */
  readonly rows: number;
  /** Rows that were sorted. */
  readonly sorted: number;
}

export const PLAN_MODES = ["force_custom_plan", "force_generic_plan"] as const;

/** Carries statements out as an instance would, to see how. */
export class Planner {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async connect(database: TestDatabase, tenant: string): Promise<Planner> {
    const client = new Client({ connectionString: database.appUrl });
    await client.connect();
    await client.query("select set_config('app.tenants', $1, false)", [tenant]);
    return new Planner(client);
  }

  async conduct({ text, values = [] }: Statement, mode: (typeof PLAN_MODES)[number]): Promise<Conduct> {
    await this.#client.query(`set plan_cache_mode = ${mode}`);
    await this.#client.query(`prepare asked as ${text.replace(COPY, "$1")}`);
    try {
      const given = values.length > 0 ? `(${values.map(literal).join(", ")})` : "";
      const asked = `explain (analyze, timing off, format json) execute asked${given}`;
      const { rows } = await this.#client.query<{ "QUERY PLAN": readonly [{ readonly Plan: PlanNode }] }>(asked);
      const [row] = rows;
      if (!row) throw new Error("no plan");
      return conductOf(nodes(row["QUERY PLAN"][0].Plan));
    } finally {
      await this.#client.query("deallocate asked");
    }
  }

  async close(): Promise<void> {
    await this.#client.end();
  }
}

function conductOf(all: readonly PlanNode[]): Conduct {
  const plan = all.filter((node) => node["Actual Loops"] > 0);
  const indexes = plan.flatMap((node) => node["Index Name"] ?? []);
  const reads = plan.filter((node) => node["Relation Name"] !== undefined);
  const sorts = plan.filter((node) => /Sort|Hash$|Aggregate/.test(node["Node Type"]));
  return {
    indexes: [...new Set(indexes)].sort(),
    scanned: reads.filter((node) => node["Node Type"] === "Seq Scan").map((node) => node["Relation Name"] ?? ""),
    rows: sum(reads.map(rowsOf)),
    sorted: sum(
      sorts.flatMap((node) => (node.Plans ?? []).map((below) => below["Actual Rows"] * below["Actual Loops"])),
    ),
  };
}

function rowsOf(node: PlanNode): number {
  const removed = (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0);
  return (node["Actual Rows"] + removed) * node["Actual Loops"];
}

function sum(values: readonly number[]): number {
  return Math.round(values.reduce((total, value) => total + value, 0));
}

function literal(value: unknown): string {
  return `'${Array.isArray(value) ? `{${value.join(",")}}` : value}'`;
}

function nodes(plan: PlanNode): PlanNode[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodes)];
}
