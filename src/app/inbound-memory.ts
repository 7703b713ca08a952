import { removeOldInbound } from "../store/inbound-messages.ts";
import { withTenants } from "../store/orm.ts";
import { Forgetting, type ForgettingOptions, type TenantOfTurn } from "./forgetting.ts";

export interface InboundMemoryOptions extends ForgettingOptions {
  /** How many days a tenant's raw inbound messages are kept. */
  daysOf(tenant: TenantOfTurn): number;
}

/** Forgets raw inbound messages that are older than a tenant's settings say. */
export class InboundMemory extends Forgetting<InboundMemoryOptions> {
  protected override async forgetOf(tenants: readonly TenantOfTurn[], stopping: AbortSignal): Promise<void> {
    const kept = tenants.map((tenant) => ({ tenant: tenant.id, days: this.options.daysOf(tenant) }));
    const ids = tenants.map(({ id }) => id);
    // A statement removes a bounded number of rows, so that none runs into its timeout.
    let more = true;
    while (more && !stopping.aborted) more = await withTenants(this.orm, ids, (em) => removeOldInbound(em, kept));
  }
}
