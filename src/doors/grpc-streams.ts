import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Metadata } from "@grpc/grpc-js";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { type Reason, Refusal } from "../domain/refusal.ts";
import { newCallId } from "./active-call.ts";
import { statusBytes } from "./failures.ts";

/** What the HTTP/2 layer knows of a gRPC call and grpc-js does not tell. */
export interface GrpcStream {
  readonly stream: ServerHttp2Stream;
  /** The path as the caller sent it. */
  readonly path: string;
  /** The header grpc-timeout as the caller sent it. */
  readonly timeout: string | undefined;
}

/** A stream whose handler has not run yet. */
interface Waiting extends GrpcStream {
  /** When it is given up, milliseconds of `performance.now`. */
  readonly untilMs: number;
  readonly onClosed: () => void;
}

export interface GrpcStreamOptions {
  /** The port of the door: streams of other servers in the process are left alone. */
  readonly port: number;
  /** The paths whose calls the door times and ends itself. */
  readonly ours: ReadonlySet<string>;
  /** The paths that grpc-js serves as it does. */
  readonly plain: ReadonlySet<string>;
  /** The path to which calls of unknown methods are sent, so that they are refused like any other call. */
  readonly unknownPath: string;
  /** A call whose request has not arrived whole in this time is reset. */
  readonly requestTimeoutMs: number;
}

const CHANNEL = "http2.server.stream.created";
const ID_HEADER = "leadline-stream";

/**
 * Sees each of the door's streams before grpc-js does, through Node's diagnostics channel of HTTP/2 servers. grpc-js reads
 * `grpc-timeout` into 32 bits, so that a long timeout ends the call at once, and ends calls at their deadline with a bare
 * status; it answers unknown methods without details; and it gives handlers no way to reset a stream whose reader has
 * stalled. So the timeout is taken out of its sight, and each call's stream is kept for its handler to take. What it refuses
 * by itself, before any handler, gets its reason on the way out.
 */
export class GrpcStreams {
  readonly #options: GrpcStreamOptions;
  readonly #waiting = new Map<string, Waiting>();
  #lastId = 0;
  /** For the stream that waits longest: the others are due later. One timer, because there is a stream for each call. */
  #timer: NodeJS.Timeout | undefined;

  constructor(options: GrpcStreamOptions) {
    this.#options = options;
  }

  start(): void {
    subscribe(CHANNEL, this.#onCreated);
  }

  stop(): void {
    unsubscribe(CHANNEL, this.#onCreated);
    clearTimeout(this.#timer);
  }

  /** The stream of a call, for its handler, once. Undefined: it is closed already. */
  take(metadata: Metadata): GrpcStream | undefined {
    const id = String(metadata.get(ID_HEADER)[0]);
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return undefined;
    this.#forget(id, waiting);
    metadata.remove(ID_HEADER);
    const { stream, path, timeout } = waiting;
    return { stream, path, timeout };
  }

  readonly #onCreated = (message: unknown): void => {
    const { stream, headers } = message as { stream: ServerHttp2Stream; headers: IncomingHttpHeaders };
    if (stream.session?.socket.localPort !== this.#options.port) return;
    const path = headers[":path"] ?? "";
    if (this.#options.plain.has(path)) return;
    const timeout = headers["grpc-timeout"];
    delete headers["grpc-timeout"];
    if (!this.#options.ours.has(path)) headers[":path"] = this.#options.unknownPath;
    const id = String(++this.#lastId);
    headers[ID_HEADER] = id;
    stream.respond = respondWithReason;
    const waiting: Waiting = {
      stream,
      path,
      timeout: timeout === undefined ? undefined : String(timeout),
      untilMs: performance.now() + this.#options.requestTimeoutMs,
      onClosed: () => this.#forget(id, waiting),
    };
    this.#waiting.set(id, waiting);
    stream.on("close", waiting.onClosed);
    this.#timer ??= setTimeout(this.#giveUp, this.#options.requestTimeoutMs);
  };

  /** Resets the streams whose time is up. They are forgotten when they are closed. */
  readonly #giveUp = (): void => {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const { stream, untilMs } of this.#waiting.values()) {
      if (untilMs > nowMs) {
        this.#timer = setTimeout(this.#giveUp, Math.ceil(untilMs - nowMs));
        return;
      }
      stream.close(constants.NGHTTP2_CANCEL);
    }
  };

  /** Leaves nothing behind on the stream: a watch may keep it open for an hour. */
  #forget(id: string, { stream, onClosed }: Waiting): void {
    stream.off("close", onClosed);
    this.#waiting.delete(id);
  }
}

const DETAILS = "grpc-status-details-bin";

/** Answers as the stream would; an error that has no details yet gets them. */
function respondWithReason(this: ServerHttp2Stream, headers?: unknown, options?: unknown): void {
  const answer = isHeaders(headers) ? withReason(headers) : headers;
  const { respond } = Object.getPrototypeOf(this) as ServerHttp2Stream;
  Reflect.apply(respond, this, [answer, options]);
}

function isHeaders(headers: unknown): headers is OutgoingHttpHeaders {
  return typeof headers === "object" && headers !== null && !Array.isArray(headers);
}

/** What grpc-js refuses before it asks a handler: a message over the bound, or one that cannot be unpacked. */
function withReason(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const status = Number(headers["grpc-status"] ?? 0);
  if (status === 0 || headers[DETAILS] !== undefined) return headers;
  const message = decodeURI(String(headers["grpc-message"] ?? ""));
  const reason = REASONS.get(status);
  if (reason === undefined) return headers;
  const bytes = statusBytes(new Refusal(reason, message), newCallId());
  return { ...headers, [DETAILS]: Buffer.from(bytes).toString("base64") };
}

/** By gRPC status code: RESOURCE_EXHAUSTED, UNIMPLEMENTED (an unknown compression) and INTERNAL (a broken message). */
const REASONS = new Map<number, Reason>([
  [8, ErrorReason.MESSAGE_TOO_LARGE],
  [12, ErrorReason.MESSAGE_MALFORMED],
  [13, ErrorReason.MESSAGE_MALFORMED],
]);
