import { setTimeout as sleep } from "node:timers/promises";
import type { Event } from "../../gen/leadline/v1/event_pb.ts";
import { Role, Tier } from "../../gen/leadline/v1/tenant_pb.ts";
import { createLeadlineClient } from "../../src/client/node.ts";
import type { Positions } from "../../src/wire/position.ts";
import { randomFrom } from "../bench/random.ts";
import type { Place, Reader } from "../guarantees/trace.ts";
import { placeOf, readTruth } from "../guarantees/truth.ts";
import { Calls } from "./callers.ts";
import { Cluster, type Member } from "./cluster.ts";
import { Ledger } from "./ledger.ts";
import { plansOf } from "./plans.ts";
import { Chronicle } from "./truth.ts";
import { type Plan, Watcher } from "./watcher.ts";
import { Withheld } from "./withheld.ts";
import { CARRIERS, type Tenant, Writer } from "./writers.ts";

export interface RunOptions {
  readonly seed: number;
  readonly instances: number;
  readonly tenants: number;
  /** Orders of each tenant that have a watcher of their own. */
  readonly singles: number;
  /** Events that all writers together make in a second, about. */
  readonly rate: number;
  /** Whether what watchers are told is written down. Default true. */
  readonly record?: boolean;
  /** More of the environment of the instances. */
  readonly env?: Readonly<Record<string, string>>;
  /** Ends it before its time. */
  readonly stop?: AbortSignal | undefined;
  readonly say: (text: string) => void;
}

/** Everything that was due must be told within this time after the last fault was mended. */
export const LIVE_MS = 10_000;

/** Writers of each tenant: enough that those whose calls wait out a fault are not missed. */
const WRITERS = 6;

/** Something that must not be. */
export interface Violation {
  /** The validator, or the assertion of a fault. */
  readonly validator: string;
  /** The watcher, or whom it was about. */
  readonly watcher: string;
  readonly what: string;
}

/** A cluster under load, with everything that is written down about it. */
export class Run implements AsyncDisposable {
  readonly options: RunOptions;
  readonly cluster: Cluster;
  readonly tenants: readonly Tenant[];
  readonly writers: readonly Writer[];
  readonly watchers: Watcher[] = [];
  readonly ledger = new Ledger();
  readonly calls: Calls;
  /** Calls that go past the proxies. */
  readonly direct: Calls;
  readonly violations: Violation[];
  readonly random: () => number;
  readonly chronicle = new Chronicle();
  readonly positions: Positions;
  /** What the machine withholds from those who are part of it: the times that are promised are without. */
  readonly withheld: Withheld;
  /** Ids of tenants whose own writers send very much at present: see `stalledReaders`. */
  readonly flooded = new Set<string>();
  /** How long writes took while an instance was stopped or a head was locked, in milliseconds. */
  readonly delays: number[] = [];
  readonly #seers = new Set<(event: Event, by: Watcher) => void>();
  /** Those who watch from the beginning of the run to its end. */
  readonly regulars: Watcher[] = [];
  readonly #retired: Watcher[] = [];

