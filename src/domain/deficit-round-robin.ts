import { Line } from "./line.ts";

/** What tenants have a claim to. Asked in every round, so an answer that changes takes effect at once. */
export interface Claims {
  /** A tenant's part of what there is, beside the weights of the others; above 0. */
  weightOf(tenant: string): number;
  /** Whether the tenant goes before those without a reserve while it has taken less than its share of a round. */
  hasReserve(tenant: string): boolean;
}

/** All tenants alike. */
export const equalClaims: Claims = { weightOf: () => 1, hasReserve: () => false };

/** What waits of one tenant, and what it may take. */
class Flow<T> {
  readonly tenant: string;
  readonly items = new Line<T>();
  /** What it may still take before its next turn; below 0: what it has taken too much. */
  deficit = 0;
  /** Whether its turn has begun: it has what a round gives. */
  begun = false;
  /** Undefined: it is set aside. */
  row: Row<T> | undefined;
  before: Flow<T> | undefined;
  after: Flow<T> | undefined;

  constructor(tenant: string) {
    this.tenant = tenant;
  }
}

/** A row of flows, in which each is in one place of one row and can leave it at once. */
class Row<T> {
  first: Flow<T> | undefined;
  #last: Flow<T> | undefined;

  addLast(flow: Flow<T>): void {
    flow.row?.remove(flow);
    flow.row = this;
    flow.before = this.#last;
    if (this.#last) this.#last.after = flow;
    else this.first = flow;
    this.#last = flow;
  }

  addFirst(flow: Flow<T>): void {
    flow.row?.remove(flow);
    flow.row = this;
    flow.after = this.first;
    if (this.first) this.first.before = flow;
    else this.#last = flow;
    this.first = flow;
  }

  remove(flow: Flow<T>): void {
    if (flow.before) flow.before.after = flow.after;
    else this.first = flow.after;
    if (flow.after) flow.after.before = flow.before;
    else this.#last = flow.before;
    flow.row = undefined;
    flow.before = undefined;
    flow.after = undefined;
    flow.begun = false;
  }
}

/**
 * What waits, by tenant, handed out by deficit round robin (Shreedhar and Varghese, 1995): a round gives each tenant its
 * weight times the quantum, in cost. While anything of that is left the tenant's next item is handed out, and what it costs
 * beyond is owed to the next rounds; so a cost may be corrected when it is known. Tenants that always have something waiting
 * get what their weights say, to within one quantum and one item, and each has its turn in every round. A tenant with
 * nothing waiting saves nothing up, and once nothing waits at all no debt is left either. An item that costs no more than a
 * quantum takes a constant amount of work.
 *
 * A tenant with a reserve goes before all others for what it takes of its share of a round; beyond that it has its turn as
 * they have. So its share is no larger, only earlier.
 */
export class DeficitRoundRobin<T> {
  readonly #claims: Claims;
  readonly #quantum: number;
  readonly #costOf: (item: T) => number;
  /**
   * By tenant. Not a Map: every batch enters and leaves it, and the tables that V8 makes for a Map one after the other are linked
   * (see `src/doors/session-streams.ts`), so that one old table would keep all flows after it, and what waited in them.
   */
  #flows: Record<string, Flow<T>> = Object.create(null);
  /** Those that go before the round. */
  readonly #early = new Row<T>();
  readonly #round = new Row<T>();
  /** Tenants that have no turn. */
  readonly #aside: Record<string, true> = Object.create(null);
  #size = 0;
  #inside = 0;

  /**
   * @param quantum what a weight of 1 gets of a round: the largest usual cost
   * @param costOf what an item costs, above 0
   */
  constructor(claims: Claims, quantum: number, costOf: (item: T) => number) {
    this.#claims = claims;
    this.#quantum = quantum;
    this.#costOf = costOf;
  }

  /** Items that wait. */
  get size(): number {
    return this.#size;
  }

  /** Times that a tenant with a reserve had all it had waiting taken inside its share, so far. */
  get keptInside(): number {
    return this.#inside;
  }

  /** Items of the tenant that wait. */
  sizeOf(tenant: string): number {
    return this.#flows[tenant]?.items.size ?? 0;
  }

