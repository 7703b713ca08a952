/**
 * Link tokens: `link_<base64url of mac and body>`. They are not stored: the HMAC-SHA256 over the body is what makes one
 * genuine, so any instance with the same secret takes it until it expires.
 *
 * The body: a version byte, the expiry in seconds (4 bytes), then tenant, order id and link id, each after its length
 * (1 byte). The mac stands first, all 32 bytes of it, so what is not ours is refused before it is looked into.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

const prefix = "link_";
const version = 1;
const macLength = 32;
/** The longest token that can be: mac, version, expiry and three names of at most 64 characters. */
const maxLength = prefix.length + Math.ceil(((macLength + 5 + 3 * 65) * 4) / 3);

/** What a link token says: which order it opens, for how long. */
export interface Link {
  /** The link's own id (`lnk_...`): the actor in logs. */
  readonly id: string;
  readonly tenant: string;
  readonly orderId: string;
  /** Milliseconds since the epoch; kept to the second, rounded down. */
  readonly expiresAtMs: number;
}

/** Makes and reads link tokens. */
export class LinkTokens {
  readonly #key: Uint8Array;

  /** @param secret the deployment's secret, at least 32 bytes, the same on all instances */
  constructor(secret: Uint8Array) {
    this.#key = createHmac("sha256", secret).update("leadline link token").digest();
  }

  /** The token of a link. Throws a RangeError when a name is empty or longer than 64 bytes. */
  encode(link: Link): string {
    const head = Buffer.alloc(5);
    head.writeUInt8(version, 0);
    head.writeUInt32BE(Math.floor(link.expiresAtMs / 1000), 1);
    const names = [link.tenant, link.orderId, link.id].flatMap((name) => {
      const bytes = Buffer.from(name);
      if (bytes.length < 1 || bytes.length > 64) throw new RangeError(`"${name}" must have 1 to 64 bytes`);
      return [Buffer.of(bytes.length), bytes];
    });
    const body = Buffer.concat([head, ...names]);
    return prefix + Buffer.concat([this.#mac(body), body]).toString("base64url");
  }

  /** What a token says; undefined when it is not one of ours. Whether it has expired is for the caller to see. */
  decode(token: string): Link | undefined {
    if (!isLinkToken(token) || token.length > maxLength) return undefined;
    const text = token.slice(prefix.length);
    const bytes = Buffer.from(text, "base64url");
    // Buffer skips what is not base64url, and ignores spare bits: one token must have one spelling.
    if (bytes.toString("base64url") !== text || bytes.length < macLength + 5) return undefined;
    const body = bytes.subarray(macLength);
    if (!timingSafeEqual(bytes.subarray(0, macLength), this.#mac(body)) || body[0] !== version) return undefined;
    const names: string[] = [];
    for (let at = 5; at < body.length; at += 1 + body.readUInt8(at)) {
      names.push(body.toString("utf8", at + 1, at + 1 + body.readUInt8(at)));
    }
    const [tenant, orderId, id] = names;
    if (tenant === undefined || orderId === undefined || id === undefined) return undefined;
    return { id, tenant, orderId, expiresAtMs: body.readUInt32BE(1) * 1000 };
  }

  #mac(body: Uint8Array): Buffer {
    return createHmac("sha256", this.#key).update(body).digest();
  }
}

/** Whether a credential claims to be a link token. */
export function isLinkToken(credential: string): boolean {
  return credential.startsWith(prefix);
}
