import { withTenants } from "../store/orm.ts";
import { Forgetting, type ForgettingOptions, type TenantOfTurn } from "./forgetting.ts";

export interface RequestMemoryOptions extends ForgettingOptions {
  /** How long request ids are remembered. */
  readonly days: number;
}

/** Forgets request ids that are older than was promised. */
export class RequestMemory extends Forgetting<RequestMemoryOptions> {
  protected override async forgetOf(tenants: readonly TenantOfTurn[]): Promise<void> {
    const ids = tenants.map(({ id }) => id);
    await withTenants(this.orm, ids, (em) =>
      em.execute("delete from request where recorded_at < clock_timestamp() - make_interval(days => ?)", [
        this.options.days,
      ]),
    );
  }
}
