import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { orderRef, SubjectKind } from "../../src/domain/subject.ts";
import type { RowQuery } from "../../src/journal/journal.ts";
import { questions } from "../../src/journal/questions.ts";
import { stretchText } from "../../src/journal/stretch.ts";
import type { Question, Value } from "../../src/store/question.ts";
import { createTenant, createTestDatabase, type TestDatabase } from "../support/database.ts";

const ROWS = 4_000;

/** What the planner chose, as far as it is looked at here. */
interface Plan {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly Plans?: readonly Plan[];
}

let database: TestDatabase;
let client: Client;

beforeAll(async () => {
  database = await createTestDatabase();
  for (const tenant of ["a", "b"]) {
    await createTenant(database, tenant);
    await database.sql(
      `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
       select $1, n, 'e' || n, 1, 'ord_' || n % 1000, n / 1000 + 1, '', now(), decode(repeat('ab', 300), 'hex')
       from generate_series(1, $2::int) n`,
      [tenant, ROWS],
    );
    await database.sql(
      `insert into subject (tenant_id, kind, id, version, created_revision, changed_revision, changed_event_id, status,
                            stage, space, carrier, summary, details)
       select $1, 1, 'ord_' || n, 1, n, n, 'e' || n, 'RECEIVED', n % 5, 0, '', decode(repeat('ab', 200), 'hex'), ''
       from generate_series(1, $2::int) n`,
      [tenant, ROWS],
    );
    await database.sql(
      `insert into subject_reference (tenant_id, kind, key, subject_id, created_revision)
       select $1, 1, 'PO:' || n, 'ord_' || n, n from generate_series(1, $2::int) n`,
      [tenant, ROWS],
    );
  }
  client = new Client({ connectionString: database.appUrl });
  await client.connect();
  await client.query("select set_config('app.tenants', 'a', false)");
});

afterAll(async () => {
  await client?.end();
  await database?.[Symbol.asyncDispose]();
});

const list = (query: Partial<RowQuery>) =>
  questions.rows({ tenant: "a", kind: SubjectKind.ORDER, limit: 51, ...query });
const page = [1_000, 262_144] as const;

const stretch = { tenant: "a", kind: SubjectKind.ORDER, after: 2_000n, upTo: 4_000n, limit: 1_000, maxBytes: 262_144 };

const hot: Record<string, Question<unknown>> = {
  "subjects by id": questions.subjects(
    Array.from({ length: 64 }, (_, i) => ({ tenant: "a", ref: orderRef(`ord_${i}`) })),
  ),
  "a page of events": questions.events("a", 2_000n, ...page),
  "a stretch of payloads": { name: "", text: stretchText(stretch), values: [], row: () => undefined },
  "a subject's history, which as-of reads go through": questions.history("a", orderRef("ord_7"), 1n, 100, 262_144),
  "subjects as they were": questions.before("a", SubjectKind.ORDER, ["ord_7", "ord_8"], 3_000n),
  "the newest rows": list({}),
  "rows before a cursor": list({ createdBefore: 3_000n }),
  "rows of a stage": list({ stages: [2] }),
  "rows with a reference": list({ references: [{ type: "PO", value: "77" }] }),
  "rows by id": list({ ids: ["ord_7", "ord_8"] }),
};

for (const statistics of ["without statistics", "with fresh statistics"]) {
  describe(`${statistics}, no hot statement reads a whole table`, () => {
    beforeAll(async () => {
      if (statistics === "with fresh statistics") await database.sql("analyze event, subject, subject_reference");
    });

    for (const mode of ["force_custom_plan", "force_generic_plan"]) {
      test.for(Object.entries(hot))(`${mode}: %s`, async ([, question]) => {
        const plan = await planOf(question, mode);
        const read = nodes(plan).filter((node) => node["Relation Name"] !== undefined);
        expect(read.length).toBeGreaterThan(0);
        expect(read.filter((node) => node["Node Type"] === "Seq Scan")).toEqual([]);
      });
    }
  });
}

async function planOf({ text, values }: Question<unknown>, mode: string): Promise<Plan> {
  await client.query(`set plan_cache_mode = ${mode}`);
  await client.query(`prepare hot as ${text}`);
  try {
    const args = values.length > 0 ? `(${values.map(literal).join(", ")})` : "";
    const asked = `explain (format json) execute hot${args}`;
    const { rows } = await client.query<{ "QUERY PLAN": readonly [{ readonly Plan: Plan }] }>(asked);
    const [row] = rows;
    if (!row) throw new Error("no plan");
    return row["QUERY PLAN"][0].Plan;
  } finally {
    await client.query("deallocate hot");
  }
}

function literal(value: Value): string {
  return `'${typeof value === "object" ? `{${value.join(",")}}` : value}'`;
}

function nodes(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodes)];
}
