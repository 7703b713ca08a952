import { PostgresJournal } from "../../src/journal/postgres-journal.ts";
import { createTenant, createTestDatabase, type TestDatabase } from "./database.ts";

/** A journal in a database of its own. */
export interface TestJournal extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly journal: PostgresJournal;
}

/** Opens one, with these tenants in it. */
export async function openTestJournal(...tenants: readonly string[]): Promise<TestJournal> {
  const database = await createTestDatabase();
  for (const tenant of tenants) await createTenant(database, tenant);
  const journal = new PostgresJournal({
    connection: { url: database.appUrl, lockTimeoutMs: 500 },
    onCommit: () => undefined,
  });
  return {
    database,
    journal,
    [Symbol.asyncDispose]: async () => {
      await journal.close();
      await database[Symbol.asyncDispose]();
    },
  };
}