  push(tenant: string, item: T): void {
    const flow = this.#flowOf(tenant);
    flow.items.push(item);
    this.#size += 1;
    const mayGoEarly = flow.items.size === 1 && flow.deficit > 0 && flow.row !== undefined;
    if (mayGoEarly && this.#claims.hasReserve(tenant)) this.#early.addLast(flow);
  }

  /**
   * Puts items that were taken back before all others of their tenant.
   * @param turn `due`: what they cost is given back; `spent`: it is not
   */
  unshift(tenant: string, items: readonly T[], turn: "due" | "spent" = "due"): void {
    const flow = this.#flowOf(tenant);
    flow.items.unshift(items);
    if (turn === "due") flow.deficit += this.#sum(items);
    this.#size += items.length;
  }

  /** The same for several tenants, and these before all others: what is taken next is what was put back. */
  unshiftFirst(groups: ReadonlyMap<string, readonly T[]>): void {
    for (const [tenant, items] of [...groups].reverse()) {
      this.unshift(tenant, items);
      const flow = this.#flowOf(tenant);
      flow.deficit = this.#sum(items);
      if (flow.row) this.#early.addFirst(flow);
    }
  }

  /** Takes the next item. One that does not fit is not taken and stays the next. */
  take(fits: (item: T) => boolean): T | undefined {
    return this.#takeOf(this.#nextEarly() ?? this.#next(), fits);
  }

  /** The same of those only that go before the others. */
  takeEarly(fits: (item: T) => boolean): T | undefined {
    return this.#takeOf(this.#nextEarly(), fits);
  }

  /** Takes the tenant's next item, whosever turn it is. */
  takeFrom(tenant: string, fits: (item: T) => boolean): T | undefined {
    return this.#takeOf(this.#flows[tenant], fits);
  }

  /** The tenant has no turn until it is let go; what comes of it meanwhile waits. */
  setAside(tenant: string): void {
    this.#aside[tenant] = true;
    const flow = this.#flows[tenant];
    flow?.row?.remove(flow);
  }

  letGo(tenant: string): void {
    delete this.#aside[tenant];
    const flow = this.#flows[tenant];
    if (flow && !flow.row) this.#round.addLast(flow);
  }

  /** What the tenant has taken costs so much more than `costOf` said; below 0: so much less. */
  charge(tenant: string, cost: number): void {
    const known = this.#flows[tenant];
    if (this.#size === 0 || (known === undefined && cost <= 0)) return;
    const flow = known ?? this.#flowOf(tenant);
    const most = flow.items.size > 0 ? Number.POSITIVE_INFINITY : Math.max(0, flow.deficit); // nothing is saved up
    flow.deficit = Math.min(most, flow.deficit - cost);
  }

  /** Takes every tenant's first items for as long as this holds of them, whosever turn it is. */
  takeWhile(holds: (item: T) => boolean): T[] {
    const taken: T[] = [];
    for (const flow of Object.values(this.#flows)) {
      for (let item = this.#takeOf(flow, holds); item !== undefined; item = this.#takeOf(flow, holds)) taken.push(item);
    }
    return taken;
  }

  #sum(items: readonly T[]): number {
    return items.reduce((sum, item) => sum + this.#costOf(item), 0);
  }

  #share(tenant: string): number {
    return this.#quantum * this.#claims.weightOf(tenant);
  }

  #flowOf(tenant: string): Flow<T> {
    const known = this.#flows[tenant];
    if (known) return known;
    const flow = new Flow<T>(tenant);
    this.#flows[tenant] = flow;
    if (!(tenant in this.#aside)) this.#round.addLast(flow);
    if (this.#claims.hasReserve(tenant)) flow.deficit = this.#share(tenant);
    return flow;
  }

  #takeOf(flow: Flow<T> | undefined, fits: (item: T) => boolean): T | undefined {
    const item = flow?.items.first;
    if (flow === undefined || item === undefined || !fits(item)) return undefined;
    flow.items.shift();
    if (flow.row === this.#early && flow.items.size === 0 && this.#claims.hasReserve(flow.tenant)) this.#inside += 1;
    flow.deficit -= this.#costOf(item);
    this.#size -= 1;
    if (this.#size === 0) this.#forget();
    return item;
  }

  #nextEarly(): Flow<T> | undefined {
    for (let flow = this.#early.first; flow; flow = this.#early.first) {
      if (flow.items.size > 0 && flow.deficit > 0) return flow;
      this.#round.addLast(flow);
    }
    return undefined;
  }

  /** Whose turn in the round it is. */
  #next(): Flow<T> | undefined {
    if (this.#size === 0) return undefined;
    for (let flow = this.#round.first; flow; flow = this.#round.first) {
      if (flow.items.size === 0) this.#rest(flow);
      else {
        if (!flow.begun) flow.deficit += this.#share(flow.tenant);
        flow.begun = true;
        if (flow.deficit > 0) return flow;
        this.#round.addLast(flow);
      }
    }
    return undefined;
  }

  /**
   * The turn of a tenant with nothing waiting. It leaves the round, unless it owes something, or may come back for the rest of
   * its share until the next turn.
   */
  #rest(flow: Flow<T>): void {
    const { begun, deficit, tenant } = flow;
    if (!begun && deficit < 0) flow.deficit = Math.min(0, deficit + this.#share(tenant));
    const mayComeBack = begun && deficit > 0 && this.#claims.hasReserve(tenant);
    if (flow.deficit < 0 || mayComeBack) this.#round.addLast(flow);
    else {
      this.#round.remove(flow);
      delete this.#flows[tenant];
    }
  }

  #forget(): void {
    this.#flows = Object.create(null);
    for (const row of [this.#early, this.#round]) while (row.first) row.remove(row.first);
  }
}
