/**
 * How much each credential, tenant, address and the whole instance may ask of this instance: calls and stream openings in a
 * second, and streams open at a time. `limit-table.ts` has the values.
 *
 * Of every bound on streams a part is kept for watches that resume: after a network fault all clients come back at once, and
 * those that open new watches must not lock out those that continue one.
 *
 * Counted here and not with a library, because this is on the way of every call: a count is a look into a map, without a
 * promise and a timer for each key.
 */
import type { DescMethod, Message } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import { networkOf } from "./address.ts";
import { filterTerms } from "./filter-terms.ts";
import { type LimitName, limitTable, linkAllowance, serviceOwnerAllowance } from "./limit-table.ts";
import { PerSecond } from "./per-second.ts";
import type { TenantTerms } from "./tenancy.ts";
import { type Allowance, tierTerms } from "./tiers.ts";

export interface LimitsOptions {
  /** What a tenant has bought; see `Tenancy.of`. */
  termsOf(tenant: string): TenantTerms;
  /** What replaces the tier's value for keys and tokens; 0 or absent: nothing. */
  readonly instead?: Partial<Allowance>;
  readonly address?: Partial<Bounds>;
  readonly instance?: Partial<Bounds>;
  /** Open streams of one tenant, whatever its tier or an agreement says. Default: no other bound than theirs. */
  readonly tenantStreams?: number;
  /** The part of each bound on streams that is kept for watches that resume, in percent. Default 20. */
  readonly resumeReservePercent?: number;
  /** Milliseconds since the epoch. */
  now?(): number;
}

/** Bounds of one address, or of the instance. Default: none. */
export interface Bounds {
  readonly callsPerSecond: number;
  readonly streams: number;
  readonly streamOpensPerSecond: number;
}

const unbounded: Bounds = { callsPerSecond: Infinity, streams: Infinity, streamOpensPerSecond: Infinity };

/** Who has streams open. */
export interface StreamHolder {
  readonly kind: "key" | "token";
  readonly tenant: string;
  readonly id: string;
  /** The name of the key that signed the token; empty for API keys. */
  readonly signer: string;
}

/** A watch that is about to open. */
export interface Opening {
  /** The caller's address, without its port. */
  readonly peer: string;
  /** Whether it continues from a position. */
  readonly resumes: boolean;
}

/** What to wait when all streams are taken: they end when their reader ends them, which nobody can foresee. */
const streamRetryMs = 5_000;

/** What a tenant uses of this instance. */
export interface Used {
  /** Calls in the present second. */
  readonly calls: number;
  /** Open streams. */
  readonly streams: number;
  /** Streams opened in the present second. */
  readonly opens: number;
}

/** How many streams are open under an id. */
interface OpenStreams {
  readonly id: string;
  open: number;
}

/** Who is counted under which name. */
interface Counted {
  readonly limit: LimitName;
  readonly id: string;
  readonly most: number;
  readonly who: string;
}

export class Limits {
  readonly #options: LimitsOptions;
  readonly #address: Bounds;
  readonly #instance: Bounds;
  /** The part of each bound on streams that is kept for watches that resume, in percent. */
  readonly resumeReservePercent: number;
  readonly #ofLinks: Allowance;
  readonly #now: () => number;
  readonly #calls = { key: new PerSecond(), tenant: new PerSecond(), address: new PerSecond(), all: new PerSecond() };
  readonly #opens = new PerSecond();
  readonly #streams = new Map<string, OpenStreams>();
  /** The keys and tokens that have streams open, by what `#streams` counts them under. */
  readonly #holders = new Map<string, StreamHolder>();

  constructor(options: LimitsOptions) {
    this.#options = options;
    this.#address = { ...unbounded, ...options.address };
    this.#instance = { ...unbounded, ...options.instance };
    this.resumeReservePercent = options.resumeReservePercent ?? 20;
    this.#now = options.now ?? Date.now;
    this.#ofLinks = this.#bounded(linkAllowance);
  }

