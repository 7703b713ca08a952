import type { DescMethod, Message } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Claims } from "../domain/deficit-round-robin.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Call, ServiceEntry } from "../service/call.ts";
import { checkRequest } from "../service/validation.ts";
import type { Codec, Sink, Subscription, WatchSpec } from "../watch/spec.ts";
import { type ActiveCall, CALLER_GONE, deadlinePassed } from "./active-call.ts";
import { Admission } from "./admission.ts";
import { encodeReply } from "./codec.ts";
import { codeName, limitOf, refusalOf } from "./failures.ts";
import type { DoorMetrics } from "./metrics.ts";
import { type Route, routesOf } from "./routes.ts";

/**
 * Who calls: the text after `Bearer`, and the caller's address without its port. Answers at once when it is known already.
 * Throws a Refusal CREDENTIAL_*.
 */
export type Authenticate = (bearer: string | undefined, peer: string) => Principal | Promise<Principal>;

/**
 * Whether the principal may call the method with this request. Throws a Refusal ROLE_FORBIDS. A promise: what has to be
 * written down of the call before anything of it is done.
 */
export type Authorise = (call: Call, method: DescMethod, request: Message) => Promise<void> | undefined;

/** What the caller's tenant has bought. */
export interface Entitlements {
  /** Whether the tenant may call this now. Throws a Refusal TIER_EXCLUDES, TENANT_SUSPENDED or TENANT_CLOSED. */
  check(principal: Principal, method: DescMethod, request: Message): void;
  /** Whether the tenant may watch this now. Throws a Refusal TIER_EXCLUDES or TENANT_CLOSED. */
  checkWatch(spec: WatchSpec): void;
}

/** What each caller may use of this instance. */
export interface Limits {
  /** Counts a call from this address. Throws a Refusal RATE_LIMITED that says when to come back. */
  call(principal: Principal, peer: string): void;
  /** Takes a place for a watch; the result gives it back. Throws a Refusal RATE_LIMITED. */
  watch(principal: Principal, opening: { readonly peer: string; readonly resumes: boolean }): () => void;
  /** How many rows the snapshot of a watch may have. */
  snapshotRows(principal: Principal): number;
  /** The refusal of a watch past one of these limits, with what helps the caller. */
  explained(principal: Principal, refusal: Refusal): Refusal;
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
  readonly entitlements: Entitlements;
  readonly limits: Limits;
  readonly openWatch: OpenWatch;
  readonly metrics: DoorMetrics;
  readonly log: Logger;
  /** What each tenant may claim when many large requests come at once. Default: all the same. */
  readonly claims?: Claims;
}

/**
 * Reads and decodes the request. It is called after the caller is known, so that nobody else makes us read. Throws a Refusal
 * MESSAGE_TOO_LARGE, before it is decoded, when the request has more than so many bytes, packed or unpacked; the door may have
 * a smaller bound.
 */
export type ReadRequest = (maxBytes: number) => Message | Promise<Message>;

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

/** A read that has taken longer is admitted again before it is answered. */
const LONG_MS = 1_000;

/** Whose request took longer to come is authenticated again: from memory, unless the credential has ended. */
const SLOW_MS = 100;

/** What a watch asks for when it resumes: a position and a filter. More is refused past the rate of calls without being read. */
const RESUME_MAX_BYTES = 64 * 1024;

/**
 * The pipeline: authenticate, count, admit, read, authorise, look at what the tenant has bought, validate, run. Each step
 * refuses before the next one costs anything.
 */
