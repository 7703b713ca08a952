import type {
  DescMessage,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Principal } from "../domain/principal.ts";
import type { WatchSpec } from "../watch/spec.ts";

/** One call, as every service function sees it. */
export interface Call {
  readonly principal: Principal;
  /** Aborts when the caller goes away or its deadline passes. Made only when it is asked for. */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch; undefined: none. */
  readonly deadlineMs: number | undefined;
  /** The caller's address, without its port; absent: the call did not come through a door. */
  readonly address?: string;
  /** Names the call in the log and in errors. Not the idempotency key, which is the request's own `request_id`. */
  readonly callId: string;
}

/** A response that is encoded already: stored bytes that need no decoding on their way out. */
export class EncodedReply {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

export type Reply<O extends DescMessage> = MessageShape<O> | EncodedReply;

/** The functions of one service, by the descriptor's local method names. A watch answers with what is to be watched. */
export type Implementation<S extends DescService> = {
  [M in keyof S["method"]]: S["method"][M] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => Promise<Reply<O>>
    : S["method"][M] extends DescMethodServerStreaming<infer I, DescMessage>
      ? (request: MessageShape<I>, call: Call) => Promise<WatchSpec>
      : never;
};

/** One service with its functions, as the doors take them. */
export interface ServiceEntry<S extends DescService = DescService> {
  readonly service: S;
  readonly implementation: Implementation<S>;
}
