import type { MikroORM } from "@mikro-orm/postgresql";
import { TenantEntity, type TenantRow } from "../store/entities.ts";
import { asServiceOwner } from "../store/orm.ts";

export interface ForgettingOptions {
  /** What could not be done; it is tried again the next time. */
  onError(error: unknown): void;
  /** How often it is looked for what is old. Default an hour. */
  readonly everyMs?: number;
}

/** What is known of a tenant when it is its turn. */
export type TenantOfTurn = Pick<TenantRow, "id" | "name" | "tier" | "state" | "settings" | "deleteAt">;

/** Tenants that are looked through together. */
const tenantsAtOnce = 100;

/** Forgets what is old, of all tenants, every now and then. Several instances may do it at once: it is the same work. */
export abstract class Forgetting<Options extends ForgettingOptions = ForgettingOptions> {
  protected readonly orm: MikroORM;
  protected readonly options: Options;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(orm: MikroORM, options: Options) {
    this.orm = orm;
    this.options = options;
  }

  start(): void {
    const run = () => {
      this.#running = this.forget().catch((error: unknown) => this.options.onError(error));
    };
    this.#timer = setInterval(run, this.options.everyMs ?? 3_600_000);
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
      const tenants = await this.#tenantsAfter(after);
      if (tenants.length > 0) await this.forgetOf(tenants, this.#stopping.signal);
      after = tenants.at(-1)?.id;
    }
  }

  /** Forgets what is old of these tenants; leaves off between statements when it is to stop. */
  protected abstract forgetOf(tenants: readonly TenantOfTurn[], stopping: AbortSignal): Promise<void>;

  async #tenantsAfter(after: string): Promise<readonly TenantOfTurn[]> {
    return asServiceOwner(this.orm, (em) =>
      em.find(
        TenantEntity,
        { id: { $gt: after } },
        {
          orderBy: { id: "asc" },
          limit: tenantsAtOnce,
          fields: ["id", "name", "tier", "state", "settings", "deleteAt"],
        },
      ),
    );
  }
}
