import { Client } from "pg";
import { migrate } from "../../src/store/migrate.ts";

/** The migrated database that test databases are copied from. */
export const TEMPLATE = "leadline_template";
/** The login that instances use in tests: it owns nothing. */
export const APP_LOGIN = { user: "leadline", password: "leadline" };

/** Makes the instances' login and the template on an empty server. */
export async function prepareServer(superuserUrl: string): Promise<void> {
  const client = new Client({ connectionString: superuserUrl });
  await client.connect();
  try {
    await client.query(`create role ${APP_LOGIN.user} login password '${APP_LOGIN.password}'`);
    await client.query(`create database ${TEMPLATE}`);
  } finally {
    await client.end();
  }
  await migrate(databaseUrl(superuserUrl, TEMPLATE), { appRole: APP_LOGIN.user });
}

/** The same server, another database, and another login if given. */
export function databaseUrl(url: string, database: string, login?: { user: string; password: string }): string {
  const other = new URL(url);
  other.pathname = `/${database}`;
  if (login) {
    other.username = login.user;
    other.password = login.password;
  }
  return other.href;
}
