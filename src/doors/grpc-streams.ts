import { subscribe, unsubscribe } from "node:diagnostics_channel";
import {
  constants,
  type Http2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { Metadata } from "@grpc/grpc-js";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { type Reason, Refusal } from "../domain/refusal.ts";
import { newCallId } from "./active-call.ts";
import type { Anonymous } from "./anonymous.ts";
import { type Conduct, type Connection, QUICK_RESET_MS } from "./conduct.ts";
import { type Due, DueStreams } from "./due-streams.ts";
import { limitOf, messageOf, pushbackOf, statusBytes } from "./failures.ts";
import { headersTooLarge } from "./header-bytes.ts";
import { ignoreError } from "./http-messages.ts";
import { http2Measures } from "./http2-bounds.ts";
import { unknownEncoding } from "./request-body.ts";
import type { RequestBytes } from "./request-bytes.ts";
import { keepStreamsByNumber } from "./session-streams.ts";

/** What the HTTP/2 layer knows of a gRPC call and grpc-js does not tell. */
export interface GrpcStream {
  readonly stream: ServerHttp2Stream;
  readonly connection: Connection;
  /** The path as the caller sent it. */
  readonly path: string;
  /** The headers authorization and grpc-timeout as the caller sent them. */
  readonly authorization: string | undefined;
  readonly timeout: string | undefined;
  /** How its message may be compressed; undefined: not at all. */
  readonly encoding: "gzip" | undefined;
  /** What is wrong with its headers. */
  readonly refused: Refusal | undefined;
}

/** A stream whose handler has not run yet. */
interface Waiting extends GrpcStream {
  readonly atMs: number;
  /** Whether it has its answer, or is about to. */
  answered: boolean;
  /** Bytes of its request that have come and are counted. */
  bytes: number;
  readonly onData: (chunk: Buffer) => void;
  /** What it has time for at present. */
  due: Due;
  /** Called when the stream is closed. */
  gone: () => void;
  readonly onClosed: () => void;
}

export interface GrpcStreamOptions {
  /** The port of the door: streams of other servers in the process are left alone. */
  readonly port: number;
  /** The paths whose calls the door times and ends itself. */
  readonly ours: ReadonlySet<string>;
  /** The paths that grpc-js serves as it does. */
  readonly plain: ReadonlySet<string>;
  /** Those of them that are streams, of which a connection may have few. */
  readonly streams: ReadonlySet<string>;
  /** Those of them whose streams stay open. */
  readonly lasting: ReadonlySet<string>;
  /** The path to which calls of unknown methods are sent, so that they are refused like any other call. */
  readonly unknownPath: string;
  readonly conduct: Conduct;
  /** What is done for callers of the plain paths. */
  readonly anonymous: Anonymous;
  readonly requestBytes: RequestBytes;
  /** A call was refused past the limit of this name before it came to its handler. */
  limited(limit: string): void;
  /** A call with larger headers is refused. */
  readonly maxHeaderBytes: number;
  /** A call whose request has not arrived whole in this time is reset. */
  readonly requestTimeoutMs: number;
  /** A call whose caller has not taken the answer in this time is reset. */
  readonly answerTimeoutMs: number;
}

/** A call that was refused before its request had come whole is reset when the rest has not come in this time, milliseconds. */
const REST_LINGER_MS = 1_000;
/** What a stream of health or reflection may send in all: a name is a few bytes. */
const MAX_PLAIN_BYTES = 64 * 1024;
const CHANNEL = "http2.server.stream.created";
const ID_HEADER = "leadline-stream";
/** Who sees the streams of a session: not kept in the streams themselves, which one property more makes larger by 0.4 KiB each. */
const owners = new WeakMap<object, GrpcStreams>();

/**
 * Sees each of the door's streams before grpc-js does, through Node's diagnostics channel of HTTP/2 servers. grpc-js reads
 * `grpc-timeout` into 32 bits, so that a long timeout ends the call at once, and ends calls at their deadline with a bare
 * status; it answers unknown methods without details; and it gives handlers no way to reset a stream whose reader has
 * stalled. So the timeout is taken out of its sight, and each call's stream is kept for its handler to take. The other
 * headers that grpc-js has no use for are taken away too: it would copy and check each. What it refuses by itself, before any
 * handler, gets its reason on the way out.
 */
export class GrpcStreams {
  readonly #options: GrpcStreamOptions;
  /** By number, not in a Map: see `session-streams.ts`. */
  readonly #waiting: Record<number, Waiting> = {};
  /** Those whose requests have not arrived whole. */
  readonly #asking: DueStreams;
  /** Those whose answers have not been taken. */
  readonly #answered: DueStreams;
  /** Those that were refused before their requests had arrived whole. */
  readonly #refused = new DueStreams(REST_LINGER_MS);
  #lastId = 0;

  constructor(options: GrpcStreamOptions) {
    this.#options = options;
    this.#asking = new DueStreams(options.requestTimeoutMs);
    this.#answered = new DueStreams(options.answerTimeoutMs);
  }

  start(): void {
    subscribe(CHANNEL, this.#onCreated);
  }

  stop(): void {
    unsubscribe(CHANNEL, this.#onCreated);
    this.#asking.stop();
    this.#answered.stop();
    this.#refused.stop();
  }

  /**
   * The stream of a call, for its handler, once. Undefined: it is closed already. `letGo` must follow.
   * @param gone called when the stream is closed; for a stream that lives long, set a listener of your own: this one keeps
   * what the stream came with
   */
  take(metadata: Metadata, gone?: () => void): GrpcStream | undefined {
    const id = Number(metadata.get(ID_HEADER)[0]);
    const waiting = this.#waiting[id];
    if (waiting === undefined) return undefined;
    const { stream } = waiting;
    delete this.#waiting[id];
    waiting.due.over();
    stream.off("data", waiting.onData);
    if (gone) waiting.gone = gone;
    else stream.off("close", waiting.onClosed);
    return waiting;
  }

  /** Nothing holds the call's request any more: its bytes count no longer. @param call as `take` gave it */
  letGo(call: GrpcStream): void {
    const waiting = call as Waiting;
    this.#options.requestBytes.remove(waiting.connection.network, waiting.bytes);
    waiting.bytes = 0;
  }

  /** The call's answer of so many bytes is about to be written. @param call as `take` gave it, with a `gone` */
  answered(call: GrpcStream, bytes: number): void {
    const { connection, stream } = call;
    connection.sending(bytes);
    const waiting = call as Waiting;
    waiting.due = this.#answered.add(stream);
    waiting.answered = true;
    // What is told when the stream is closed has no more to tell.
    waiting.gone = () => {
      waiting.due.over();
      connection.sent(bytes);
    };
  }

  /** grpc-js has refused it by itself, before its handler ran. */
  refusedEarly(stream: ServerHttp2Stream, refusal: Refusal): void {
    const { session } = stream;
    const limit = limitOf(refusal);
    if (limit !== undefined) this.#options.limited(limit);
    if (session === undefined) return;
    // It needs no more of its time: the peer has been told, and hardly anybody ends a request that was refused.
    this.#asking.of(stream)?.over();
    const due = this.#refused.add(stream);
    stream.on("close", () => due.over());
    this.#options.conduct.known(session)?.refused();
  }

  /** The stream's connection; undefined: it is another server's. Asking a session for its socket is dear: done once for each. */
  #connectionOf(session: Http2Session): Connection | undefined {
    const { conduct, port } = this.#options;
    const known = conduct.known(session);
    if (known !== undefined) return known;
    const { localPort, remoteAddress = "" } = session.socket;
    if (localPort !== port) return undefined;
    keepStreamsByNumber(session);
    return conduct.introduce(session, remoteAddress, () => http2Measures(session, ignoreError));
  }

  readonly #onCreated = (message: unknown): void => {
    const { stream, headers } = message as { stream: ServerHttp2Stream; headers: IncomingHttpHeaders };
    const { session } = stream;
    const connection = session && this.#connectionOf(session);
    if (session === undefined || connection === undefined) return;
    const path = headers[":path"] ?? "";
    const { anonymous, lasting, maxHeaderBytes, plain, requestBytes, streams } = this.#options;
    let refused: Refusal | undefined;
    if (plain.has(path)) {
      refused = streams.has(path) ? anonymous.stream(connection, stream) : anonymous.call(connection.network);
      if (refused === undefined) {
        this.#servePlainly(stream, lasting.has(path));
        return;
      }
    }
    const { authorization, "grpc-timeout": timeout, "grpc-encoding": encoding } = headers;
    refused ??=
      headersTooLarge(headers, maxHeaderBytes) ?? (encoding === "deflate" ? unknownEncoding(encoding) : undefined);
    // grpc-js would unpack before anybody has asked who calls.
    if (encoding === "gzip" || encoding === "deflate") delete headers["grpc-encoding"];
    for (const name of Object.keys(headers)) if (!isForGrpcJs(name)) delete headers[name];
    if (!this.#options.ours.has(path)) headers[":path"] = this.#options.unknownPath;
    const id = ++this.#lastId;
    headers[ID_HEADER] = String(id);
    stream.respond = respondWithReason;
    owners.set(session, this);
    const waiting: Waiting = {
      stream,
      connection,
      atMs: performance.now(),
      answered: false,
      path,
      authorization,
      timeout: timeout === undefined ? undefined : String(timeout),
      encoding: encoding === "gzip" ? encoding : undefined,
      refused,
      bytes: 0,
      onData: (chunk) => {
        const tooMany = requestBytes.add(connection.network, chunk.length);
        if (tooMany === undefined) waiting.bytes += chunk.length;
        else this.#refuse(waiting, tooMany);
      },
      due: this.#asking.add(stream),
      gone: () => {
        delete this.#waiting[id];
        waiting.due.over();
        this.letGo(waiting);
      },
      onClosed: () => {
        waiting.gone();
        const { answered, atMs } = waiting;
        if (answered || stream.rstCode === constants.NGHTTP2_NO_ERROR || session.destroyed) return;
        if (performance.now() - atMs < QUICK_RESET_MS) connection.refused();
      },
    };
    this.#waiting[id] = waiting;
    stream.on("close", waiting.onClosed);
    // It is read when grpc-js asks for it, and not because we listen.
    stream.pause().on("data", waiting.onData);
  };

  #servePlainly(stream: ServerHttp2Stream, lasts: boolean): void {
    stream.respond = respondWithReason;
    stream.sendTrailers = sendTrailersWithReason;
    let bytes = 0;
    stream.pause().on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > MAX_PLAIN_BYTES) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
    if (lasts) return;
    const due = this.#asking.add(stream);
    stream.on("close", () => due.over());
  }

  /** Refuses a call whose request is still coming, and lets go of what has come. */
  #refuse({ connection, onData, stream }: Waiting, refusal: Refusal): void {
    stream.off("data", onData);
    const limit = limitOf(refusal);
    if (limit !== undefined) this.#options.limited(limit);
    connection.refused();
    if (stream.closed || stream.headersSent) return;
    const details = Buffer.from(statusBytes(refusal, newCallId())).toString("base64");
    stream.respond(
      {
        ...{ ":status": 200, "content-type": "application/grpc+proto" },
        ...{ "grpc-status": refusal.code, "grpc-message": encodeURI(messageOf(refusal)), [DETAILS]: details },
        ...pushbackOf(refusal),
      },
      { endStream: true },
    );
    stream.close(constants.NGHTTP2_NO_ERROR);
  }
}

