import type { EntityManager } from "@mikro-orm/postgresql";
import { beforeAll, describe, expect, test } from "vitest";
import { type CutTerms, cutHistories, endedAfter, removeCutEvents } from "../../src/store/history-cuts.ts";
import { withTenants } from "../../src/store/orm.ts";
import { createTenant, openTestOrm } from "../support/database.ts";
import { shared } from "../support/shared.ts";

/*
 * What a turn of the sweep looks at follows from its portion, and not from how much was cut before or is still open: a head is
 * held meanwhile.
 */

const SUBJECTS = 20_000;
const PORTION = 50;
/** For each journey of the portion: its row, its event, its checkpoint, the head, and each again where it is written. */
const MOST_ROWS = PORTION * 20;

interface Node {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly Plans?: readonly Node[];
}

const { database, orm } = await shared(openTestOrm());
const terms: CutTerms = { tenant: "a", now: new Date().toISOString(), historyDays: 90, resumeDays: 30 };

beforeAll(async () => {
  await database.sql("alter table subject set (autovacuum_enabled = false)");
  await database.sql("alter table event set (autovacuum_enabled = false)");
  await database.sql("alter table history_checkpoint set (autovacuum_enabled = false)");
  await createTenant(database, "a");
  await database.sql(
    `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
     select 'a', n, 'e' || n, 1, 's' || n, 1, '', now() - interval '1 year' + n * interval '1 second', '\\xab'
     from generate_series(1, $1::int) n`,
    [SUBJECTS],
  );
  // Most have been cut, some are open, and the rest is due.
  await database.sql(
    `insert into subject (tenant_id, kind, id, version, created_revision, changed_revision, changed_event_id, status, stage, space,
       carrier, summary, details, ended_at, history_cut)
     select 'a', 1, 's' || n, 1, n, n, 'e' || n, 'DELIVERED', 8, 0, '', '', '',
       case when n % 20 > 0 then now() - interval '1 year' + n * interval '1 second' end, n % 20 > 1
     from generate_series(1, $1::int) n`,
    [SUBJECTS],
  );
  await database.sql(
    `insert into history_checkpoint (tenant_id, kind, id, version, revision, recorded_at, cut_at, history_days, removed, summary,
       details) select tenant_id, kind, id, version, changed_revision, ended_at, now(), 90, true, '', '' from subject
     where history_cut`,
  );
  await database.sql("delete from event using subject s where s.id = subject_id and s.history_cut");
  await database.sql("update journal_head set revision = $1::int, event_id = 'e' || $1::int where tenant_id = 'a'", [
    SUBJECTS,
  ]);
});

function nodes(plan: Node): Node[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodes)];
}

/** Runs work whose statements Postgres explains as it carries them out. @returns tables read whole, and rows looked at */
async function conduct(work: (em: EntityManager) => Promise<unknown>) {
  const read: Node[] = [];
  await withTenants(orm, ["a"], async (em) => {
    const explaining = new Proxy(em, {
      get(target, name) {
        if (name !== "execute") return Reflect.get(target, name, target);
        return async (text: string, values: unknown[]) => {
          const [row] = await target.execute<{ "QUERY PLAN": readonly [{ readonly Plan: Node }] }[]>(
            `explain (analyze, format json) ${text}`,
            values,
          );
          read.push(...nodes(row?.["QUERY PLAN"][0].Plan ?? expect.fail("no plan")));
          return [];
        };
      },
    });
    await work(explaining);
  });
  const tables = read.filter((node) => node["Relation Name"] !== undefined && !node["Node Type"].startsWith("Modify"));
  const rows = tables.map(
    (node) => (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0)) * node["Actual Loops"],
  );
  const whole = tables.filter((node) => node["Node Type"] === "Seq Scan" && node["Relation Name"] !== "journal_head");
  return {
    whole: whole.map((node) => node["Relation Name"]),
    rows: rows.reduce((sum, n) => sum + n, 0),
    count: tables.length,
  };
}

describe.each(["without statistics", "with fresh statistics"])("%s", (statistics) => {
  beforeAll(async () => {
    if (statistics === "with fresh statistics") await database.sql("analyze event, subject, history_checkpoint");
  });

  test("looking for journeys, cutting them and removing their events reads no table whole", async () => {
    const due = await withTenants(orm, ["a"], (em) => endedAfter(em, terms, undefined, PORTION));
    expect(due.map(({ ripe }) => ripe)).toEqual(Array(PORTION).fill(true));
    for (const work of [
      (em: EntityManager) => endedAfter(em, terms, undefined, PORTION),
      (em: EntityManager) => endedAfter(em, terms, due.at(-1), PORTION),
      (em: EntityManager) => cutHistories(em, terms, due, 10_000),
      (em: EntityManager) => removeCutEvents(em, "a", PORTION),
    ]) {
      const { whole, rows, count } = await conduct(work);
      expect(count).toBeGreaterThan(0);
      expect(whole).toEqual([]);
      expect(rows).toBeLessThan(MOST_ROWS);
    }
    const [left] = await database.sql<{ n: number }>(
      "select count(*)::int as n from history_checkpoint c join event e on e.subject_id = c.id",
    );
    expect(left?.n).toBe(0);
  });
});
