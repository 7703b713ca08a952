/**
 * The issuer's public keys, from its JWKS document (RFC 7517), for `jose`, which caches them and matches them by `kid`.
 *
 * The document comes from outside: it is fetched without redirects, within a time and a size, and after a failure not again
 * for a moment, so that callers with unknown keys cannot make us hammer an issuer that is down.
 */
import { createRemoteJWKSet, customFetch, type FetchImplementation, type RemoteJWKSet } from "jose";

export interface JwksOptions {
  readonly url: string;
  /** Keys are good for so long without being fetched again. */
  readonly cacheMs: number;
  /** After a fetch, a key that is unknown makes no other one for so long. Default 30 s. */
  readonly cooldownMs?: number;
  /** Default 5 s. */
  readonly timeoutMs?: number;
}

/** The largest document that is taken, in bytes: some hundred keys. */
export const JWKS_MAX_BYTES = 256 * 1024;

/** After a fetch that failed, the next one is not tried for so long. */
const FAILURE_PAUSE_MS = 1_000;

/** The document could not be fetched or was none. The message names no more than the reason. */
export class JwksUnavailable extends Error {
  override readonly name = "JwksUnavailable";
}

/** Nothing is fetched before the first token comes. What it rejects with for want of a document is a JwksUnavailable. */
export function remoteJwks({ url, cacheMs, cooldownMs = 30_000, timeoutMs = 5_000 }: JwksOptions): RemoteJWKSet {
  let failed: { readonly error: JwksUnavailable; readonly atMs: number } | undefined;
  const fetchBounded: FetchImplementation = async (from, options) => {
    if (failed && performance.now() - failed.atMs < FAILURE_PAUSE_MS) throw failed.error;
    try {
      const response = await bounded(await fetch(from, options));
      failed = undefined;
      return response;
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const error = new JwksUnavailable(`the issuer's keys cannot be fetched: ${why}`, { cause });
      failed = { error, atMs: performance.now() };
      throw error;
    }
  };
  return createRemoteJWKSet(new URL(url), {
    cacheMaxAge: cacheMs,
    cooldownDuration: cooldownMs,
    timeoutDuration: timeoutMs,
    [customFetch]: fetchBounded,
  });
}

/** The whole document, read up to the bound. Rejects for anything but a JSON object with a list of keys. */
async function bounded(response: Response): Promise<Response> {
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`it answered ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop cancels what is still under way.
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > JWKS_MAX_BYTES) throw new Error(`the document is larger than ${JWKS_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks, length).toString("utf8");
  if (!isJwks(text)) throw new Error("the document is no JSON Web Key Set");
  return new Response(text, { status: 200, headers: { "content-type": "application/json" } });
}

function isJwks(text: string): boolean {
  try {
    const document: unknown = JSON.parse(text);
    return typeof document === "object" && document !== null && "keys" in document && Array.isArray(document.keys);
  } catch {
    return false;
  }
}
