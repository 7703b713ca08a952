import { TenantState } from "../../gen/leadline/v1/tenant_pb.ts";
import { withTenants } from "../store/orm.ts";
import { Forgetting, type ForgettingOptions, type TenantOfTurn } from "./forgetting.ts";

export interface TenantRemovalOptions extends ForgettingOptions {
  /** Told of each tenant whose data is gone now. */
  onRemoved?(tenant: string): void;
  /** Rows that one transaction deletes at most. Default 5,000. */
  readonly portion?: number;
}

/** Where a tenant's data is. What refers to another table's rows goes before it. */
const TABLES = [
  "event",
  "history_checkpoint",
  "subject_reference",
  "subject",
  "request",
  "work_item",
  "inbound_message",
  "code_mapping",
  "status_flow_version",
  "status_flow",
  "api_key",
  "journal_head",
] as const;

/**
 * Deletes the data of closed tenants once their day has come, its audit journal included: in portions, so that no
 * transaction is long, and again from where it stopped when it was interrupted.
 *
 * The tenant's row stays, without its name, reason and settings: its id is in links and tokens that may still be about, and must
 * never become somebody else's.
 */
export class TenantRemoval extends Forgetting<TenantRemovalOptions> {
  protected override async forgetOf(tenants: readonly TenantOfTurn[], stopping: AbortSignal): Promise<void> {
    const now = new Date();
    for (const tenant of tenants) if (isDue(tenant, now)) await this.#remove(tenant.id, stopping);
  }

  async #remove(id: string, stopping: AbortSignal): Promise<void> {
    for (const table of TABLES) {
      for (let more = true; more; ) {
        if (stopping.aborted) return;
        more = await this.#removePortion(id, table);
      }
    }
    await withTenants(this.orm, [id], (em) =>
      em.execute("update tenant set name = '', state_reason = '', default_flow_id = '', settings = '{}' where id = ?", [
        id,
      ]),
    );
    this.options.onRemoved?.(id);
  }

  /** @returns whether there may be more */
  async #removePortion(id: string, table: (typeof TABLES)[number]): Promise<boolean> {
    const portion = this.options.portion ?? 5_000;
    const tenants = [id, `${id}.audit`];
    const rows = await withTenants(this.orm, tenants, (em) =>
      em.execute<unknown[]>(
        `delete from ${table} where ctid = any(array(
           select ctid from ${table} where tenant_id in (?, ?) limit ${portion})) returning 1`,
        tenants,
      ),
    );
    return rows.length >= portion;
  }
}

/** One without a name is gone already. */
function isDue({ state, deleteAt, name }: TenantOfTurn, now: Date): boolean {
  return state === TenantState.CLOSED && name !== "" && deleteAt != null && deleteAt <= now;
}
