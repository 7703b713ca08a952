import type { DescMethod, Message } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import type { ServiceEntry } from "../service/call.ts";
import { checkRequest } from "../service/validation.ts";
import type { Codec, Sink, Subscription, WatchSpec } from "../watch/spec.ts";
import { type ActiveCall, deadlinePassed } from "./active-call.ts";
import { encodeReply } from "./codec.ts";
import { codeName, refusalOf } from "./failures.ts";
import type { DoorMetrics } from "./metrics.ts";
import { type Route, routesOf } from "./routes.ts";

/**
 * Who calls: the text after `Bearer`, and the caller's address without its port. Answers at once when it is known already.
 * Throws a Refusal CREDENTIAL_*.
 */
export type Authenticate = (bearer: string | undefined, peer: string) => Principal | Promise<Principal>;

/** Whether the principal may call the method with this request. Throws a Refusal ROLE_FORBIDS. */
export type Authorise = (principal: Principal, method: DescMethod, request: Message) => void;

/** What each caller may use of this instance. */
export interface Limits {
  /** Counts a call. Throws a Refusal RATE_LIMITED that says when to come back. */
  call(principal: Principal): void | Promise<void>;
  /** Takes a place for a watch; the result gives it back. Throws a Refusal RATE_LIMITED. */
  watch(principal: Principal): () => void;
}

/**
 * Opens a watch. `endsAtMs`: the hub ends it with a bookmark and END_REASON_DEADLINE at this time, milliseconds since the
 * epoch; a door ends a watch that has not ended shortly after, without a bookmark.
 */
export type OpenWatch = (spec: WatchSpec, sink: Sink, endsAtMs: number | undefined) => Subscription;

/** What the pipeline is made of. */
export interface PipelineParts {
  readonly services: readonly ServiceEntry[];
  readonly authenticate: Authenticate;
  readonly authorise: Authorise;
  readonly limits: Limits;
  readonly openWatch: OpenWatch;
  readonly metrics: DoorMetrics;
  readonly log: Logger;
}

/** Reads and decodes the request. It is called after the caller is known, so that nobody else makes us read. */
export type ReadRequest = () => Message | Promise<Message>;

/** The way of every call, whichever door it came through. */
export interface Pipeline {
  /** The RPCs by their paths. */
  readonly routes: ReadonlyMap<string, Route>;
  readonly openWatch: OpenWatch;
  readonly limits: Limits;
  readonly metrics: DoorMetrics;
  readonly log: Logger;
  /** Answers a unary call with the encoded response. Rejects with a Refusal and nothing else. */
  unary(call: ActiveCall, read: ReadRequest, codec: Codec): Promise<Uint8Array>;
  /** Answers what is to be watched. Rejects with a Refusal and nothing else. */
  watch(call: ActiveCall, read: ReadRequest): Promise<WatchSpec>;
  /** Refuses new watches from now on: the instance is stopping. */
  drain(): void;
}

/**
 * The pipeline: authenticate, count, read, authorise, validate, run. Each step refuses before the next one costs anything.
 */
export function createPipeline(parts: PipelineParts): Pipeline {
  const { authenticate, authorise, limits, log, metrics, openWatch, services } = parts;
  let draining = false;

  async function admit(call: ActiveCall, read: ReadRequest): Promise<Message> {
    const { bearer, peer, refused } = call.arrival;
    if (refused) throw refused;
    const known = authenticate(bearer, peer);
    const principal = known instanceof Promise ? await known : known;
    call.authenticated(principal);
    const counted = limits.call(principal);
    if (counted !== undefined) await counted;
    const request = await read();
    authorise(principal, call.route.method, request);
    checkRequest(call.route.method.input, request);
    return request;
  }

  async function refusing<T>(call: ActiveCall, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw refusalOf(error, call, log);
    }
  }

  async function answer(call: ActiveCall, read: ReadRequest, codec: Codec): Promise<Uint8Array> {
    const { route } = call;
    const request = await admit(call, read);
    if (route.kind !== "unary") throw new Error(`${route.path} is not unary`);
    return encodeReply(route.method.output, await route.run(request, call), codec);
  }

  async function plan(call: ActiveCall, read: ReadRequest): Promise<WatchSpec> {
    const { route } = call;
    if (draining) throw new Refusal(ErrorReason.DRAINING, "the instance is stopping: watch on another one");
    const request = await admit(call, read);
    if (route.kind !== "watch") throw new Error(`${route.path} is not a watch`);
    return await route.run(request, call);
  }

  function count(call: ActiveCall, refusal: Refusal | undefined): void {
    metrics.called(call.route.path, call.arrival.door, codeName(refusal), Date.now() - call.startedMs);
  }

  return {
    routes: routesOf(services),
    openWatch,
    limits,
    metrics,
    log,
    async unary(call, read, codec) {
      try {
        const bytes = await withDeadline(call, () => refusing(call, () => answer(call, read, codec)));
        count(call, undefined);
        return bytes;
      } catch (refusal) {
        if (refusal instanceof Refusal) count(call, refusal);
        throw refusal;
      }
    },
    watch: (call, read) => refusing(call, () => plan(call, read)),
    drain() {
      draining = true;
    },
  };
}

/** Lets the work take as long as the caller waits; what it does afterwards has nobody to answer to. */
function withDeadline<T>(call: ActiveCall, work: () => Promise<T>): Promise<T> {
  const { timeoutMs } = call.arrival;
  if (timeoutMs === undefined) return work();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      call.abort();
      reject(deadlinePassed(call));
    }, timeoutMs);
    work()
      .finally(() => clearTimeout(timer))
      .then(resolve, reject);
  });
}