  private constructor(
    options: RunOptions,
    violations: Violation[],
    cluster: Cluster,
    tenants: readonly Tenant[],
    positions: Positions,
  ) {
    this.options = options;
    this.violations = violations;
    this.cluster = cluster;
    this.tenants = tenants;
    this.positions = positions;
    this.random = randomFrom(options.seed);
    this.withheld = new Withheld(() => {
      const instances = cluster.members.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
      return { all: [process.pid, ...instances], oneOf: cluster.database.workers };
    });
    const withheldMs = () => this.withheld.ms;
    this.calls = new Calls((not) => this.#choose(not), this.random, withheldMs);
    this.direct = new Calls((not) => this.#choose(not), this.random, withheldMs, true);
    const desk = {
      calls: this.calls,
      ledger: this.ledger,
      random: this.random,
      rate: options.rate / (WRITERS * tenants.length),
      failovers: () => this.chronicle.lost.length,
      onWrong: (what: string) => this.wrong("answers", "a writer", what),
    };
    this.writers = tenants.flatMap((tenant) => Array.from({ length: WRITERS }, () => new Writer(tenant, desk)));
  }

  /** Starts the cluster, its writers and its watchers. */
  static async start(options: RunOptions): Promise<Run> {
    const violations: Violation[] = [];
    const wrong = (validator: string, who: string, what: string) => note(options, violations, validator, who, what);
    const cluster = await Cluster.start(options.instances, wrong, options.env);
    try {
      const tenants = await makeTenants(cluster, options.tenants);
      const { positions } = await readTruth(cluster.database);
      const run = new Run(options, violations, cluster, tenants, positions);
      await run.#begin();
      return run;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Lets somebody else watch too, until `retire`. */
  join(plan: Plan): Watcher {
    const around = {
      record: this.options.record ?? true,
      choose: (not: Member | undefined) => this.#choose(not),
      random: this.random,
      placeOf: (reader: Reader, position: string) => this.placeOf(reader, position),
      isForeign: ({ tenant, visibility }: Reader, word: string) => {
        const owner = this.ledger.tenantOf(word);
        return owner !== undefined && (owner !== tenant || visibility.class === "carrier");
      },
      onEvent: (event: Event, by: Watcher) => {
        for (const see of this.#seers) see(event, by);
      },
      onWrong: (watcher: string, what: string) => this.wrong("answers", watcher, what),
    };
    const watcher = new Watcher(plan, around);
    this.watchers.push(watcher);
    return watcher;
  }

  /** All who watch, and those who did. */
  get everybody(): readonly Watcher[] {
    return [...this.watchers, ...this.#retired];
  }

  /** The place that a position names to its reader. */
  placeOf(reader: Reader, position: string): Place {
    return placeOf(this, reader, position);
  }

  /** Calls back for every event that any watcher is told, until the returned function is called. */
  onEvent(see: (event: Event, by: Watcher) => void): () => void {
    this.#seers.add(see);
    return () => this.#seers.delete(see);
  }

  wrong(validator: string, watcher: string, what: string): void {
    note(this.options, this.violations, validator, watcher, what);
  }

  /** Looks again and again, for so long as the machine would have needed if it had withheld nothing. */
  async comesToBe(ms: number, holds: () => boolean | Promise<boolean>): Promise<boolean> {
    const before = this.withheld.ms;
    for (const begun = Date.now(); Date.now() < begun + ms + this.withheld.ms - before; await sleep(20)) {
      if (await holds()) return true;
    }
    return false;
  }

  /** One of them, drawn. */
  draw<T>(list: readonly T[]): T {
    const drawn = list[Math.floor(this.random() * list.length)];
    if (drawn === undefined) throw new Error("there is nothing to draw from");
    return drawn;
  }

  /** A whole number from a bound to below another. */
  between(low: number, high: number): number {
    return Math.floor(low + this.random() * (high - low));
  }

  /**
   * Creates an order in every tenant and waits until everybody who watches all of it was told. Who was not within 10 s is a
   * violation.
   */
  async expectLive(after: string): Promise<void> {
    await Promise.all(
      this.tenants.map(async (tenant) => {
        const writer = this.writers.find((one) => one.tenant === tenant);
        const missing = new Set(this.regulars.filter((one) => one.attends && watchesAll(one.plan, tenant)));
        const early = new Map<string, Set<Watcher>>();
        let marker: string | undefined;
        const stop = this.onEvent((event, by) => {
          if (event.change.case !== "orderCreated" || !missing.has(by)) return;
          const tellers = early.get(event.subjectId) ?? new Set();
          early.set(event.subjectId, tellers.add(by));
          if (event.subjectId === marker) missing.delete(by);
        });
        try {
          marker = await writer?.create();
          if (marker === undefined) {
            this.wrong("live", tenant.id, `no order could be created for 10 s after ${after}`);
            return;
          }
          for (const by of early.get(marker) ?? []) missing.delete(by);
          const text = "select created_revision from subject where tenant_id = $1 and id = $2";
          const rows = await this.cluster.database.sql<{ created_revision: string }>(text, [tenant.id, marker]);
          const revision = Number(rows[0]?.created_revision ?? Number.POSITIVE_INFINITY);
          // Who started only now has it in its snapshot, or begins behind it.
          const isBeyond = ({ plan, position }: Watcher) =>
            position !== undefined && this.placeOf(plan.reader, position).revision >= revision;
          await this.comesToBe(LIVE_MS, () => {
            for (const one of missing) if (isBeyond(one)) missing.delete(one);
            return missing.size === 0;
          });
          for (const one of missing) {
            if (one.attends) this.wrong("live", one.plan.name, `was not told of ${marker} within 10 s after ${after}`);
          }
        } finally {
          stop();
        }
      }),
    );
  }

  /** Where a tenant's journal ends. */
  async headOf(tenant: Tenant): Promise<bigint> {
    const text = "select revision from journal_head where tenant_id = $1";
    const [head] = await this.cluster.database.sql<{ revision: string }>(text, [tenant.id]);
    return BigInt(head?.revision ?? 0);
  }

  /** Ends the writers, and the calls that are in flight. */
  async stopWriting(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.stop()));
  }

  /** Ends a watcher that came for one fault; what it was told is checked all the same. */
  async retire(watcher: Watcher): Promise<void> {
    await watcher.stop();
    this.watchers.splice(this.watchers.indexOf(watcher), 1);
    this.#retired.push(watcher);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const member of this.cluster.members) member.signal("SIGCONT");
    await Promise.all([...this.watchers.map((watcher) => watcher.stop()), this.stopWriting()]);
    this.calls.close();
    this.direct.close();
    this.withheld[Symbol.dispose]();
    await this.cluster[Symbol.asyncDispose]();
  }

  async #begin(): Promise<void> {
    const { singles } = this.options;
    const firsts = await Promise.all(
      this.writers.map((writer) =>
        Promise.all(Array.from({ length: Math.ceil(singles / WRITERS) }, () => writer.create())),
      ),
    );
    for (const tenant of this.tenants) {
      const orders = this.writers.flatMap((writer, i) => (writer.tenant === tenant ? (firsts[i] ?? []) : []));
      const known = orders.filter((id) => id !== undefined);
      for (const plan of plansOf(tenant, known.slice(0, singles))) {
        const watcher = this.join(plan);
        this.regulars.push(watcher);
        watcher.start();
      }
    }
    for (const writer of this.writers) writer.start();
  }

  /** As a balancer that knows nothing of what goes on: any instance, but rather not the one that just failed. */
  #choose(not: Member | undefined): Member | undefined {
    const others = this.cluster.members.filter((member) => member !== not);
    const list = others.length > 0 ? others : this.cluster.members;
    return list[Math.floor(this.random() * list.length)];
  }
}

function note({ say }: RunOptions, violations: Violation[], validator: string, watcher: string, what: string): void {
  violations.push({ validator, watcher, what });
  say(`WRONG  ${validator}: ${watcher}: ${what}`);
}

function watchesAll({ filter, mode, reader }: Plan, tenant: Tenant): boolean {
  return reader.tenant === tenant.id && reader.of === "orders" && filter === undefined && mode === "ALL";
}

async function makeTenants(cluster: Cluster, count: number): Promise<Tenant[]> {
  const [member] = cluster.members;
  const owner = createLeadlineClient({ address: member?.grpc ?? "", key: cluster.ownerKey });
  try {
    const tenants: Tenant[] = [];
    for (let i = 0; i < count; i += 1) {
      const tenantId = `shipper-${"abcdefgh".charAt(i)}`;
      await owner.tenants.createTenant({ tenantId, name: tenantId, tier: Tier.ADAPTIVE });
      const make = async (name: string, role: Role, carrier = "") => {
        const { key, secret } = await owner.tenants.createKey({ tenantId, name, role, carrier });
        return { id: key?.id ?? "", secret };
      };
      const viewer = await make("viewer", Role.VIEWER);
      const operator = await make("operator", Role.OPERATOR);
      const carriers = await Promise.all(
        CARRIERS.map(async (one) => [one, (await make(one, Role.CARRIER, one)).secret] as const),
      );
      const keys = { operator: operator.secret, viewer: viewer.secret, ...Object.fromEntries(carriers) };
      const [head] = await cluster.database.sql<{ journal_id: string }>(
        "select journal_id from journal_head where tenant_id = $1",
        [tenantId],
      );
      tenants.push({ id: tenantId, journalId: head?.journal_id ?? "", viewerId: viewer.id, keys });
    }
    return tenants;
  } finally {
    owner.close();
  }
}
