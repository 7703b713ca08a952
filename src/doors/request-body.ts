import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { malformed, tooLarge } from "./codec.ts";
import { type HttpRequest, ignoreError } from "./http-messages.ts";

const unzip = promisify(gunzip);

/** Bounds of a request body. */
export interface BodyBounds {
  readonly maxBytes: number;
  /** The body must have arrived whole in this time. */
  readonly timeoutMs: number;
}

/**
 * Reads a whole request body. Rejects with a Refusal MESSAGE_TOO_LARGE without reading further, and with MESSAGE_MALFORMED
 * when the body is cut off or does not end in time.
 */
export function readBody(req: HttpRequest, { maxBytes, timeoutMs }: BodyBounds): Promise<Buffer> {
  if (Number(req.headers["content-length"]) > maxBytes) return Promise.reject(tooLarge(maxBytes));
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let length = 0;
  const onData = (chunk: Buffer): void => {
    length += chunk.length;
    if (length > maxBytes) reject(tooLarge(maxBytes));
    else chunks.push(chunk);
  };
  const onEnd = (): void => resolve(Buffer.concat(chunks, length));
  const onCut = (): void => reject(malformed("the request was cut off"));
  const timer = setTimeout(() => {
    reject(malformed(`the request did not end within ${timeoutMs} ms: was it left open for more messages?`));
  }, timeoutMs);
  req.on("data", onData).once("end", onEnd).once("error", onCut).once("close", onCut);
  return promise.finally(() => {
    clearTimeout(timer);
    req.off("data", onData).off("end", onEnd).off("error", onCut).off("close", onCut);
    // An error that comes later has nobody to tell.
    req.on("error", ignoreError);
    req.pause();
  });
}

/**
 * Undoes a request's compression. Throws a Refusal MESSAGE_MALFORMED for one that is unknown or broken, and
 * MESSAGE_TOO_LARGE as soon as the message would have more than `maxBytes`.
 */
export async function decompress(data: Buffer, encoding: string | undefined, maxBytes: number): Promise<Uint8Array> {
  if (encoding === undefined || encoding === "identity") return data;
  if (encoding !== "gzip") {
    throw malformed(`requests compressed with "${encoding}" are not taken: send gzip or identity`, {
      accepted: "gzip, identity",
    });
  }
  if (data.length === 0) return data;
  try {
    return await unzip(data, { maxOutputLength: maxBytes });
  } catch (error) {
    const tooMuch = error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
    throw tooMuch ? tooLarge(maxBytes) : malformed("the request is not valid gzip");
  }
}
