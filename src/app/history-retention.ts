import { TenantState } from "../../gen/leadline/v1/tenant_pb.ts";
import { historyTermsOf } from "../service/agreed.ts";
import { sqlState } from "../store/connection.ts";
import {
  type Cut,
  type CutTerms,
  cutHistories,
  databaseTime,
  type Ended,
  endedAfter,
  hasOlderInstance,
  removeCutEvents,
} from "../store/history-cuts.ts";
import { withTenants } from "../store/orm.ts";
import { Forgetting, type ForgettingOptions, type TenantOfTurn } from "./forgetting.ts";

export interface HistoryRetentionOptions extends ForgettingOptions {
  /** Days that watches may go back: what is younger is not cut, however short a tenant's history is. */
  readonly resumeDays: number;
  /** Journeys whose history one transaction cuts, at most. */
  readonly portion: number;
  /** The longest that a statement of it may hold a tenant's head: how long a write can be delayed. Default 500. */
  readonly heldMs?: number;
  /** Told after a sweep that has cut something. */
  onCut(cut: Cut & { readonly tenants: number }): void;
  /** The time, as Postgres writes it. Default: the database's. */
  now?(): Promise<string>;
}

/** What an instance has to know to read a history that is cut. */
const NEEDED = "0003-history-cuts";
/** Events that one statement removes, for each journey of a portion. No lock that a write waits for is held then. */
const EVENTS_A_JOURNEY = 10;

/**
 * Cuts the history of journeys that ended longer ago than their tenant's terms say, of all tenants that work: those suspended
 * keep what they have until they are resumed, and of those closed everything goes on their day. Terms are read anew at every
 * sweep. What is cut stays cut when they are raised.
 *
 * Several instances may do it at once: whoever has a head's lock cuts what is still to be cut. Interrupted, the next sweep goes
 * on from there.
 */
export class HistoryRetention extends Forgetting<HistoryRetentionOptions> {
  readonly #cut = { subjects: 0, events: 0 };

  /** What this instance has cut since it started. */
  get total(): Cut {
    return this.#cut;
  }

  /** Goes through all tenants once; does nothing while an instance of the release before may run. */
  override async forget(): Promise<void> {
    if (await hasOlderInstance(this.orm.em.fork(), NEEDED)) return;
    await super.forget();
  }

  protected override async forgetOf(tenants: readonly TenantOfTurn[], stopping: AbortSignal): Promise<void> {
    const now = await (this.options.now?.() ?? databaseTime(this.orm.em.fork()));
    const sum = { subjects: 0, events: 0, tenants: 0 };
    for (const tenant of tenants) {
      if (stopping.aborted) break;
      if (tenant.state !== TenantState.ACTIVE) continue;
      const { resumeDays } = this.options;
      const terms = { tenant: tenant.id, now, historyDays: historyTermsOf(tenant, Date.parse(now)).days, resumeDays };
      try {
        const { subjects, events } = await this.#ofTenant(terms, stopping);
        if (subjects === 0) continue;
        sum.tenants += 1;
        sum.subjects += subjects;
        sum.events += events;
      } catch (error) {
        this.options.onError(error); // one tenant's trouble is not the others'
      }
    }
    if (sum.subjects > 0) this.options.onCut(sum);
  }

  async #ofTenant(terms: CutTerms, stopping: AbortSignal): Promise<Cut> {
    const sum = { subjects: 0, events: 0 };
    for (let after: Ended | undefined, more = true; more && !stopping.aborted; ) {
      const page = await this.#work(terms, (em) => endedAfter(em, terms, after, this.options.portion));
      const { subjects, events } = await this.#cutPortion(
        terms,
        page.filter(({ ripe }) => ripe),
      );
      sum.subjects += subjects;
      sum.events += events;
      this.#cut.subjects += subjects;
      this.#cut.events += events;
      after = page.at(-1);
      more = page.length === this.options.portion;
    }
    const limit = this.options.portion * EVENTS_A_JOURNEY;
    for (let more = true; more && !stopping.aborted; ) {
      more = await this.#work(terms, (em) => removeCutEvents(em, terms.tenant, limit));
    }
    return sum;
  }

  /** Cuts these; in halves, where all of them take longer than the lock may be held. */
  async #cutPortion(terms: CutTerms, ripe: readonly Ended[]): Promise<Cut> {
    if (ripe.length === 0) return { subjects: 0, events: 0 };
    try {
      return await this.#work(terms, (em) => cutHistories(em, terms, ripe, this.options.heldMs ?? 500));
    } catch (error) {
      if (!tookTooLong(error) || ripe.length === 1) throw error;
      const half = Math.ceil(ripe.length / 2);
      const first = await this.#cutPortion(terms, ripe.slice(0, half));
      const second = await this.#cutPortion(terms, ripe.slice(half));
      return { subjects: first.subjects + second.subjects, events: first.events + second.events };
    }
  }

  #work<T>({ tenant }: CutTerms, work: Parameters<typeof withTenants<T>>[2]): Promise<T> {
    return withTenants(this.orm, [tenant], work);
  }
}

/** Postgres has cancelled the statement. The ORM's errors carry the driver's. */
function tookTooLong(error: unknown): boolean {
  return (
    sqlState(error) === "57014" || (error instanceof Error && error.cause !== undefined && tookTooLong(error.cause))
  );
}
