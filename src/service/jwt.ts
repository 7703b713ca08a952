/**
 * JSON Web Tokens (RFC 7519) of the deployment's identity provider, as a credential beside API keys.
 *
 * Issuer, audience and algorithms are fixed by settings; algorithms are asymmetric, so the provider's public keys are all
 * that is known here. `exp` and `sub` are needed. Three claims say what the bearer is, each with the same prefix (a setting,
 * `leadline_` unless said otherwise):
 *
 *  - `leadline_tenant`: the tenant's id
 *  - `leadline_role`: owner, operator, carrier or viewer
 *  - `leadline_carrier`: the carrier's code; with the role carrier and only with it
 *
 * A token cannot be revoked by itself: it ends when it expires, when its tenant is gone, and when the provider withdraws the
 * key that signed it.
 */
import { createHash } from "node:crypto";
import { errors, type JWTPayload, jwtVerify, type RemoteJWKSet } from "jose";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import type { Principal } from "../domain/principal.ts";
import { Refusal } from "../domain/refusal.ts";
import { JwksUnavailable, remoteJwks } from "./jwks.ts";

/** The algorithms that a setting may name: asymmetric ones (RFC 7518, RFC 8037, RFC 9864). */
export const jwtAlgorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
] as const;
export type JwtAlgorithm = (typeof jwtAlgorithms)[number];

export interface JwtOptions {
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUrl: string;
  readonly algorithms: readonly JwtAlgorithm[];
  /** How far the provider's clock and ours may differ: added to `exp`, taken from `nbf`. */
  readonly clockToleranceMs: number;
  readonly claimsPrefix: string;
  /** The provider's keys are good for so long without being fetched again. */
  readonly jwksCacheMs: number;
  /** See JwksOptions. */
  readonly jwksCooldownMs?: number;
  /** See JwksOptions. */
  readonly jwksTimeoutMs?: number;
  /** Milliseconds since the epoch. Default: the system's clock. */
  now?(): number;
}

export type TokenPrincipal = Extract<Principal, { kind: "token" }>;

/** What was wrong with a token: `problem` in the error's metadata. */
export type TokenProblem =
  | "MALFORMED"
  | "ALGORITHM_REFUSED"
  | "SIGNING_KEY_UNKNOWN"
  | "SIGNATURE_WRONG"
  | "CLAIM_MISSING"
  | "CLAIM_WRONG"
  | "NOT_YET_VALID"
  | "TENANT_UNKNOWN";

/** The longest token that is looked into, in characters. Header blocks are bounded, too. */
export const JWT_MAX_LENGTH = 8_192;

const shape = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;
const tenantShape = /^[a-z0-9][a-z0-9_-]{0,39}$/;
const roles: ReadonlyMap<string, Role> = new Map([
  ["owner", Role.OWNER],
  ["operator", Role.OPERATOR],
  ["carrier", Role.CARRIER],
  ["viewer", Role.VIEWER],
]);

/** Whether a credential has the form of a JWT: three parts. Keys and links have no dots. */
export function isJwt(credential: string): boolean {
  return credential.length <= JWT_MAX_LENGTH && shape.test(credential);
}

/** Verifies tokens. */
export class JwtVerifier {
  readonly #options: JwtOptions;
  readonly #keys: RemoteJWKSet;
  readonly #now: () => number;

