import { describe, expect, test } from "vitest";
import { isLinkToken, type Link, LinkTokens } from "../../src/service/link-token.ts";

const secret = new Uint8Array(32).fill(7);
const tokens = new LinkTokens(secret);
const link: Link = { id: "lnk_0a1b2c", tenant: "ten_acme", orderId: "PO-4711", expiresAtMs: 1_800_000_000_000 };

/** The token with one bit of its bytes turned. */
function turned(token: string, bit: number): string {
  const bytes = Buffer.from(token.slice(5), "base64url");
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return `link_${bytes.toString("base64url")}`;
}

describe("link tokens", () => {
  test("a token says what it was made for", () => {
    const token = tokens.encode(link);
    expect(isLinkToken(token)).toBe(true);
    expect(token).toMatch(/^link_[A-Za-z0-9_-]+$/);
    expect(tokens.decode(token)).toEqual(link);
  });

  test("the expiry is kept to the second, never later than was asked", () => {
    expect(tokens.decode(tokens.encode({ ...link, expiresAtMs: 1_800_000_000_999 }))?.expiresAtMs).toBe(
      1_800_000_000_000,
    );
  });

  test("names of the longest kind fit, longer and empty ones are refused", () => {
    const long = { ...link, orderId: "x".repeat(64), tenant: "t".repeat(64), id: "l".repeat(64) };
    expect(tokens.decode(tokens.encode(long))).toEqual(long);
    expect(() => tokens.encode({ ...link, orderId: "x".repeat(65) })).toThrow(RangeError);
    expect(() => tokens.encode({ ...link, tenant: "" })).toThrow(RangeError);
  });

  test("no bit of a token can be turned", () => {
    const token = tokens.encode(link);
    const bits = Buffer.from(token.slice(5), "base64url").length * 8;
    for (let bit = 0; bit < bits; bit++) expect(tokens.decode(turned(token, bit))).toBeUndefined();
  });

  test("a token of another deployment is none of ours", () => {
    expect(new LinkTokens(new Uint8Array(32).fill(8)).decode(tokens.encode(link))).toBeUndefined();
  });

  test.each([
    ["no prefix", tokens.encode(link).slice(5)],
    ["only the prefix", "link_"],
    ["no base64url", "link_%%%%"],
    ["padding", `${tokens.encode(link)}=`],
    ["characters that decoders skip", tokens.encode(link).replace("link_", "link_ ")],
    ["far too long", `link_${"A".repeat(5_000)}`],
    ["a mac of nothing", `link_${Buffer.alloc(32).toString("base64url")}`],
  ])("%s is refused", (_what, token) => {
    expect(tokens.decode(token)).toBeUndefined();
  });
});
