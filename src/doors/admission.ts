import { type Claims, DeficitRoundRobin, equalClaims } from "../domain/deficit-round-robin.ts";

/** Requests up to this size are not held up: decoding them takes no time to speak of. */
const SMALL_BYTES = 2_048;
/** How many bytes of larger requests are decoded before other sockets and timers have their turn; one at least is. */
const BYTES_IN_A_TURN = 16_384;

interface Held {
  readonly bytes: number;
  admit(): void;
}

/**
 * Lets large requests in a few at a time. A batch of reports takes milliseconds to decode and check; a hundred of them that
 * arrive together would keep everything else waiting for as long as they all take. So between them the event loop goes on, and
 * by deficit round robin, cost in bytes, each tenant has its turn. What is held is held as it came, undecoded: one request for
 * each open call.
 */
export class Admission {
  readonly #held: DeficitRoundRobin<Held>;
  #left = BYTES_IN_A_TURN;
  #scheduled = false;

  constructor(claims: Claims = equalClaims) {
    this.#held = new DeficitRoundRobin(claims, BYTES_IN_A_TURN, ({ bytes }) => bytes);
  }

  /** Undefined: the request may be decoded at once. Else it may when this resolves. */
  enter(tenant: string, bytes: number): Promise<void> | undefined {
    if (bytes <= SMALL_BYTES) return undefined;
    this.#schedule();
    if (this.#held.size === 0 && this.#left > 0) {
      this.#left -= bytes;
      return undefined;
    }
    return new Promise((resolve) => this.#held.push(tenant, { bytes, admit: resolve }));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    this.#left = BYTES_IN_A_TURN;
    while (this.#left > 0) {
      const next = this.#held.take(() => true);
      if (next === undefined) return;
      this.#left -= next.bytes;
      next.admit();
    }
    this.#schedule();
  }
}
