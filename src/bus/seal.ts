import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from "node:crypto";

const TAG_BYTES = 16;

/**
 * What shows that a message was written by an instance of this deployment: a tag behind it, which takes the deployment's
 * secret to make (HMAC-SHA-256, 16 bytes). It is of one subject, so that what was said of one tenant cannot be said of
 * another. It does not show when: a message can be kept and said again.
 */
export class Seal {
  /** A key object: making one of bytes at each use takes longer than the tag. */
  readonly #key: KeyObject;

  /** @param secret the deployment's secret, at least 32 bytes, the same on all instances */
  constructor(secret: Uint8Array) {
    this.#key = createSecretKey(createHmac("sha256", secret).update("leadline bus").digest());
  }

  /** The message with its tag. */
  close(subject: string, message: Uint8Array): Uint8Array {
    return Buffer.concat([message, this.#tag(subject, message)]);
  }

  /** The message without its tag, as a view on the bytes; undefined: it is not one of ours. */
  open(subject: string, sealed: Uint8Array): Uint8Array | undefined {
    const end = sealed.length - TAG_BYTES;
    if (end < 0) return undefined;
    const message = sealed.subarray(0, end);
    return timingSafeEqual(sealed.subarray(end), this.#tag(subject, message)) ? message : undefined;
  }

  #tag(subject: string, message: Uint8Array): Buffer {
    // Subjects contain no zero byte.
    const all = createHmac("sha256", this.#key).update(subject).update("\0").update(message).digest();
    return all.subarray(0, TAG_BYTES);
  }
}
