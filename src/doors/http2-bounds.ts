import { constants, type Http2Session, type ServerHttp2Stream, type ServerOptions } from "node:http2";
import type { Measures } from "./conduct.ts";
import { ignoreError } from "./http-messages.ts";
import type { DoorBounds } from "./options.ts";

type Bounds = Pick<
  DoorBounds,
  "maxConcurrentStreams" | "maxHeaderBytes" | "sessionMemoryMb" | "resetBurst" | "resetsPerSecond"
>;

/**
 * A client that is told of a bound on headers refuses by itself, with no reason and no name of the limit. So it is told of more
 * than is taken: up to here the door answers, past it the stream is reset with ENHANCE_YOUR_CALM.
 */
const ANNOUNCED_HEADER_BOUNDS = 4;

/**
 * What can be done about the peer of an HTTP/2 connection. It is sent away with ENHANCE_YOUR_CALM; while it has work it is told
 * to go elsewhere, and what it opens nevertheless is ignored below us: a client that is told of an error gives up its calls.
 *
 * @param dropped told of each stream that was deferred and has been reset meanwhile; nothing else is told of it
 */
export function http2Measures(session: Http2Session, dropped: () => void): Measures {
  return {
    defer: () => deferStreams(session, dropped),
    sendAway(hasWork) {
      if (session.destroyed) return;
      if (hasWork) {
        session.close();
        return;
      }
      // `destroy` tells of a code only with an error, which somebody would have to listen for.
      session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      session.destroy();
    },
  };
}

/**
 * Node tells of a stream before it has read the rest of what came with it, so a reset that follows at once is seen when all
 * the work of the call has begun. In the next turn of the event loop it has been seen.
 */
function deferStreams(session: Http2Session, dropped: () => void): void {
  const emit: (event: string | symbol, ...rest: unknown[]) => boolean = session.emit.bind(session);
  session.emit = (event: string | symbol, ...rest: unknown[]): boolean => {
    if (event !== "stream") return emit(event, ...rest);
    const [stream] = rest as [ServerHttp2Stream];
    stream.on("error", ignoreError);
    setImmediate(() => {
      if (!stream.closed) {
        emit(event, ...rest);
        // Of a request without a body the end has been told already, to nobody.
        if (stream.readableEnded) stream.emit("end");
      } else if (!session.destroyed) dropped();
    });
    return true;
  };
}

/**
 * What Node's HTTP/2 holds a connection to. Node's own default of 10 MB for a connection is less than its streams may have
 * unsent. The rest that Node bounds by itself is as it is: frames that are no frames, acknowledgements that wait, the frames of
 * one header block.
 */
export function http2Bounds(bounds: Bounds): ServerOptions {
  return {
    maxSessionMemory: bounds.sessionMemoryMb,
    streamResetBurst: bounds.resetBurst,
    streamResetRate: bounds.resetsPerSecond,
    settings: {
      maxConcurrentStreams: bounds.maxConcurrentStreams,
      maxHeaderListSize: ANNOUNCED_HEADER_BOUNDS * bounds.maxHeaderBytes,
    },
  };
}
