import { randomBytes } from "node:crypto";
import { Client } from "pg";
import { describe, expect, inject, test } from "vitest";
import { createTestDatabase } from "../support/database.ts";
import { APP_LOGIN, databaseUrl } from "../support/prepare-server.ts";
import { leadlineHere, nowhere } from "./leadline.ts";

async function asSuperuser(text: string): Promise<void> {
  const client = new Client({ connectionString: inject("postgresUrl") });
  await client.connect();
  await client.query(text).finally(() => client.end());
}

describe("migrate", () => {
  test("brings an empty database up, shows each migration, and has nothing to do the second time", async () => {
    const name = `test_${randomBytes(6).toString("hex")}`;
    await asSuperuser(`create database ${name}`);
    try {
      const env = {
        DATABASE_URL: databaseUrl(inject("postgresUrl"), name, APP_LOGIN),
        DATABASE_ADMIN_URL: databaseUrl(inject("postgresUrl"), name),
      };
      const first = await leadlineHere(["migrate"], env);
      expect(first.err).toBe("");
      expect(first.out).toMatch(/^1\/\d+ {2}0001-\S+\n(.*\n)*done: \d+ run\n$/);
      expect(await leadlineHere(["migrate"], env)).toMatchObject({
        exit: 0,
        out: "nothing to do: the schema is current\n",
      });
      const doctor = await leadlineHere(["doctor", "--json", "--address", nowhere], env);
      expect(findings(doctor.out)).toMatchObject({
        database: "ok",
        role: "ok",
        schema: "ok",
        "row-level security": "ok",
      });
    } finally {
      await asSuperuser(`drop database ${name} with (force)`);
    }
  });

  test("by an owner that may not create roles needs them made before, and says so", async () => {
    const name = `test_${randomBytes(6).toString("hex")}`;
    const owner = { user: `${name}_owner`, password: "own" };
    const app = { user: `${name}_app`, password: "app" };
    await asSuperuser(`create role ${owner.user} login password 'own'; create role ${app.user} login password 'app'`);
    await asSuperuser(`create database ${name} owner ${owner.user}`);
    const env = {
      DATABASE_URL: databaseUrl(inject("postgresUrl"), name, app),
      DATABASE_ADMIN_URL: databaseUrl(inject("postgresUrl"), name, owner),
    };
    try {
      const refused = await leadlineHere(["migrate"], env);
      expect(refused.exit).toBe(1);
      expect(refused.err).toMatch(/\(MIGRATION_FAILED\)\nhint: .*grant leadline_app to the role of DATABASE_URL/);
      await asSuperuser(`grant leadline_app to ${app.user}`);
      expect(await leadlineHere(["migrate"], env)).toMatchObject({ exit: 0, err: "" });
    } finally {
      await asSuperuser(`drop database ${name} with (force)`);
      await asSuperuser(`drop role ${owner.user}; drop role ${app.user}`);
    }
  });

  test("by a role that may not is refused with what to do", async () => {
    await using database = await createTestDatabase();
    await database.sql("delete from migration");
    const { exit, err } = await leadlineHere(["migrate"], { DATABASE_URL: database.appUrl });
    expect(exit).toBe(1);
    expect(err).toMatch(/^leadline: .* \(MIGRATION_FAILED\)\nhint: run it as the role that owns the tables/);
  });
});

function findings(out: string): Record<string, string> {
  const lines = out
    .trimEnd()
    .split("\n")
    .map((line): { check: string; result: string } => JSON.parse(line));
  return Object.fromEntries(lines.map(({ check, result }) => [check, result]));
}

describe("doctor", () => {
  const examine = async (url: string) =>
    findings((await leadlineHere(["doctor", "--json", "--address", nowhere], { DATABASE_URL: url })).out);

  test("fails a superuser, whom row-level security does not hold", async () => {
    await using database = await createTestDatabase();
    expect(await examine(database.ownerUrl)).toMatchObject({ database: "ok", role: "fail" });
  });

  test("fails a role that is past it by being a member of another, as the start does", async () => {
    await using database = await createTestDatabase();
    const [role, past] = ["fit", "past"].map((word) => `${word}_${randomBytes(4).toString("hex")}`);
    await asSuperuser(`create role ${past} bypassrls; create role ${role} login password 'fit' in role ${past}`);
    try {
      const name = new URL(database.appUrl).pathname.slice(1);
      const found = await examine(databaseUrl(database.appUrl, name, { user: role ?? "", password: "fit" }));
      expect(found).toMatchObject({ database: "ok", role: "fail", schema: "fail" });
    } finally {
      await asSuperuser(`drop role ${role}; drop role ${past}`);
    }
  });

  test("fails a schema that the role may not use, and goes on", async () => {
    await using database = await createTestDatabase();
    await database.sql("revoke select on migration from leadline_app");
    expect(await examine(database.appUrl)).toMatchObject({ role: "ok", sessions: "ok", schema: "fail", clock: "ok" });
  });

  test("fails a table that somebody has opened", async () => {
    await using database = await createTestDatabase();
    await database.sql("alter table event no force row level security");
    expect(await examine(database.appUrl)).toMatchObject({ role: "ok", "row-level security": "fail" });
  });

  test("fails a schema that lacks a migration, and warns of one that is newer", async () => {
    await using database = await createTestDatabase();
    await database.sql("insert into migration (name) values ('9999-later')");
    expect(await examine(database.appUrl)).toMatchObject({ schema: "warn" });
    await database.sql("delete from migration");
    expect(await examine(database.appUrl)).toMatchObject({ schema: "fail" });
  });
});
