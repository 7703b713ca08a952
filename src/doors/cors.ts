import { constants } from "node:http2";
import { cors } from "@connectrpc/connect";
import { answerPlain, type HttpRequest, type HttpResponse, header } from "./http-messages.ts";

export interface CorsOptions {
  readonly corsOrigins: readonly string[];
  readonly corsMaxAgeMs: number;
}

/** Answers requests of pages of other origins, or lets them through. True: the request is answered. */
export type Cors = (req: HttpRequest, res: HttpResponse) => boolean;

const ALLOWED_METHODS = cors.allowedMethods.join(", ");
const ALLOWED_HEADERS = [...cors.allowedHeaders, "authorization"].join(", ");
const EXPOSED_HEADERS = cors.exposedHeaders.join(", ");

/**
 * Cross-origin requests by an allow-list. A page of an origin that is not on it is refused, not only kept from reading the
 * answer. Requests without an origin do not come from pages; those of our own origin are ours.
 */
export function createCors({ corsOrigins, corsMaxAgeMs }: CorsOptions): Cors {
  const allowed = new Set(corsOrigins);
  return (req, res) => {
    const origin = header(req, "origin");
    if (origin === undefined) return false;
    res.setHeader("vary", "origin");
    if (isOwn(origin, req)) return false;
    if (!allowed.has(origin)) {
      answerPlain(res, constants.HTTP_STATUS_FORBIDDEN, "pages of this origin may not call\n");
      return true;
    }
    res.setHeader("access-control-allow-origin", origin);
    if (!isPreflight(req)) {
      res.setHeader("access-control-expose-headers", EXPOSED_HEADERS);
      return false;
    }
    res.writeHead(constants.HTTP_STATUS_NO_CONTENT, {
      "access-control-allow-methods": ALLOWED_METHODS,
      "access-control-allow-headers": ALLOWED_HEADERS,
      "access-control-max-age": String(Math.floor(corsMaxAgeMs / 1_000)),
    });
    res.end();
    return true;
  };
}

function isPreflight(req: HttpRequest): boolean {
  return req.method === "OPTIONS" && header(req, "access-control-request-method") !== undefined;
}

function isOwn(origin: string, req: HttpRequest): boolean {
  const host = header(req, ":authority") ?? header(req, "host");
  return URL.canParse(origin) && new URL(origin).host === host;
}
