import { Migrator } from "@mikro-orm/migrations";
import { type EntityManager, MikroORM } from "@mikro-orm/postgresql";
import type { Pool, PoolClient } from "pg";
import { entities } from "./entities.ts";
import { migrations } from "./migrations/index.ts";

export interface OrmOptions {
  /** Connections at most. Default 4: this is for what is configured and looked up, not for the journal. */
  readonly poolMax?: number;
  /** A statement that runs longer is ended by Postgres. Default 10,000. */
  readonly statementTimeoutMs?: number;
  /** A lock that is waited for longer fails the statement; 0: never. Default 2,000. */
  readonly lockTimeoutMs?: number;
  /** Postgres ends a session that leaves a transaction idle for longer; 0: never. Default 30,000: work between its statements is ours. */
  readonly idleInTransactionTimeoutMs?: number;
}

/** MikroORM on a database. Nothing connects until the first query. The caller closes it. */
export async function openOrm(url: string, options: OrmOptions = {}): Promise<MikroORM> {
  return MikroORM.init({
    clientUrl: url,
    entities,
    extensions: [Migrator],
    pool: { min: 0, max: options.poolMax ?? 4 },
    driverOptions: {
      statement_timeout: options.statementTimeoutMs ?? 10_000,
      lock_timeout: options.lockTimeoutMs ?? 2_000,
      idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? 30_000,
      options: "-c timezone=UTC",
      onPoolCreated: letGoOfLost,
    },
    forceUtcTimezone: true,
    allowGlobalContext: false,
    ensureDatabase: false, // a database that is not there is a mistake in the settings
    discovery: { warnWhenNoEntities: false },
    migrations: { migrationsList: migrations, tableName: "migration", snapshot: false, silent: true },
    // The journal's tables have no entities, see entities.ts.
    schemaGenerator: {
      skipTables: [
        ...["journal_head", "event", "subject", "subject_reference", "request", "history_checkpoint", "migration"],
      ],
    },
  });
}

/**
 * Gives a connection that has ended back to its pool, which forgets it, in place of whoever holds it. Kysely (up to 0.29.6)
 * does not when BEGIN or ROLLBACK fails: each session that ended inside a unit of work would take a place of the pool for
 * ever, and the pool would never end.
 */
function letGoOfLost(pool: Pool): void {
  pool.on("connect", (client) => {
    let held: PoolClient["release"] | undefined;
    Object.defineProperty(client, "release", {
      set(release: PoolClient["release"]) {
        held = release;
      },
      // Who holds it may give it back once more: the pool takes it once.
      get: () => (error?: Error | boolean) => {
        const release = held;
        held = undefined;
        release?.(error);
      },
    });
    client.once("end", () => client.release(true));
  });
}

/**
 * A unit of work for exactly these tenants: a transaction in which row-level security shows their rows and no others.
 * Takes a fork of its own and forgets it.
 */
export async function withTenants<T>(
  orm: MikroORM,
  tenants: readonly string[],
  work: (em: EntityManager) => Promise<T>,
): Promise<T> {
  const strange = tenants.find((tenant) => tenant.includes(","));
  if (strange !== undefined) throw new Error(`tenant "${strange}" cannot exist: ids contain no comma`);
  return scoped(orm, "app.tenants", tenants.join(","), work);
}

/** A unit of work of the service owner, who may list tenants and sees nothing of theirs. */
export async function asServiceOwner<T>(orm: MikroORM, work: (em: EntityManager) => Promise<T>): Promise<T> {
  return scoped(orm, "app.service_owner", "on", work);
}

async function scoped<T>(
  orm: MikroORM,
  setting: string,
  value: string,
  work: (em: EntityManager) => Promise<T>,
): Promise<T> {
  return orm.em.fork().transactional(async (em) => {
    await em.execute("select set_config(?, ?, true)", [setting, value]);
    return work(em);
  });
}
