import { createHmac, createPublicKey } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/leadline/v1/error_pb.ts";
import { Role } from "../../gen/leadline/v1/tenant_pb.ts";
import { JWKS_MAX_BYTES } from "../../src/service/jwks.ts";
import { isJwt, JWT_MAX_LENGTH, type JwtOptions, JwtVerifier, jwtAlgorithms } from "../../src/service/jwt.ts";
import { AUDIENCE, ISSUER, type Issuer, newKey, startIssuer, type TokenWords } from "../support/issuer.ts";
import { refusalOf } from "./support.ts";

let issuer: Issuer;
beforeEach(async () => {
  issuer = await startIssuer();
});
afterEach(() => issuer[Symbol.asyncDispose]());

const operator = { leadline_tenant: "acme", leadline_role: "operator" };

function verifier(options: Partial<JwtOptions> = {}): JwtVerifier {
  return new JwtVerifier({
    issuer: ISSUER,
    audience: AUDIENCE,
    jwksUrl: issuer.jwksUrl,
    algorithms: ["RS256", "ES256", "EdDSA"],
    clockToleranceMs: 5_000,
    claimsPrefix: "leadline_",
    jwksCacheMs: 600_000,
    ...options,
  });
}

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const seconds = (at: number) => Math.floor(at / 1_000);

describe("a token says", () => {
  test("tenant, role and subject, and until when", async () => {
    const exp = seconds(Date.now()) + 60;
    const principal = await verifier().verify(await issuer.token({ claims: { ...operator, exp } }));
    expect(principal).toEqual({
      kind: "token",
      id: expect.stringMatching(/^jwt_[0-9a-f]{24}$/),
      name: "ada",
      tenant: "acme",
      role: Role.OPERATOR,
      carrier: "",
      expiresAtMs: exp * 1_000 + 5_000,
      signer: "first",
    });
  });

  test("its carrier, under names with the prefix that is set", async () => {
    const claims = { x_tenant: "acme", x_role: "carrier", x_carrier: "MAEU" };
    const principal = await verifier({ claimsPrefix: "x_" }).verify(await issuer.token({ claims }));
    expect(principal).toMatchObject({ role: Role.CARRIER, carrier: "MAEU" });
  });

  test("the same id for the same subject in a tenant, and another for another in either", async () => {
    const ids = await Promise.all(
      [{}, { jti: "2" }, { sub: "bob" }, { leadline_tenant: "other" }].map(async (claims) => {
        const token = await issuer.token({ claims: { ...operator, ...claims } });
        return (await verifier().verify(token)).id;
      }),
    );
    expect(ids[0]).toBe(ids[1]);
    // What one tenant uses, and whose streams end, is nothing of another's, nor is who works for both.
    expect(new Set(ids).size).toBe(3);
  });

  test.each(["RS256", "PS256", "ES384", "EdDSA"] as const)("all of it with %s, where that is accepted", async (alg) => {
    issuer.keys = [await newKey("k", alg)];
    const token = await issuer.token({ claims: operator });
    expect(await verifier({ algorithms: [alg] }).verify(token)).toMatchObject({ tenant: "acme" });
    const others = jwtAlgorithms.filter((other) => other !== alg && other !== "Ed25519");
    expect((await refusalOf(() => verifier({ algorithms: others }).verify(token))).metadata).toEqual({
      problem: "ALGORITHM_REFUSED",
    });
  });
});

