import { constants, type ServerHttp2Stream } from "node:http2";
import { Metadata, type ServerWritableStream, type ServiceError } from "@grpc/grpc-js";
import type { Refusal } from "../domain/refusal.ts";
import { messageOf, statusBytes } from "./failures.ts";
import type { Outlet } from "./watch-call.ts";

/** A refusal as grpc-js ends calls with it. */
export function serviceError(refusal: Refusal, callId: string): Pick<ServiceError, "code" | "details" | "metadata"> {
  const metadata = new Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(statusBytes(refusal, callId)));
  return { code: refusal.code, details: messageOf(refusal), metadata };
}

export interface GrpcOutletParts {
  readonly call: ServerWritableStream<Buffer, Uint8Array>;
  readonly stream: ServerHttp2Stream;
  readonly callId: () => string;
  /** From so many unsent bytes on, `write` says false, until half of them are left. */
  readonly bufferBytes: number;
  /** The stream takes more again. */
  readonly drained: () => void;
}

/** The gRPC door's end of a watch. */
export function grpcOutlet(parts: GrpcOutletParts): Outlet {
  const { call, stream, callId, bufferBytes, drained } = parts;
  let unsent = 0;
  let full = false;
  return {
    codec: "proto",
    begin: () => call.sendMetadata(new Metadata()),
    write(message) {
      const { length } = message;
      unsent += length;
      // grpc-js counts messages, not bytes: sixteen, whatever their size. So the bytes are counted here.
      call.write(message, () => {
        unsent -= length;
        if (full && unsent <= bufferBytes / 2) {
          full = false;
          drained();
        }
      });
      full ||= unsent >= bufferBytes;
      return !full;
    },
    unsentBytes: () => unsent,
    end(refusal) {
      // grpc-js takes a status other than OK as an 'error' event, and sends it after what was written.
      if (refusal === undefined) call.end();
      else call.emit("error", serviceError(refusal, callId()));
    },
    reset: () => stream.close(constants.NGHTTP2_CANCEL),
  };
}
