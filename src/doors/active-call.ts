import { randomUUID } from "node:crypto";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Call } from "../service/call.ts";
import type { Connection } from "./conduct.ts";
import type { DoorName } from "./metrics.ts";
import type { Route } from "./routes.ts";

/** What a door knows of a call before it has read the request. */
export interface Arrival {
  readonly door: DoorName;
  /** The connection that it came on. */
  readonly connection: Connection;
  /** The credential: what follows `Bearer` in the authorization header. */
  readonly bearer: string | undefined;
  /** The caller's address. */
  readonly peer: string;
  /** How long the caller waits for the answer; undefined: as long as it takes. At most `MAX_TIMEOUT_MS`. */
  readonly timeoutMs: number | undefined;
  /** The size of the request, if it has been read. */
  readonly bytes?: number;
  /** What is wrong with the headers; the call is refused with it. */
  readonly refused: Refusal | undefined;
}

/** Names a call. */
export function newCallId(): string {
  return `call_${randomUUID()}`;
}

/** A timeout read from a header, or why it cannot be read. `refused`: what is wrong with the headers already. */
export function readTimeout(
  read: () => number | undefined,
  refused?: Refusal | undefined,
): Pick<Arrival, "timeoutMs" | "refused"> {
  if (refused) return { timeoutMs: undefined, refused };
  try {
    return { timeoutMs: read(), refused };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { timeoutMs: undefined, refused: error };
  }
}

/** One call on its way through a door. What only some calls need (the id, the signal) is made when it is asked for. */
export class ActiveCall implements Call {
  readonly route: Route;
  readonly arrival: Arrival;
  readonly startedMs = Date.now();
  #principal: Principal | undefined;
  #callId: string | undefined;
  #controller: AbortController | undefined;
  #aborted = false;

  constructor(route: Route, arrival: Arrival) {
    this.route = route;
    this.arrival = arrival;
  }

  get principal(): Principal {
    if (this.#principal === undefined) throw new Error("the call is not authenticated yet");
    return this.#principal;
  }

  get address(): string {
    return this.arrival.peer;
  }

  get callId(): string {
    this.#callId ??= newCallId();
    return this.#callId;
  }

  get deadlineMs(): number | undefined {
    const { timeoutMs } = this.arrival;
    return timeoutMs === undefined ? undefined : this.startedMs + timeoutMs;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** Whether the caller is gone or its deadline has passed. */
  get aborted(): boolean {
    return this.#aborted;
  }

  authenticated(principal: Principal): void {
    this.#principal = principal;
  }

  /** The caller is gone, or its deadline has passed. Idempotent. */
  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}

/** The refusal of a call whose caller has left before it began: nobody reads it. */
export const CALLER_GONE = new Refusal(ErrorReason.DEADLINE_PASSED, "the caller has left");

/** The refusal of a call whose deadline has passed. */
export function deadlinePassed(call: ActiveCall): Refusal {
  return new Refusal(
    ErrorReason.DEADLINE_PASSED,
    `the deadline of ${call.arrival.timeoutMs} ms passed: whether a change was made is not known`,
  );
}
