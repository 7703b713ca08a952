import { randomBytes } from "node:crypto";
import type { MikroORM } from "@mikro-orm/postgresql";
import { Pool } from "pg";
import { inject } from "vitest";
import { openOrm } from "../../src/store/orm.ts";
import { APP_LOGIN, databaseUrl, TEMPLATE } from "./prepare-server.ts";

/** A migrated, empty database of a test's own. */
export interface TestDatabase extends AsyncDisposable {
  /** As instances connect: a role that owns nothing. */
  readonly appUrl: string;
  /** As migrations connect: the owner. */
  readonly ownerUrl: string;
  /** Runs SQL as the superuser, who sees every row. */
  sql<T = Record<string, unknown>>(text: string, values?: unknown[]): Promise<T[]>;
}

/** Makes a database by copying the template; it is dropped, with whoever is still connected, on disposal. */
export async function createTestDatabase(superuserUrl = inject("postgresUrl")): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  const server = openPool(superuserUrl);
  await server.query(`create database ${name} template ${TEMPLATE} strategy file_copy`);
  const ownerUrl = databaseUrl(superuserUrl, name);
  const owner = openPool(ownerUrl);
  return {
    appUrl: databaseUrl(superuserUrl, name, APP_LOGIN),
    ownerUrl,
    sql: async <T>(text: string, values?: unknown[]) => (await owner.query(text, values)).rows as T[],
    [Symbol.asyncDispose]: async () => {
      await server.query(`drop database ${name} with (force)`);
      await Promise.all([owner.end(), server.end()]);
    },
  };
}

/** Makes such a database with an ORM on it, logged in as instances are. */
export async function openTestOrm(): Promise<{ database: TestDatabase; orm: MikroORM } & AsyncDisposable> {
  const database = await createTestDatabase();
  const orm = await openOrm(database.appUrl);
  return {
    database,
    orm,
    [Symbol.asyncDispose]: async () => {
      await orm.close(true);
      await database[Symbol.asyncDispose]();
    },
  };
}

/** Makes a tenant with its journal in a test database. */
export async function createTenant(database: TestDatabase, id: string, tier = 3): Promise<void> {
  await database.sql("insert into tenant (id, name, tier, created_at) values ($1, $1, $2, now())", [id, tier]);
  await database.sql(
    `insert into journal_head (tenant_id, journal_id, revision, event_id, recorded_at)
     values ($1, $2, 0, $2, now())`,
    [id, `${id.replaceAll(/[^0-9a-z]/g, "0")}0000000000000`.slice(0, 13)],
  );
}

/** Connections are kept, for a new one costs more than most of what is asked over it; one that has been ended is replaced. */
function openPool(url: string): Pool {
  return new Pool({ connectionString: url, idleTimeoutMillis: 0, allowExitOnIdle: true }).on("error", () => undefined);
}
