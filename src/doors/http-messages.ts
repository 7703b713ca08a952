import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type Http2ServerRequest, type Http2ServerResponse, type ServerHttp2Stream } from "node:http2";

/**
 * A request and its response. HTTP/2's come through Node's compatibility API, which has the same methods; only what is in
 * this file tells the difference.
 */
export type HttpRequest = IncomingMessage;
export type HttpResponse = ServerResponse;
export type HttpHandler = (req: HttpRequest, res: HttpResponse) => void;

/** Lets one handler serve both versions. */
export function forHttp2(handler: HttpHandler): (req: Http2ServerRequest, res: Http2ServerResponse) => void {
  // Node documents the compatibility API as usable in place of HTTP/1's; its types do not say so.
  return (req, res) => handler(req as unknown as HttpRequest, res as unknown as HttpResponse);
}

/** For errors that 'close' tells of as well; one function, because a function in place would keep what is around it. */
export function ignoreError(): void {}

export function isHttp2(req: HttpRequest): boolean {
  return req.httpVersionMajor >= 2;
}

/** The value of a header; of one that came several times, the first. */
export function header(req: HttpRequest, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The path of the URL, without the query. */
export function pathOfUrl(req: HttpRequest): string {
  const url = req.url ?? "";
  const end = url.indexOf("?");
  return end < 0 ? url : url.slice(0, end);
}

/** Gives a response up, whatever is unsent: HTTP/2 resets the stream, HTTP/1.1 has only its connection. */
export function reset(req: HttpRequest, res: HttpResponse): void {
  if (isHttp2(req)) streamOf(req).close(constants.NGHTTP2_CANCEL);
  else res.destroy();
}

/** The largest rest of a request that is read and thrown away so that its HTTP/1.1 connection stays usable. */
const MAX_REST_BYTES = 64 * 1024;

/** How long a stream that is answered stays open for a peer that has not ended its request, milliseconds. */
const REST_LINGER_MS = 1_000;

/** Call before answering a request that may not have been read to its end: the rest must not be waited for. */
export function disregardRest(req: HttpRequest, res: HttpResponse): void {
  if (req.complete) return;
  // What comes until the peer hears of it is thrown away: a request that is not read to its end keeps its stream open.
  req.resume();
  if (isHttp2(req)) {
    // Most peers end their part soon. A reset at once could overtake the answer.
    const stream = streamOf(req);
    const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), REST_LINGER_MS);
    stream.once("close", () => clearTimeout(timer));
  } else if (!(Number(req.headers["content-length"]) <= MAX_REST_BYTES)) {
    res.setHeader("connection", "close");
  }
}

/** The stream of an HTTP/2 request. */
export function streamOf(req: HttpRequest): ServerHttp2Stream {
  return (req as unknown as Http2ServerRequest).stream;
}

/** Answers with JSON or text. */
export function answerPlain(res: HttpResponse, status: number, body: string, type = "text/plain; charset=utf-8"): void {
  res.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
  });
  res.end(body);
}
