import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
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
}

/** The commands that wait, by tenant, in order of arrival; batches take from all tenants in turn. */
export class CommandQueue {
  readonly #bounds: Required<QueueBounds>;
  readonly #byTenant = new Map<string, Pending[]>();
  #size = 0;
  #bytes = 0;

  constructor(bounds: QueueBounds = {}) {
    this.#bounds = {
      maxQueued: bounds.maxQueued ?? 20_000,
      maxQueuedPerTenant: bounds.maxQueuedPerTenant ?? 10_000,
      maxQueuedBytes: bounds.maxQueuedBytes ?? 64 * 1024 * 1024,
      batchMaxCommands: bounds.batchMaxCommands ?? 1_000,
      batchMaxBytes: bounds.batchMaxBytes ?? 4 * 1024 * 1024,
    };
  }

  get size(): number {
    return this.#size;
  }

  /** Throws OVERLOADED past the bounds. */
  push(pending: Pending): void {
    const { tenant, bytes } = pending.command;
    const { maxQueued, maxQueuedPerTenant, maxQueuedBytes } = this.#bounds;
    const waiting = this.#byTenant.get(tenant);
    const tooLarge = this.#size > 0 && this.#bytes + bytes > maxQueuedBytes;
    if (this.#size >= maxQueued || (waiting?.length ?? 0) >= maxQueuedPerTenant || tooLarge) {
      throw new Refusal(ErrorReason.OVERLOADED, "too many changes are waiting to be committed; come back in a moment");
    }
    if (waiting) waiting.push(pending);
    else this.#byTenant.set(tenant, [pending]);
    this.#size += 1;
    this.#bytes += bytes;
  }

  /** Puts commands back before all others of their tenants, in the order given. */
  unshift(commands: readonly Pending[]): void {
    for (const [tenant, back] of Map.groupBy(commands, (p) => p.command.tenant)) {
      this.#byTenant.set(tenant, back.concat(this.#byTenant.get(tenant) ?? []));
    }
    this.#size += commands.length;
    this.#bytes += bytesOf(commands);
  }

  /** The same, and their tenants before all others: the next batch begins as the one that they come from. */
  unshiftFirst(commands: readonly Pending[]): void {
    const others = [...this.#byTenant];
    this.#byTenant.clear();
    for (const { command } of commands) this.#byTenant.set(command.tenant, []);
    for (const [tenant, waiting] of others) this.#byTenant.set(tenant, waiting);
    this.unshift(commands);
  }

  /**
   * The next batch: one command of each tenant in turn until it is full.
   * @param limit commands at most, below the bound
   * @param tenant only this one's
   */
  take(limit: number, tenant?: string): Pending[] {
    const most = Math.min(limit, this.#bounds.batchMaxCommands);
    const batch: Pending[] = [];
    let bytes = 0;
    const tenants = tenant === undefined ? [...this.#byTenant.keys()] : [tenant];
    const taken = new Map<string, number>();
    for (let open = true; open; ) {
      open = false;
      for (const name of tenants) {
        const at = taken.get(name) ?? 0;
        const next = this.#byTenant.get(name)?.[at];
        if (next === undefined) continue;
        if (batch.length >= most) break;
        if (batch.length > 0 && bytes + next.command.bytes > this.#bounds.batchMaxBytes) break;
        batch.push(next);
        bytes += next.command.bytes;
        taken.set(name, at + 1);
        open = true;
      }
    }
    for (const [name, count] of taken) this.#remove(name, count);
    return batch;
  }

  /** Everything that waits, which then waits no more. */
  clear(): Pending[] {
    const all = [...this.#byTenant.values()].flat();
    this.#byTenant.clear();
    this.#size = 0;
    this.#bytes = 0;
    return all;
  }

  #remove(tenant: string, count: number): void {
    const waiting = this.#byTenant.get(tenant) ?? [];
    const rest = waiting.slice(count);
    this.#bytes -= bytesOf(waiting.slice(0, count));
    this.#byTenant.delete(tenant);
    if (rest.length > 0) this.#byTenant.set(tenant, rest); // to the end: the others come first next time
    this.#size -= count;
  }
}

function bytesOf(commands: readonly Pending[]): number {
  return commands.reduce((sum, { command }) => sum + command.bytes, 0);
}
