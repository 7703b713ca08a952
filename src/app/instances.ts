/** The instances that run on one database, as each tells it: a row, renewed every few seconds. */
import type { MikroORM } from "@mikro-orm/postgresql";
import { SCHEMA_VERSION } from "../store/migrations/index.ts";
import { drawId } from "../wire/draw-id.ts";

export interface InstanceOptions {
  /** What could not be written; it is tried again. */
  onError(error: unknown): void;
  /** How often the row is renewed. Default 5,000. */
  readonly renewMs?: number;
}

/** An instance counts as running if it was seen within so many renewals. */
const renewalsMissed = 3;
/** Rows of instances that were killed are removed after this. */
const forgetAfter = "1 day";

/** This process' row. Times are the database's. */
export class Instance {
  readonly id = drawId("ins");
  readonly #orm: MikroORM;
  readonly #options: InstanceOptions;
  readonly #renewMs: number;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> = Promise.resolve();

  constructor(orm: MikroORM, options: InstanceOptions) {
    this.#orm = orm;
    this.#options = options;
    this.#renewMs = options.renewMs ?? 5_000;
  }

  /** Tells of this instance, and goes on telling. @returns how many others run */
  async start(): Promise<number> {
    const em = this.#orm.em.fork();
    await em.execute(`delete from instance where seen_at < clock_timestamp() - interval '${forgetAfter}'`);
    await em.execute(
      "insert into instance (id, started_at, seen_at, schema) values (?, clock_timestamp(), clock_timestamp(), ?)",
      [this.id, SCHEMA_VERSION],
    );
    this.#timer = setInterval(() => {
      this.#renewing = this.#renew();
    }, this.#renewMs);
    this.#timer.unref();
    return this.others();
  }

  /** How many others were seen lately. */
  async others(): Promise<number> {
    const seconds = (this.#renewMs * renewalsMissed) / 1_000;
    const [row] = await this.#orm.em
      .fork()
      .execute<{ others: string }[]>(
        "select count(*) as others from instance where id <> ? and seen_at > clock_timestamp() - make_interval(secs => ?)",
        [this.id, seconds],
      );
    return Number(row?.others ?? 0);
  }

  /** Takes the row away. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#renewing;
    try {
      await this.#orm.em.fork().execute("delete from instance where id = ?", [this.id]);
    } catch (error) {
      this.#options.onError(error);
    }
  }

  async #renew(): Promise<void> {
    try {
      await this.#orm.em.fork().execute(
        `insert into instance (id, started_at, seen_at, schema) values (?, clock_timestamp(), clock_timestamp(), ?)
           on conflict (id) do update set seen_at = excluded.seen_at`,
        [this.id, SCHEMA_VERSION],
      );
    } catch (error) {
      this.#options.onError(error);
    }
  }
}
