import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import type { DoorBounds } from "./options.ts";

/**
 * Bytes of requests that a door holds, whole or not: of each address, and of all together. A request is bounded and so is the
 * time that it may take, but a peer may send a thousand on each of its connections, and end none.
 */
export class RequestBytes {
  readonly #bounds: Pick<DoorBounds, "maxRequestBytes" | "maxAddressRequestBytes">;
  readonly #addresses = new Map<string, number>();
  #bytes = 0;

  constructor(bounds: Pick<DoorBounds, "maxRequestBytes" | "maxAddressRequestBytes">) {
    this.#bounds = bounds;
  }

  /** So many more have come. The result says why they may not be held; then they are not counted. @param network see `networkOf` */
  add(network: string, bytes: number): Refusal | undefined {
    const ofAddress = (this.#addresses.get(network) ?? 0) + bytes;
    const { maxAddressRequestBytes, maxRequestBytes } = this.#bounds;
    if (ofAddress > maxAddressRequestBytes)
      return tooMany("address_request_bytes", network, maxAddressRequestBytes, ofAddress);
    const ofAll = this.#bytes + bytes;
    if (ofAll > maxRequestBytes) return tooMany("instance_request_bytes", "this instance", maxRequestBytes, ofAll);
    this.#addresses.set(network, ofAddress);
    this.#bytes = ofAll;
    return undefined;
  }

  /** So many that were added are held no more. */
  remove(network: string, bytes: number): void {
    if (bytes === 0) return;
    this.#bytes -= bytes;
    const left = (this.#addresses.get(network) ?? 0) - bytes;
    if (left > 0) this.#addresses.set(network, left);
    else this.#addresses.delete(network);
  }
}

/** What is held of one request, until it is let go of; what comes after that is nobody's. */
export class HeldRequest {
  readonly #all: RequestBytes;
  readonly #network: string;
  #bytes = 0;
  #over = false;

  constructor(all: RequestBytes, network: string) {
    this.#all = all;
    this.#network = network;
  }

  /** So many more have come. The result says why they may not be held. */
  add(bytes: number): Refusal | undefined {
    if (this.#over) return undefined;
    const refusal = this.#all.add(this.#network, bytes);
    if (refusal === undefined) this.#bytes += bytes;
    return refusal;
  }

  /** Idempotent. */
  release(): void {
    this.#over = true;
    this.#all.remove(this.#network, this.#bytes);
    this.#bytes = 0;
  }
}

function tooMany(limit: string, who: string, allowed: number, used: number): Refusal {
  const message = `requests of more than ${allowed} bytes at a time with ${who}; send fewer at a time, or smaller ones`;
  return new Refusal(ErrorReason.RATE_LIMITED, message, {
    metadata: { limit, allowed: String(allowed), used: String(used) },
  });
}
