import type { MikroORM } from "@mikro-orm/postgresql";
import { TenantEntity } from "../store/entities.ts";
import { asServiceOwner, withTenants } from "../store/orm.ts";

export interface RequestMemoryOptions {
  /** How long request ids are remembered. */
  readonly days: number;
  /** What could not be done; it is tried again the next time. */
  onError(error: unknown): void;
  /** How often it is looked for older ones. Default an hour. */
  readonly everyMs?: number;
}

/** Tenants whose rows one transaction looks through. */
const tenantsAtOnce = 100;

/** Forgets request ids that are older than was promised. Several instances may do it at once: it is the same work. */
export class RequestMemory {
  readonly #orm: MikroORM;
  readonly #options: RequestMemoryOptions;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(orm: MikroORM, options: RequestMemoryOptions) {
    this.#orm = orm;
    this.#options = options;
  }

  start(): void {
    const run = () => {
      this.#running = this.forget().catch((error: unknown) => this.#options.onError(error));
    };
    this.#timer = setInterval(run, this.#options.everyMs ?? 3_600_000);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort();
    await this.#running;
  }

  /** Goes through all tenants once. Rejects with the database's error. */
  async forget(): Promise<void> {
    for (let after: string | undefined = ""; after !== undefined && !this.#stopping.signal.aborted; ) {
      after = await this.#forgetAfter(after);
    }
  }

  /** @returns the last of the tenants looked through; undefined: there were no more */
  async #forgetAfter(after: string): Promise<string | undefined> {
    const rows = await asServiceOwner(this.#orm, (em) =>
      em.find(TenantEntity, { id: { $gt: after } }, { orderBy: { id: "asc" }, limit: tenantsAtOnce, fields: ["id"] }),
    );
    const tenants = rows.map((row) => row.id);
    if (tenants.length > 0) {
      await withTenants(this.#orm, tenants, (em) =>
        em.execute("delete from request where recorded_at < clock_timestamp() - make_interval(days => ?)", [
          this.#options.days,
        ]),
      );
    }
    return tenants.at(-1);
  }
}
