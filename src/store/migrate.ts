import { randomBytes } from "node:crypto";
import { DeadlockException, type EntityManager, type MikroORM } from "@mikro-orm/postgresql";
import { openOrm } from "./orm.ts";

// One migrating process at a time; the number only has to be ours.
const MIGRATION_LOCK = 0x1ead11e;
/** How often a migration is run again because it and an instance waited for each other. */
const DEADLOCKS_MAX = 10;

/** A migration takes as long as it takes, and waits for instances that write. */
const UNHURRIED = { statementTimeoutMs: 0, lockTimeoutMs: 0, idleInTransactionTimeoutMs: 0 };

export interface MigrateOptions {
  /** Told before each migration runs, with its name and how many there are. */
  readonly onMigration?: (name: string, index: number, count: number) => void;
  /** A login role that instances use: it is made a member of `leadline_app`. It must exist. */
  readonly appRole?: string;
}

/**
 * Brings a database to this release's schema, as its owner. Safe to run again and beside another one.
 * @returns the names of the migrations that ran, oldest first
 */
export async function migrate(ownerUrl: string, options: MigrateOptions = {}): Promise<string[]> {
  const orm = await openOrm(ownerUrl, { poolMax: 2, ...UNHURRIED });
  try {
    const lock = orm.em.fork();
    return await lock.transactional(async (em) => {
      await em.execute("select pg_advisory_xact_lock(?)", [MIGRATION_LOCK]);
      const pending = await orm.migrator.getPending();
      const ran: string[] = [];
      for (const [index, { name }] of pending.entries()) {
        options.onMigration?.(name, index, pending.length);
        await up(orm, name);
        ran.push(name);
      }
      await em.execute("insert into deployment (name, value) values ('secret', ?) on conflict do nothing", [
        randomBytes(32),
      ]);
      if (options.appRole && !(await isMember(em, options.appRole))) {
        await em.execute(`grant leadline_app to ${quoteIdentifier(options.appRole)}`);
      }
      await em.execute("grant select on migration to leadline_app");
      return ran;
    });
  } finally {
    await orm.close(true);
  }
}

/**
 * Instances that serve meanwhile may hold what a migration waits for, and wait for what it holds. Postgres then ends one of
 * the two; a migration that is ended has changed nothing and is run again.
 */
async function up(orm: MikroORM, name: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await orm.migrator.up({ to: name });
      return;
    } catch (error) {
      if (tries === DEADLOCKS_MAX || !isDeadlock(error)) throw error;
    }
  }
}

function isDeadlock(error: unknown): boolean {
  return error instanceof Error && (error instanceof DeadlockException || isDeadlock(error.cause));
}

/** Who may migrate need not be allowed to grant roles, where an administrator has done it. */
async function isMember(em: EntityManager, role: string): Promise<boolean> {
  const text = "select from pg_roles where rolname = ? and pg_has_role(oid, 'leadline_app', 'member')";
  return (await em.execute<unknown[]>(text, [role])).length > 0;
}

function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
