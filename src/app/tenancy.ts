import type { Logger } from "pino";
import type { Bus } from "../bus/bus.ts";
import type { Config } from "../config.ts";
import { auditJournal, tenantOfJournal } from "../domain/audit-journal.ts";
import type { Refusal } from "../domain/refusal.ts";
import { watchRefusal } from "../service/entitlements.ts";
import type { KeyRecords } from "../service/key-records.ts";
import { withTiers } from "../service/limit-help.ts";
import type { Limits } from "../service/limits.ts";
import { Tenancy, type TenantTerms } from "../service/tenancy.ts";
import type { Cohort } from "../watch/cohort.ts";
import type { Hubs } from "../watch/hubs.ts";

interface Parts {
  readonly records: Pick<KeyRecords, "terms">;
  readonly bus: Bus;
  readonly hubs: Hubs;
  /** Asked once tenants have streams open. */
  limits(): Limits;
  readonly log: Logger;
  readonly started: AsyncDisposableStack;
}

/** What tenants have bought, and their open watches held to it. */
export function openTenancy(config: Config, { records, bus, hubs, limits, log, started }: Parts): Tenancy {
  const tenancy = new Tenancy({
    read: (tenants) => records.terms(tenants),
    bus,
    streaming: () => tenantsOf(hubs.watched()),
    hold(terms) {
      // One refusal for all whose reason is the same: there may be ten thousands.
      const refusals = new Map<Cohort, Refusal>();
      let surplus: Refusal | undefined;
      let kept = 0;
      const lost = (watch: Cohort): Refusal | undefined => {
        const why = refusals.get(watch) ?? watchRefusal(terms, watch);
        if (why !== undefined) refusals.set(watch, why);
        if (why !== undefined || watch.visibility.class === "link") return why;
        surplus ??= surplusOf(limits(), terms, kept++);
        return surplus;
      };
      for (const journal of [terms.tenant, auditJournal(terms.tenant)]) hubs.endWhere(journal, lost);
    },
    onError: (error) => log.warn({ err: error }, "tenants could not be read again; trying again"),
    cacheMs: config.keyCacheMs,
    sweepMs: config.keySweepMs,
  });
  tenancy.start();
  return started.adopt(tenancy, (running) => running.stop());
}

/** Whoever loses a stream is told what would have kept it, as one who is refused a new one. */
function surplusOf(limits: Limits, terms: TenantTerms, kept: number): Refusal | undefined {
  const refusal = limits.surplus(terms, kept);
  return refusal && withTiers(refusal, terms, limits.allowanceOf(terms));
}

function tenantsOf(journals: Iterable<string>): Set<string> {
  return new Set([...journals].map(tenantOfJournal));
}
