/** How much one credential may ask of one instance: calls per second, and streams open at a time. */
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import type { KeyOfTenant } from "./key-records.ts";

/** Bounds on one instance. */
export interface Allowance {
  /** Calls of one credential in a second. */
  readonly callsPerSecond: number;
  /** Open streams of one credential. */
  readonly streams: number;
  /** Open streams of all credentials of its kind (keys, or links) in its tenant. */
  readonly tenantStreams: number;
}

const small: Allowance = { callsPerSecond: 100, streams: 50, tenantStreams: 200 };
const larger: Allowance = { callsPerSecond: 2_000, streams: 1_000, tenantStreams: 4_000 };
const largest: Allowance = { callsPerSecond: 50_000, streams: 20_000, tenantStreams: 40_000 };

/** What each tier allows a key. A batch counts as one call. */
export const tierAllowances: Readonly<Record<Tier, Allowance>> = {
  [Tier.UNSPECIFIED]: small,
  [Tier.QUICK_DEPLOY]: small,
  [Tier.ASSISTED]: larger,
  [Tier.ADAPTIVE]: largest,
};

/** A link is in the hands of one customer who looks at one order. */
const linkAllowance: Allowance = { callsPerSecond: 10, streams: 5, tenantStreams: 5_000 };
const serviceOwnerAllowance: Allowance = small;

/** What to wait when all streams are taken: they end when their reader ends them, which nobody can foresee. */
const streamRetryMs = 5_000;

export interface LimitsOptions {
  /** The tier of a key's tenant; see `Credentials.tierOf`. */
  tierOf(principal: Principal): Tier;
  /** Calls per second of a key, whatever its tier; 0: the tier's. Default 0. */
  readonly callsPerSecond?: number;
  /** Open streams of a key, whatever its tier; 0: the tier's. Default 0. */
  readonly streams?: number;
}

export class Limits {
  readonly #options: LimitsOptions;
  /** One limiter for each number of calls; the keys in it are credentials' ids. */
  readonly #limiters = new Map<number, RateLimiterMemory>();
  readonly #streams = new Map<string, number>();
  /** The keys that have streams open, by what `#streams` counts them under. */
  readonly #keys = new Map<string, KeyOfTenant>();

  constructor(options: LimitsOptions) {
    this.#options = options;
  }

  /** Counts a call. Rejects with a Refusal RATE_LIMITED that tells how long to wait when there were too many this second. */
  async call(principal: Principal): Promise<void> {
    const { callsPerSecond } = this.#allowance(principal);
    try {
      await this.#limiter(callsPerSecond).consume(principal.id);
    } catch (full) {
      if (!(full instanceof RateLimiterRes)) throw full;
      throw new Refusal(
        ErrorReason.RATE_LIMITED,
        `more than ${callsPerSecond} calls in a second with "${principal.id}"; spread them, or use a batch`,
        { retryAfterMs: Math.max(1, full.msBeforeNext), metadata: { calls_per_second: String(callsPerSecond) } },
      );
    }
  }

  /**
   * Counts a stream until the function returned is called (again: nothing happens). Throws a Refusal RATE_LIMITED when
   * the credential or its tenant has as many open as it may.
   */
  watch(principal: Principal): () => void {
    const { streams, tenantStreams } = this.#allowance(principal);
    const tenant = principal.kind === "service-owner" ? "" : principal.tenant;
    const ofCredential = `${tenant} ${principal.id}`;
    const ofTenant = `${tenant} ${principal.kind}s`;
    this.#refuseAbove(ofCredential, streams, `"${principal.id}"`);
    this.#refuseAbove(ofTenant, Math.max(streams, tenantStreams), `the ${principal.kind}s of the tenant`);
    this.#count(ofCredential, 1);
    if (principal.kind === "key") this.#keys.set(ofCredential, { tenant, id: principal.id });
    this.#count(ofTenant, 1);
    let counted = true;
    return () => {
      if (!counted) return;
      counted = false;
      this.#count(ofCredential, -1);
      this.#count(ofTenant, -1);
    };
  }

  /** The keys that have streams open here. */
  streamKeys(): Iterable<KeyOfTenant> {
    return this.#keys.values();
  }

  #refuseAbove(what: string, most: number, who: string): void {
    const open = this.#streams.get(what) ?? 0;
    if (open < most) return;
    throw new Refusal(ErrorReason.RATE_LIMITED, `${who} may have ${most} streams open here, and ${open} are`, {
      retryAfterMs: streamRetryMs,
      metadata: { streams: String(most) },
    });
  }

  #count(what: string, change: 1 | -1): void {
    const open = (this.#streams.get(what) ?? 0) + change;
    if (open > 0) this.#streams.set(what, open);
    else {
      this.#streams.delete(what);
      this.#keys.delete(what);
    }
  }

  #allowance(principal: Principal): Allowance {
    if (principal.kind === "link") return linkAllowance;
    if (principal.kind === "service-owner") return serviceOwnerAllowance;
    const tier = tierAllowances[this.#options.tierOf(principal)] ?? small;
    return {
      callsPerSecond: this.#options.callsPerSecond || tier.callsPerSecond,
      streams: this.#options.streams || tier.streams,
      tenantStreams: tier.tenantStreams,
    };
  }

  #limiter(callsPerSecond: number): RateLimiterMemory {
    let limiter = this.#limiters.get(callsPerSecond);
    if (limiter === undefined) {
      limiter = new RateLimiterMemory({ points: callsPerSecond, duration: 1 });
      this.#limiters.set(callsPerSecond, limiter);
    }
    return limiter;
  }
}
