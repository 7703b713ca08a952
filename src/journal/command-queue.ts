import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { type Claims, DeficitRoundRobin, equalClaims } from "../domain/deficit-round-robin.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Command } from "./journal.ts";

/** A command that waits for its outcome. */
export interface Pending {
  readonly command: Command<DescMessage>;
  readonly since: number;
  settle(answer: MessageShape<DescMessage>): void;
  fail(error: unknown): void;
}

export interface QueueBounds {
  /** Commands that wait on this instance at most; one more is OVERLOADED. Default 20,000. */
  readonly maxQueued?: number;
  /** Commands of one tenant that wait at most. Default 10,000. */
  readonly maxQueuedPerTenant?: number;
  /** Bytes of requests that wait at most; a single larger one waits alone. Default 64 MiB. */
  readonly maxQueuedBytes?: number;
  /** Commands in one batch at most. Default 1,000. */
  readonly batchMaxCommands?: number;
  /** Bytes of requests in one batch at most; a single larger command makes a batch of its own. Default 4 MiB. */
  readonly batchMaxBytes?: number;
  /** What each tenant may claim of the batches. Default: all the same. */
  readonly claims?: Claims;
}

/** What a weight of 1 gets of a round. Small, so that a round is a small part of a batch. */
const QUANTUM = 1;

/** Commands of others in one batch while a reserve is in use: a batch of so many takes about 5 ms, one of 1,000 about 100. */
const BESIDE_RESERVE = 32;
/** A reserve is in use until so many commands have been taken since. Under full load that is most of a second. */
const RESERVE_KEPT = 4_000;

/**
 * The commands that wait, by tenant, in order of arrival. Batches are filled by deficit round robin; a command costs as many
 * items as it names subjects, and a batch of reports is as many commands.
 *
 * The reserve: while a tenant that has one stays inside its share, a batch takes what such tenants have waiting and at most 32
 * commands of others, and no batch is opened ahead of what they may send next.
 */
export class CommandQueue {
  readonly #bounds: Required<Omit<QueueBounds, "claims">>;
  readonly #waiting: DeficitRoundRobin<Pending>;
  #bytes = 0;
  /** Commands that were taken since a tenant last used its reserve. */
  #sinceReserve = Number.POSITIVE_INFINITY;
  #cutShort = false;

  constructor(bounds: QueueBounds = {}) {
    this.#bounds = {
      maxQueued: bounds.maxQueued ?? 20_000,
      maxQueuedPerTenant: bounds.maxQueuedPerTenant ?? 10_000,
      maxQueuedBytes: bounds.maxQueuedBytes ?? 64 * 1024 * 1024,
      batchMaxCommands: bounds.batchMaxCommands ?? 1_000,
      batchMaxBytes: bounds.batchMaxBytes ?? 4 * 1024 * 1024,
    };
    this.#waiting = new DeficitRoundRobin(bounds.claims ?? equalClaims, QUANTUM, itemsOf);
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Whether the last batch was cut short for those with a reserve, so that what they send next has not long to wait. */
  get cutShort(): boolean {
    return this.#cutShort;
  }

  /** Throws OVERLOADED past the bounds. */
  push(pending: Pending): void {
    const { tenant, bytes } = pending.command;
    const { maxQueued, maxQueuedPerTenant, maxQueuedBytes } = this.#bounds;
    const ofTenant = this.#waiting.sizeOf(tenant);
    if (ofTenant >= maxQueuedPerTenant) throw overloaded("tenant_queued_commands", maxQueuedPerTenant, ofTenant);
    if (this.size >= maxQueued) throw overloaded("instance_queued_commands", maxQueued, this.size);
    const wanted = this.#bytes + bytes;
    if (this.size > 0 && wanted > maxQueuedBytes) throw overloaded("instance_queued_bytes", maxQueuedBytes, wanted);
    this.#waiting.push(tenant, pending);
    this.#bytes += bytes;
  }

  /**
   * Puts commands back before all others of their tenants, in the order given.
   * @param turn whether the turn that they were taken in is spent, or due again
   */
  unshift(commands: readonly Pending[], turn: "spent" | "due"): void {
    for (const [tenant, back] of byTenant(commands)) this.#waiting.unshift(tenant, back, turn);
    this.#bytes += bytesOf(commands);
  }

  /** The same, and their tenants before all others: the next batch begins as the one that they come from. */
  unshiftFirst(commands: readonly Pending[]): void {
    this.#waiting.unshiftFirst(byTenant(commands));
    this.#bytes += bytesOf(commands);
  }

  /**
   * The next batch, until it is full.
   * @param limit commands at most, below the bound
   */
  take(limit: number): Pending[] {
    const batch = new Filling(this.#bounds, limit);
    const before = this.#waiting.keptInside;
    batch.fill(batch.most, (fits) => this.#waiting.takeEarly(fits));
    if (this.#waiting.keptInside > before) this.#sinceReserve = 0;
    const cut = batch.commands.length + BESIDE_RESERVE;
    const inUse = this.#sinceReserve < RESERVE_KEPT;
    batch.fill(inUse ? Math.min(batch.most, cut) : batch.most, (fits) => this.#waiting.take(fits));
    this.#cutShort = inUse && batch.commands.length === cut && this.size > 0;
    this.#bytes -= batch.bytes;
    this.#sinceReserve += batch.commands.length;
    return batch.commands;
  }

  /** A batch of one tenant's commands alone, of which none is taken by `take` until the tenant is let go. */
  takeAside(tenant: string, limit: number): Pending[] {
    const batch = new Filling(this.#bounds, limit);
    batch.fill(batch.most, (fits) => this.#waiting.takeFrom(tenant, fits));
    this.#bytes -= batch.bytes;
    if (batch.commands.length > 0) this.#waiting.setAside(tenant);
    return batch.commands;
  }

  letGo(tenant: string): void {
    this.#waiting.letGo(tenant);
  }

  /** Takes those that wait since before a time, `performance.now()`, as far as no younger one is before them. */
  takeOld(since: number): Pending[] {
    const old = this.#waiting.takeWhile((pending) => pending.since < since);
    this.#bytes -= bytesOf(old);
    return old;
  }
}

/** A batch that is being filled. */
class Filling {
  readonly commands: Pending[] = [];
  readonly most: number;
  bytes = 0;
  readonly #maxBytes: number;

  constructor(bounds: { readonly batchMaxBytes: number; readonly batchMaxCommands: number }, limit: number) {
    this.most = Math.min(limit, bounds.batchMaxCommands);
    this.#maxBytes = bounds.batchMaxBytes;
  }

  fill(most: number, next: (fits: (pending: Pending) => boolean) => Pending | undefined): void {
    const fits = ({ command }: Pending) => this.commands.length === 0 || this.bytes + command.bytes <= this.#maxBytes;
    while (this.commands.length < most) {
      const one = next(fits);
      if (one === undefined) return;
      this.commands.push(one);
      this.bytes += one.command.bytes;
    }
  }
}

function itemsOf({ command }: Pending): number {
  return Math.max(1, command.subjects.length);
}

function byTenant(commands: readonly Pending[]): Map<string, Pending[]> {
  return Map.groupBy(commands, ({ command }) => command.tenant);
}

function bytesOf(commands: readonly Pending[]): number {
  return commands.reduce((sum, { command }) => sum + command.bytes, 0);
}

function overloaded(limit: string, allowed: number, used: number): Refusal {
  return new Refusal(ErrorReason.OVERLOADED, "too many changes are waiting to be committed; come back in a moment", {
    metadata: { limit, allowed: String(allowed), used: String(used) },
  });
}
