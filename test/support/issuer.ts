import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";

/** A signing key of the issuer. */
export interface IssuerKey {
  readonly kid: string;
  readonly alg: string;
  readonly publicJwk: JWK;
  readonly privateKey: CryptoKey;
}

/** What a token says beside who issued it and for whom. */
export interface TokenWords {
  /** Undefined: left out. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: { readonly alg?: string; readonly kid?: string };
  readonly key?: IssuerKey;
}

export const ISSUER = "https://id.example.test/";
export const AUDIENCE = "leadline";

/** An identity provider on loopback: keys of its own, tokens, and the JWKS document that tells the public ones. */
export interface Issuer extends AsyncDisposable {
  readonly jwksUrl: string;
  /** Its keys; what the document tells. Change them to rotate. */
  keys: readonly IssuerKey[];
  /** How often the document was asked for. */
  readonly fetches: () => number;
  /** What answers in place of the document. */
  answer: RequestListener | undefined;
  /** A token for an hour, signed with the first key unless said otherwise. */
  token(words?: TokenWords): Promise<string>;
  /** The settings of an instance that takes its tokens. */
  readonly env: Readonly<Record<string, string>>;
}

export async function newKey(kid: string, alg = "ES256"): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" }, privateKey };
}

export async function startIssuer(): Promise<Issuer> {
  let fetches = 0;
  const server = createServer((req, res) => {
    fetches += 1;
    if (issuer.answer) return issuer.answer(req, res);
    res.setHeader("content-type", "application/json");
    res.end(JSON.stringify({ keys: issuer.keys.map(({ publicJwk }) => publicJwk) }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
  const issuer: Issuer = {
    jwksUrl,
    keys: [await newKey("first")],
    fetches: () => fetches,
    answer: undefined,
    async token({ claims = {}, header = {}, key = issuer.keys[0] } = {}) {
      if (key === undefined) throw new Error("there is no key");
      const now = Math.floor(Date.now() / 1_000);
      const payload = { iss: ISSUER, aud: AUDIENCE, sub: "ada", iat: now, exp: now + 3_600, ...claims };
      return new SignJWT(payload as JWTPayload)
        .setProtectedHeader({ alg: key.alg, kid: key.kid, ...header })
        .sign(key.privateKey);
    },
    env: { LEADLINE_JWT_JWKS_URL: jwksUrl, LEADLINE_JWT_ISSUER: ISSUER, LEADLINE_JWT_AUDIENCE: AUDIENCE },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return issuer;
}
