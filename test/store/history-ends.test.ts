import { randomBytes } from "node:crypto";
import { Client } from "pg";
import { expect, inject, test } from "vitest";
import { migrate } from "../../src/store/migrate.ts";
import { migrations } from "../../src/store/migrations/index.ts";
import { openOrm } from "../../src/store/orm.ts";
import { databaseUrl } from "../support/prepare-server.ts";

/** An empty database whose owner is no superuser: row-level security holds it, as it does where a deployment is run. */
async function emptyDatabase(stack: AsyncDisposableStack): Promise<Client & { readonly url: string }> {
  const name = `ends_${randomBytes(6).toString("hex")}`;
  const admin = new Client({ connectionString: inject("postgresUrl") });
  await admin.connect();
  stack.defer(() => admin.end());
  await admin.query(`create role ${name} login password 'owner' createrole`);
  stack.defer(async () => void (await admin.query(`drop role ${name}`)));
  await admin.query(`create database ${name} owner ${name}`);
  stack.defer(async () => void (await admin.query(`drop database ${name} with (force)`)));
  await admin.query(`grant leadline_app to ${name} with admin option`);
  const url = databaseUrl(inject("postgresUrl"), name, { user: name, password: "owner" });
  const client = new Client({ connectionString: databaseUrl(inject("postgresUrl"), name) });
  await client.connect();
  stack.defer(() => client.end());
  return Object.assign(client, { url });
}

test("rows that were written before rows told their end get the time of their last change, of every tenant", async () => {
  await using stack = new AsyncDisposableStack();
  const client = await emptyDatabase(stack);
  const before = await openOrm(client.url);
  stack.defer(() => before.close(true));
  for (const { name } of migrations.filter((one) => one.name < "0003")) await before.migrator.up({ to: name });
  // What an instance of that release writes goes on being taken: the statement names no new column.
  for (const tenant of ["a", "b"]) {
    await client.query("insert into tenant (id, name, tier, created_at) values ($1, $1, 1, now())", [tenant]);
    await client.query(
      `insert into event (tenant_id, revision, event_id, kind, subject_id, version, carrier, recorded_at, payload)
       select $1, n, 'e' || n, 1, 's' || n, 1, '', timestamptz '2026-01-01' + n * interval '1 day', '' from generate_series(1, 9) n`,
      [tenant],
    );
    const rows = [
      ["delivered", 1, 8, ""],
      ["cancelled", 1, 9, ""],
      ["on its way", 1, 5, ""],
      ["of a flow", 1, 8, "own"],
      ["rejected", 2, 6, ""],
      ["completed", 2, 9, ""],
      ["confirmed", 2, 4, ""],
    ] as const;
    for (const [i, [id, kind, stage, flow]] of rows.entries()) {
      await client.query(
        `insert into subject (tenant_id, kind, id, version, created_revision, changed_revision, changed_event_id, status, stage,
           space, carrier, summary, details, flow_id) values ($1, $2, $3, 1, $4, $4, '', '', $5, 0, '', '', '', $6)`,
        [tenant, kind, id, i + 1, stage, flow],
      );
    }
  }
  expect(await migrate(client.url)).toEqual(migrations.map(({ name }) => name).filter((name) => name >= "0003"));
  const { rows } = await client.query(
    `select tenant_id, id, to_char(ended_at at time zone 'UTC', 'YYYY-MM-DD') as ended, history_cut from subject
     where ended_at is not null or history_cut order by tenant_id, changed_revision`,
  );
  const due = (tenant: string) =>
    [
      ["delivered", "2026-01-02"],
      ["cancelled", "2026-01-03"],
      ["rejected", "2026-01-06"],
      ["completed", "2026-01-07"],
    ].map(([id, ended]) => ({ tenant_id: tenant, id, ended, history_cut: false }));
  expect(rows).toEqual([...due("a"), ...due("b")]);
});
