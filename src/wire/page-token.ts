import { createHmac, timingSafeEqual } from "node:crypto";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Refusal } from "../domain/refusal.ts";

const MAC_BYTES = 16;

/**
 * Page tokens: a cursor bound to its scope (tenant, method, filter) by a keyed hash, so that a token of another list,
 * filter or tenant, or an altered one, is told apart from ours.
 */
export class PageTokens {
  readonly #key: Uint8Array;

  /** @param secret the deployment's secret, at least 32 bytes, the same on all instances */
  constructor(secret: Uint8Array) {
    this.#key = createHmac("sha256", secret).update("leadline page token").digest();
  }

  /** @param cursor where the next page starts, at most 200 bytes */
  encode(scope: string, cursor: string): string {
    return Buffer.concat([this.#mac(scope, cursor), Buffer.from(cursor, "utf8")]).toString("base64url");
  }

  /** Throws PAGE_TOKEN_INVALID for anything that `encode` did not make for the same scope. */
  decode(scope: string, token: string): string {
    const bytes = Buffer.from(token, "base64url");
    const cursor = bytes.subarray(MAC_BYTES).toString("utf8");
    const genuine =
      bytes.length >= MAC_BYTES && timingSafeEqual(bytes.subarray(0, MAC_BYTES), this.#mac(scope, cursor));
    if (!genuine) {
      throw new Refusal(
        ErrorReason.PAGE_TOKEN_INVALID,
        "the page token does not belong to this list and filter; send next_page_token as it was received, or none",
      );
    }
    return cursor;
  }

  #mac(scope: string, cursor: string): Buffer {
    const text = JSON.stringify([scope, cursor]);
    return createHmac("sha256", this.#key).update(text).digest().subarray(0, MAC_BYTES);
  }
}
