import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { drawKey, hashOf, keyIdOf, keyKinds, sameHash } from "../../src/service/api-key.ts";

const id = "key_0a1b2c3d4e5f6g7h";
/** Drawn once; the form of keys must not change under those who hold one. */
const FIXED = "lead_operator_0a1b2c3d4e5f6g7h_t3SyC8wzL0TFTHUrSRTO1KhBIH8nPf1eDaCe";
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

describe("API keys", () => {
  test.each(keyKinds)("a key of kind %s names its kind and its id, and is read back", (kind) => {
    const { text, hash } = drawKey(kind, id);
    expect(text).toMatch(new RegExp(`^lead_${kind}_0a1b2c3d4e5f6g7h_[0-9A-Za-z]{36}$`));
    expect(keyIdOf(text)).toBe(id);
    expect(Buffer.from(hash)).toEqual(createHash("sha256").update(text).digest());
  });

  test("a key written down in an earlier release is still read", () => {
    expect(keyIdOf(FIXED)).toBe("key_0a1b2c3d4e5f6g7h");
  });

  test("two keys of one id have different secrets", () => {
    expect(drawKey("owner", id).text).not.toBe(drawKey("owner", id).text);
  });

  test("every change of a single character is noticed without the database", () => {
    const { text } = drawKey("viewer", id);
    for (let at = 0; at < text.length; at++) {
      const other = alphabet[(alphabet.indexOf(text.charAt(at)) + 1) % alphabet.length];
      expect(keyIdOf(text.slice(0, at) + other + text.slice(at + 1))).toBeUndefined();
    }
  });

  test.each([
    ["nothing", ""],
    ["a prefix alone", "lead_"],
    ["a key cut short", drawKey("owner", id).text.slice(0, -1)],
    ["a key with a line end", `${drawKey("owner", id).text}\n`],
    ["a key with something after it", `${drawKey("owner", id).text}0`],
    ["a kind that is none", drawKey("owner", id).text.replace("owner", "admin")],
    ["another's token", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"],
    ["a JWT", "eyJhbGciOiJIUzI1NiJ9.e30.ZRrHA1JJJW8opsbCGfG_HACGpVUMN_a9IV7pAx_Zmeo"],
    ["a NUL", "lead_owner_\0"],
  ])("%s is no key", (_what, text) => {
    expect(keyIdOf(text)).toBeUndefined();
  });

  test.each(["ten_0a1b", "key_", "key_A", "0a1b", "key_a_b"])("no key is drawn for the id %j", (wrong) => {
    expect(() => drawKey("owner", wrong)).toThrow(RangeError);
  });

  test("hashes are compared by all their bytes, and never with a shorter one", () => {
    const hash = hashOf("a");
    expect(sameHash(hash, hashOf("a"))).toBe(true);
    expect(sameHash(hash, hashOf("b"))).toBe(false);
    expect(sameHash(hash, hash.subarray(1))).toBe(false);
  });
});
