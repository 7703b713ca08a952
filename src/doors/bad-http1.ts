import { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type HttpHandler, ignoreError } from "./http-messages.ts";

/** A peer that was told why its connection ends has so long to read it, milliseconds: what it still sends is thrown away. */
const LINGER_MS = 1_000;

/** What Node's parser says of headers above the bound, and Node of a request that does not come to its end. */
const OVERFLOW = "HPE_HEADER_OVERFLOW";
const TIMEOUT = "ERR_HTTP_REQUEST_TIMEOUT";

/**
 * Answers HTTP/1.1 that cannot be read, and closes its connection. Node would answer with a bare status in all cases.
 * @param refuseHeaders answers a request whose headers are too large, of which only the method, host, content type and
 * origin are known, and these only if they came early
 */
export function answerBadHttp1(error: NodeJS.ErrnoException, socket: Socket, refuseHeaders: HttpHandler): void {
  // Where an answer is under way there is no place for another: its reader would take one for the rest of the other.
  if (!socket.writable || error.code === "ECONNRESET" || isAnswering(socket, error)) {
    socket.destroy();
    return;
  }
  // Nothing that comes is read any more: the parser has given up.
  socket.removeAllListeners("data").on("error", ignoreError).resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
  if (error.code !== OVERFLOW) {
    socket.end(
      `HTTP/1.1 ${error.code === TIMEOUT ? "408 Request Timeout" : "400 Bad Request"}\r\nconnection: close\r\n\r\n`,
    );
    return;
  }
  const req = requestOf(error, socket);
  const res = new ServerResponse(req);
  res.shouldKeepAlive = false;
  res.assignSocket(socket);
  res.once("finish", () => socket.end());
  refuseHeaders(req, res);
}

/**
 * Whether the connection belongs to the answer of a request, which Node keeps in a property of its own. One that has not begun
 * may be replaced if it is its request that cannot be read: a body that is cut off, or does not come.
 */
function isAnswering(socket: Socket, { code }: NodeJS.ErrnoException): boolean {
  const res = Reflect.get(socket, "_httpMessage") as ServerResponse | null | undefined;
  if (!res) return false;
  return code === OVERFLOW || res.headersSent || res.req.complete;
}

/** What the first of the request's bytes tell of it. */
function requestOf(error: NodeJS.ErrnoException & { rawPacket?: Buffer }, socket: Socket): IncomingMessage {
  const text = error.rawPacket?.toString("latin1") ?? "";
  const fieldOf = (name: string): string | undefined => new RegExp(`^${name}: *([^\\r\\n]*)`, "im").exec(text)?.[1];
  const req = new IncomingMessage(socket);
  req.method = /^[A-Z]+/.exec(text)?.[0] ?? "";
  for (const name of ["host", "content-type", "origin"]) {
    const value = fieldOf(name);
    if (value !== undefined) req.headers[name] = value;
  }
  req.httpVersionMajor = 1;
  req.httpVersionMinor = 1;
  req.httpVersion = "1.1";
  return req;
}