describe("a bad token is refused with its problem, and is not in the refusal", () => {
  const cases: [string, TokenWords, Record<string, string>][] = [
    ["another issuer", { claims: { iss: "https://evil.test/" } }, { problem: "CLAIM_WRONG", claim: "iss" }],
    ["another audience", { claims: { aud: "others" } }, { problem: "CLAIM_WRONG", claim: "aud" }],
    ["no audience", { claims: { aud: undefined } }, { problem: "CLAIM_MISSING", claim: "aud" }],
    ["no subject", { claims: { sub: undefined } }, { problem: "CLAIM_MISSING", claim: "sub" }],
    ["no end", { claims: { exp: undefined } }, { problem: "CLAIM_MISSING", claim: "exp" }],
    ["an end that is no number", { claims: { exp: "never" } }, { problem: "CLAIM_WRONG", claim: "exp" }],
    ["a start to come", { claims: { nbf: seconds(Date.now()) + 60 } }, { problem: "NOT_YET_VALID", claim: "nbf" }],
    ["no tenant", { claims: { leadline_tenant: undefined } }, { problem: "CLAIM_MISSING", claim: "leadline_tenant" }],
    ["two tenants", { claims: { leadline_tenant: "a,b" } }, { problem: "CLAIM_WRONG", claim: "leadline_tenant" }],
    ["tenants", { claims: { leadline_tenant: ["a"] } }, { problem: "CLAIM_WRONG", claim: "leadline_tenant" }],
    ["no role", { claims: { leadline_role: undefined } }, { problem: "CLAIM_MISSING", claim: "leadline_role" }],
    ["a role of none", { claims: { leadline_role: "root" } }, { problem: "CLAIM_WRONG", claim: "leadline_role" }],
    [
      "a carrier without its code",
      { claims: { leadline_role: "carrier" } },
      { problem: "CLAIM_MISSING", claim: "leadline_carrier" },
    ],
    [
      "a code without a carrier",
      { claims: { leadline_carrier: "MAEU" } },
      { problem: "CLAIM_WRONG", claim: "leadline_carrier" },
    ],
    ["an unknown key", { header: { kid: "nobody's" } }, { problem: "SIGNING_KEY_UNKNOWN" }],
  ];
  test.each(cases)("%s", async (_what, words, metadata) => {
    const token = await issuer.token({ ...words, claims: { ...operator, ...words.claims } });
    const refusal = await refusalOf(() => verifier().verify(token));
    expect(refusal).toMatchObject({ reason: ErrorReason.CREDENTIAL_INVALID, code: 16, metadata });
    for (const part of [token, ...token.split(".")])
      expect(JSON.stringify(refusal) + refusal.message).not.toContain(part);
  });

  test("another's signature under our key's name", async () => {
    const token = await issuer.token({ claims: operator, key: { ...(await newKey("first")), kid: "first" } });
    expect((await refusalOf(() => verifier().verify(token))).metadata).toEqual({ problem: "SIGNATURE_WRONG" });
  });

  test("a token without a signature, and one signed with the public key as a secret", async () => {
    const payload = base64url({ ...operator, iss: ISSUER, aud: AUDIENCE, sub: "ada", exp: seconds(Date.now()) + 60 });
    const unsigned = `${base64url({ alg: "none", kid: "first" })}.${payload}.`;
    expect((await refusalOf(() => verifier().verify(unsigned))).metadata).toEqual({ problem: "ALGORITHM_REFUSED" });
    const [key] = issuer.keys;
    const pem = createPublicKey({ key: (key?.publicJwk ?? {}) as never, format: "jwk" }).export({
      type: "spki",
      format: "pem",
    });
    const body = `${base64url({ alg: "HS256", kid: "first" })}.${payload}`;
    const confused = `${body}.${createHmac("sha256", pem).update(body).digest("base64url")}`;
    expect((await refusalOf(() => verifier().verify(confused))).metadata).toEqual({ problem: "ALGORITHM_REFUSED" });
  });

  test.each(["a.b.c", "..", `${base64url([1])}.${base64url({})}.AA`])("%s", async (text) => {
    expect((await refusalOf(() => verifier().verify(text))).metadata).toEqual({
      problem: expect.stringMatching(/^(MALFORMED|ALGORITHM_REFUSED)$/),
    });
  });

  test("the clock may be off by the tolerance and no more", async () => {
    const nowMs = Date.now();
    const at = (shiftMs: number) => verifier({ now: () => nowMs + shiftMs });
    const exp = seconds(nowMs) + 60;
    const token = await issuer.token({ claims: { ...operator, exp } });
    const end = exp * 1_000 - nowMs + 5_000;
    const principal = await at(end - 1_000).verify(token);
    expect(principal.expiresAtMs).toBe(nowMs + end);
    expect(await refusalOf(() => at(end).verify(token))).toMatchObject({
      reason: ErrorReason.CREDENTIAL_EXPIRED,
      code: 16,
    });
    const early = await issuer.token({ claims: { ...operator, nbf: seconds(nowMs) + 4 } });
    await at(0).verify(early);
  });

  test("what has the form of a token is bounded in length", () => {
    expect(isJwt("a.b.c")).toBe(true);
    expect(isJwt(`${"a".repeat(JWT_MAX_LENGTH - 4)}.b.c`)).toBe(true);
    expect(isJwt(`${"a".repeat(JWT_MAX_LENGTH - 3)}.b.c`)).toBe(false);
    expect(["lead_owner_a_b", "link_AAAA", "a.b", "a.b.c.d", "a.b.c "].map(isJwt)).toEqual(Array(5).fill(false));
  });
});