  constructor(options: JwtOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#keys = remoteJwks({
      url: options.jwksUrl,
      cacheMs: options.jwksCacheMs,
      ...(options.jwksCooldownMs === undefined ? {} : { cooldownMs: options.jwksCooldownMs }),
      ...(options.jwksTimeoutMs === undefined ? {} : { timeoutMs: options.jwksTimeoutMs }),
    });
  }

  /**
   * Who bears it. Whether the tenant exists is for the caller to see. Rejects with a Refusal CREDENTIAL_EXPIRED,
   * CREDENTIAL_INVALID with the `problem` in its metadata, or ISSUER_UNAVAILABLE. The token itself is in none of them.
   */
  async verify(token: string): Promise<TokenPrincipal> {
    const { issuer, audience, algorithms, clockToleranceMs } = this.#options;
    try {
      const { payload, protectedHeader } = await jwtVerify(token, this.#keys, {
        issuer,
        audience,
        algorithms: [...algorithms],
        clockTolerance: clockToleranceMs / 1_000,
        currentDate: new Date(this.#now()),
        requiredClaims: ["exp", "sub"],
      });
      return this.#principal(payload, protectedHeader.kid ?? "");
    } catch (error) {
      throw error instanceof Refusal ? error : refusalOf(error, issuer);
    }
  }

  /** Of these names of signing keys those that the provider has withdrawn. Rejects with a Refusal ISSUER_UNAVAILABLE. */
  async withdrawn(signers: Iterable<string>): Promise<Set<string>> {
    try {
      if (!this.#keys.fresh) await this.#keys.reload();
    } catch (error) {
      throw refusalOf(error, this.#options.issuer);
    }
    const present = new Set(this.#keys.jwks()?.keys.map(({ kid }) => kid));
    // Tokens of a provider with a single key need not name it.
    return new Set([...signers].filter((signer) => signer !== "" && !present.has(signer)));
  }

  #principal(payload: JWTPayload, signer: string): TokenPrincipal {
    const { claimsPrefix, clockToleranceMs, issuer } = this.#options;
    const text = (name: string, accepts: RegExp): string => {
      const value = payload[name];
      if (value === undefined) throw tokenRefused("CLAIM_MISSING", `it lacks the claim ${name}`, name);
      if (typeof value === "string" && accepts.test(value)) return value;
      throw tokenRefused("CLAIM_WRONG", `its claim ${name} is not one that is accepted`, name);
    };
    const role = roles.get(text(`${claimsPrefix}role`, /^(owner|operator|carrier|viewer)$/)) ?? Role.UNSPECIFIED;
    const carrierClaim = `${claimsPrefix}carrier`;
    if (role !== Role.CARRIER && payload[carrierClaim] !== undefined) {
      throw tokenRefused("CLAIM_WRONG", `its claim ${carrierClaim} is for the role carrier only`, carrierClaim);
    }
    const subject = text("sub", /^[\x21-\x7e]{1,100}$/);
    const tenant = text(`${claimsPrefix}tenant`, tenantShape);
    return {
      kind: "token",
      id: `jwt_${createHash("sha256")
        .update(JSON.stringify([issuer, tenant, subject]))
        .digest("hex")
        .slice(0, 24)}`,
      name: subject,
      tenant,
      role,
      carrier: role === Role.CARRIER ? text(carrierClaim, /^[\x21-\x7e]{1,20}$/) : "",
      // `requiredClaims` and the check of `exp` have seen that it is a number.
      expiresAtMs: (payload.exp ?? 0) * 1_000 + clockToleranceMs,
      signer,
    };
  }
}

/** The refusal of a token. */
export function tokenRefused(problem: TokenProblem, why: string, claim?: string): Refusal {
  return new Refusal(ErrorReason.CREDENTIAL_INVALID, `the token is refused: ${why}`, {
    metadata: claim === undefined ? { problem } : { problem, claim },
  });
}

/** What `jose` says, in our words: its messages are for developers, and none of a token's content is passed on. */
function refusalOf(error: unknown, issuer: string): Refusal {
  if (error instanceof errors.JWTExpired) {
    return new Refusal(ErrorReason.CREDENTIAL_EXPIRED, "the token has expired; ask its issuer for a new one");
  }
  if (error instanceof errors.JWTClaimValidationFailed) return claimRefused(error);
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return tokenRefused("SIGNATURE_WRONG", "its signature is not that of the issuer's key");
  }
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported) {
    return tokenRefused("ALGORITHM_REFUSED", "its algorithm is not one that is accepted here");
  }
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return tokenRefused("SIGNING_KEY_UNKNOWN", "the issuer has no such signing key");
  }
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) {
    return tokenRefused("MALFORMED", "it is not a signed JWT");
  }
  if (error instanceof JwksUnavailable || error instanceof errors.JOSEError) {
    return new Refusal(ErrorReason.ISSUER_UNAVAILABLE, `the keys of the issuer ${issuer} cannot be had at present`, {
      cause: error,
    });
  }
  // A header that is no JSON, or a key that does not fit its algorithm: jose passes on what the platform says.
  return tokenRefused("MALFORMED", "it cannot be read");
}

function claimRefused({ claim, reason }: errors.JWTClaimValidationFailed): Refusal {
  if (reason === "missing") return tokenRefused("CLAIM_MISSING", `it lacks the claim ${claim}`, claim);
  if (claim === "nbf") return tokenRefused("NOT_YET_VALID", "it is not valid yet", claim);
  return tokenRefused("CLAIM_WRONG", `its claim ${claim} is not the one that is accepted here`, claim);
}
