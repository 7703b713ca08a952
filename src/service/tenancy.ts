/**
 * What each tenant has bought, and whether it works, as this instance knows it: in memory, because every call asks.
 *
 * A change holds
 *  - here at once: `changed` reads the tenant again before the call that changed it is answered;
 *  - on other instances as soon as the bus tells them; what it says is not believed, the tenant is read again;
 *  - without the bus for calls once memory has gone stale (`cacheMs`), and for streams at the next sweep (`sweepMs`).
 * Whoever learns of a change holds the tenant's open streams to it.
 */
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { TenantState, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import { Doubts, READS_MOST } from "./doubts.ts";

/** What was agreed with a tenant beside its tier; 0: as the tier says. See leadline.v1.TenantSettings. */
export interface Agreed {
  readonly callsPerSecond: number;
  readonly streams: number;
  readonly historyDays: number;
  readonly inboundDays: number;
}

/** One tenant's terms. Never changed: another object stands for other terms. */
export interface TenantTerms {
  readonly tenant: string;
  readonly tier: Tier;
  readonly state: TenantState;
  readonly agreed: Agreed;
}

/** The part of the bus that tells of tenants whose terms have changed. Announcements may be lost, repeated or made up. */
export interface TenantBus {
  announceTenant(tenant: string): void;
  /** @returns stops listening */
  onTenant(listener: (tenant: string) => void): () => void;
  /** Calls back when announcements may have been missed. @returns stops listening */
  onResync(listener: () => void): () => void;
}

export interface TenancyOptions {
  /** Reads the terms of those of these tenants that there are. */
  read(tenants: ReadonlySet<string>): Promise<Map<string, TenantTerms>>;
  readonly bus: TenantBus;
  /** The tenants that have streams open here. */
  streaming(): Iterable<string>;
  /** Ends the open streams that the terms do not include. */
  hold(terms: TenantTerms): void;
  /** What could not be done in the background; it is tried again at the next sweep. */
  onError(error: unknown): void;
  /** Default 5,000. 0: every call asks the database. */
  readonly cacheMs?: number;
  /** Default 10,000: how often the tenants of open streams are read again. */
  readonly sweepMs?: number;
  /** Default 100,000: tenants kept in memory; the one longest not read goes first. */
  readonly cacheMax?: number;
  /** Milliseconds since the epoch. */
  now?(): number;
}

interface Known {
  readonly terms: TenantTerms;
  /** What `age` said before they were read. */
  readonly age: number;
  staleAtMs: number;
}

export const nothingAgreed: Agreed = { callsPerSecond: 0, streams: 0, historyDays: 0, inboundDays: 0 };

export class Tenancy {
  readonly #options: TenancyOptions;
  readonly #now: () => number;
  readonly #cacheMs: number;
  readonly #cacheMax: number;
  readonly #known = new Map<string, Known>();
  readonly #looking = new Map<string, Promise<TenantTerms | undefined>>();
  /** Changes that were told of: what was read before one is not trusted after it. */
  readonly #doubts = new Doubts();
  /** Tenants that others told of, and that are to be read again: once, however often they were told of. */
  #due = new Set<string>();
  #stops: (() => void)[] = [];
  #background: Promise<void> = Promise.resolve();

  constructor(options: TenancyOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#cacheMs = options.cacheMs ?? 5_000;
    this.#cacheMax = options.cacheMax ?? 100_000;
  }

  /** Listens to the bus and starts the sweep. */
  start(): void {
    const { bus, sweepMs } = this.#options;
    const sweep = setInterval(() => this.#later(() => this.sweep()), sweepMs ?? 10_000);
    sweep.unref();
    this.#stops = [
      bus.onTenant((tenant) => this.#told(tenant)),
      bus.onResync(() => this.#later(() => this.sweep())),
      () => clearInterval(sweep),
    ];
  }

  /** Stops listening and sweeping, and waits for what is under way. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0)) stop();
    await this.#background;
  }

  /** See `remember`. */
  get age(): number {
    return this.#doubts.age;
  }

  /** Whether a change of the tenant was told of since a read that was sent at this `age`. */
  doubted(tenant: string, age: number): boolean {
    return this.#doubts.since(tenant, age);
  }

  /** What is known of a tenant, stale or not; without anything known the lowest tier's terms. */
  of(tenant: string): TenantTerms {
    return this.#known.get(tenant)?.terms ?? { tenant, ...unknown };
  }

  /** The terms of a principal's tenant. The service owner has none. */
  ofPrincipal(principal: Principal): TenantTerms {
    return principal.kind === "service-owner" ? { tenant: "", ...unknown } : this.of(principal.tenant);
  }

  /** The terms, unless they have to be looked up. */
  fresh(tenant: string): TenantTerms | undefined {
    const known = this.#known.get(tenant);
    return known !== undefined && known.staleAtMs > this.#now() ? known.terms : undefined;
  }

  /** Looks the terms up; undefined: there is no such tenant. One look serves all that wait for it. */
  look(tenant: string): Promise<TenantTerms | undefined> {
    const under = this.#looking.get(tenant);
    if (under !== undefined) return under;
    const looking = this.#look(tenant).finally(() => {
      if (this.#looking.get(tenant) === looking) this.#looking.delete(tenant);
    });
    this.#looking.set(tenant, looking);
    return looking;
  }

  /**
   * Takes note of terms that were read along with something else. If they are doubted they are the best that is known, and
   * stale: who keeps telling of a tenant must not keep its terms as they were.
   *
   * @param age what `age` said before they were read
   */
  remember(terms: TenantTerms, age: number): void {
    const known = this.#known.get(terms.tenant);
    if (known !== undefined && known.age > age) return;
    const before = known?.terms;
    this.#known.delete(terms.tenant);
    this.#known.set(terms.tenant, {
      terms: before && same(before, terms) ? before : terms,
      age,
      staleAtMs: this.doubted(terms.tenant, age) ? Number.NEGATIVE_INFINITY : this.#now() + this.#cacheMs,
    });
    if (before !== undefined && !same(before, terms)) this.#options.hold(terms);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= this.#cacheMax) break;
      this.#known.delete(oldest);
    }
  }

  /**
   * A tenant's terms were changed through this instance, and the database says so already. Resolves when they hold here;
   * rejects with the database's error, and they hold as they would on another instance.
   */
  async changed(tenant: string): Promise<void> {
    this.#doubt(tenant);
    this.#options.bus.announceTenant(tenant);
    await this.#holdAgain(new Set([tenant]));
  }

  /** Reads the tenants of open streams again, and holds the streams to what was read. Rejects with the database's error. */
  async sweep(): Promise<void> {
    const tenants = new Set(this.#options.streaming());
    if (tenants.size > 0) await this.#holdAgain(tenants);
  }

  /** Another instance tells of a change. Not believed: anyone on the bus may say so. */
  #told(tenant: string): void {
    this.#doubt(tenant);
    if (!this.#known.has(tenant)) return;
    this.#due.add(tenant);
    if (this.#due.size === 1) this.#later(() => this.#readDue());
  }

  /** Reads all at once that were told of; who is told of from now on is read after this. */
  #readDue(): Promise<void> {
    const due = this.#due;
    this.#due = new Set();
    return this.#holdAgain(due);
  }

  #doubt(tenant: string): void {
    this.#doubts.cast(tenant);
    const known = this.#known.get(tenant);
    if (known !== undefined) known.staleAtMs = Number.NEGATIVE_INFINITY;
  }

  async #holdAgain(tenants: ReadonlySet<string>): Promise<void> {
    const { age } = this;
    const read = await this.#options.read(tenants);
    for (const terms of read.values()) {
      this.remember(terms, age);
      this.#options.hold(terms);
    }
  }

  async #look(tenant: string): Promise<TenantTerms | undefined> {
    for (let reads = 1; ; reads++) {
      if (reads === READS_MOST) this.#looking.delete(tenant);
      const { age } = this;
      const terms = (await this.#options.read(new Set([tenant]))).get(tenant);
      if (reads < READS_MOST && this.doubted(tenant, age)) continue;
      if (terms !== undefined) this.remember(terms, age);
      return terms;
    }
  }

  /** Background work, one after another; `stop` waits for it. */
  #later(work: () => Promise<void>): void {
    this.#background = this.#background.then(work).catch((error: unknown) => this.#options.onError(error));
  }
}

const unknown = { tier: Tier.UNSPECIFIED, state: TenantState.ACTIVE, agreed: nothingAgreed };

function same(a: TenantTerms, b: TenantTerms): boolean {
  return a.tier === b.tier && a.state === b.state && JSON.stringify(a.agreed) === JSON.stringify(b.agreed);
}

/** Of a tenant that is closed: nobody gets in. */
export function tenantClosed(tenant: string): Refusal {
  return new Refusal(
    ErrorReason.TENANT_CLOSED,
    `tenant "${tenant}" is closed: its data stays until its deletion date, and the service owner alone can tell more`,
    { metadata: { tenant_id: tenant } },
  );
}