describe("the issuer's keys", () => {
  test("are fetched at the first token, once for all who wait, and kept", async () => {
    const ours = verifier();
    expect(issuer.fetches()).toBe(0);
    const token = await issuer.token({ claims: operator });
    await Promise.all([ours.verify(token), ours.verify(token), ours.verify(token)]);
    await ours.verify(token);
    expect(issuer.fetches()).toBe(1);
  });

  test("rotate: a new key is fetched when it is first seen, and not more often than the cooldown", async () => {
    const ours = verifier({ jwksCooldownMs: 0 });
    await ours.verify(await issuer.token({ claims: operator }));
    issuer.keys = [await newKey("second"), ...issuer.keys];
    const next = await issuer.token({ claims: operator });
    expect(await ours.verify(next)).toMatchObject({ signer: "second" });
    expect(issuer.fetches()).toBe(2);

    const patient = verifier({ jwksCooldownMs: 60_000 });
    await patient.verify(next);
    const before = issuer.fetches();
    const unknown = await issuer.token({ claims: operator, header: { kid: "third" } });
    for (let i = 0; i < 5; i++) {
      expect((await refusalOf(() => patient.verify(unknown))).metadata).toEqual({ problem: "SIGNING_KEY_UNKNOWN" });
    }
    expect(issuer.fetches()).toBe(before);
  });

  test("that are withdrawn are told once the kept ones are too old", async () => {
    const ours = verifier({ jwksCacheMs: 1, jwksCooldownMs: 0 });
    await ours.verify(await issuer.token({ claims: operator }));
    expect(await ours.withdrawn(["first", ""])).toEqual(new Set());
    issuer.keys = [await newKey("second")];
    await expect.poll(() => ours.withdrawn(["first", "second", ""])).toEqual(new Set(["first"]));
  });

  const answers: [string, NonNullable<Issuer["answer"]>, RegExp][] = [
    ["an error", (_req, res) => void res.writeHead(503).end(), /answered 503/],
    ["a redirect", (_req, res) => void res.writeHead(302, { location: "http://127.0.0.1:1/" }).end(), /answered 302/],
    ["no JSON", (_req, res) => void res.end("<html>"), /no JSON Web Key Set/],
    ["no keys", (_req, res) => void res.end('{"keys": 1}'), /no JSON Web Key Set/],
    ["too much", (_req, res) => void res.end(`{"keys":[], "x":"${"y".repeat(JWKS_MAX_BYTES)}"}`), /larger than/],
    ["nothing", () => {}, /abort|time/i],
    ["half", (_req, res) => void res.writeHead(200, { "content-length": "100" }).write("{"), /abort|time/i],
  ];
  test.each(answers)(
    "that answer %s are unavailable, which is said, and not asked again at once",
    async (_what, answer, cause) => {
      issuer.answer = answer;
      const ours = verifier({ jwksTimeoutMs: 200 });
      const token = await issuer.token({ claims: operator });
      const refusal = await refusalOf(() => ours.verify(token));
      expect(refusal).toMatchObject({ reason: ErrorReason.ISSUER_UNAVAILABLE, code: 14, retryAfterMs: 1_000 });
      expect(String(refusal.cause)).toMatch(cause);
      await refusalOf(() => ours.verify(token));
      expect(issuer.fetches()).toBe(1);
      issuer.answer = undefined;
      await expect
        .poll(() => ours.verify(token).catch(() => undefined), { timeout: 5_000 })
        .toMatchObject({ tenant: "acme" });
    },
  );

  test("of an issuer that is not there are unavailable", async () => {
    const token = await issuer.token({ claims: operator });
    const away = verifier({ jwksUrl: "http://127.0.0.1:1/keys" });
    expect((await refusalOf(() => away.verify(token))).reason).toBe(ErrorReason.ISSUER_UNAVAILABLE);
  });
});
