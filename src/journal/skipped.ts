/** Tenants whose heads others held when their turn came, and who of them is to be waited for. */
export class Skipped {
  readonly #times = new Map<string, number>();
  readonly #most: number;
  /** Those that were waited for, and whose heads were not let go. */
  readonly #inVain = new Set<string>();

  /** @param most after so many times in a row a tenant is waited for */
  constructor(most: number) {
    this.#most = most;
  }

  note(tenants: Iterable<string>): void {
    for (const tenant of new Set(tenants)) this.#times.set(tenant, (this.#times.get(tenant) ?? 0) + 1);
  }

  /** Their heads were had. */
  had(tenants: Iterable<string>): void {
    for (const tenant of tenants) {
      this.#times.delete(tenant);
      this.#inVain.delete(tenant);
    }
  }

  /** It is being waited for. */
  waited(tenant: string): void {
    this.#times.delete(tenant);
  }

  waitedInVain(tenant: string): void {
    this.#inVain.add(tenant);
  }

  get isAnyDue(): boolean {
    return this.#times.size > 0 && this.due(() => true) !== undefined;
  }

  /**
   * The tenant to wait for, if there is one. One that was waited for in vain has the last turn: the others may be free.
   * @param mayBe whether the tenant can be waited for now
   */
  due(mayBe: (tenant: string) => boolean): string | undefined {
    let last: string | undefined;
    for (const [tenant, times] of this.#times) {
      if (times < this.#most || !mayBe(tenant)) continue;
      if (!this.#inVain.has(tenant)) return tenant;
      last ??= tenant;
    }
    return last;
  }
}
