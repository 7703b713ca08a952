import { CALLER_GONE } from "./active-call.ts";

/** A request as grpc-js keeps it for as long as its stream lives: emptied as soon as its bytes are not needed. */
export class GrpcRequest {
  readonly length: number;
  #bytes: Buffer | undefined;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.length = bytes.length;
  }

  /** Its bytes, once; this keeps them no longer. Throws CALLER_GONE when it has been emptied: an empty request is another one. */
  take(): Buffer {
    const bytes = this.#bytes;
    if (bytes === undefined) throw CALLER_GONE;
    this.#bytes = undefined;
    return bytes;
  }

  /** Nobody needs its bytes any more. */
  empty(): void {
    this.#bytes = undefined;
  }
}

/** The request of a call, of which grpc-js has no other copy from then on. */
export function requestOf(rpc: { readonly request: GrpcRequest }): GrpcRequest {
  // The decoder keeps the pieces of which it has put a message together until the next one begins: here, for good.
  const { decoder } = (rpc as unknown as { call: { decoder: { readPartialMessage: Buffer[] } } }).call;
  decoder.readPartialMessage = [];
  return rpc.request;
}