/** What grpc-js reads of a request's headers; the pseudo-headers it does not copy. */
function isForGrpcJs(name: string): boolean {
  return name.startsWith(":") || name === "content-type" || name === "grpc-encoding" || name === "host";
}

const DETAILS = "grpc-status-details-bin";

/** Answers as the stream would; an error that has no details yet gets them. */
function respondWithReason(this: ServerHttp2Stream, headers?: unknown, options?: unknown): void {
  const refusal = isHeaders(headers) ? earlyRefusal(headers) : undefined;
  const answer = isHeaders(headers) && refusal ? withReason(headers, refusal) : headers;
  if (refusal && this.session !== undefined) owners.get(this.session)?.refusedEarly(this, refusal);
  const { respond } = Object.getPrototypeOf(this) as ServerHttp2Stream;
  Reflect.apply(respond, this, [answer, options]);
}

/** The same of an error after an answer has begun. */
function sendTrailersWithReason(this: ServerHttp2Stream, trailers: OutgoingHttpHeaders): void {
  const { sendTrailers } = Object.getPrototypeOf(this) as ServerHttp2Stream;
  const refusal = earlyRefusal(trailers);
  Reflect.apply(sendTrailers, this, [refusal ? withReason(trailers, refusal) : trailers]);
}

function isHeaders(headers: unknown): headers is OutgoingHttpHeaders {
  return typeof headers === "object" && headers !== null && !Array.isArray(headers);
}