export function createPipeline(parts: PipelineParts): Pipeline {
  const { authenticate, authorise, entitlements, limits, log, metrics, openWatch, services } = parts;
  const admission = new Admission(parts.claims);
  let draining = false;

  /** @param forgive takes what is wrong with the rate of calls; only what is asked for says whether it matters */
  async function admit(call: ActiveCall, read: ReadRequest, forgive?: (over: unknown) => void): Promise<Message> {
    const { bearer, bytes = 0, connection, peer, refused } = call.arrival;
    const start = connection.enter();
    if (start !== undefined) {
      await start;
      if (call.aborted) throw CALLER_GONE;
    }
    if (refused) throw refused;
    const known = authenticate(bearer, peer);
    const principal = known instanceof Promise ? await known : known;
    call.authenticated(principal);
    let over: unknown;
    try {
      limits.call(principal, peer);
    } catch (refusal) {
      if (forgive === undefined || bytes > RESUME_MAX_BYTES) throw refusal;
      over = refusal;
      forgive(refusal);
    }
    if (principal.kind !== "service-owner") {
      const turn = admission.enter(principal.tenant, bytes);
      if (turn !== undefined) {
        await turn;
        if (call.aborted) throw CALLER_GONE;
      }
    }
    const message = over === undefined ? read(Infinity) : readResume(read, over);
    const request = message instanceof Promise ? await message : message;
    // A request may drip in for as long as its caller likes, and a credential that is revoked meanwhile does nothing any more.
    if (Date.now() - call.startedMs >= SLOW_MS) call.authenticated(await authenticate(bearer, peer));
    const noted = authorise(call, call.route.method, request);
    entitlements.check(principal, call.route.method, request);
    checkRequest(call.route.method.input, request);
    if (noted !== undefined) await noted;
    return request;
  }

  /** A call that waits reads when its time has come: who lost the right to it meanwhile is refused. */
  async function admitAgain(call: ActiveCall, request: Message): Promise<void> {
    const { route, arrival } = call;
    if (route.method.idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS) return;
    const principal = await authenticate(arrival.bearer, arrival.peer);
    entitlements.check(principal, route.method, request);
  }

  async function answer(call: ActiveCall, read: ReadRequest, codec: Codec): Promise<Uint8Array> {
    const { route } = call;
    try {
      const request = await admit(call, read);
      if (route.kind !== "unary") throw new Error(`${route.path} is not unary`);
      const result = await route.run(request, call);
      if (Date.now() - call.startedMs >= LONG_MS) await admitAgain(call, request);
      const reply = encodeReply(route.method.output, result, codec);
      call.arrival.connection.ended(undefined);
      return reply;
    } catch (error) {
      throw refused(call, error);
    }
  }

  async function plan(call: ActiveCall, read: ReadRequest): Promise<WatchSpec> {
    const { route } = call;
    if (draining) throw new Refusal(ErrorReason.DRAINING, "the instance is stopping: watch on another one");
    let over: unknown;
    try {
      const request = await admit(call, read, (refusal) => {
        over = refusal;
      });
      if (route.kind !== "watch") throw new Error(`${route.path} is not a watch`);
      const spec = await route.run(request, call);
      // A storm of other calls must not lock out who continues a watch; how many may is bounded where it is opened.
      if (over !== undefined && spec.start.from !== "position") throw over;
      entitlements.checkWatch(spec);
      call.arrival.connection.ended(undefined);
      return spec;
    } catch (error) {
      throw refused(call, error);
    }
  }

  function refused(call: ActiveCall, error: unknown): Refusal {
    const refusal = refusalOf(error, call, log);
    // Those who have lost their watches come back at once, and a little too fast: that is no misconduct of their address.
    call.arrival.connection.ended(refusal, call.route.kind === "watch");
    return refusal;
  }

  function count(call: ActiveCall, refusal: Refusal | undefined): void {
    metrics.called(call.route.path, call.arrival.door, codeName(refusal), Date.now() - call.startedMs);
    const limit = limitOf(refusal);
    if (limit !== undefined) metrics.limited(limit);
  }

  return {
    routes: routesOf(services),
    openWatch,
    limits,
    metrics,
    log,
    async unary(call, read, codec) {
      try {
        const work = answer(call, read, codec);
        const { timeoutMs } = call.arrival;
        const bytes = await (timeoutMs === undefined ? work : withDeadline(call, timeoutMs, work));
        count(call, undefined);
        return bytes;
      } catch (refusal) {
        if (refusal instanceof Refusal) count(call, refusal);
        throw refusal;
      }
    },
    watch: plan,
    drain() {
      draining = true;
    },
  };
}

/** Reads what is little enough to be a resume. @param over thrown for what is more */
async function readResume(read: ReadRequest, over: unknown): Promise<Message> {
  try {
    return await read(RESUME_MAX_BYTES);
  } catch (error) {
    throw error instanceof Refusal && error.reason === ErrorReason.MESSAGE_TOO_LARGE ? over : error;
  }
}

/** Lets the work take as long as the caller waits; what it does afterwards has nobody to answer to. */
function withDeadline<T>(call: ActiveCall, timeoutMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      call.abort();
      reject(deadlinePassed(call));
    }, timeoutMs);
    work.finally(() => clearTimeout(timer)).then(resolve, reject);
  });
}