  /** Counts a call. Throws a Refusal RATE_LIMITED that tells how long to wait when there were too many this second. */
  call(principal: Principal, peer: string): void {
    const nowMs = this.#now();
    const { callsPerSecond, tenantCallsPerSecond } = this.#allowance(principal);
    const { key, tenant, address, all } = this.#calls;
    const ofKey = key.take(principal.id, callsPerSecond, nowMs);
    if (ofKey > callsPerSecond) throw tooMany("key_calls_per_second", callsPerSecond, ofKey, principal.id, nowMs);
    if (principal.kind !== "service-owner") {
      const pool = poolOf(principal);
      const ofTenant = tenant.take(pool, tenantCallsPerSecond, nowMs);
      if (ofTenant > tenantCallsPerSecond)
        throw tooMany("tenant_calls_per_second", tenantCallsPerSecond, ofTenant, whoIn(principal), nowMs);
    }
    const network = networkOf(peer);
    const ofAddress = address.take(network, this.#address.callsPerSecond, nowMs);
    if (ofAddress > this.#address.callsPerSecond)
      throw tooMany("address_calls_per_second", this.#address.callsPerSecond, ofAddress, network, nowMs);
    const ofAll = all.take("", this.#instance.callsPerSecond, nowMs);
    if (ofAll > this.#instance.callsPerSecond)
      throw tooMany("instance_calls_per_second", this.#instance.callsPerSecond, ofAll, "this instance", nowMs);
  }

  /** Throws a Refusal LIMIT_EXCEEDED when the request's filter has more values than the caller may send. */
  request(principal: Principal, method: DescMethod, request: Message): void {
    const terms = filterTerms(method, request);
    if (terms === 0) return;
    const most = this.#allowance(principal).filterTerms;
    if (terms <= most) return;
    throw new Refusal(
      ErrorReason.LIMIT_EXCEEDED,
      `filter has ${terms} values, and ${most} are accepted: ask in several calls`,
      { metadata: { limit: "filter_terms", allowed: String(most), used: String(terms) } },
    );
  }

  /** How many rows the snapshot of a watch may have. */
  snapshotRows(principal: Principal): number {
    return this.#allowance(principal).snapshotRows;
  }

  /**
   * Counts a stream until the function returned is called (again: nothing happens). Throws a Refusal RATE_LIMITED when
   * the credential, its tenant, its address or the instance has as many open as it may, or opens them too fast.
   */
  watch(principal: Principal, { peer, resumes }: Opening): () => void {
    const nowMs = this.#now();
    const allowance = this.#allowance(principal);
    const { streams, opens } = this.#countedFor(principal, networkOf(peer), allowance);
    for (const counted of streams) this.#refuseAbove(counted, resumes ? 0 : this.#kept(counted.most));
    for (const { limit, id, most, who } of opens) {
      const kept = resumes ? 0 : this.#kept(most);
      const used = this.#opens.take(id, most - kept, nowMs);
      if (used > most - kept) throw tooMany(limit, most - kept, used, who, nowMs, kept);
    }
    const counted = streams.map(({ id }) => this.#enter(id));
    const [own] = streams;
    if (own && (principal.kind === "key" || principal.kind === "token")) {
      const { kind, tenant, id } = principal;
      this.#holders.set(own.id, { kind, tenant, id, signer: kind === "token" ? principal.signer : "" });
    }
    return this.#leaving(counted);
  }

  /**
   * Counts a call that waits among the open streams, until the function returned is called. It is one of many that continue
   * from a position: it has the reserve of those, and opens nothing. Throws as `watch`.
   */
  wait(principal: Principal, peer: string): () => void {
    const { streams } = this.#countedFor(principal, networkOf(peer), this.#allowance(principal));
    for (const counted of streams) this.#refuseAbove(counted, 0);
    return this.#leaving(streams.map(({ id }) => this.#enter(id)));
  }

  /** Lives as long as a watch does: written where the stream is counted, it would keep everything that was asked for that. */
  #leaving(counted: OpenStreams[]): () => void {
    return () => {
      for (const one of counted) this.#leave(one);
      counted.length = 0;
    };
  }

  /** Who has streams open here. */
  streamHolders(): Iterable<StreamHolder> {
    return this.#holders.values();
  }

  #countedFor(principal: Principal, network: string, allowance: Allowance): { streams: Counted[]; opens: Counted[] } {
    const pool = principal.kind === "service-owner" ? "" : poolOf(principal);
    const signer = principal.kind === "token" ? principal.signer : "";
    const scopes = [
      ["key", `${pool} ${principal.id} ${signer}`, `"${principal.id}"`],
      ["tenant", `in ${pool}`, whoIn(principal)],
      ["address", `at ${network}`, network],
      ["instance", "", "this instance"],
    ] as const;
    const streamBounds = {
      key: allowance.streams,
      tenant: allowance.tenantStreams,
      address: this.#address.streams,
      instance: this.#instance.streams,
    };
    const openBounds = {
      key: allowance.streamOpensPerSecond,
      tenant: allowance.tenantStreamOpensPerSecond,
      address: this.#address.streamOpensPerSecond,
      instance: this.#instance.streamOpensPerSecond,
    };
    return {
      streams: scopes.map(([of, id, who]) => ({ limit: `${of}_streams`, id, most: streamBounds[of], who })),
      opens: scopes.map(([of, id, who]) => ({ limit: `${of}_stream_opens_per_second`, id, most: openBounds[of], who })),
    };
  }

  /** What of a bound those that do not resume leave to those that do. */
  #kept(most: number): number {
    return most === Infinity ? 0 : Math.floor((most * this.resumeReservePercent) / 100);
  }

  #refuseAbove({ limit, id, most, who }: Counted, kept: number): void {
    const open = this.#streams.get(id)?.open ?? 0;
    if (open < most - kept) return;
    throw tooManyOpen(limit, who, most - kept, open, kept);
  }

  #enter(id: string): OpenStreams {
    const counted = this.#streams.get(id) ?? { id, open: 0 };
    this.#streams.set(id, counted);
    counted.open += 1;
    return counted;
  }

  #leave(counted: OpenStreams): void {
    counted.open -= 1;
    if (counted.open > 0) return;
    this.#streams.delete(counted.id);
    this.#holders.delete(counted.id);
  }

  #allowance(principal: Principal): Allowance {
    if (principal.kind === "link") return this.#ofLinks;
    if (principal.kind === "service-owner") return serviceOwnerAllowance;
    return this.allowanceOf(this.#options.termsOf(principal.tenant));
  }

  /** What a tenant's keys and tokens may use of this instance: what is told, and what is held. */
  allowanceOf(terms: TenantTerms): Allowance {
    let allowance = this.#allowances.get(terms);
    if (allowance === undefined) {
      const settings = { ...tierTerms(terms.tier).allowance, ...set(this.#options.instead) };
      allowance = this.#bounded(agreedWith(settings, terms));
      this.#allowances.set(terms, allowance);
    }
    return allowance;
  }

  /** One key may have as many streams as its tenant; no tenant more than the instance takes of one. */
  #bounded(allowance: Allowance): Allowance {
    const { streams, tenantStreams } = allowance;
    const most = this.#options.tenantStreams ?? Infinity;
    return { ...allowance, tenantStreams: Math.min(Math.max(streams, tenantStreams), most) };
  }

  /**
   * Why another of a tenant's open streams is not to go on, when so many of them do, links left out; undefined: it may. After
   * its terms have become smaller there can be more than it may open.
   */
  surplus(terms: TenantTerms, kept: number): Refusal | undefined {
    const most = this.allowanceOf(terms).tenantStreams;
    if (kept < most) return undefined;
    return tooManyOpen("tenant_streams", "the keys of the tenant", most, this.usedBy(terms.tenant).streams);
  }

  /** What a tenant uses of this instance now, links left out. */
  usedBy(tenant: string): Used {
    const nowMs = this.#now();
    const all = `in ${tenant}`;
    return {
      calls: this.#calls.tenant.count(tenant, nowMs),
      streams: this.#streams.get(all)?.open ?? 0,
      opens: this.#opens.count(all, nowMs),
    };
  }

  /** By the terms, which are never changed. */
  readonly #allowances = new WeakMap<TenantTerms, Allowance>();
}

/** What of the limit is kept for watches that resume, as a refusal tells it beside what is allowed to the others. */
function keptFor(kept: number): { text: string; metadata: Readonly<Record<string, string>> } {
  if (kept === 0) return { text: "", metadata: {} };
  return { text: `, beside ${kept} kept for watches that resume`, metadata: { kept_for_resuming: String(kept) } };
}

function tooMany(limit: LimitName, most: number, used: number, who: string, nowMs: number, kept = 0): Refusal {
  const what = limit.includes("opens") ? "streams opened" : "calls";
  const { text, metadata } = keptFor(kept);
  return new Refusal(
    ErrorReason.RATE_LIMITED,
    `more than ${most} ${what} in a second with ${who}${text}; spread them`,
    {
      retryAfterMs: 1_000 - (nowMs % 1_000),
      metadata: { limit, allowed: String(most), used: String(used), ...metadata },
    },
  );
}

/** What would help whoever has too many streams open, by the limit's scope. */
const fewer: Readonly<Record<string, string>> = {
  address: "end some, or open them from another address",
  instance: "open it on another instance",
};

function tooManyOpen(limit: LimitName, who: string, most: number, open: number, kept = 0): Refusal {
  const { text, metadata } = keptFor(kept);
  const help = fewer[limitTable[limit].of] ?? "end some that are not needed, or open it on another instance";
  const message = `${who} may have ${most} streams open here${text}, and ${open} are; ${help}`;
  return new Refusal(ErrorReason.RATE_LIMITED, message, {
    retryAfterMs: streamRetryMs,
    metadata: { limit, allowed: String(most), used: String(open), ...metadata },
  });
}

/** What was agreed with a tenant goes before the tier, and before what the instance sets for all of them. */
function agreedWith(allowance: Allowance, { agreed }: TenantTerms): Allowance {
  const callsPerSecond = agreed.callsPerSecond || allowance.callsPerSecond;
  const tenantStreams = agreed.streams || allowance.tenantStreams;
  return {
    ...allowance,
    callsPerSecond,
    tenantCallsPerSecond: Math.max(allowance.tenantCallsPerSecond, agreed.callsPerSecond),
    tenantStreams,
    streams: agreed.streams === 0 ? allowance.streams : Math.min(allowance.streams, agreed.streams),
  };
}

/** Keys and tokens of a tenant share its bounds; its links have some of their own. */
function poolOf({ kind, tenant }: Exclude<Principal, { kind: "service-owner" }>): string {
  return kind === "link" ? `links of ${tenant}` : tenant;
}

function whoIn(principal: Principal): string {
  return principal.kind === "link" ? "the links of the tenant" : "the keys of the tenant";
}

/** Those that are set: 0 stands for what the tier says. */
function set(values: Partial<Allowance> = {}): Partial<Allowance> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value > 0));
}
