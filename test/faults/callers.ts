import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type Caller, type CallerKind, callerKinds } from "../doors/callers.ts";
import type { Member } from "./cluster.ts";

const KINDS = [
  "grpc-js on the gRPC door",
  "grpc-js on the gRPC door",
  "connect-node connect over HTTP/2 in proto",
  "connect-node grpc-web over HTTP/1.1 in proto",
];

/**
 * Clients that tell a connection that broke, was refused or is being closed as gRPC wants it told: UNAVAILABLE. connect-node
 * has INTERNAL and ABORTED for some of these.
 */
const STRICT_KINDS = ["grpc-js on the gRPC door", "grpc-js on the HTTP door"];

/** For how long a client that retries UNAVAILABLE goes on. */
const RETRY_MS = 10_000;
const ATTEMPT_MS = 4_000;
/** An attempt that has come to nothing by then never will. */
export const HUNG_MS = 60_000;
/** Errors of the server's that say: come back; the last of them, that nothing is known. */
const PASSING: ReadonlySet<string> = new Set(["DATABASE_UNAVAILABLE", "OVERLOADED", "DRAINING", "DEADLINE_PASSED"]);

/** Whether the server has said no, of a call or of one item of a batch. Otherwise it is not known whether it took effect. */
export function isRefusal(reason: string): boolean {
  return reason !== "" && !PASSING.has(reason) && reason !== "INTERNAL";
}

/** An answer that is an error: the server's refusal with its reason, or nothing that could be called an answer. */
export class CallFailed extends Error {
  readonly reason: string;
  readonly code: Code;

  constructor(error: ConnectError, where = "") {
    const reason = error.findDetails(ErrorInfoSchema)[0]?.reason ?? "";
    super(`${Code[error.code]} ${reason} ${error.rawMessage}${where}`);
    this.reason = reason;
    this.code = error.code;
  }

  /** See `isRefusal`. */
  get isRefusal(): boolean {
    return isRefusal(this.reason);
  }
}

/** A client, and how many calls are in flight on it. */
interface Kept {
  readonly caller: Caller;
  calls: number;
  readonly close: () => void;
}

/** See `Calls.retrying`. */
interface RetryOptions {
  readonly only?: Code;
  readonly attemptMs?: number | undefined;
  readonly onSilence?: () => void;
}

/** Unary calls to any of the instances, over clients that are kept until they fail. */
export class Calls {
  readonly #choose: (not: Member | undefined) => Member | undefined;
  readonly #random: () => number;
  readonly #open = new Map<string, Kept>();

  readonly #direct: boolean;
  readonly #withheldMs: () => number;

  /**
   * @param withheldMs see `Withheld`
   * @param direct with strict clients and past the proxies: who comes to a door that is shut is refused, and not let
   *   in and thrown out
   */
  constructor(
    choose: (not: Member | undefined) => Member | undefined,
    random: () => number,
    withheldMs: () => number,
    direct = false,
  ) {
    this.#withheldMs = withheldMs;
    this.#direct = direct;
    this.#choose = choose;
    this.#random = random;
  }

  /** One attempt, at one instance. Rejects with a CallFailed. */
  async once<I extends DescMessage, O extends DescMessage>(
    member: Member,
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    bearer: string,
    timeoutMs = ATTEMPT_MS,
  ): Promise<MessageShape<O>> {
    const names = this.#direct ? STRICT_KINDS : KINDS;
    const name = names[Math.floor(this.#random() * names.length)];
    const kind = callerKinds.find((one) => one.name === name);
    if (!kind) throw new Error(`there is no client ${name}`);
    const key = `${member.name} ${kind.name}`;
    const client = this.#client(key, kind, member);
    client.calls += 1;
    try {
      return await client.caller.unary(method, request, { bearer, timeoutMs });
    } catch (error) {
      const failed = new CallFailed(ConnectError.from(error), ` (${kind.name})`);
      // The others' calls on it go on: who is patient must not fail for who was not.
      if (!failed.isRefusal && this.#open.get(key) === client) this.#open.delete(key);
      throw failed;
    } finally {
      client.calls -= 1;
      if (client.calls === 0 && this.#open.get(key) !== client) client.close();
    }
  }

  /**
   * Tries for `RETRY_MS` with backoff, at one instance after the other, as long as there is no answer. `only`: it is tried
   * again after this code and no other, and an attempt has no deadline of its own that could come before: `RETRY_MS` and what
   * the machine withheld meanwhile are for all attempts together. `attemptMs`: the deadline of each attempt. `onSilence`: an
   * attempt came to no answer, so that it may take effect yet, whatever the next one is told.
   */
  async retrying<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    bearer: string,
    { only, attemptMs = only === undefined ? ATTEMPT_MS : HUNG_MS, onSilence }: RetryOptions = {},
  ): Promise<MessageShape<O>> {
    const [begun, withheld] = [Date.now(), this.#withheldMs()];
    const left = () => begun + RETRY_MS + this.#withheldMs() - withheld - Date.now();
    let last: Member | undefined;
    for (let waitMs = 50; ; waitMs = Math.min(waitMs * 2, 1_000)) {
      last = this.#choose(last);
      try {
        if (last) {
          const answer = await this.once(last, method, request, bearer, attemptMs);
          if (only !== undefined && left() < 0)
            throw new CallFailed(new ConnectError("came late", Code.DeadlineExceeded));
          return answer;
        }
      } catch (error) {
        if (!(error instanceof CallFailed) || error.isRefusal || error.reason === "INTERNAL") throw error;
        onSilence?.();
        if (left() < waitMs || (only !== undefined && error.code !== only)) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs * (0.5 + this.#random())));
    }
  }

  /** One attempt, at some instance. */
  async anywhere<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    bearer: string,
  ): Promise<MessageShape<O>> {
    const member = this.#choose(undefined);
    if (!member) throw new CallFailed(new ConnectError("there is no instance", Code.Unavailable));
    return this.once(member, method, request, bearer);
  }

  close(): void {
    for (const { close } of this.#open.values()) close();
    this.#open.clear();
  }

  #client(key: string, kind: CallerKind, member: Member): Kept {
    const there = this.#open.get(key);
    if (there) return there;
    const closing: (() => unknown)[] = [];
    const { doors, ports } = member;
    const [grpcPort, httpPort] = this.#direct ? [ports.grpc, ports.http] : [doors.grpc.port, doors.http.port];
    const caller = kind.open({ grpcPort, httpPort, onClose: (close) => closing.push(close) });
    const made = {
      caller,
      calls: 0,
      close: () => {
        for (const close of closing) close();
      },
    };
    this.#open.set(key, made);
    return made;
  }
}
