/** Units of work on what is configured and looked up, with the database's failures told as refusals. */
import { DriverException, type EntityManager, type MikroORM } from "@mikro-orm/postgresql";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import { asServiceOwner, withTenants } from "../store/orm.ts";

/** `withTenants`; rejects with DATABASE_UNAVAILABLE when the database cannot be asked at present. */
export async function forTenants<T>(
  orm: MikroORM,
  tenants: readonly string[],
  work: (em: EntityManager) => Promise<T>,
): Promise<T> {
  return orUnavailable(() => withTenants(orm, tenants, work));
}

/** How often work that loses to deadlocks is begun. */
const BEGUN_MAX = 5;

/**
 * `forTenants` for work that may be begun again: what Postgres ended because it and another transaction waited for each other
 * (SQLSTATE 40P01, 40001) is.
 */
export async function forTenantsAgain<T>(
  orm: MikroORM,
  tenants: readonly string[],
  work: (em: EntityManager) => Promise<T>,
): Promise<T> {
  for (let begun = 1; ; begun += 1) {
    try {
      return await forTenants(orm, tenants, work);
    } catch (error) {
      if (begun === BEGUN_MAX || !lostToAnother(error)) throw error;
    }
  }
}

function lostToAnother(error: unknown): boolean {
  const { code } = (error instanceof Refusal ? (error.cause ?? {}) : {}) as { readonly code?: unknown };
  return code === "40P01" || code === "40001";
}

/** `asServiceOwner`; rejects with DATABASE_UNAVAILABLE when the database cannot be asked at present. */
export async function forServiceOwner<T>(orm: MikroORM, work: (em: EntityManager) => Promise<T>): Promise<T> {
  return orUnavailable(() => asServiceOwner(orm, work));
}

/** Rejects with DATABASE_UNAVAILABLE when the work failed because the database cannot be asked at present. */
export async function orUnavailable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    throw new Refusal(ErrorReason.DATABASE_UNAVAILABLE, "the database cannot be asked at present", { cause: error });
  }
}

/**
 * SQLSTATE classes that say nothing of the statement: connection (08), a transaction that was in another's way (40), as a
 * migration beside it may be, insufficient resources (53), operator intervention (57), and a statement or lock that took too
 * long (57014, 55P03).
 */
const passing = /^(08|40|53|57|55P03)/;

/** Whether an error of the ORM means that the database could not be asked, rather than that the question was wrong. */
function isUnavailable(error: unknown): boolean {
  const { code, message } =
    error instanceof Error ? (error as Error & { code?: unknown }) : { code: undefined, message: "" };
  if (typeof code === "string" && /^[0-9A-Z]{5}$/.test(code)) return passing.test(code);
  // What never reached Postgres carries Node's code (ECONNREFUSED), or none: the pool and pg say it in words only.
  if (typeof code === "string") return code.startsWith("E");
  return error instanceof DriverException || /connection|timeout exceeded when trying to connect/i.test(message);
}
