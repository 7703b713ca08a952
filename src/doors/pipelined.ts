import type { Socket } from "node:net";
import type { Refusal } from "../domain/refusal.ts";
import type { HttpRequest, HttpResponse } from "./http-messages.ts";
import { HeldRequest, type RequestBytes } from "./request-bytes.ts";

/** What a request that waits is counted with: its objects and its headers, and of its body as much as Node reads ahead. */
const HEAD_BYTES = 16 * 1024;
const AHEAD_BYTES = 64 * 1024;

/**
 * Requests over HTTP/1.1 that came while an answer before theirs was under way. None begins before the connection is its own:
 * Node tells a response of its end only from then on (not when the peer sends CONNECT meanwhile), so one that had begun could
 * keep what it holds for good. Who waits has its headers, and what of its body Node has read, which are counted.
 */
export class Pipelined {
  readonly #requestBytes: RequestBytes;
  readonly #waiting = new WeakMap<Socket, Set<HeldRequest>>();

  constructor(requestBytes: RequestBytes) {
    this.#requestBytes = requestBytes;
  }

  /**
   * Calls `begin` when the connection is the response's, and never when it ends before. The result says why the request may not
   * wait. @param network see `networkOf`
   */
  wait(req: HttpRequest, res: HttpResponse, network: string, begin: () => void): Refusal | undefined {
    const { socket } = req;
    const held = new HeldRequest(this.#requestBytes, network);
    const refusal = held.add(HEAD_BYTES + aheadBytes(req));
    if (refusal !== undefined) return refusal;
    const all = this.#waitingOn(socket);
    all.add(held);
    res.once("socket", () => {
      all.delete(held);
      held.release();
      // Node is still about to flush what the response has, and would finish twice one that is whole by then.
      process.nextTick(() => {
        if (!socket.destroyed) begin();
      });
    });
    return undefined;
  }

  #waitingOn(socket: Socket): Set<HeldRequest> {
    const known = this.#waiting.get(socket);
    if (known !== undefined) return known;
    const all = new Set<HeldRequest>();
    this.#waiting.set(socket, all);
    socket.once("close", () => {
      for (const held of all) held.release();
    });
    return all;
  }
}

function aheadBytes({ headers }: HttpRequest): number {
  if (headers["transfer-encoding"] !== undefined) return AHEAD_BYTES;
  return Math.min(AHEAD_BYTES, Number(headers["content-length"] ?? 0));
}
