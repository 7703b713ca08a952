import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from "node:crypto";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import type { Visibility } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import type { Place } from "../domain/stored-event.ts";

const STAFF = /^(0|[1-9][0-9]{0,18})-([0-9a-z]{13})$/;
/** Nineteen digits, a dash, the id. */
const HIDDEN_LENGTH = 19 + 1 + 13;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** The staff form of a place: `1042-3v9x2m8q1rabc`. The id makes a position of another history detectable. */
export function staffPosition(place: Place): string {
  return `${place.revision}-${place.eventId}`;
}

/**
 * Positions as texts. Staff and links read `<revision>-<id>`; to an outside carrier revisions would show the tenant's
 * volume, so carriers get them encrypted (AES-256-GCM with a nonce derived from what it hides, so that one place has one
 * text) and bound to the tenant and the carrier.
 */
export class Positions {
  // Key objects: making one of bytes at each use takes longer than what it is used for.
  readonly #cipherKey: KeyObject;
  readonly #nonceKey: KeyObject;

  /** @param secret the deployment's secret, at least 32 bytes, the same on all instances */
  constructor(secret: Uint8Array) {
    this.#cipherKey = createSecretKey(createHmac("sha256", secret).update("leadline position cipher").digest());
    this.#nonceKey = createSecretKey(createHmac("sha256", secret).update("leadline position nonce").digest());
  }

  encode(tenant: string, place: Place, visibility: Visibility): string {
    if (visibility.class !== "carrier") return staffPosition(place);
    // Of one length whatever the revision: the cipher keeps lengths, and a longer text would tell of more digits.
    const text = staffPosition(place).padStart(HIDDEN_LENGTH, "0");
    const scope = carrierScope(tenant, visibility.carrier);
    const nonce = this.#nonce(scope, text);
    const cipher = createCipheriv("aes-256-gcm", this.#cipherKey, nonce).setAAD(scope);
    const hidden = Buffer.concat([nonce, cipher.update(text, "latin1"), cipher.final(), cipher.getAuthTag()]);
    return `c${hidden.toString("base64url")}`;
  }

  /** Throws POSITION_INVALID for anything that `encode` did not make for the same tenant and reader. */
  decode(tenant: string, text: string, visibility: Visibility): Place {
    const plain =
      visibility.class === "carrier"
        ? this.#reveal(tenant, text, visibility.carrier)?.replace(/^0+(?=[0-9])/, "")
        : text;
    const match = STAFF.exec(plain ?? "");
    const [, revision, eventId] = match ?? [];
    if (revision === undefined || eventId === undefined || BigInt(revision) > MAX_REVISION) throw invalid(text);
    return { revision: BigInt(revision), eventId };
  }

  #reveal(tenant: string, text: string, carrier: string): string | undefined {
    const bytes = Buffer.from(text.slice(1), "base64url");
    if (!text.startsWith("c") || bytes.length <= NONCE_BYTES + TAG_BYTES) return undefined;
    const scope = carrierScope(tenant, carrier);
    const nonce = bytes.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv("aes-256-gcm", this.#cipherKey, nonce, { authTagLength: TAG_BYTES }).setAAD(
      scope,
    );
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const plain =
        decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, "latin1") + decipher.final("latin1");
      return timingSafeEqual(nonce, this.#nonce(scope, plain)) ? plain : undefined;
    } catch {
      return undefined; // not ours: the tag does not fit
    }
  }

  #nonce(scope: Uint8Array, text: string): Uint8Array {
    return createHmac("sha256", this.#nonceKey).update(scope).update(text, "latin1").digest().subarray(0, NONCE_BYTES);
  }
}

const MAX_REVISION = 2n ** 63n - 1n;

function carrierScope(tenant: string, carrier: string): Buffer {
  return Buffer.from(JSON.stringify([tenant, carrier]), "utf8");
}

function invalid(text: string): Refusal {
  const shown = text.length > 40 ? `${text.slice(0, 40)}...` : text;
  return new Refusal(
    ErrorReason.POSITION_INVALID,
    `position "${shown}" was not given out to this caller; send one exactly as it was received, or none`,
  );
}
