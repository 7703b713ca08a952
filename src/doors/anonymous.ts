import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";
import { PerSecond } from "../service/per-second.ts";
import type { Connection } from "./conduct.ts";
import type { DoorBounds } from "./options.ts";

/** What an anonymous call ends with. */
interface Closing {
  once(event: "close", listener: () => void): unknown;
}

/**
 * What a door does for callers without a credential: health, reflection, the pages for operators. No limit of a credential
 * holds them, so their addresses are held to a number in a second, and their connections to a few streams.
 */
export class Anonymous {
  readonly #perSecond: number;
  readonly #maxStreams: number;
  readonly #calls = new PerSecond();
  readonly #streams = new WeakMap<Connection, number>();

  constructor(bounds: Pick<DoorBounds, "addressAnonymousCallsPerSecond" | "anonymousStreams">) {
    this.#perSecond = bounds.addressAnonymousCallsPerSecond;
    this.#maxStreams = bounds.anonymousStreams;
  }

  /** Counts a call, or a question on a stream. The result says why it may not be. @param network see `networkOf` */
  call(network: string): Refusal | undefined {
    const nowMs = Date.now();
    const used = this.#calls.take(network, this.#perSecond, nowMs);
    if (used <= this.#perSecond) return undefined;
    return new Refusal(
      ErrorReason.RATE_LIMITED,
      `more than ${this.#perSecond} calls without a credential in a second; spread them`,
      {
        retryAfterMs: 1_000 - (nowMs % 1_000),
        metadata: {
          limit: "address_anonymous_calls_per_second",
          allowed: String(this.#perSecond),
          used: String(used),
        },
      },
    );
  }

  /**
   * Counts a stream until it is closed. The result says why it may not be. Not counted in the second: after a network fault
   * all clients of a balancer come back at once, each with the health that it watches.
   */
  stream(connection: Connection, stream: Closing): Refusal | undefined {
    const open = this.#streams.get(connection) ?? 0;
    if (open < this.#maxStreams) {
      this.#streams.set(connection, open + 1);
      stream.once("close", () => this.#streams.set(connection, (this.#streams.get(connection) ?? 1) - 1));
      return undefined;
    }
    const message = `a connection may have ${this.#maxStreams} streams of health and reflection open; end one first`;
    return new Refusal(ErrorReason.RATE_LIMITED, message, {
      metadata: { limit: "connection_anonymous_streams", allowed: String(this.#maxStreams), used: String(open + 1) },
    });
  }
}