/** What grpc-js refuses before it asks a handler: a message over the bound, or one that cannot be unpacked. */
function earlyRefusal(headers: OutgoingHttpHeaders): Refusal | undefined {
  const status = Number(headers["grpc-status"] ?? 0);
  if (status === 0 || headers[DETAILS] !== undefined) return undefined;
  const message = decodeURI(String(headers["grpc-message"] ?? ""));
  const reason = status === 13 && !UNREADABLE.test(message) ? undefined : REASONS.get(status);
  if (reason === undefined) return undefined;
  const [, used = "", allowed = ""] = TOO_LARGE.exec(message) ?? [];
  const metadata = allowed === "" ? {} : { limit: "message_bytes", allowed, used };
  return new Refusal(reason, message, { metadata });
}

/** The same with its reason. What cannot be read is the caller's fault; grpc-js calls it INTERNAL. */
function withReason(headers: OutgoingHttpHeaders, refusal: Refusal): OutgoingHttpHeaders {
  const details = Buffer.from(statusBytes(refusal, newCallId())).toString("base64");
  return { ...headers, "grpc-status": refusal.code, ...pushbackOf(refusal), [DETAILS]: details };
}

/** How grpc-js tells of a request that is larger than is taken. */
const TOO_LARGE = /larger than max \((\d+) vs (\d+)\)/;

/** How grpc-js tells of a request that it cannot read; nothing else of its INTERNAL is the caller's fault. */
const UNREADABLE = /^(?:Error deserializing request|Failed to decompress message|Invalid grpc-timeout value)/;

/** By gRPC status code: RESOURCE_EXHAUSTED, UNIMPLEMENTED (an unknown compression) and INTERNAL (a broken message). */
const REASONS = new Map<number, Reason>([
  [8, ErrorReason.MESSAGE_TOO_LARGE],
  [12, ErrorReason.MESSAGE_MALFORMED],
  [13, ErrorReason.MESSAGE_MALFORMED],
]);
