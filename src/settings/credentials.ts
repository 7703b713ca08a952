/** Who callers are: keys, and the tokens of an identity provider. */
import { jwtAlgorithms } from "../service/jwt.ts";
import { day, milliseconds, minute } from "./kinds/numbers.ts";
import { jwksUrl } from "./kinds/urls.ts";
import { choices, name, secret } from "./kinds/words.ts";

export const credentialSettings = {
  ownerKey: secret("LEADLINE_OWNER_KEY", "drawn", {
    about: "The service owner's credential, which makes tenants and keys. Without: made at the first start.",
  }),
  keyCacheMs: milliseconds("LEADLINE_KEY_CACHE_MS", 5_000, [0, 5 * minute], {
    about: "How long a key is good without asking the database again, if no instance has told of its end.",
  }),
  keySweepMs: milliseconds("LEADLINE_KEY_SWEEP_MS", 10_000, [100, 10 * minute], {
    about:
      "How often the keys of open streams are read again: the longest that a stream outlives its key without NATS.",
  }),

  // JSON Web Tokens, beside API keys
  jwtJwksUrl: jwksUrl("LEADLINE_JWT_JWKS_URL", {
    about: "Where the identity provider tells its public keys. Without: no JSON Web Tokens are taken.",
  }),
  jwtIssuer: name("LEADLINE_JWT_ISSUER", { about: "The `iss` of its tokens. Needed with LEADLINE_JWT_JWKS_URL." }),
  jwtAudience: name("LEADLINE_JWT_AUDIENCE", {
    about: "The `aud` that its tokens must have for us. Needed with LEADLINE_JWT_JWKS_URL.",
  }),
  jwtAlgorithms: choices("LEADLINE_JWT_ALGORITHMS", ["RS256", "PS256", "ES256", "EdDSA"], jwtAlgorithms, {
    about: "The algorithms that its tokens may be signed with.",
  }),
  jwtClaimsPrefix: name("LEADLINE_JWT_CLAIMS_PREFIX", {
    without: "leadline_",
    about: "What stands before `tenant`, `role` and `carrier` in the names of the claims that say who the bearer is.",
  }),
  jwtClockToleranceMs: milliseconds("LEADLINE_JWT_CLOCK_TOLERANCE_MS", 5_000, [0, minute], {
    about: "How far the provider's clock and ours may differ: added to `exp`, taken from `nbf`.",
  }),
  jwtJwksCacheMs: milliseconds("LEADLINE_JWT_JWKS_CACHE_MS", 10 * minute, [1_000, day], {
    about: "How long its keys are good without being fetched again. A key that is unknown has them fetched earlier.",
  }),
} as const;
