import { constants, type ServerHttp2Stream } from "node:http2";
import { Metadata, type ServerWritableStream, type ServiceError } from "@grpc/grpc-js";
import type { Refusal } from "../domain/refusal.ts";
import type { ActiveCall } from "./active-call.ts";
import { ENVELOPE_HEAD_BYTES, writeMessage } from "./envelopes.ts";
import { messageOf, pushbackOf, statusBytes } from "./failures.ts";
import type { Outlet, Taker } from "./watch-call.ts";

/** A refusal as grpc-js ends calls with it. */
export function serviceError(refusal: Refusal, callId: string): Pick<ServiceError, "code" | "details" | "metadata"> {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(statusBytes(refusal, callId)));
  for (const [name, value] of Object.entries(pushbackOf(refusal))) metadata.set(name, value);
  return { code: refusal.code, details: messageOf(refusal), metadata };
}

export interface GrpcOutletParts {
  readonly rpc: ServerWritableStream<unknown, Uint8Array>;
  readonly stream: ServerHttp2Stream;
  readonly call: ActiveCall;
  /** From so many unsent bytes on, `write` says false, until half of them are left. */
  readonly bufferBytes: number;
}

/**
 * The gRPC door's end of a watch. grpc-js begins and ends the call; the messages in between go past it, straight into the
 * HTTP/2 stream: it would copy each for each watcher and keep a second queue of messages that are counted and not measured.
 * A class, and not functions over shared variables, because there is one for each idle watch.
 */
export class GrpcOutlet implements Outlet {
  readonly codec = "proto";
  readonly #rpc: ServerWritableStream<unknown, Uint8Array>;
  readonly #stream: ServerHttp2Stream;
  readonly #call: ActiveCall;
  readonly #bufferBytes: number;
  #taker: Taker | undefined;
  #full = false;

  constructor({ rpc, stream, call, bufferBytes }: GrpcOutletParts) {
    this.#rpc = rpc;
    this.#stream = stream;
    this.#call = call;
    this.#bufferBytes = bufferBytes;
  }

  begin(taker: Taker): void {
    this.#taker = taker;
    this.#rpc.sendMetadata(NO_METADATA);
  }

  write(message: Uint8Array, isLast: boolean): boolean {
    const stream = this.#stream;
    // It was reset and its 'close' is on the way: nothing takes the message, and nobody needs more.
    if (stream.closed) return false;
    const unsent = stream.writableLength + ENVELOPE_HEAD_BYTES + message.length;
    // Only what may have to tell that half is left is asked when it is sent.
    if (unsent <= this.#bufferBytes / 2) writeMessage(stream, message, isLast);
    else writeMessage(stream, message, isLast, () => this.#sent());
    this.#full ||= unsent >= this.#bufferBytes;
    return !this.#full;
  }

  unsentBytes(): number {
    return this.#stream.writableLength;
  }

  end(refusal: Refusal | undefined): void {
    // grpc-js takes a status other than OK as an 'error' event, and sends it after what was written.
    if (refusal === undefined) this.#rpc.end();
    else this.#rpc.emit("error", serviceError(refusal, this.#call.callId));
  }

  reset(): void {
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #sent(): void {
    if (!this.#full || this.#stream.writableLength > this.#bufferBytes / 2) return;
    this.#full = false;
    this.#taker?.drained();
  }
}

const NO_METADATA = new Metadata();
