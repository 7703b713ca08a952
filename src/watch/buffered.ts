import type { WatchOptions } from "./options.ts";
import type { Reached } from "./spec.ts";

/** Whose reader it is that bytes wait for. */
export interface Holder {
  readonly credential: string;
  readonly tenant: string;
  /** Its address, as limits count it. */
  readonly network: string;
}

type Bounds = Pick<
  WatchOptions,
  "keyBufferedBytes" | "tenantBufferedBytes" | "addressBufferedBytes" | "instanceBufferedBytes"
>;

/**
 * Bytes that wait for readers that do not take them: of each credential, tenant and address, and of the instance together.
 * Whoever has none is not remembered.
 */
export class Buffered {
  readonly #bounds: Bounds;
  readonly #keys = new Map<string, number>();
  readonly #tenants = new Map<string, number>();
  readonly #addresses = new Map<string, number>();
  #bytes = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** Of the whole instance. */
  get bytes(): number {
    return this.#bytes;
  }

  /** So many more wait for a reader, or fewer. Answers the first limit that is reached by more. */
  add({ credential, tenant, network }: Holder, change: number): Reached | undefined {
    this.#bytes += change;
    const ofKey = counted(this.#keys, credential, change);
    const ofTenant = counted(this.#tenants, tenant, change);
    const ofAddress = counted(this.#addresses, network, change);
    if (change <= 0) return undefined;
    const { keyBufferedBytes, tenantBufferedBytes, addressBufferedBytes, instanceBufferedBytes } = this.#bounds;
    return (
      reached("key_buffered_bytes", keyBufferedBytes, ofKey) ??
      reached("tenant_buffered_bytes", tenantBufferedBytes, ofTenant) ??
      reached("address_buffered_bytes", addressBufferedBytes, ofAddress) ??
      reached("instance_buffered_bytes", instanceBufferedBytes, this.#bytes)
    );
  }
}

function counted(bytes: Map<string, number>, id: string, change: number): number {
  const now = (bytes.get(id) ?? 0) + change;
  if (now > 0) bytes.set(id, now);
  else bytes.delete(id);
  return now;
}

function reached(limit: Reached["limit"], allowed: number, used: number): Reached | undefined {
  return used > allowed ? { limit, allowed, used } : undefined;
}
