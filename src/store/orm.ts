import { Migrator } from "@mikro-orm/migrations";
import { type EntityManager, MikroORM } from "@mikro-orm/postgresql";
import { entities } from "./entities.ts";
import { migrations } from "./migrations/index.ts";

export interface OrmOptions {
  /** Connections at most. Default 4: this is for what is configured and looked up, not for the journal. */
  readonly poolMax?: number;
  /** A statement that runs longer is ended by Postgres. Default 10,000. */
  readonly statementTimeoutMs?: number;
}

/** MikroORM on a database. Nothing connects until the first query. The caller closes it. */
export async function openOrm(url: string, options: OrmOptions = {}): Promise<MikroORM> {
  return MikroORM.init({
    clientUrl: url,
    entities,
    extensions: [Migrator],
    pool: { min: 0, max: options.poolMax ?? 4 },
    driverOptions: { options: `-c statement_timeout=${options.statementTimeoutMs ?? 10_000} -c timezone=UTC` },
    forceUtcTimezone: true,
    allowGlobalContext: false,
    ensureDatabase: false, // a database that is not there is a mistake in the settings
    discovery: { warnWhenNoEntities: false },
    migrations: { migrationsList: migrations, tableName: "migration", snapshot: false, silent: true },
    // The journal's tables have no entities, see entities.ts.
    schemaGenerator: { skipTables: ["journal_head", "event", "subject", "subject_reference", "request", "migration"] },
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
